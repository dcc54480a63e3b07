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
    # Wide enough that a table is never cut for another program; bars and colours are for terminals, whatever
    # FORCE_COLOR says: a log or a notebook would keep every frame of a bar.
    return Console(
        soft_wrap=piped, width=1000 if piped else None, highlight=False, force_terminal=False if piped else None
    )


def console_on_stderr() -> Console:
    """The console for progress and errors, a terminal only where it is one."""
    piped = not sys.stderr.isatty()
    return Console(stderr=True, soft_wrap=True, highlight=False, force_terminal=False if piped else None)


def console_error(message: str) -> None:
    """Print an error for people on stderr."""
    console_on_stderr().print(f"[bold red]error:[/] {_escaped(message)}")


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, NumPy numbers and paths included."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def set_up_logging(verbose: bool, quiet: bool) -> None:
    """Warnings on stderr by default, everything of ours with --verbose, errors only with --quiet."""
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=logging.WARNING,
    )
    logging.getLogger("reidstream").setLevel(level)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
