"""The large tables of a gallery on PostgreSQL, in partitions: erasing writes anew what held somebody, not everything.

Rows that were deleted stay readable in PostgreSQL's files until their table is written anew, and nobody can store while
that happens. So the tables that hold vectors, paths and pictures are cut by ``seq`` into partitions of ``SIZE``
tracklets: what is written anew, and how long whoever stores waits for it, is bounded by that, however large the gallery
is. Beyond the last one everything goes into a partition of its own, so that nobody who stores has to make one.

SQLite has no partitions; there every file is written anew at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from sqlalchemy import Connection, select, text
from sqlalchemy.schema import CreateTable

from reidstream.errors import GalleryError, GalleryUnreachable
from reidstream.gallery.database import Database, table_names
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import PARTITIONED, tracklets

_log = logging.getLogger(__name__)

SIZE = 32_768
"""Tracklets in a partition: about 1 GB with pictures and paths, which a disk of today writes anew in some seconds."""

_AHEAD = SIZE // 2
"""The next partition is made when so many tracklets or fewer are left until the end of the last one."""

_AGAIN = SIZE // 64
"""When a partition could not be made, it is tried again so many tracklets later."""

_PATIENCE_MS = 50
"""How long making a partition waits for locks; whoever wants to store waits behind it."""

READERS_PATIENCE = 60.0
"""Seconds to wait for readers that still look at the former state of the facts."""

_BELOW, _BEYOND = "_below_", "_beyond"


def holding(connection: Connection, ids: Sequence[str]) -> list[str]:
    """The partitions in which there are rows of some tracklets."""
    found: set[str] = set()
    for table in PARTITIONED:
        of = table.join(tracklets, tracklets.c.seq == table.c.seq)
        query = select(text(f"{table.name}.tableoid::regclass::text")).select_from(of).distinct()
        for some in in_chunks(ids):
            found.update(connection.execute(query.where(tracklets.c.id.in_(some))).scalars())
    return sorted(found)


def write_anew(database: Database, partitions: Sequence[str] | None = None) -> str:
    """Have nothing that was deleted stay readable in the tables' files; what is left in spite of it, in words.

    partitions: those of the large tables in which something was deleted, of a server; None for all.
    """
    if database.is_sqlite:
        database.vacuum()
        return ""
    with database.read() as connection:
        parents = {table.name for table in PARTITIONED if _is_partitioned(connection, table.name)}
        small = set(table_names(connection)) - parents
        if partitions is None:
            partitions = [part for name in parents for part in _parts(connection, name)]
    reading = _readers_left(database)
    left = database.vacuum_tables([*sorted(small), *partitions], sorted(parents), READERS_PATIENCE)
    words = []
    if "pg_statistic" in left:
        left.remove("pg_statistic")
        words.append(
            "PostgreSQL's statistics could not be written anew (the owner of the database may, while nobody holds "
            "them); ids, names and times of whoever was deleted can stay in them: run VACUUM FULL pg_statistic as the "
            "owner"
        )
    if left:
        words.append(
            f"somebody has been reading {', '.join(left)} for {READERS_PATIENCE:.0f} s, so that the former rows stay "
            "in these tables' files: end it, and erase somebody again or run VACUUM FULL"
        )
    elif reading:
        words.append(
            f"PostgreSQL's session {', '.join(map(str, reading))} has been reading for {READERS_PATIENCE:.0f} s and "
            "may still see what was deleted, so that its rows were written anew as well: end it, and erase somebody "
            "again or run VACUUM FULL"
        )
    return "; ".join(words)


def _readers_left(database: Database) -> list[int]:
    """Sessions that may still see what was deleted before this was called, after waiting for them.

    What somebody may see is no garbage to PostgreSQL. Of other users' sessions only administrators are told.
    """
    with database.write() as connection:
        now = connection.execute(text("SELECT pg_current_xact_id()::xid::text")).scalar_one()
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND age(backend_xmin) > age(CAST(:now AS xid)) ORDER BY 1"
    )
    deadline = time.monotonic() + READERS_PATIENCE
    while True:
        with database.read() as connection:
            reading = list(connection.execute(text(query), {"now": now}).scalars())
        if not reading or time.monotonic() > deadline:
            return reading
        time.sleep(0.2)


class Room:
    """Has the next partitions ready before they are wanted. For the owner of a gallery on a server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = 0
        self._told = False

    def reach(self, last: int) -> None:
        """Rows up to this ``seq`` were given. What locks do not allow at once is tried again some rows later."""
        if last < self._next:
            return
        self._next = min(self._made(table.name, last) for table in PARTITIONED) - _AHEAD

    def _made(self, name: str, last: int) -> int:
        """The end of a table's partitions, or an earlier place at which that is to be looked at again."""
        try:
            with self._database.read() as connection:
                end = _end(connection, name)
            if last + _AHEAD < end:
                return end
            with self._database.write() as connection:
                connection.execute(text(f"SET LOCAL lock_timeout = {_PATIENCE_MS}"))
                return _extended(connection, name, last)
        except GalleryUnreachable as error:
            _log.debug("no partition of %s was made: %s", name, error)
        except GalleryError as error:
            # Whoever may store need not be allowed to make tables.
            if not self._told:
                _log.warning(
                    "%s; rows go into %s%s meanwhile, which an erasure writes anew whole", error, name, _BEYOND
                )
            self._told = True
        return last + _AGAIN + _AHEAD


