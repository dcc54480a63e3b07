"""Replaying a recording as if its sources were running: the same events, without video and models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reidstream.engines import EngineStatus
from reidstream.engines.recording import RecordedEvents
from reidstream.errors import EngineError
from reidstream.types import (
    EmbeddingSpace,
    EndReason,
    Event,
    FloatArray,
    Observed,
    SourceEnded,
    SourceStarted,
    TrackEnded,
)

_LATEST = 253_402_300_800.0
"""The year 10000 in Unix seconds, behind which no calendar goes."""


_UNIT = 0.01
"""How far the length of a vector may be from one; float32 rounds to a millionth."""


class ReplayEngine:
    """An engine over a recording; see Engine for the contract.

    A complete recording gives exactly the events that were recorded, to the last bit. Where the recorded run died, and
    after ``stop``, the tracks still open end with ``shutdown`` and their sources as incomplete. Raises SourceNotFound
    or SourceBroken at once when there is no readable recording at ``path``.
    """

    def __init__(self, path: Path) -> None:
        self._recording = RecordedEvents(path)
        self._status = EngineStatus()
        self._stopping = threading.Event()
        self._running: dict[str, _Running] = {}
        self._ended: set[str] = set()
        self._skipped: set[str] = set()

    @property
    def space(self) -> EmbeddingSpace:
        return self._recording.space

    @property
    def status(self) -> EngineStatus:
        return self._status

    def events(self) -> Iterator[Event]:
        for event in self._timed():
            if self._stopping.is_set():
                break
            self._follow(event)
            if event.source not in self._skipped or not isinstance(event, Observed):
                yield event
        yield from self._ends()

    def skip(self, source: str) -> None:
        self._skipped.add(source)

    def stop(self) -> None:
        self._stopping.set()

    def _timed(self) -> Iterator[Event]:
        events = self._recording.events()
        while True:
            before = time.perf_counter()
            event = next(events, None)
            self._status.spend("read", time.perf_counter() - before)
            if event is None:
                return
            yield event

    def _follow(self, event: Event) -> None:
        if not isinstance(event, TrackEnded) and not abs(event.wall_time) < _LATEST:
            raise EngineError(f"{self._recording.path}: {event.source!r} has a frame at {event.wall_time!r} seconds")
        if isinstance(event, SourceEnded):
            self._running.pop(event.source, None)
            self._ended.add(event.source)
            self._status.frames[event.source] = event.frames
            self._status.dropped[event.source] = event.dropped
            return
        if not isinstance(event, SourceStarted) and event.source not in self._running:
            raise EngineError(
                f"{self._recording.path}: {type(event).__name__} of source {event.source!r}, which has not started"
            )
        running = self._running.setdefault(event.source, _Running())
        if isinstance(event, SourceStarted):
            self._status.frames[event.source] = 0
            self._status.dropped[event.source] = 0
            running.wall_time = event.wall_time
        elif isinstance(event, Observed):
            if event.samples is not None and not _of_unit_length(event.samples.embeddings):
                raise EngineError(
                    f"{self._recording.path}: {event.source!r} has an embedding in frame {event.frame} that is not of "
                    "unit length"
                )
            if not running.media_time <= event.media_time < _LATEST:
                raise EngineError(
                    f"{self._recording.path}: {event.source!r} has frame {event.frame} at {event.media_time!r} "
                    f"seconds, behind one at {running.media_time!r}"
                )
            running.observe(event)
            self._status.frames[event.source] = running.frames
        elif isinstance(event, TrackEnded):
            running.open_tracks.pop(event.track_id, None)

    def _ends(self) -> Iterator[Event]:
        stopped = self._stopping.is_set()
        if stopped:
            # Every source ends, also those whose turn has not come.
            for source in self._recording.sources():
                if source not in self._ended:
                    self._running.setdefault(source, _Running())
        error = None if stopped else "the recording ends in the middle: its run was interrupted"
        for source, running in self._running.items():
            for track_id in running.open_tracks:
                yield TrackEnded(source, track_id, EndReason.SHUTDOWN)
            yield SourceEnded(source, running.frames, running.wall_time, error, stopped)
        self._running.clear()


def _of_unit_length(vectors: FloatArray) -> bool:
    """Whether all vectors float32 (m, d) are, up to what rounding does; whatever pools them relies on it."""
    with np.errstate(invalid="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return bool((np.abs(lengths - 1) < _UNIT).all())


class _Running:
    """What is open in a source whose end has not come yet."""

    def __init__(self) -> None:
        self.frames = 0
        self.wall_time = 0.0
        self.media_time = float("-inf")
        # Keys in the order in which the tracks were first seen.
        self.open_tracks: dict[int, None] = {}

    def observe(self, event: Observed) -> None:
        """Take note of one frame."""
        self.frames += 1
        self.wall_time = event.wall_time
        self.media_time = event.media_time
        self.open_tracks.update(dict.fromkeys(event.track_ids.tolist()))
