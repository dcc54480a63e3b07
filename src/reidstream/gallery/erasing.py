"""Erasing people for good, and proving it.

Every store of personal data takes out what it has (``personal``): tracklets, names, history, events.

Deleting is not enough: ChromaDB's files keep deleted vectors, and SQLite's write-ahead log keeps former pages. So the
rows are deleted with their pages overwritten, the log is folded in and emptied, the index is made anew in fresh files
and the old ones are deleted; then every byte of every file is searched for pieces of what was erased.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Text, inspect, select

from reidstream.config.redaction import redacted
from reidstream.errors import GalleryError, TrackletNotFound
from reidstream.gallery.database import DATABASE_FILE, Database
from reidstream.gallery.facts import write_facts
from reidstream.gallery.ownership import OWN_FILES
from reidstream.gallery.partitions import READERS_PATIENCE, holding, write_anew
from reidstream.gallery.personal import Subject, stores_of, traces_in_tables
from reidstream.gallery.rows import in_chunks, unpacked
from reidstream.gallery.schema import crops, details, embeddings, more_crops, next_embeddings, tracklets
from reidstream.gallery.traces import PieceFinder, Pieces, Traces, entropy_coded, find_traces, pieces_of
from reidstream.types import FloatArray

_log = logging.getLogger(__name__)

_MOST_PIECES = 200_000
"""Pieces looked for at most; with many tracklets there are fewer of each."""

_EQUAL = 1 - 1e-6
"""Cosine from which two vectors are the same but for rounding."""

_PAUSES = (0.1, 0.5, 2.0)
"""Seconds between two searches of files in which somebody writes meanwhile; nobody is kept from writing."""


_SHORTEST_TEXT = 4
"""Bytes of a name that is looked for in the files; shorter ones are found everywhere by chance."""

_WORDLESS = ("index/", "clips/", *OWN_FILES)
"""Files that are made by programs that never saw a name."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, and the proof.

    tracklets, people: how many. pieces: how many different 32-byte pieces of ids, vectors, prototypes and crops were
    searched for, and ids and names of people. before, after: what the search found before and after. shared: pieces
    that were left out of the proof because tracklets that remain hold the same bytes.
    elsewhere: columns in which a name can still be read, because it stands there for something else (another person's
    name, a camera). reach: what the proof cannot speak for, empty when it covers everything.
    """

    tracklets: int
    people: int
    pieces: int
    before: Traces | None
    after: Traces | None
    shared: int
    elsewhere: tuple[str, ...]
    reach: str

    @property
    def proven(self) -> bool:
        """Whether the pieces could be read in the files before, none can be read now, and no file is out of reach."""
        if self.before is None or self.after is None or self.reach:
            return False
        return bool(self.before.found) and not self.after.found


def widened(database: Database, subject: Subject) -> Subject:
    """The subject with all that goes along: visits of its people, people without visits, their names.

    Raises GalleryError when something in the gallery is declared nowhere; see ``personal.stores_of``.
    """
    with database.read() as connection:
        for store in stores_of(connection):
            subject = store.widen(connection, subject) if store.widen is not None else subject
    return subject


def erase(
    database: Database,
    rebuild: Callable[[], None],
    wanted: Subject,
    *,
    in_index: Callable[[Sequence[str]], FloatArray],
    server: str = "",
    exclusive: AbstractContextManager[Any] | None = None,
    deleted: Callable[[Subject], None] = lambda _subject: None,
) -> Erasure:
    """Erase a subject and all that goes along (``widened``) from every store of the gallery.

    Raises TrackletNotFound before anything is changed.
    rebuild: makes the index anew from the rows. in_index: some tracklets' vectors as the index holds them, float32
    (n, d); it normalises them anew, so that their last bits differ from the rows'. server: the index's address when it
    is not in the gallery's folder. exclusive: held while rows are deleted, by whoever decides who is who meanwhile;
    ``deleted`` is called within, with what was.
    When the process dies in between, ``finish_erasure`` completes the work as soon as the gallery is opened again.
    """
    subject = widened(database, wanted)
    indexed = in_index(subject.tracklets)
    pieces = _pieces(database, subject.tracklets, indexed)
    folder = database.place.folder
    reach = _reach(database, server)
    with database.read() as connection:
        stores = stores_of(connection)
    texts = _searched(subject)
    before = find_traces(folder, pieces, texts, _WORDLESS) if folder is not None else None
    with exclusive or nullcontext():
        now = widened(database, wanted)
        if now != subject:
            # Somebody was seen again, or decided about, while the files were looked through.
            subject, indexed = now, in_index(now.tracklets)
            pieces = _pieces(database, subject.tracklets, indexed)
            texts = _searched(subject)
        with database.write() as connection:
            parts = None if database.is_sqlite else holding(connection, subject.tracklets)
            for store in stores:
                if store.erase is not None:
                    store.erase(connection, subject)
            for store in stores:
                # Before the commit: when it fails, or the process dies, nothing was erased, and it is done again.
                if store.erase_files is not None and folder is not None:
                    store.erase_files(folder, subject)
            _refuse_traces(traces_in_tables(connection, stores, subject))
            write_facts(connection, erasing=True)
        deleted(subject)
    rebuild()
    shared: set[int] = set()
    elsewhere: list[str] = []
    after = None
    if folder is None:
        reach = "; ".join(filter(None, (reach, write_anew(database, parts))))
    else:
        _fold_log(database)
        after = find_traces(folder, pieces, texts, _WORDLESS)
        if after.found:
            with database.read() as connection:
                shared = _held_by_others(connection, pieces, {p for p in after.pieces if p < len(pieces)}, indexed)
            if after.pieces - shared:
                # A page that was rearranged long ago can hold a copy that deleting does not reach.
                database.vacuum()
                _fold_log(database)
            wanted_pieces = np.delete(pieces, sorted(shared), axis=0)
            after, said = _search_again(database, folder, wanted_pieces, texts)
            if after.found:
                trace = after.found[0]
                raise GalleryError(
                    f"traces of who was erased can still be read in {folder / trace.file} at byte {trace.offset} "
                    f"(and {len(after.found) - 1} more places); {_what_next(after)}"
                )
            elsewhere = sorted({column for text in subject.texts for column in said.get(text, ())})
            texts = [text for text in texts if not said[text]]
    with database.write() as connection:
        write_facts(connection, erasing=False)
    return Erasure(
        len(subject.tracklets),
        len(subject.people),
        len(pieces) - len(shared) + len(texts),
        before,
        after,
        len(shared),
        tuple(elsewhere),
        reach,
    )


def _search_again(
    database: Database, folder: Path, pieces: Pieces, texts: Sequence[str]
) -> tuple[Traces, dict[str, list[str]]]:
    """What is found of the pieces, and of those texts that stand in no table; and which columns say each text.

    Whoever writes between the emptying of the log and the search may leave a page in the log that says what no table
    says any more when it is looked through, or not yet: a name that was given and taken back, an id that was written
    down just before. So the log is emptied once more, a few times at most; what is found every time is a trace.
    """
    for pause in (*_PAUSES, None):
        with database.read() as connection:
            said = {text: _columns_that_say(connection, text) for text in texts}
        found = find_traces(folder, pieces, [text for text in texts if not said[text]], _WORDLESS)
        if not found.found or pause is None:
            break
        time.sleep(pause)
        _fold_log(database)
    return found, said


def _what_next(after: Traces) -> str:
    if {trace.file for trace in after.found} == {f"{DATABASE_FILE}-wal"}:
        return (
            f"they were written again each of {len(_PAUSES) + 1} times that the log was emptied: find out which "
            "process speaks of them, stop it, and open the gallery for writing, which completes the erasure"
        )
    return "run `reidstream gallery rebuild` and erase again"


def _searched(subject: Subject) -> list[str]:
    """What of its ids and names is looked for in the files."""
    return [text for text in (*subject.people, *subject.texts) if len(text.encode()) >= _SHORTEST_TEXT]


def _refuse_traces(found: Sequence[str]) -> None:
    if found:
        raise GalleryError(
            f"who is to be erased would still be found in {', '.join(found)}; nothing was erased. This is a fault of "
            "the program: please report it"
        )


def _columns_that_say(connection: Connection, text: str) -> list[str]:
    """The columns of SQLite's tables in which a text can be read, as table.column.

    What the event that tells of the erasure says is meant to be read.
    """
    found = []
    for table in inspect(connection).get_table_names():
        for column in inspect(connection).get_columns(table):
            if isinstance(column["type"], Text):
                where = f'instr("{column["name"]}", ?) > 0'
                query = f'SELECT 1 FROM "{table}" WHERE {where} LIMIT 1'
                if connection.exec_driver_sql(query, (text,)).first() is not None:
                    found.append(f"{table}.{column['name']}")
    return found


def finish_erasure(database: Database, rebuild: Callable[[], None]) -> None:
    """Complete an erasure whose process died: nothing that was deleted stays readable in the gallery's files."""
    _log.warning("an erasure was interrupted in gallery %s; it is completed now", database.place)
    rebuild()
    if left := write_anew(database):
        _log.warning("%s", left)
    if database.is_sqlite:
        _fold_log(database)
    with database.write() as connection:
        write_facts(connection, erasing=False)


