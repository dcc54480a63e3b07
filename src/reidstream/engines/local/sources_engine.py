"""What engines have in common whose sources are read, and tracked in groups, by threads of this process."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from reidstream.channel import Channel
from reidstream.engines import EngineStatus
from reidstream.engines.local.tracking_group import Reader, TrackingGroup
from reidstream.errors import EngineError, ReIDStreamError
from reidstream.types import EmbeddingSpace, Event

logger = logging.getLogger(__name__)

# Events that may wait for the reader; each is a frame's arrays, so this is memory for a second or so of video.
_EVENTS_WAITING = 64


class SourcesEngine(ABC):
    """Starts readers and groups, hands their events on, and ends them whatever happens; see Engine.

    sources: how many there are.
    """

    def __init__(self, sources: int, status: EngineStatus) -> None:
        self._count = sources
        self._status = status
        self._readers: Sequence[Reader] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._failure: BaseException | None = None

    @property
    @abstractmethod
    def space(self) -> EmbeddingSpace: ...

    @property
    def status(self) -> EngineStatus:
        return self._status

    @abstractmethod
    def _opened(
        self, out: Channel[Event], failed: Callable[[BaseException], None], ended: Callable[[], None]
    ) -> tuple[Sequence[Reader], Sequence[TrackingGroup]]:
        """The readers of all sources, and the groups that track them. failed, ended: see ``Shared``."""

    @abstractmethod
    def _close(self) -> None:
        """All readers and groups have ended."""

    def events(self) -> Iterator[Event]:
        out: Channel[Event] = Channel(_EVENTS_WAITING)
        remaining = self._count
        if remaining == 0:
            out.close()

        def ended() -> None:
            nonlocal remaining
            with self._lock:
                remaining -= 1
                last = remaining == 0
            if last:
                out.close()

        self._readers, groups = self._opened(out, self._fail, ended)
        for reader in self._readers:
            # Before anybody can say that it is over.
            self._status.frames[reader.id] = self._status.dropped[reader.id] = 0
        try:
            for group in groups:
                group.start()
            for reader in self._readers:
                reader.start()
            if self._stopped:
                self.stop()
            yield from out
            if self._failure is not None:
                if isinstance(self._failure, ReIDStreamError):
                    raise self._failure
                raise EngineError(f"the local engine failed: {self._failure}") from self._failure
        finally:
            # Also when the reader of the events gives up in the middle.
            self.stop()
            out.abandon()
            for reader in self._readers:
                reader.join()
            for group in groups:
                group.join()
            self._close()
            # They know this engine: in a circle, models and frames would stay until the garbage collector comes by.
            self._readers = []

    def skip(self, source: str) -> None:
        for reader in self._readers:
            if reader.id == source:
                reader.stop()

    def stop(self) -> None:
        self._stopped = True
        for reader in list(self._readers):
            reader.stop()

    def _fail(self, error: BaseException) -> None:
        """A model or the tracker failed: the whole run cannot go on, but what was seen is still finished."""
        with self._lock:
            first = self._failure is None
            if first:
                self._failure = error
        if first:
            logger.debug("the engine stops because of an error", exc_info=error)
            self.stop()
