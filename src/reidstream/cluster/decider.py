"""The one process that decides, and those that stand by to take its place."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from sqlalchemy import delete, func, select, update

from reidstream.cluster.deciding import Deciding
from reidstream.cluster.leases import HEARTBEATS, silence
from reidstream.cluster.looking import Looking
from reidstream.cluster.opening import opened, server_of
from reidstream.cluster.schema import workers
from reidstream.cluster.worker import own_name, register
from reidstream.config import Config
from reidstream.errors import GalleryError, GalleryLocked, GalleryMismatch, GalleryNotFound, GalleryUnreachable
from reidstream.gallery import Gallery
from reidstream.gallery.database import Database, process_name
from reidstream.gallery.ownership import writer_on
from reidstream.server.app import create_app
from reidstream.server.command_table import CommandTable
from reidstream.server.desk import Desk

_log = logging.getLogger(__name__)

_LOOK_EVERY = 30.0
"""Seconds between two looks whether anything was kept long enough."""


class Decider:
    """``run`` once; ``stop`` from anywhere, a signal handler included.

    watched: called with what decides now, and with None when it does no longer, for whoever shows its numbers.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        say: Callable[[str], None] = lambda _text: None,
        watched: Callable[[Deciding | None], None] = lambda _deciding: None,
    ) -> None:
        self._address, self._config, self._say, self._watched = address, config, say, watched
        self._place = server_of(address)
        self._stopping = threading.Event()
        self._said = ""

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Decide when nobody else does, and stand by until then. Raises GalleryMismatch, GalleryError."""
        while not self._stopping.is_set():
            try:
                with Gallery.open(self._address, write=True) as gallery:
                    self._decide(gallery)
            except GalleryLocked:
                self._stand_by()
            except (GalleryNotFound, GalleryUnreachable) as error:
                self._tell(f"{error}; waiting for it")
                self._stopping.wait(self._every)

    def _decide(self, gallery: Gallery) -> None:
        with contextlib.ExitStack() as stack:
            desk = Desk(gallery, self._config)
            stack.callback(desk.close)
            deciding = stack.enter_context(Deciding(desk, self._config.workers.lease_seconds))
            stack.enter_context(Looking(desk))
            stack.enter_context(CommandTable(gallery, create_app(desk)))
            self._watched(deciding)
            stack.callback(self._watched, None)
            ended = threading.Event()
            retaining = threading.Thread(target=_retain, args=(desk, ended), name="retention", daemon=True)
            retaining.start()
            stack.callback(ended.set)
            self._tell(f"deciding who is who in {self._place}")
            while not self._stopping.wait(self._every / HEARTBEATS):
                if deciding.lost.is_set():
                    desk.closing = True
                    self._tell("another process decides by now")
                    return

    def _stand_by(self) -> None:
        """Until nobody owns the gallery: who does and is not heard of any more loses its connections."""
        try:
            with opened(self._address, self._config, None) as there:
                name = own_name()
                with there.database.write() as connection:
                    register(connection, name, "decider")
                    owner = writer_on(connection)
                if owner is not None:
                    self._tell(f"{owner} decides; standing by")
                try:
                    self._watch(there.database, name)
                finally:
                    with there.database.write() as connection:
                        connection.execute(delete(workers).where(workers.c.name == name))
        except GalleryMismatch:
            # Tables of another version: who owns the gallery is just bringing them up to date, or is of that version.
            self._stopping.wait(self._every)
        except (GalleryNotFound, GalleryUnreachable) as error:
            self._tell(f"{error}; standing by")
            self._stopping.wait(self._every)

    def _watch(self, database: Database, name: str) -> None:
        while not self._stopping.wait(self._every):
            with database.write() as connection:
                mine = update(workers).where(workers.c.name == name)
                connection.execute(mine.values(heard=func.clock_timestamp()))
                owner = writer_on(connection)
                silent = None
                if owner is not None:
                    age = func.extract("epoch", func.clock_timestamp() - func.max(workers.c.heard))
                    c = workers.c
                    query = select(age).where(c.connection == owner, c.role == "decider", c.name != name)
                    silent = connection.execute(query).scalar()
            if owner is None:
                return
            if silent is not None and float(silent) > self._config.workers.lease_seconds and owner != process_name():
                self._tell(f"{owner} has not been heard of for {float(silent):.0f} s; taking its place")
                silence(database, owner)
                return

    @property
    def _every(self) -> float:
        """Seconds between two looks."""
        return self._config.workers.lease_seconds / HEARTBEATS

    def _tell(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say(words)


def _retain(desk: Desk, ended: threading.Event) -> None:
    """Erase what is due once a day, by the rules, as a server does."""
    while not ended.wait(_LOOK_EVERY):
        try:
            if desk.retention_due():
                desk.jobs.wait(desk.retain("retention").id)
        except GalleryError as error:
            _log.warning("%s; what is due is looked for again", error)
