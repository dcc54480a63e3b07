"""Asking native libraries in a process of their own: one that crashes or hangs is an answer, not the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def ask_python(code: str, timeout: float = 30.0) -> dict[str, Any]:
    """What ``code`` prints as one JSON object on its last line; ``{"error": text}`` when it does not get that far."""
    answer = run([sys.executable, "-c", code], timeout)
    if "error" in answer:
        return answer
    lines = [line for line in answer["output"].splitlines() if line.strip()]
    try:
        parsed = json.loads(lines[-1])
    except (ValueError, IndexError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {"error": f"unexpected answer {answer['output'][-200:]!r}"}


def run(command: Sequence[str], timeout: float = 30.0) -> dict[str, Any]:
    """``{"output": text}`` of a command that succeeds, else ``{"error": why}`` with its last words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except FileNotFoundError:
        return {"error": f"{command[0]} is not installed"}
    except OSError as error:
        return {"error": f"{command[0]}: {error.strerror or error}"}
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout:.0f} s"}
    if done.returncode < 0:
        return {"error": f"it crashed (signal {-done.returncode})"}
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return {"error": words[-1][:300] if words else f"exit code {done.returncode}"}
    return {"output": done.stdout}
