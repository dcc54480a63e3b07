"""What a run shows while it goes on."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from reidstream.pipeline import RunSummary, SourceState

# Seconds between two lines when the output is no terminal.
_LINE_EVERY = 10.0


class RunProgress:
    """Frames per second, people so far, dropped frames and time left; redrawn on a terminal, plain lines elsewhere.

    Only reads the summary, from a thread of its own.
    """

    def __init__(self, summary: RunSummary, shown: bool = True) -> None:
        self._summary = summary
        self._began = time.monotonic()
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._table)
        self._shown = shown
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._lines, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._shown:
            if self._console.is_terminal:
                self._live.start()
            else:
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        if self._live.is_started:
            self._live.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _lines(self) -> None:
        while not self._done.wait(_LINE_EVERY):
            sys.stderr.write(f"{self._headline()}\n")
            sys.stderr.flush()

    def _headline(self) -> str:
        summary = self._summary
        seconds = time.monotonic() - self._began
        rate = summary.frames / seconds if seconds > 0 else 0.0
        dropped = sum(source.dropped for source in summary.sources.values())
        parts = [
            f"{summary.frames} frames",
            f"{rate:.0f} frames/s",
            f"{summary.tracklets} tracklets of {summary.people} people so far",
            f"{summary.open_tracks} in view",
        ]
        if dropped:
            parts.append(f"{dropped} dropped")
        left = self._seconds_left(rate)
        if left is not None:
            parts.append(f"{left:.0f} s left")
        return ", ".join(parts)

    def _seconds_left(self, rate: float) -> float | None:
        sources = [s for s in self._summary.sources.values() if s.state in (SourceState.WAITING, SourceState.RUNNING)]
        if rate <= 0 or not sources or any(s.live or s.expected is None for s in sources):
            return None
        return sum(max((s.expected or 0) - s.frames, 0) for s in sources) / rate

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for source in list(self._summary.sources.values()):
            of = f"/{source.expected}" if source.expected else ""
            table.add_row(source.source, source.state, f"{source.frames}{of} frames")
        table.caption = self._headline()
        table.caption_justify = "left"
        return table
