"""What several verbs share: consoles, JSON output, logging."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from rich.console import Console


def console() -> Console:
    """The console for results: colours and wrapping on a terminal, plain lines when piped."""
    piped = not sys.stdout.isatty()
    # Wide enough that a table is never cut for another program.
    return Console(soft_wrap=piped, width=1000 if piped else None, highlight=False)


def console_error(message: str) -> None:
    """Print an error for people on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {_escaped(message)}")


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, NumPy numbers and paths included."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def set_up_logging(verbose: bool, quiet: bool) -> None:
    """Warnings on stderr by default, everything of ours with --verbose, errors only with --quiet."""
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("reidstream").setLevel(level)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
