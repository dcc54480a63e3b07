"""What the server's tables and files say about people in the pictures, what erases it, and what finds it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Column, Connection, Table, delete, func, or_, select, update

from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks
from reidstream.server.access.schema import ERASED, answers, commands, hidden, jobs, looks, places
from reidstream.server.jobs import EXPORT_FOLDER
from reidstream.server.place import RUNS_FILE, SETUP_FILE, SOCKET_FILE

# Whom a row is about; a question of the queue can be about a tracklet as well.
_ABOUT: dict[Table, tuple[Column[str], ...]] = {
    looks: (looks.c.person, looks.c.tracklet),
    hidden: (hidden.c.person,),
    answers: (answers.c.one, answers.c.other),
    places: (places.c.one, places.c.other),
}


def _erase_rows(connection: Connection, subject: Subject) -> None:
    for table, columns in _ABOUT.items():
        for some in in_chunks((*subject.people, *subject.tracklets)):
            connection.execute(delete(table).where(or_(*(column.in_(some) for column in columns))))


def _trace_rows(connection: Connection, subject: Subject) -> Iterator[str]:
    for table, columns in _ABOUT.items():
        for some in in_chunks((*subject.people, *subject.tracklets)):
            about = or_(*(column.in_(some) for column in columns))
            if count := connection.execute(select(func.count()).select_from(table).where(about)).scalar_one():
                yield f"{count} rows of {table.name}"


def _erase_job_words(connection: Connection, subject: Subject) -> None:
    # Why a job failed may name a tracklet; nobody needs to know it any more.
    connection.execute(update(jobs).where(jobs.c.error.is_not(None)).values(error=""))


def _trace_job_words(connection: Connection, subject: Subject) -> Iterator[str]:
    words = [row.error for row in connection.execute(select(jobs.c.error).where(jobs.c.error.is_not(None)))]
    if any(one in error for error in words for one in (*subject.tracklets, *subject.people)):
        yield f"words of {jobs.name}"


def _speaking_of(connection: Connection, subject: Subject, column: Column[str]) -> list[int]:
    ids = {*subject.people, *subject.tracklets}
    rows = connection.execute(select(commands.c.id, column).where(column.is_not(None))).all()
    return [number for number, text in rows if any(one in text for one in ids)]


def _erase_commands(connection: Connection, subject: Subject) -> None:
    # The rows stay: whoever asked waits for the answer, of this very erasure for example.
    for column, blank in ((commands.c.request, ""), (commands.c.response, ERASED)):
        for some in in_chunks(_speaking_of(connection, subject, column)):
            connection.execute(update(commands).where(commands.c.id.in_(some)).values({column: blank}))


def _trace_commands(connection: Connection, subject: Subject) -> Iterator[str]:
    for column in (commands.c.request, commands.c.response):
        if count := len(_speaking_of(connection, subject, column)):
            yield f"{count} rows of {commands.name}"


def _remove_exports(folder: Path, subject: Subject) -> None:
    exports = folder / EXPORT_FOLDER
    for path in exports.iterdir() if exports.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


STORES: tuple[Store, ...] = (
    Store(
        "who looked at whom, who is hidden, and what was skipped or looked at last in the review queue",
        tables=tuple(table.name for table in _ABOUT),
        erase=_erase_rows,
        trace=_trace_rows,
    ),
    Store("jobs", tables=("jobs",), erase=_erase_job_words, trace=_trace_job_words),
    Store(
        "commands that came by the database",
        tables=("commands",),
        erase=_erase_commands,
        trace=_trace_commands,
    ),
    Store(
        "exports that wait to be fetched",
        files=(f"{EXPORT_FOLDER}/*",),
        erase_files=_remove_exports,
        # Files are searched byte by byte after every erasure.
        trace=lambda _connection, _subject: (),
    ),
    Store(
        "photos that somebody searches with",
        beyond="they lie in the folder for temporary files while they are unpacked, and are gone with the answer",
    ),
    Store(
        "clips that are cut out of recordings to be shown",
        beyond="they lie in the folder for temporary files while they are sent, and are gone with the answer",
    ),
    Store(
        "last pictures at MQTT brokers",
        beyond="withdrawn by a message as soon as the server has seen that who is on one is gone (docs/brokers.md)",
    ),
    Store(
        "users, their sessions and tokens, and what is read",
        tables=("users", "provided_users", "sessions", "tokens", "user_preferences", "server_notes", "served_sources"),
        files=(SOCKET_FILE, RUNS_FILE, SETUP_FILE),
        beyond="nothing in it is about anybody in the pictures",
    ),
)