def into_partitions(connection: Connection) -> None:
    """Give each large table its first partition; that of an earlier version becomes it, and nothing is copied."""
    if connection.dialect.name != "postgresql":
        return
    last = connection.execute(text("SELECT coalesce(max(seq), 0) FROM tracklets")).scalar_one()
    end = (last // SIZE + 1) * SIZE
    for table in PARTITIONED:
        name, first = table.name, f"{table.name}{_BELOW}{end}"
        if _parts(connection, name):
            continue
        if _is_partitioned(connection, name):
            connection.execute(text(f"CREATE TABLE {first} (LIKE {name} INCLUDING ALL)"))
        else:
            connection.execute(text(f"ALTER TABLE {name} RENAME TO {first}"))
            connection.execute(text(f"ALTER INDEX {name}_pkey RENAME TO {first}_pkey"))
            connection.execute(CreateTable(table))
        _attach(connection, name, first, "MINVALUE", end)
        connection.execute(text(f"CREATE TABLE {name}{_BEYOND} PARTITION OF {name} DEFAULT"))


def _end(connection: Connection, name: str) -> int:
    """The first ``seq`` beyond a table's partitions."""
    ends = [part.rpartition(_BELOW)[2] for part in _parts(connection, name)]
    return max((int(end) for end in ends if end.isdecimal()), default=0)


def _extended(connection: Connection, name: str, last: int) -> int:
    end = _end(connection, name)
    if last + _AHEAD < end:
        # Somebody else made it meanwhile.
        return end
    # Where nobody made room in time, rows lie beyond already, and more are on their way there.
    begin = end if last < end else last + _AHEAD
    new = f"{name}{_BELOW}{begin + SIZE}"
    connection.execute(text(f"CREATE TABLE {new} (LIKE {name} INCLUDING ALL)"))
    _attach(connection, name, new, str(begin), begin + SIZE)
    return begin + SIZE


def _attach(connection: Connection, name: str, part: str, begin: str, end: int) -> None:
    # Made apart and attached, it locks nobody out who reads or stores.
    connection.execute(text(f"ALTER TABLE {name} ATTACH PARTITION {part} FOR VALUES FROM ({begin}) TO ({end})"))


def _is_partitioned(connection: Connection, name: str) -> bool:
    query = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)"
    return bool(connection.execute(text(query), {"name": name}).scalar())


def _parts(connection: Connection, name: str) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:name) ORDER BY 1"
    return list(connection.execute(text(query), {"name": name}).scalars())
