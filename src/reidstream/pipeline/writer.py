"""Committing tracklets beside the pipeline, so that a slow disk does not stall frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reidstream.channel import Channel
from reidstream.errors import GalleryError
from reidstream.types import LeftOut, SourceEnded, Tracklet

if TYPE_CHECKING:
    from reidstream.pipeline.store import Checkpoints, TrackletStore

# Tracklets that may wait for their commit; with about 30 KB each this bounds memory when the disk is slow.
_WAITING = 1000
_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """What the open tracks of a source have come to, and who keeps it."""

    store: Checkpoints
    source: str
    unfinished: Sequence[Tracklet]


class GalleryWriter:
    """A thread that adds tracklets to a gallery in batches, in the order in which they came.

    A source is noted as ended only after its tracklets are committed. When a commit fails, ``on_failure`` is called
    once, nothing more is written, and leaving the context raises the error. ``stored`` is called after every commit,
    with what was given to the gallery.
    """

    def __init__(
        self,
        gallery: TrackletStore,
        on_failure: Callable[[], None],
        stored: Callable[[Sequence[Tracklet]], object] = lambda _batch: None,
    ) -> None:
        self._gallery = gallery
        self._on_failure = on_failure
        self._after = stored
        self._waiting: Channel[Tracklet | LeftOut | SourceEnded | _Checkpoint] = Channel(_WAITING)
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="gallery writer", daemon=True)
        self.stored = 0
        self.busy_seconds = 0.0

    def add(self, tracklets: Sequence[Tracklet], left_out: Sequence[LeftOut] = ()) -> None:
        """Have tracklets stored, and noted what was not; waits only when a thousand are waiting already."""
        self._ready()
        for tracklet in tracklets:
            self._waiting.put(tracklet)
        for one in left_out:
            self._waiting.put(one)

    def end_source(self, ended: SourceEnded) -> None:
        """Note the source's end after everything added before."""
        self._ready()
        self._waiting.put(ended)

    def checkpoint(self, store: Checkpoints, source: str, unfinished: Sequence[Tracklet]) -> None:
        """Have the state of a source's open tracks kept, after everything added before."""
        self._ready()
        self._waiting.put(_Checkpoint(store, source, unfinished))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        self._waiting.close()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _ready(self) -> None:
        if self._closed:
            raise GalleryError(f"the writer of gallery {self._gallery.place} was closed; nothing more is stored by it")

    def _write(self) -> None:
        try:
            batch: list[Tracklet] = []
            left_out: list[LeftOut] = []
            for item in self._waiting:
                if isinstance(item, Tracklet):
                    batch.append(item)
                elif isinstance(item, LeftOut):
                    left_out.append(item)
                # Whatever has gathered during the last commit makes up the next one.
                marks = isinstance(item, SourceEnded | _Checkpoint)
                if len(batch) + len(left_out) >= _BATCH or marks or not len(self._waiting):
                    self._commit(batch, left_out)
                    batch, left_out = [], []
                if isinstance(item, SourceEnded):
                    self._gallery.end_source(item)
                elif isinstance(item, _Checkpoint):
                    item.store.checkpoint(item.source, item.unfinished)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that leaves the context
            self._error = error
            self._waiting.abandon()
            self._on_failure()

    def _commit(self, batch: list[Tracklet], left_out: list[LeftOut]) -> None:
        before = time.perf_counter()
        if left_out:
            self._gallery.leave_out(left_out)
        if batch:
            self.stored += self._gallery.add(batch)
            self._after(batch)
        self.busy_seconds += time.perf_counter() - before
