"""The connection to the facts: a SQLite file in a folder, or a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.util import LRUCache

from reidstream.config.secrets import filled_in
from reidstream.errors import GalleryCorrupt, GalleryError, GalleryNotFound, GalleryUnreachable, MissingDependency
from reidstream.gallery.fencing import Fence, check_fence

DATABASE_FILE = "gallery.db"

PAGE_SIZE = 16384
"""Bytes. A 512-dimensional vector takes 2 KiB; in SQLite's default 4 KiB pages every second half would stay empty."""

_WRITER_MAPS = 2**28
_READER_MAPS = 2**31 - 2**16
"""How many bytes of the file are read from the system's cache in place. A search reads vectors from all over the file,
which takes a third of the time when they need not be copied page by page; SQLite maps no more than this."""

_NEARLY_FULL = 4 * 2**20
"""Bytes; with less, writing fails for want of space."""

BUSY_SECONDS = 60.0
_FOLDING_SECONDS = 0.1
"""How long a statement waits for another one that is writing."""

_TABLE_SECONDS = 1.0
"""How long a table that is to be written anew is waited for at once, and let go before it is tried again."""

_LOCK_TIMEOUT = "55P03"

_STATEMENTS = 1000
"""So many different statements are kept in words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gallery is: a folder, or the address of a PostgreSQL database. Exactly one of the two."""

    folder: Path | None = None
    url: URL | None = None

    def __str__(self) -> str:
        """For people; without the password."""
        return str(self.folder) if self.url is None else self.url.render_as_string(hide_password=True)

    @property
    def address(self) -> str:
        """For another process that opens the same gallery; with the password, so never for a log or a command line."""
        return str(self.folder) if self.url is None else self.url.render_as_string(hide_password=False)


def place_of(path_or_url: str | Path) -> Place:
    """The place that a user's words mean. ``postgresql://user@host/name`` is a server, all else is a folder.

    Secrets that the address names (``config.secrets``) are filled in. Raises GalleryError, ConfigError.
    """
    text = str(path_or_url)
    if "://" not in text:
        return Place(folder=Path(path_or_url))
    try:
        url = make_url(filled_in(text))
    except ArgumentError:
        raise GalleryError("the gallery's address cannot be read; expected postgresql://user@host/name") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise GalleryError(f"a gallery is a folder or postgresql://user@host/name, not {url.drivername}://")
    return Place(url=url.set(drivername="postgresql+psycopg"))


