"""What of a gallery's own tables and files is about people, what erases it, and what finds it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, false, func, select

from reidstream.gallery import left_out
from reidstream.gallery.database import DATABASE_FILE
from reidstream.gallery.ownership import INDEX_LOCK_FILE, LOCK_FILE, OWNER_FILE, WORKER_LOCK_FILE
from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.recordings import forget
from reidstream.gallery.rows import Filter, in_chunks
from reidstream.gallery.schema import recordings, tracklets
from reidstream.gallery.storing import remove
from reidstream.gallery.tombstones import bury


def _erase_tracklets(connection: Connection, subject: Subject) -> None:
    # A recording that is forgotten as a whole may be read again, and then gives everything anew.
    forgotten = Filter(contents=subject.contents).clause() if subject.contents else false()
    again = set(connection.execute(select(tracklets.c.id).where(forgotten)).scalars())
    bury(connection, [i for i in subject.tracklets if i not in again], subject.people)
    remove(connection, subject.tracklets)


def _trace_tracklets(connection: Connection, subject: Subject) -> Iterator[str]:
    for some in in_chunks(subject.tracklets):
        query = select(func.count()).select_from(tracklets).where(tracklets.c.id.in_(some))
        if count := connection.execute(query).scalar_one():
            yield f"{count} rows of tracklets"


def _erase_recordings(connection: Connection, subject: Subject) -> None:
    for content in subject.contents:
        forget(connection, content)


def _trace_recordings(connection: Connection, subject: Subject) -> Iterator[str]:
    for content in subject.contents:
        if connection.execute(select(recordings.c.source).where(recordings.c.content == content)).first():
            yield "a row of recordings"


STORES: tuple[Store, ...] = (
    # Before the tracklets, beside which it was seen.
    Store("what was not stored, and why", tables=("left_out",), erase=left_out.erase, trace=left_out.trace),
    # First, because recordings are referred to.
    Store(
        "tracklets with their vectors, paths, crops and stays in zones",
        tables=("tracklets", "embeddings", "details", "crops", "more_crops", "stays", "next_embeddings"),
        files=(DATABASE_FILE, f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm", f"{DATABASE_FILE}-journal", "index/*"),
        erase=_erase_tracklets,
        trace=_trace_tracklets,
    ),
    Store("what was read", tables=("recordings",), erase=_erase_recordings, trace=_trace_recordings),
    Store(
        "the gallery's description, and who may write",
        tables=("meta", "fences"),
        files=(LOCK_FILE, OWNER_FILE, INDEX_LOCK_FILE, WORKER_LOCK_FILE),
        beyond="nothing in it is about anybody in the pictures",
    ),
    Store(
        "marks of what was erased",
        tables=("tombstones",),
        beyond="hashes under the gallery's own key, which say nothing but that something was erased",
    ),
    Store(
        "files that are being written",
        files=("../.*.partial*",),
        beyond="they are gone when they are whole, or when their writing failed",
    ),
)
