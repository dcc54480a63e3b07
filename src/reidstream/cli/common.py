"""What several verbs share: consoles, JSON output, logging."""

from __future__ import annotations

import logging
import sys
from typing import Any

from reidstream.cli.terminal import TerminalConsole
from reidstream.foreign_text import json_text, terminal_text


def console() -> TerminalConsole:
    """The console for results: colours and wrapping on a terminal, plain lines when piped."""
    return TerminalConsole()


def console_error(message: str) -> None:
    """Print an error for people on stderr."""
    from rich.text import Text

    TerminalConsole(stderr=True).print(Text.assemble(("error:", "bold red"), f" {message}"))


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, NumPy numbers and paths included."""
    sys.stdout.write(json_text(value, indent=2, default=_plain) + "\n")


def set_up_logging(verbose: bool, quiet: bool) -> None:
    """Warnings on stderr by default, everything of ours with --verbose, errors only with --quiet."""
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(_TerminalFormatter(layout, "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("reidstream").setLevel(level)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


class _TerminalFormatter(logging.Formatter):
    """Messages quote names of files and answers of cameras."""

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record), lines=True)
