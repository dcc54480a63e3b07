"""The local engine of a tracking process: its sources are read, and the models run, in another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.apart.far import FarEmbedder, FarReader, Link
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.source_reader import Item, Shared, ready
from reidstream.engines.local.sources_engine import SourcesEngine
from reidstream.engines.local.tracking_group import Reader, TrackingGroup
from reidstream.types import EmbeddingSpace, Event

# What the other process sends is bounded there; whoever hands it on must never wait, since answers come behind it.
_UNBOUNDED = 2**31


class TrackingEngine(SourcesEngine):
    """See Engine. connection: to the process that reads the sources; see ``networks``. Raises EngineError when that
    has ended."""

    def __init__(self, config: Config, sources: Sequence[tuple[str, SourceConfig]], connection: Connection) -> None:
        super().__init__(len(sources), EngineStatus())
        self._config = config
        self._sources = sources
        self._link = Link(connection)
        self._hearing: threading.Thread | None = None

    @property
    def space(self) -> EmbeddingSpace:
        return self._link.space

    def _opened(
        self, out: Channel[Event], failed: Callable[[BaseException], None], ended: Callable[[], None]
    ) -> tuple[Sequence[Reader], Sequence[TrackingGroup]]:
        inbox: Inbox[Item] = Inbox([source_id for source_id, _ in self._sources], _UNBOUNDED, ready)
        embedder = FarEmbedder(self._link)
        shared = Shared(self._config, None, embedder, out, self._status, None, None, failed, ended, ahead=True)
        readers = [FarReader(source_id, source, self._link, inbox) for source_id, source in self._sources]
        arguments = {reader.id: reader for reader in readers}, inbox, self._status
        self._hearing = threading.Thread(target=self._link.serve, args=arguments, name="looked", daemon=True)
        self._hearing.start()
        return readers, [TrackingGroup(readers, inbox, shared)] if readers else []

    def _close(self) -> None:
        self._link.close()
        if self._hearing is not None:
            self._hearing.join()
