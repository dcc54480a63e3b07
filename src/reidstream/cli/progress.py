"""What a run shows while it goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.live import Live

from reidstream.cli.terminal import TerminalConsole, TerminalTable
from reidstream.foreign_text import terminal_text
from reidstream.pipeline import RunSummary
from reidstream.pipeline.summary import SourceState, SourceSummary

# Seconds until the first line when the output is no terminal; each takes half as long again as the one before.
_FIRST_LINE, _LATER, _LONGEST = 10.0, 1.5, 60.0
# A camera is said to be silent when it has delivered nothing for so many seconds.
_SILENT = 5.0


class RunProgress:
    """Frames per second, people so far, dropped frames and time left; redrawn on a terminal, plain lines elsewhere.

    Only reads the summary, from a thread of its own.
    """

    def __init__(self, summary: RunSummary, shown: bool = True) -> None:
        self._summary = summary
        self._began = time.monotonic()
        self._console = TerminalConsole(stderr=True)
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
        pause, before, then = _FIRST_LINE, dict[str, int](), self._began
        while not self._done.wait(pause):
            now = time.monotonic()
            lines = progress_lines(self._summary, before, now - then, now - self._began, time.time())
            before, then = {s.source: s.processed for s in list(self._summary.sources.values())}, now
            sys.stderr.write("".join(f"{terminal_text(line)}\n" for line in lines))
            sys.stderr.flush()
            pause = min(pause * _LATER, _LONGEST)

    def _table(self) -> TerminalTable:
        table = TerminalTable(box=None, pad_edge=False, show_header=False)
        for source in list(self._summary.sources.values()):
            of = f"/{source.expected}" if source.expected else ""
            silent = _silence(source, time.time()) if source.live else ""
            table.add_row(source.source, source.state, f"{source.frames}{of} frames{silent}")
        table.caption = headline(self._summary, time.monotonic() - self._began)
        table.caption_justify = "left"
        return table


def progress_lines(
    summary: RunSummary, before: Mapping[str, int], interval: float, seconds: float, now: float
) -> list[str]:
    """What is said of a run when no terminal redraws it: a line for all, and one for each camera that is running.

    before: frames of each source that were processed when it was said last, ``interval`` seconds ago. seconds: since
    the run began. now: Unix seconds.
    """
    clock = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d %H:%M:%S}"
    lines = [f"{clock} {headline(summary, seconds)}"]
    for source in list(summary.sources.values()):
        if source.live and source.state is SourceState.RUNNING:
            rate = (source.processed - before.get(source.source, 0)) / interval if interval > 0 else 0.0
            dropped = f", {source.dropped} dropped" if source.dropped else ""
            people = f"{source.tracklets} tracklets"
            lines.append(f"{clock} {source.source}: {rate:.1f} frames/s, {people}{dropped}{_silence(source, now)}")
    return lines


def headline(summary: RunSummary, seconds: float) -> str:
    """A run in one line, ``seconds`` after it began."""
    if summary.drawing is not None:
        name, frame = summary.drawing
        return f"drawing {name}: frame {frame}"
    rate = summary.processed / seconds if seconds > 0 else 0.0
    dropped = sum(source.dropped for source in summary.sources.values())
    parts = [
        f"{summary.processed} frames",
        f"{rate:.0f} frames/s",
        f"{summary.tracklets} tracklets of {summary.people} people so far",
        f"{summary.open_tracks} in view",
    ]
    if dropped:
        parts.append(f"{dropped} dropped")
    left = _seconds_left(summary, seconds)
    if left is not None:
        parts.append(f"{left:.0f} s left")
    return ", ".join(parts)


def _silence(source: SourceSummary, now: float) -> str:
    if source.seen_wall is None or now - source.seen_wall < _SILENT:
        return ""
    return f", nothing for {now - source.seen_wall:.0f} s"


def _seconds_left(summary: RunSummary, seconds: float) -> float | None:
    rate = summary.frames / seconds if seconds > 0 else 0.0
    sources = [s for s in summary.sources.values() if s.state in (SourceState.WAITING, SourceState.RUNNING)]
    if rate <= 0 or not sources or any(s.live or s.expected is None for s in sources):
        return None
    return sum(max((s.expected or 0) - s.frames, 0) for s in sources) / rate
