"""Who may write: one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from reidstream.errors import GalleryError, GalleryLocked, GalleryUnreachable
from reidstream.files import access_of, new_file
from reidstream.foreign_documents import parsed_json
from reidstream.gallery.database import process_name

LOCK_FILE = "writer.lock"
OWNER_FILE = "writer.json"
INDEX_LOCK_FILE = "index.lock"
WORKER_LOCK_FILE = "indexing.lock"
"""Held by the process that has the index open for a writer; it may outlive the writer by one call."""
OWN_FILES = frozenset({LOCK_FILE, OWNER_FILE, INDEX_LOCK_FILE, WORKER_LOCK_FILE})

_GLANCE = 0.2
READER_PATIENCE = 120.0
"""Seconds a new writer waits for readers that are just loading the index files."""


class Ownership(Protocol):
    """The right to write, held until it is released or the process dies."""

    @property
    def holder(self) -> str:
        """Who this is, for others to read."""

    def confirm(self) -> None:
        """Raise GalleryLocked when the right has gone to somebody else."""

    def release(self) -> None: ...


class FolderOwnership:
    """Two file locks in the gallery's folder; the system releases them when the process dies, however it dies.

    The second one keeps readers from loading the index files, because ChromaDB may write to them while it loads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The lock is taken in one thread and may be released in another.
        access = access_of(folder)
        self._writer = FileLock(folder / LOCK_FILE, thread_local=False, mode=access.file_mode)
        self._index = FileLock(folder / INDEX_LOCK_FILE, thread_local=False, mode=access.file_mode)
        try:
            # Longer than a reader takes to see whether anybody writes.
            self._writer.acquire(timeout=_GLANCE, poll_interval=0.02)
        except Timeout:
            raise GalleryLocked(_refusal(str(folder), _owner(folder))) from None
        except OSError as error:
            raise GalleryError(f"gallery {folder} cannot be written: {error.strerror or error}") from None
        try:
            self._index.acquire(timeout=READER_PATIENCE)
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            new_file(folder / OWNER_FILE, access)
            (folder / OWNER_FILE).write_text(json.dumps(owner), encoding="utf-8")
        except Timeout:
            self._writer.release()
            raise GalleryLocked(
                f"a reader of gallery {folder} has been loading its index for {READER_PATIENCE:.0f} s; try again later"
            ) from None
        except OSError as error:
            self.release()
            raise GalleryError(f"gallery {folder} cannot be written: {error.strerror or error}") from None

    @property
    def holder(self) -> str:
        return f"process {os.getpid()} on {socket.gethostname()}"

    def confirm(self) -> None:
        # The system keeps a file's lock as long as the process lives; a deleted file is what the fence is for.
        return

    def release(self) -> None:
        (self._folder / OWNER_FILE).unlink(missing_ok=True)
        self._index.release()
        self._writer.release()


class ServerOwnership:
    """An advisory lock of PostgreSQL, held by a connection of its own; the server drops it when the process dies.

    It drops it as well when the server itself starts anew, so that it is looked at before every write and taken again,
    unless somebody else was faster. Safe to use from several threads.
    """

    KEY = 0x5265_4944_5374_726D
    """Any number that nobody else locks in the database: the letters "ReIDStrm"."""

    def __init__(self, url: URL, shown: str) -> None:
        """Raises GalleryLocked when another process holds the lock."""
        self._shown = shown
        self._name = process_name()
        self._using = threading.Lock()
        arguments = {"application_name": self._name, "connect_timeout": 10}
        self._engine: Engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
        self._connection: Connection | None = None
        self._released = False
        self._take()

    @property
    def holder(self) -> str:
        return self._name

    def confirm(self) -> None:
        """Look whether the lock is still there, and take it again when the connection is not.

        Raises GalleryLocked when somebody else has it, GalleryUnreachable when the server cannot be reached.
        """
        with self._using:
            if self._released:
                raise GalleryError(f"gallery {self._shown} was closed here; open it anew to go on")
            try:
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                    return
            except DBAPIError:
                self._drop()
            self._take()

    def release(self) -> None:
        with self._using:
            self._released = True
            self._drop()
            self._engine.dispose()

    def _take(self) -> None:
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self.KEY}).scalar():
                return
            found = writer_on(connection)
        except DBAPIError as error:
            self._drop()
            raise GalleryUnreachable(
                f"the server of gallery {self._shown} cannot be reached: {str(error.orig).strip()}"
            ) from None
        self._drop()
        raise GalleryLocked(_refusal(self._shown, found))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # A connection that the server has closed already is closed all the same.
            with contextlib.suppress(DBAPIError):
                connection.close()


@contextlib.contextmanager
def index_files_at_rest(folder: Path) -> Iterator[bool]:
    """Whether nobody writes the index files of this folder; if so, nobody begins to until the block is left."""
    mode = access_of(folder).file_mode
    locks = [FileLock(folder / name, thread_local=False, mode=mode) for name in (INDEX_LOCK_FILE, WORKER_LOCK_FILE)]
    with contextlib.ExitStack() as held:
        try:
            for lock in locks:
                held.enter_context(lock.acquire(timeout=0))
        except (Timeout, OSError):
            at_rest = False
        else:
            at_rest = True
        yield at_rest


def writer_of(folder: Path) -> str | None:
    """Who is writing to the gallery in this folder at this moment, for people to read; None when nobody is."""
    if not (folder / LOCK_FILE).exists():
        return None
    lock = FileLock(folder / LOCK_FILE, thread_local=False, mode=access_of(folder).file_mode)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _owner(folder) or "another process"
    except OSError:
        return None
    lock.release()
    return None


def writer_on(connection: Connection) -> str | None:
    """The same for a gallery on a PostgreSQL server."""
    query = text(
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"
    )
    found = connection.execute(query, {"key": ServerOwnership.KEY}).scalar()
    return None if found is None else str(found) or "another process"


def _owner(folder: Path) -> str | None:
    try:
        owner = parsed_json((folder / OWNER_FILE).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refusal(place: str, owner: str | None) -> str:
    return (
        f"gallery {place} is being written by {owner or 'another process'}; "
        "wait until it has finished or stop it (reading goes on meanwhile)"
    )
