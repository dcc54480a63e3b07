"""The container for a processor, as far as it can be judged without building it."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from reidstream.cli.app import app

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def test_it_runs_without_rights_from_pinned_packages() -> None:
    last = [line for line in LINES if line.startswith("USER")]
    assert last == ["USER 10001"]
    assert any("--require-hashes -r /tmp/requirements.txt" in line for line in LINES)
    for source in (line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from" not in line):
        assert all((ROOT / name).exists() for name in source), source


def test_what_it_starts_is_there_and_is_asked_where_it_listens() -> None:
    (command,) = [line for line in LINES if line.startswith("CMD")]
    words = re.findall(r'"([^"]+)"', command)
    serve = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    known = {word: option for option in serve.params for word in option.opts}
    assert {word for word in words if word.startswith("--")} <= set(known)
    (health,) = [line for line in LINES if line.startswith("HEALTHCHECK")]
    port = known["--port"].default
    assert f"127.0.0.1:{port}/healthz" in health
    assert f"EXPOSE {port}" in LINES
