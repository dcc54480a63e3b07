"""One engine over a group of leases, in a thread of a worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing

from sqlalchemy import Connection

from reidstream.cluster import leases
from reidstream.cluster.leases import Lease
from reidstream.cluster.storing import WorkerStore
from reidstream.config import SourceConfig
from reidstream.errors import (
    EngineError,
    GalleryLocked,
    GalleryNotFound,
    GalleryUnreachable,
    ReIDStreamError,
    SourceError,
)
from reidstream.gallery.database import Database
from reidstream.pipeline import GalleryRun, SourceState
from reidstream.pipeline.watching import Watcher
from reidstream.server.remote import RemoteWatcher
from reidstream.types import EmbeddingSpace

_log = logging.getLogger(__name__)

Opener = Callable[[Sequence[SourceConfig], WorkerStore, Watcher], AbstractContextManager[GalleryRun]]
"""Opens a run over some sources, with models and all, that stores where it is told, and tells of whoever is in view."""
_TOLD_AGAIN = 1.0


class Reading:
    """Reads from when it is made until its sources have ended, or are taken away; ``finished`` says so.

    fatal: an error that no other source of this worker would be spared, once it has finished.
    """

    def __init__(self, database: Database, space: EmbeddingSpace, held: Sequence[Lease], opener: Opener) -> None:
        self.held = {lease.source: lease for lease in held}
        self.store = WorkerStore(database, space, held, self._skip)
        self._watcher = RemoteWatcher(self.store, _TOLD_AGAIN)
        self.fatal: ReIDStreamError | None = None
        self._database, self._opener = database, opener
        self._lock = threading.Lock()
        self._run: GalleryRun | None = None
        self._stopping = False
        self._skipped: set[str] = set()
        self._why: str | None = None
        # Camera → how many frames of it had been looked at, and when that had changed last, on the monotonic clock.
        self._heard: dict[str, tuple[int, float]] = {}
        self._asked: dict[str, float] = {}
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=f"reading {next(iter(self.held))}", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End soon: what was seen is finished and stored, and the leases are given back."""
        self.store.end_soon()
        with self._lock:
            self._stopping = True
            run = self._run
        if run is not None:
            run.stop()

    def look_at_rules(self) -> None:
        """Take over of which cameras rules ask who is in view."""
        self._watcher.refresh()

    def rest(self, source: str) -> None:
        """Read no more of a source; what was seen of it is stored."""
        self._skip(source)

    def silent(self, seconds: float) -> dict[str, float]:
        """Cameras that have given frames, and none for so long; for how many seconds each was asked to end by now.

        An engine that works ends a source soon when it is asked to. Asks those that were not asked yet.
        """
        run, now = self._run, time.monotonic()
        if now - self._looked > seconds / 2:
            # Nobody looked for long: this process stood still, and its engine with it.
            self._heard = {source: (frames, now) for source, (frames, _) in self._heard.items()}
        self._looked = now
        for source in list(self.held) if run is not None else []:
            summary = run.summary.sources.get(source) if run is not None else None
            if summary is None or not summary.live:
                continue
            frames = summary.processed
            if self._heard.get(source, (0, now))[0] != frames:
                self._heard[source] = (frames, now)
                self._asked.pop(source, None)
        for source, (_, last) in self._heard.items():
            if source in self.held and source not in self._asked and now - last >= seconds:
                _log.warning("%s: no frame for %.0f s; it is ended here, and tried anew", source, now - last)
                self._asked[source] = now
                self.rest(source)
        return {source: now - asked for source, asked in self._asked.items() if source in self.held}

    def taken(self, source: str) -> None:
        """The lease of a source is another worker's."""
        self.held.pop(source, None)
        self.store.drop(source)

    def give_back(self) -> None:
        """After it has finished: give back what did not come to an end of its own. Raises GalleryUnreachable."""
        with self._database.write() as connection:
            for source, lease in self.held.items():
                self._settle(connection, source, lease)

    def _settle(self, connection: Connection, source: str, lease: Lease) -> None:
        summary = self._run.summary.sources.get(source) if self._run is not None else None
        if source in self.store.refused:
            leases.failed(connection, lease, self.store.refused[source], final=True)
        elif self._why is not None:
            leases.failed(connection, lease, self._why)
        elif summary is not None and summary.state is SourceState.SKIPPED and not lease.live:
            leases.done(connection, lease, summary.note)
        elif summary is not None and summary.state is SourceState.FAILED:
            leases.failed(connection, lease, summary.error or "it could not be read")
        else:
            leases.give_back(connection, lease)

    def _skip(self, source: str) -> None:
        with self._lock:
            self._skipped.add(source)
            run = self._run
        if run is not None:
            run.skip(source)

    def _read(self) -> None:
        configs = [lease.config for lease in self.held.values()]
        try:
            with closing(self._watcher), self._opener(configs, self.store, self._watcher) as run:
                with self._lock:
                    self._run = run
                    stopping, skipped = self._stopping, set(self._skipped)
                if stopping:
                    run.stop()
                for source in skipped:
                    run.skip(source)
                run.run()
        except (GalleryUnreachable, GalleryNotFound) as error:
            _log.warning("%s; its sources are given back", error)
        except (SourceError, EngineError, GalleryLocked) as error:
            _log.warning("reading ended: %s", error)
            self._why = str(error)
        except ReIDStreamError as error:
            self.fatal = error
        except Exception as error:  # noqa: BLE001 - the worker goes on with its other sources
            _log.exception("reading ended by an error of the program")
            self._why = f"{type(error).__name__}: {error}"