class Database:
    """Short transactions on the facts; safe to use from several threads."""

    def __init__(self, place: Place, *, write: bool, idle_seconds: float | None = None) -> None:
        """``place`` must exist already. A reader cannot change anything, the database sees to it.

        idle_seconds: a server breaks off a transaction in which nothing was asked for so long, so that a process that
        stands still in the middle of one holds up nobody for longer.
        """
        self.place = place
        self._write = write
        self._closed = False
        self._writing = threading.Lock()
        self._fence: Fence | None = None
        self._confirm: Callable[[], None] | None = None
        self._engine = (
            _sqlite_engine(place.folder, write) if place.folder is not None else _postgres_engine(place, idle_seconds)
        )

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def fenced(self, fence: Fence, confirm: Callable[[], None]) -> None:
        """From now on every transaction that writes holds the fence, or is refused.

        confirm: called before each of them; looks whether the lock that the fence stands for is still held.
        """
        self._fence, self._confirm = fence, confirm

    def ready(self) -> None:
        """Raise GalleryError when this was closed."""
        if self._closed:
            raise GalleryError(f"gallery {self.place} was closed here; open it anew to go on")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the facts."""
        self.ready()
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self, *fences: Fence) -> Iterator[Connection]:
        """All or nothing: committed, and on the disk, when the block has been left without an error.

        fences: of further scopes that the block writes in. Raises GalleryLocked when somebody has taken one over.
        """
        self.ready()
        if not self._write:
            raise GalleryError(f"gallery {self.place} is open for reading only")
        if self._confirm is not None:
            self._confirm()
        with self._turn(), self._translated(), self._engine.connect() as connection:
            connection = connection.execution_options(reidstream_write=True)
            with connection.begin():
                for fence in (*filter(None, [self._fence]), *fences):
                    check_fence(connection, fence, str(self.place))
                yield connection

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One of our threads after the other: SQLite would have those that wait look again and again, and sleep up to
        a tenth of a second in between."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise GalleryError(f"gallery {self.place} was busy for {BUSY_SECONDS:.0f} s; try again later")
        try:
            yield
        finally:
            self._writing.release()

    def fold_log(self) -> bool:
        """Write SQLite's log into the database file and empty it; True when readers did not let that happen."""
        if not self.is_sqlite:
            return False
        # While it waits for readers nobody can write, those among them who are about to: it is brief, and tried again.
        brief, usual = (f"PRAGMA busy_timeout = {round(1000 * wait)}" for wait in (_FOLDING_SECONDS, BUSY_SECONDS))
        return bool(self._alone("PRAGMA wal_checkpoint(TRUNCATE)", before=brief, after=usual)[0][0])

    def vacuum(self) -> None:
        """Write SQLite's file anew, without a trace of what was deleted."""
        self._alone("VACUUM")

    def vacuum_tables(self, names: Sequence[str], statistics: Sequence[str], patience: float) -> list[str]:
        """Write tables of a server anew, one after the other, without a trace of what was deleted; which ones not.

        Whoever has read a table in a transaction that is not over keeps it from being written, and whoever asks for it
        meanwhile waits behind: so for each it is tried for a moment, again and again, for ``patience`` seconds.
        statistics: tables in partitions of which only statistics are made anew: these hold values of rows, too.
        """
        self.ready()
        with self._translated(), self._engine.connect() as connection:
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            # Nobody else is ever to wait as briefly as this connection, however it fares.
            outside.detach()
            outside.exec_driver_sql(f"SET lock_timeout = {round(1000 * _TABLE_SECONDS)}")
            left, deadline = list(names), time.monotonic() + patience
            while True:
                left = [name for name in left if not _written_anew(outside, name)]
                if not left or time.monotonic() > deadline:
                    break
                time.sleep(_TABLE_SECONDS)
            for name in statistics:
                outside.exec_driver_sql(f'ANALYZE "{name}"')
            # What was counted in former rows (most common values, bounds) stays between the new statistics otherwise.
            before = _statistics_file(outside)
            if not _written_anew(outside, "pg_statistic", "FULL") or _statistics_file(outside) == before:
                left.append("pg_statistic")
        return left

    def damage(self) -> list[str]:
        """What SQLite finds wrong with its own file; empty when all is well."""
        if not self.is_sqlite:
            return []
        try:
            found = [str(row[0]) for row in self._alone("PRAGMA integrity_check")]
            dangling = self._alone("PRAGMA foreign_key_check")
        except GalleryCorrupt as error:
            return [str(error)]
        found += [f"a row of {row[0]} refers to a row of {row[2]} that is not there" for row in dangling]
        return [text for text in found if text != "ok"]

    def _alone(self, statement: str, before: str = "", after: str = "") -> list[Any]:
        """The rows of a statement that SQLite wants outside a transaction. before, after: further ones."""
        self.ready()
        with self._translated():
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(before)
                cursor.execute(statement)
                return list(cursor.fetchall())
            finally:
                connection.cursor().execute(after)
                connection.close()

    def clear(self) -> None:
        """Drop every table of a database on a server; a file is taken away by whoever owns its folder."""
        if not self.is_sqlite:
            with self.write() as connection:
                for name in table_names(connection):
                    connection.exec_driver_sql(f'DROP TABLE "{name}" CASCADE')

    def close(self) -> None:
        """Close the connections; whatever is asked for afterwards raises GalleryError."""
        # SQLAlchemy would connect again without a word.
        self._closed = True
        self._engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if is_passing(error):
                raise GalleryUnreachable(str(_explained(str(error.orig), self.place))) from error
            raise _explained(str(error.orig), self.place) from error
        except SQLAlchemyError as error:
            raise GalleryError(f"gallery {self.place}: {error}") from error
        except Exception as error:
            # _alone() talks to the driver directly, whose errors SQLAlchemy has not wrapped.
            if type(error).__module__ in {"sqlite3", "psycopg.errors", "psycopg"}:
                raise _explained(str(error), self.place) from error
            raise


