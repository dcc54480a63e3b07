"""Opening a gallery as a worker does: not as its owner, and only where what it writes can be relied on."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, func, select, text

from reidstream.cluster.schema import CLUSTER_MIGRATIONS
from reidstream.config import Config
from reidstream.errors import (
    ConfigError,
    GalleryError,
    GalleryLocked,
    GalleryMismatch,
    GalleryNotFound,
    GalleryUnreachable,
)
from reidstream.gallery import Gallery
from reidstream.gallery.database import Database, Place, place_of, table_names
from reidstream.gallery.migrations import migrate, schema_version
from reidstream.gallery.opening import existing_facts
from reidstream.types import EmbeddingSpace

_log = logging.getLogger(__name__)

IDLE_SECONDS = 10.0
"""A worker's transaction in which nothing happens for so long is broken off by the server."""
CLOCK_SECONDS = 30.0
"""A machine whose clock differs more from the database's must not date what cameras see."""
_TRIES = 50
_PAUSE = 0.2

Done = TypeVar("Done")

Sized = Callable[[], tuple[EmbeddingSpace, str]]
"""The embedding space of what a worker stores, and the model's name for others; asked when a gallery is made."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A gallery as a worker has it: its database, and the space of its vectors."""

    database: Database
    space: EmbeddingSpace


def server_of(address: str) -> Place:
    """The database that an address names. Raises ConfigError for a folder: one process writes there."""
    place = place_of(address)
    if place.url is None:
        raise ConfigError(
            f"{address} is a folder, which one process owns: workers need a gallery on PostgreSQL "
            "(postgresql://user@host/name); for one machine `reidstream serve cameras.toml` is enough"
        )
    return place


@contextlib.contextmanager
def opened(address: str, config: Config, sized: Sized | None, *, patience: float = 0.0) -> Iterator[Opened]:
    """A gallery with the tables of workers, up to date; made if there is none and ``sized`` is given.

    patience: seconds that a server is waited for that is not there just now.

    Raises ConfigError for a folder, GalleryNotFound, GalleryMismatch for tables of another version, GalleryError when
    the database's user may not write or this machine's clock is wrong.
    """
    place = server_of(address)
    there = patiently(lambda: _opened(place, address, config, sized), patience)
    try:
        yield there
    finally:
        there.database.close()


def patiently(do: Callable[[], Done], patience: float) -> Done:
    """Do what can be done again as a whole, and again while the server is not there.

    Raises GalleryUnreachable when it has not come back within ``patience`` seconds.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return do()
        except GalleryUnreachable as error:
            if time.monotonic() >= until:
                raise
            _log.warning("%s; waiting for it", error)
            time.sleep(_PAUSE)


def _opened(place: Place, address: str, config: Config, sized: Sized | None) -> Opened:
    database = Database(place, write=True, idle_seconds=IDLE_SECONDS)
    try:
        try:
            facts = existing_facts(database)
        except GalleryNotFound:
            if sized is None:
                raise
            make(address, config, sized)
            facts = existing_facts(database)
        _prepare(database)
        _demand_clock(database)
    except BaseException:
        database.close()
        raise
    return Opened(database, facts.space)


def make(address: str, config: Config, sized: Sized) -> None:
    """Make a new gallery, unless another worker is faster."""
    space, model = sized()
    for _ in range(_TRIES):
        try:
            Gallery.open(address, write=True, create=True, space=space, model=model, config=config.gallery).close()
        except GalleryLocked:
            # Another one is making it, or a decider has it already.
            time.sleep(_PAUSE)
            with contextlib.suppress(GalleryNotFound), Gallery.open(address):
                return
        else:
            return
    raise GalleryError(f"gallery {server_of(address)} is held by another process, and is not there yet; try again")


def _prepare(database: Database) -> None:
    with database.read() as connection:
        version = schema_version(connection, "cluster")
        tables = table_names(connection)
        missing = [name for name in ("tracklets", "inbox") if name in tables and not _may_write(connection, name)]
    if missing:
        raise GalleryError(
            f"the user of {database.place} may not write into the table {missing[0]!r}; make it the owner of the "
            "gallery's tables, or grant it SELECT, INSERT, UPDATE and DELETE on all of them"
        )
    if version > len(CLUSTER_MIGRATIONS):
        raise GalleryMismatch(
            f"gallery {database.place} has tables of workers of version {version}, this program knows up to "
            f"{len(CLUSTER_MIGRATIONS)}; install a newer reidstream"
        )
    if version < len(CLUSTER_MIGRATIONS):
        with database.write() as connection:
            # One at a time: several workers may start at once.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING})
            migrate(connection, "cluster", CLUSTER_MIGRATIONS)


_MAKING = 0x5265_4944_576F_726B
"""A lock of PostgreSQL: the letters "ReIDWork"."""


def _may_write(connection: Connection, table: str) -> bool:
    asked = "SELECT has_table_privilege(:table, 'INSERT') AND has_table_privilege(:table, 'UPDATE')"
    return bool(connection.execute(text(asked), {"table": table}).scalar())


def _demand_clock(database: Database) -> None:
    ahead = clock_ahead(database)
    if abs(ahead) > CLOCK_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        raise GalleryError(
            f"this machine's clock is {abs(ahead):.0f} s {direction} that of {database.place}: visits would be dated "
            "wrongly; set both by NTP"
        )


def clock_ahead(database: Database) -> float:
    """Seconds that this machine's clock is ahead of the database's."""
    before = time.time()
    with database.read() as connection:
        theirs = connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one()
    return (before + time.time()) / 2 - float(theirs)