def _pieces(database: Database, ids: Sequence[str], indexed: FloatArray) -> Pieces:
    c = tracklets.c
    query = (
        select(
            *(c.id, embeddings.c.vector, details.c.prototypes, crops.c.jpeg),
            *(next_embeddings.c.vector.label("next_vector"), next_embeddings.c.prototypes.label("next_prototypes")),
        )
        .outerjoin(embeddings, embeddings.c.seq == c.seq)
        .outerjoin(next_embeddings, next_embeddings.c.seq == c.seq)
        .outerjoin(details, details.c.seq == c.seq)
        .outerjoin(crops, crops.c.seq == c.seq)
    )
    most = max(4, _MOST_PIECES // max(len(ids), 1) // 4)
    found: list[Pieces] = [pieces_of([i.encode() for i in ids], 1)]
    found.append(pieces_of([vector.tobytes() for vector in indexed], most))
    known: set[str] = set()
    with database.read() as connection:
        for some in in_chunks(ids):
            for row in connection.execute(query.where(c.id.in_(some))):
                known.add(row.id)
                blobs = [row.vector or b"", row.prototypes or b"", entropy_coded(row.jpeg or b"")]
                blobs += [row.next_vector or b"", row.next_prototypes or b""]
                found.append(pieces_of(blobs, most))
            others = select(more_crops.c.jpeg).join(tracklets, c.seq == more_crops.c.seq).where(c.id.in_(some))
            found.append(pieces_of([entropy_coded(jpeg) for jpeg in connection.execute(others).scalars()], most))
    missing = [i for i in ids if i not in known]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TrackletNotFound(f"no tracklet {missing[0]}{more} in gallery {database.place}; nothing was erased")
    return np.unique(np.concatenate(found), axis=0)


def _held_by_others(connection: Connection, pieces: Pieces, wanted: set[int], indexed: FloatArray) -> set[int]:
    """Those of some pieces that tracklets which remain hold as well: a crop stored twice, an even background."""
    places = sorted(wanted)
    finder = PieceFinder(pieces[places])
    held: set[int] = set()
    following = (next_embeddings.c.vector, next_embeddings.c.prototypes)
    for column in (embeddings.c.vector, details.c.prototypes, crops.c.jpeg, more_crops.c.jpeg, *following):
        for (blob,) in connection.execute(select(column).execution_options(yield_per=1000)):
            held.update(places[piece] for piece, _ in finder.find(blob))
    # The index's copy of an equal vector is equal as well, though it is in no row.
    twins = np.zeros(len(indexed), bool)
    for rows in connection.execute(select(embeddings.c.vector).execution_options(yield_per=1000)).partitions():
        vectors = unpacked(b"".join(row.vector for row in rows), indexed.shape[1])
        twins |= (indexed @ vectors.T > _EQUAL).any(axis=1)
    for vector in indexed[twins]:
        held.update(places[piece] for piece, _ in finder.find(vector.tobytes()))
    return held


def _fold_log(database: Database) -> None:
    """Write the log's pages into the database file and cut the log to nothing."""
    deadline = time.monotonic() + READERS_PATIENCE
    while database.fold_log():
        if time.monotonic() > deadline:
            raise GalleryError(
                f"another process has been reading gallery {database.place} for {READERS_PATIENCE:.0f} s, so that the "
                "former state stays in its log; the tracklets are deleted, and the erasure is completed when the "
                "gallery is next opened for writing"
            )
        time.sleep(0.2)


def _reach(database: Database, server: str) -> str:
    parts = []
    if not database.is_sqlite:
        parts.append(
            f"the files of {database.place} are out of reach: the tables were vacuumed, but PostgreSQL's own "
            "write-ahead log, its backups and replicas may hold the rows for a while"
        )
    if server:
        parts.append(
            f"the files of the chroma server {redacted(server)} are out of reach and keep deleted vectors: stop it, "
            "delete its folder, start it, and run `reidstream gallery rebuild`"
        )
    return "; ".join(parts)
