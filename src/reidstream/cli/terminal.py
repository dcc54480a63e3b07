"""What the commands print through: nothing that somebody else named can act on the terminal or fake a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from reidstream.foreign_text import terminal_text


class TerminalConsole(Console):
    """A console that takes text as it is: square brackets are no markup, and what would act on a terminal is shown.

    Each ``print`` of a string is one line; a line break in it is shown as well.
    """

    def __init__(self, *, file: IO[str] | None = None, stderr: bool = False, width: int | None = None) -> None:
        target = sys.stderr if stderr else sys.stdout
        # Wide enough that a table is never cut for another program.
        piped = not (file or target).isatty()
        width = width or (1000 if piped and not stderr else None)
        super().__init__(
            file=file,
            stderr=stderr,
            soft_wrap=piped or stderr,
            width=width,
            highlight=False,
            markup=False,
            # Whatever FORCE_COLOR says: a log or a notebook would keep every frame of a bar.
            force_terminal=False if piped else None,
        )

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(terminal_text(item) if isinstance(item, str) else item for item in objects), **options)

    def print_lines(self, text: str) -> None:
        """Print text of our own that has several lines."""
        for line in text.split("\n"):
            self.print(line)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        # What is not a string on its way here: cells, progress bars, styled text.
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=terminal_text(segment.text, lines=True))


class TerminalTable(Table):
    """A table whose cells are one line each."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(terminal_text(cell) if isinstance(cell, str) else cell for cell in cells), **options)
