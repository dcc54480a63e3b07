"""A worker: one process that reads some of the sources that a gallery's list names, as long as it has their leases."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, text, update

import reidstream
from reidstream.cluster import leases
from reidstream.cluster.leases import HEARTBEATS, Lease
from reidstream.cluster.reading import Opener, Reading
from reidstream.cluster.schema import leases as lease_table
from reidstream.cluster.schema import worker_sources, workers
from reidstream.errors import EngineError, GalleryUnreachable, ReIDStreamError
from reidstream.gallery.database import Database, process_name
from reidstream.types import EmbeddingSpace

_log = logging.getLogger(__name__)

_ENDS_SOON = 2.0
"""Seconds in which an engine that works ends a source that it is asked to end."""
_FORGOTTEN = "1 day"
"""Rows of workers that have not been heard of for so long are taken out."""


def own_name() -> str:
    """How this process is called among workers and deciders: host, process and four hex digits that nobody had."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


def register(connection: Connection, name: str, role: str, most: int = 0) -> None:
    """Say that a process is there; what has not been heard of for a day is forgotten. role: worker or decider."""
    old = workers.c.heard < func.clock_timestamp() - text(f"interval '{_FORGOTTEN}'")
    # A process that stood by a moment ago was there under another name.
    former = (workers.c.connection == process_name()) & (workers.c.role == role)
    connection.execute(delete(workers).where(old | former))
    of = {"name": name, "role": role, "connection": process_name(), "most": most}
    connection.execute(insert(workers).values(version=reidstream.__version__, **of))


class EngineHung(EngineError):
    """Threads that never end are left: the process has to be ended without waiting for them."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker did. lost: finished tracks of leases that others had taken meanwhile."""

    name: str
    stored: int
    lost: int
    rescued: int
    sources: int