def _explained(text: str, place: Place) -> GalleryError:
    lowered = text.lower()
    if "disk i/o error" in lowered and (free := _free(place)) is not None and free < _NEARLY_FULL:
        # Where there is no room for the log's shared memory, SQLite says no more than that.
        lowered, text = "disk full", f"{text}, {free / 1024:.0f} KiB free"
    if "malformed" in lowered or "not a database" in lowered or "corrupt" in lowered:
        return GalleryCorrupt(
            f"the facts of gallery {place} are damaged ({text}); restore {DATABASE_FILE} from a backup, "
            "the index can then be made anew with `reidstream gallery rebuild`"
        )
    if "disk is full" in lowered or "no space left" in lowered or "disk full" in lowered:
        return GalleryError(
            f"no space left for gallery {place} ({text}); what was stored before is safe: free some space and run again"
        )
    if "disk i/o error" in lowered:
        return GalleryError(
            f"the disk under gallery {place} fails ({text}); what was stored before is as safe as the disk is: look "
            "into the system's log"
        )
    if "permission denied" in lowered or "must be owner" in lowered:
        return GalleryError(
            f"gallery {place}: {text.strip()}; the database's user may not do that: make it the owner of the gallery's "
            "tables, or grant it what is missing"
        )
    if "readonly" in lowered or "read-only" in lowered:
        return GalleryError(f"gallery {place} cannot be written ({text}); check the folder's owner and permissions")
    log = place.folder / f"{DATABASE_FILE}-wal" if place.folder is not None else None
    if "unable to open" in lowered and log is not None and log.exists() and not os.access(log.parent, os.W_OK):
        return GalleryError(
            f"gallery {place} cannot be read where nothing can be written ({text}): it was not closed cleanly, and "
            f"{log.name} must be folded in first; open it once in a place that can be written"
        )
    if "unable to open" in lowered:
        return GalleryError(f"gallery {place} cannot be opened ({text}); check the folder's owner and permissions")
    if "locked" in lowered:
        return GalleryError(f"gallery {place} was busy for {BUSY_SECONDS:.0f} s ({text}); try again later")
    return GalleryError(f"gallery {place}: {text.strip()}")


def _free(place: Place) -> int | None:
    """Bytes that are free where a gallery's folder is."""
    try:
        return shutil.disk_usage(place.folder).free if place.folder is not None else None
    except OSError:
        return None


