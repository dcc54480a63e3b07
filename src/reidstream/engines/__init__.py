"""Engines: everything that knows pixels and devices, and turns sources into events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from reidstream.types import EmbeddingSpace, Event


@dataclass(slots=True)
class EngineStatus:
    """What an engine can say of itself while it runs; read by the progress display from another thread.

    frames, dropped, reconnects: per source id; reconnects of those only whose engine counts
    them. stage_seconds: busy time per stage ("decode", "detect", "track", "embed", ...).
    warnings: counted by text.
    """

    frames: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    reconnects: dict[str, int] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def spend(self, stage: str, seconds: float) -> None:
        """Add to a stage's busy time; safe from any thread."""
        with self._lock:
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds

    def warn(self, text: str) -> None:
        """Count a warning; safe from any thread."""
        with self._lock:
            self.warnings[text] = self.warnings.get(text, 0) + 1


class Engine(Protocol):
    """Sources in, events out.

    The contract, the same for every engine:
    - every source gives SourceStarted (unless it never delivers a frame), its Observed in frame order,
      TrackEnded for each track, and last SourceEnded (always, with the error if there was one);
    - Observed holds confirmed tracks only; a track id is never used again in its source after TrackEnded;
    - one source that fails ends alone; the others go on;
    - a source that is skipped ends soon, as one that was stopped; nobody waits for what is left of it;
    - after ``stop`` the tracks that are open end with ``shutdown`` and the iterator finishes by itself.
    """

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of its vectors."""

    @property
    def status(self) -> EngineStatus: ...

    def events(self) -> Iterator[Event]:
        """Run to the end. Call once. Raises EngineError when the engine itself cannot go on."""

    def skip(self, source: str) -> None:
        """Read no more of one source, because nobody wants it; of a source that is not running nothing happens."""

    def stop(self) -> None:
        """Ask for a clean end; safe from any thread and from a signal handler, and more than once."""
