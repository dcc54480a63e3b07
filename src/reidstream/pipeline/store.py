"""Where a run puts what it finds: a gallery of its own, or one that another process owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reidstream.gallery.recordings import Begin
from reidstream.types import LeftOut, SourceEnded, SourceStarted, Tracklet


class TrackletStore(Protocol):
    """What a run needs of a gallery; see the methods of ``Gallery``. Called from one thread at a time per method."""

    @property
    def place(self) -> object:
        """Where it is, for messages."""

    def begin_source(
        self, started: SourceStarted, settings: str, *, replace: bool = False, formerly: str = ""
    ) -> Begin: ...

    def add(self, batch: Sequence[Tracklet]) -> int: ...

    def leave_out(self, batch: Sequence[LeftOut]) -> None: ...

    def end_source(self, ended: SourceEnded) -> None: ...


class Checkpoints(Protocol):
    """A store that also keeps what cameras' open tracks have come to, for the case that nobody lives to end them."""

    def checkpoint(self, source: str, unfinished: Sequence[Tracklet]) -> None:
        """Keep these, and no longer what was kept of the source before."""