class _SqliteDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's own, equal for all engines: what was made of a statement for one gallery serves all others.

    A statement takes longer to be put into words than to be run, and who opens galleries one after the other, or one
    for reading and for writing, asks each the same.
    """

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is _SqliteDialect

    def __hash__(self) -> int:
        return hash(_SqliteDialect)


registry.register("sqlite.reidstream", __name__, _SqliteDialect.__name__)
_COMPILED: LRUCache[Any, Any] = LRUCache(_STATEMENTS)


def _sqlite_engine(folder: Path, write: bool) -> Engine:
    url = URL.create("sqlite+reidstream", database=str(folder / DATABASE_FILE))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, execution_options={"compiled_cache": _COMPILED})

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> Any:
        log = folder / f"{DATABASE_FILE}-wal"
        closed = not log.exists() or not log.stat().st_size
        if write or os.access(folder, os.W_OK) or not closed:
            return None
        # SQLite wants to make files beside the database even for reading. Where that cannot be, on a read-only mount
        # for one, a database that was closed cleanly is read as one that nobody changes.
        address = f"{(folder / DATABASE_FILE).absolute().as_uri()}?immutable=1"
        return sqlite3.connect(address, uri=True, **options)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by its own rules; here they begin where this module says.
        connection.isolation_level = None
        if write:
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode=WAL")
            # A commit that was acknowledged survives a power failure.
            connection.execute("PRAGMA synchronous=FULL")
            # What is deleted is overwritten with zeros.
            connection.execute("PRAGMA secure_delete=ON")
        else:
            connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA cache_size=-16000")
        connection.execute(f"PRAGMA mmap_size={_WRITER_MAPS if write else _READER_MAPS}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could find that another one was faster; IMMEDIATE cannot.
        write = connection.get_execution_options().get("reidstream_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def demand_psycopg() -> None:
    """Raise MissingDependency unless galleries on PostgreSQL can be opened."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingDependency("a gallery on PostgreSQL needs psycopg: pip install 'reidstream[postgres]'") from None


def process_name() -> str:
    """How this process is called in PostgreSQL's list of connections, at most 63 bytes."""
    return f"reidstream {socket.gethostname()} pid {os.getpid()}"[:63]


# Of those, SQLSTATE classes: connections, resources (a full disk among them), whoever was in the way, shutting down.
_PASSING = ("08", "40", "53", "57P", "25P03", "55P03")


def _statistics_file(connection: Connection) -> int:
    """PostgreSQL passes over a table that may not be written anew without an error; its file stays the same then."""
    return int(connection.exec_driver_sql("SELECT pg_relation_filenode('pg_statistic')").scalar_one())


def _written_anew(connection: Connection, name: str, how: str = "FULL, ANALYZE") -> bool:
    try:
        connection.exec_driver_sql(f'VACUUM ({how}) "{name}"')
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_TIMEOUT:
            raise
        return False
    return True


def table_names(connection: Connection) -> list[str]:
    """The tables of a gallery by their names; one in partitions once."""
    names = sqlalchemy.inspect(connection).get_table_names()
    if connection.dialect.name != "postgresql":
        return names
    query = "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = current_schema()::regnamespace"
    parts = set(connection.exec_driver_sql(query).scalars())
    return [name for name in names if name not in parts]


def is_passing(error: DBAPIError) -> bool:
    """Whether the same may succeed later: the server starts again, has no space left, or somebody was in the way."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state:
        return state.startswith(_PASSING)
    # Without a state nothing came back: there is no connection.
    return error.connection_invalidated or type(error.orig).__module__.startswith("psycopg")


# What is said of a server that is not there at the moment; of a wrong name, user or password it says something else.
_AWAY = (
    *("starting up", "shutting down", "recovery mode", "too many", "terminating", "closed the connection"),
    *("refused", "No such file", "timeout", "timed out", "reset by peer", "Broken pipe"),
    *("Network is unreachable", "No route to host", "Temporary failure in name resolution"),
)


def _postgres_engine(place: Place, idle_seconds: float | None = None) -> Engine:
    demand_psycopg()
    assert place.url is not None
    arguments: dict[str, Any] = {"connect_timeout": 10, "application_name": process_name()}
    if idle_seconds is not None:
        arguments["options"] = f"-c idle_in_transaction_session_timeout={round(1000 * idle_seconds)}"
        # A connection whose other end is gone without a word is noticed in about as long.
        arguments |= {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
        arguments["tcp_user_timeout"] = round(1000 * idle_seconds)
    engine = create_engine(place.url, pool_pre_ping=True, connect_args=arguments)
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    except DBAPIError as error:
        words = str(error.orig).strip()
        if any(sign in words for sign in _AWAY):
            raise GalleryUnreachable(f"the server of gallery {place} cannot be reached: {words}") from None
        raise GalleryNotFound(f"no gallery at {place}: {words}") from None
    return engine