class Worker:
    """``run`` once; ``drain`` from anywhere, a signal handler included.

    most: sources that it reads at a time. lease_seconds: how long it has them without being heard of. until_done: end
    when nothing in the list is left to read. silent_seconds: see ``workers.silent_seconds``.
    """

    def __init__(
        self,
        database: Database,
        space: EmbeddingSpace,
        opener: Opener,
        *,
        most: int,
        lease_seconds: float,
        until_done: bool = False,
        silent_seconds: float = 12.0,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.name = own_name()
        self._database, self._space, self._opener = database, space, opener
        self._most, self._until_done, self._say = most, until_done, say
        self._lease_seconds, self._silent_seconds = lease_seconds, silent_seconds
        self._readings: list[Reading] = []
        self._draining = False
        self._awake = threading.Event()
        self._fatal: ReIDStreamError | None = None
        self._stored = self._lost = self._rescued = self._sources = 0
        self._reachable, self._registered = True, False

    def drain(self) -> None:
        """Take nothing more, finish and store what was seen, give the leases back, and end."""
        self._draining = True
        self._awake.set()

    def run(self) -> WorkerReport:
        """Until it is drained, or everything is done if that was asked for. Raises what no source would be spared."""
        while True:
            try:
                if not self._registered:
                    self._register()
                if self._turn():
                    break
                self._note_reachable(True)
            except GalleryUnreachable as error:
                self._note_reachable(False, str(error))
            self._awake.wait(self._lease_seconds / HEARTBEATS)
            self._awake.clear()
        try:
            with self._database.write() as connection:
                connection.execute(delete(workers).where(workers.c.name == self.name))
        except GalleryUnreachable as error:
            # Everything is stored, its leases are given back; as silent it is listed for a day.
            _log.warning("%s; this worker ends, and is not taken out of the list", error)
        if self._fatal is not None:
            raise self._fatal
        return WorkerReport(self.name, self._total_stored, self._total_lost, self._rescued, self._sources)

    def _turn(self) -> bool:
        """One look at everything; whether there is nothing left to do. Raises GalleryUnreachable."""
        self._collect()
        self._beat()
        self._renew()
        for reading in self._readings:
            reading.look_at_rules()
        self._leave_the_silent()
        if self._draining:
            for reading in self._readings:
                reading.stop()
            return not self._readings
        self._take()
        return self._until_done and not self._readings and not self._waiting()

    def _register(self) -> None:
        """The server may be gone again since the gallery was opened: as every turn it is tried again."""
        with self._database.write() as connection:
            register(connection, self.name, "worker", self._most)
        self._registered = True
        self._say(f"worker {self.name} reads up to {self._most} of the sources of {self._database.place}")

    def _beat(self) -> None:
        before = time.time()
        with self._database.write() as connection:
            theirs = float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
            ahead = (before + time.time()) / 2 - theirs
            counts = {"stored": self._total_stored, "lost": self._total_lost, "clock_ahead": ahead}
            beating = update(workers).where(workers.c.name == self.name)
            values = {"heard": func.clock_timestamp(), **counts}
            found = connection.execute(beating.values(**values).returning(workers.c.draining)).one_or_none()
        if found is None:
            # It was not heard of for so long that it was forgotten.
            self._register()
        elif found.draining:
            self._draining = True

    def _renew(self) -> None:
        if not self._readings:
            return
        renewed = leases.renew(self._database, self.name, self._lease_seconds)
        for reading in self._readings:
            for source, lease in list(reading.held.items()):
                if renewed.tokens.get(source) != lease.fence.token:
                    # Given back at its end, or another's.
                    if not self._left_to_another(reading, lease):
                        reading.held.pop(source, None)
                elif source in renewed.unwanted:
                    reading.rest(source)

    def _leave_the_silent(self) -> None:
        """Give cameras to others that an engine gives nothing of any more, and does not end when it is asked to.

        When all of an engine's sources are such, this process is of no use: it ends when its others are stored.
        """
        for reading in list(self._readings):
            stuck = [s for s, seconds in reading.silent(self._silent_seconds).items() if seconds >= _ENDS_SOON]
            for source in stuck:
                leases.abandon(self._database, reading.held[source])
                self._say(f"{source} gives nothing, and does not end: it is left to other workers")
                reading.taken(source)
            if stuck and not reading.held:
                self._readings.remove(reading)
                self._stored += reading.store.stored
                self._lost += reading.store.lost
                self._fatal = self._fatal or EngineHung(
                    f"an engine has given nothing for {self._silent_seconds:.0f} s and does not end; what it read is "
                    "left to other workers, and this one ends, to be started again"
                )
                self._draining = True

    def _left_to_another(self, reading: Reading, lease: Lease) -> bool:
        """Say it, and let go of a source, where its lease is another worker's by now; whether it is."""
        with self._database.read() as connection:
            query = select(lease_table.c.token).where(lease_table.c.source == lease.source)
            if connection.execute(query).scalar() == lease.fence.token:
                return False
        self._say(f"{lease.source} was taken over by another worker")
        reading.taken(lease.source)
        return True

    def _collect(self) -> None:
        """Take leave of readings that have finished."""
        for reading in [one for one in self._readings if one.finished]:
            for lease in list(reading.held.values()):
                # What it wanted to store was refused for that, before this looked.
                self._left_to_another(reading, lease)
            reading.give_back()
            self._readings.remove(reading)
            self._stored += reading.store.stored
            self._lost += reading.store.lost
            if reading.fatal is not None:
                self._fatal = self._fatal or reading.fatal
                self._draining = True

    def _take(self) -> None:
        taken: list[Lease] = []
        room = self._most - sum(len(reading.held) for reading in self._readings)
        try:
            while len(taken) < room:
                lease = leases.take(self._database, self.name, self._lease_seconds)
                if lease is None:
                    break
                taken.append(lease)
                self._rescued += lease.rescued
                words = f", {lease.rescued} open tracks of its former worker stored" if lease.rescued else ""
                self._say(f"reading {lease.source}{words}")
        finally:
            if taken:
                self._sources += len(taken)
                self._readings.append(Reading(self._database, self._space, taken, self._opener))

    def _waiting(self) -> bool:
        """Whether anything in the list is still to be read, or is being read by others."""
        state = lease_table.c.state.in_(("waiting", "running"))
        query = select(lease_table.c.source).join(worker_sources, worker_sources.c.name == lease_table.c.source)
        with self._database.read() as connection:
            return connection.execute(query.where(worker_sources.c.wanted, state).limit(1)).first() is not None

    @property
    def _total_stored(self) -> int:
        return self._stored + sum(reading.store.stored for reading in self._readings)

    @property
    def _total_lost(self) -> int:
        return self._lost + sum(reading.store.lost for reading in self._readings)

    def _note_reachable(self, reachable: bool, why: str = "") -> None:
        if reachable != self._reachable:
            self._say("the database answers again" if reachable else f"{why}; reading goes on, and storing waits")
        self._reachable = reachable
