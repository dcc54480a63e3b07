"""Erasing people for good, and proving it.

Deleting is not enough: ChromaDB's files keep deleted vectors, and SQLite's write-ahead log keeps former pages. So the
rows are deleted with their pages overwritten, the log is folded in and emptied, the index is made anew in fresh files
and the old ones are deleted; then every byte of every file is searched for pieces of what was erased.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from reidstream.errors import GalleryError, TrackletNotFound
from reidstream.gallery.database import Database
from reidstream.gallery.facts import write_facts
from reidstream.gallery.recordings import forget
from reidstream.gallery.rows import in_chunks, unpacked
from reidstream.gallery.schema import crops, details, embeddings, tracklets
from reidstream.gallery.storing import remove
from reidstream.gallery.traces import PieceFinder, Pieces, Traces, entropy_coded, find_traces, pieces_of
from reidstream.types import FloatArray

_log = logging.getLogger(__name__)

_MOST_PIECES = 200_000
"""Pieces looked for at most; with many tracklets there are fewer of each."""

_EQUAL = 1 - 1e-6
"""Cosine from which two vectors are the same but for rounding."""

_READERS_PATIENCE = 60.0
"""Seconds to wait for readers that still look at the former state of the facts."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, and the proof.

    pieces: how many different 32-byte pieces of ids, vectors, prototypes and crops were searched for.
    before, after: what the search found before and after. shared: pieces that were left out of the proof because
    tracklets that remain hold the same bytes. reach: what the proof cannot speak for, empty when it covers everything.
    """

    tracklets: int
    pieces: int
    before: Traces | None
    after: Traces | None
    shared: int
    reach: str

    @property
    def proven(self) -> bool:
        """Whether the pieces could be read in the files before, none can be read now, and no file is out of reach."""
        if self.before is None or self.after is None or self.reach:
            return False
        return bool(self.before.found) and not self.after.found


def erase(
    database: Database,
    rebuild: Callable[[], None],
    ids: Sequence[str],
    contents: Sequence[str] = (),
    *,
    indexed: FloatArray,
    server: str = "",
) -> Erasure:
    """Erase tracklets, and recordings that hold nothing else. Raises TrackletNotFound before anything is changed.

    rebuild: makes the index anew from the rows. indexed: the vectors as the index holds them, float32 (n, d); it
    normalises them anew, so that their last bits differ from the rows'. server: the index's address when it is not in
    the gallery's folder.
    When the process dies in between, ``finish_erasure`` completes the work as soon as the gallery is opened again.
    """
    pieces = _pieces(database, ids, indexed)
    folder = database.place.folder
    reach = _reach(database, server)
    before = find_traces(folder, pieces) if folder is not None else None
    with database.write() as connection:
        remove(connection, ids)
        for content in contents:
            forget(connection, content)
        write_facts(connection, erasing=True)
    rebuild()
    shared: set[int] = set()
    after = None
    if folder is None:
        database.vacuum()
    else:
        _fold_log(database)
        after = find_traces(folder, pieces)
        if after.found:
            with database.read() as connection:
                shared = _held_by_others(connection, pieces, after.pieces, indexed)
            if after.pieces - shared:
                # A page that was rearranged long ago can hold a copy that deleting does not reach.
                database.vacuum()
                _fold_log(database)
            after = find_traces(folder, np.delete(pieces, sorted(shared), axis=0))
            if after.found:
                trace = after.found[0]
                raise GalleryError(
                    f"traces of erased tracklets can still be read in {folder / trace.file} at byte {trace.offset} "
                    f"(and {len(after.found) - 1} more places); run `reidstream gallery rebuild` and erase again"
                )
    with database.write() as connection:
        write_facts(connection, erasing=False)
    return Erasure(len(ids), len(pieces) - len(shared), before, after, len(shared), reach)


def finish_erasure(database: Database, rebuild: Callable[[], None]) -> None:
    """Complete an erasure whose process died: nothing that was deleted stays readable in the gallery's files."""
    _log.warning("an erasure was interrupted in gallery %s; it is completed now", database.place)
    rebuild()
    database.vacuum()
    if database.is_sqlite:
        _fold_log(database)
    with database.write() as connection:
        write_facts(connection, erasing=False)


def _pieces(database: Database, ids: Sequence[str], indexed: FloatArray) -> Pieces:
    c = tracklets.c
    query = (
        select(c.id, embeddings.c.vector, details.c.prototypes, crops.c.jpeg)
        .outerjoin(embeddings, embeddings.c.seq == c.seq)
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
                found.append(pieces_of(blobs, most))
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
    for column in (embeddings.c.vector, details.c.prototypes, crops.c.jpeg):
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
    deadline = time.monotonic() + _READERS_PATIENCE
    while database.fold_log():
        if time.monotonic() > deadline:
            raise GalleryError(
                f"another process has been reading gallery {database.place} for {_READERS_PATIENCE:.0f} s, so that the "
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
            f"the files of the chroma server {server} are out of reach and keep deleted vectors: stop it, delete its "
            "folder, start it, and run `reidstream gallery rebuild`"
        )
    return "; ".join(parts)
