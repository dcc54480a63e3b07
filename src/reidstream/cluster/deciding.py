"""The gallery's owner beside workers: it is heard of, and takes over what is in the inbox."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy import delete, func, update

from reidstream.cluster import inbox
from reidstream.cluster.leases import HEARTBEATS
from reidstream.cluster.schema import CLUSTER_MIGRATIONS, workers
from reidstream.cluster.worker import own_name, register
from reidstream.errors import GalleryError, GalleryLocked
from reidstream.server.desk import Desk

_log = logging.getLogger(__name__)

_LOOKS = 0.2
"""Seconds between two looks into the inbox."""
_ALARM_SECONDS = 60.0
"""With a longer lag something is said, once until it is over."""


class Deciding:
    """While it is entered, a desk's owner is heard of, and what workers store is given people.

    lost: set when another process owns the gallery by now.
    """

    def __init__(self, desk: Desk, lease_seconds: float) -> None:
        self.desk, self._every = desk, lease_seconds / HEARTBEATS
        self.name = own_name()
        self.lost = threading.Event()
        self._alarmed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="inbox", daemon=True)

    def __enter__(self) -> Self:
        gallery = self.desk.gallery
        gallery.migrate("cluster", CLUSTER_MIGRATIONS)
        with gallery.write() as connection:
            register(connection, self.name, "decider")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        if not self.lost.is_set():
            try:
                with self.desk.gallery.write() as connection:
                    connection.execute(delete(workers).where(workers.c.name == self.name))
            except GalleryError as failed:
                _log.warning("%s", failed)

    def _follow(self) -> None:
        heard = 0.0
        while not self._closing.is_set():
            try:
                if time.monotonic() - heard >= self._every:
                    self._beat()
                    heard = time.monotonic()
                self._look()
            except GalleryLocked as error:
                _log.warning("%s", error)
                self.lost.set()
                return
            except GalleryError as error:
                _log.warning("%s; it is tried again", error)
            self._closing.wait(_LOOKS)

    def _beat(self) -> None:
        """Be heard of. Raises GalleryLocked when another process owns the gallery."""
        with self.desk.gallery.write() as connection:
            mine = update(workers).where(workers.c.name == self.name)
            connection.execute(mine.values(heard=func.clock_timestamp(), stored=self.desk.stored))

    def _look(self) -> None:
        with self.desk.gallery.read() as connection:
            waits = inbox.backlog(connection)
            happened = inbox.happened(connection) if waits.rows else None
        self.desk.backlog = (waits.rows, waits.seconds)
        self._alarm(waits)
        if happened is None:
            return
        self.desk.heard_of(happened.changed, happened.gone)
        with self.desk.gallery.write() as connection:
            inbox.taken_over(connection, happened.numbers)

    def _alarm(self, waits: inbox.Backlog) -> None:
        late = waits.seconds > _ALARM_SECONDS
        if late and not self._alarmed:
            _log.error("%d tracklets wait for their people, the oldest for %.0f s", waits.rows, waits.seconds)
        self._alarmed = late
