"""Recorded events as sources of a worker: a fleet is tried, and measured, without cameras and models.

Each source is a recording (``reidstream run --record``) of one camera or video. One that was recorded of a camera
behaves like one: it is something new whenever it starts, and has no end that counts as complete.
"""

from __future__ import annotations

import heapq
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from reidstream.cluster.storing import WorkerStore
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.recording import RecordedEvents
from reidstream.engines.replay import ReplayEngine
from reidstream.errors import ConfigError, SourceError
from reidstream.gallery.facts import check_space
from reidstream.pipeline import GalleryRun, SourceSummary, settings_fingerprint
from reidstream.pipeline.watching import Watcher
from reidstream.sources.address import local_path
from reidstream.types import EmbeddingSpace, Event, Observed, SourceEnded, SourceStarted


class ReplayedGroup:
    """Several recordings side by side, each under the name of its source; see Engine for the contract.

    speed: how many seconds of a recording pass in one; 0: as fast as they are taken. Raises ConfigError when there is
    none, SourceError when the first cannot be read; others that cannot are ended with their error.
    """

    def __init__(self, sources: Sequence[SourceConfig], speed: float) -> None:
        if not sources:
            raise ConfigError("nothing to replay: name recordings of events")
        self._sources = list(sources)
        self._speed = speed
        self._space = RecordedEvents(local_path(sources[0].uri)).space
        self._status = EngineStatus()
        self._engines: dict[str, ReplayEngine] = {}
        self._stopping = threading.Event()
        self._skipped: set[str] = set()

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def status(self) -> EngineStatus:
        return self._status

    def events(self) -> Iterator[Event]:
        # When the next event of each source is due, on the recordings' own clock.
        due: list[tuple[float, int, str, Event, Iterator[Event]]] = []
        for number, source in enumerate(self._sources):
            name = source.name or source.uri
            try:
                engine = ReplayEngine(local_path(source.uri))
            except SourceError as error:
                yield SourceEnded(name, 0, time.time(), str(error))
                continue
            self._engines[name] = engine
            if self._stopping.is_set() or name in self._skipped:
                engine.stop()
            self._push(due, 0.0, number, name, self._named(name, engine))
        began = time.monotonic()
        while due:
            at, number, name, event, rest = heapq.heappop(due)
            if self._speed:
                self._stopping.wait(max(0.0, began + at / self._speed - time.monotonic()))
            if isinstance(event, Observed):
                self._status.frames[name] = event.frame + 1
            yield event
            self._push(due, at, number, name, rest)

    def skip(self, source: str) -> None:
        self._skipped.add(source)
        if source in self._engines:
            self._engines[source].stop()

    def stop(self) -> None:
        self._stopping.set()
        for engine in list(self._engines.values()):
            engine.stop()

    def _push(
        self,
        due: list[tuple[float, int, str, Event, Iterator[Event]]],
        at: float,
        number: int,
        name: str,
        rest: Iterator[Event],
    ) -> None:
        event = next(rest, None)
        if event is not None:
            when = event.media_time if isinstance(event, Observed) else at
            heapq.heappush(due, (max(at, when), number, name, event, rest))

    def _named(self, name: str, engine: ReplayEngine) -> Iterator[Event]:
        """The events as this source's, with today's times where they are a camera's."""
        live = False
        ahead = 0.0
        for event in engine.events():
            own = replace(event, source=name)
            if isinstance(own, SourceStarted) and own.live:
                live, ahead = True, time.time() - own.wall_time
                own = replace(own, content=uuid.uuid4().hex)
            if live and isinstance(own, SourceStarted | Observed | SourceEnded):
                own = replace(own, wall_time=own.wall_time + ahead)
            yield own


@contextmanager
def open_replayed(
    sources: Sequence[SourceConfig], config: Config, store: WorkerStore, speed: float, watcher: Watcher | None = None
) -> Iterator[GalleryRun]:
    """A run over recordings, into the store of a worker. watcher: hears of whoever is in view."""
    engine = ReplayedGroup(sources, speed)
    check_space(str(store.place), store.space, engine.space)
    yield GalleryRun(
        engine,
        store,
        config,
        settings=settings_fingerprint(config, "replay"),
        sources=[SourceSummary(source.name or source.uri, source.uri) for source in sources],
        checkpoints=store,
        watcher=watcher,
    )
