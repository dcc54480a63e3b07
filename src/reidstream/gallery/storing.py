"""Writing tracklets into the tables, and taking them out again. Everything runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from reidstream.errors import GalleryMismatch
from reidstream.gallery.facts import read_facts, storing_turn, write_facts
from reidstream.gallery.interchange import EARLIEST, LATEST
from reidstream.gallery.recordings import UNFINISHED
from reidstream.gallery.rows import blobs_of, in_chunks, more_crops_of, values_of
from reidstream.gallery.schema import crops, details, embeddings, more_crops, stays, tracklets
from reidstream.gallery.tombstones import erased_before
from reidstream.types import Tracklet

_UNIT = 1e-3
"""How far a vector's length may be from 1."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the tracklets that were handed over.

    new: ids of those that were not there. changed: of those that were replaced. kept_out: how many were left out
    because they were erased before. revision: the last one that was given away.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    kept_out: int
    revision: int


def check_tracklets(batch: Sequence[Tracklet], size: int, attempts: Mapping[str, int]) -> None:
    """Raise unless every tracklet can be stored: GalleryMismatch for other dimensions, ValueError for nonsense."""
    for tracklet in batch:
        if tracklet.content not in attempts:
            raise ValueError(
                f"tracklet {tracklet.id} belongs to content {tracklet.content!r}, which no begin_source has announced"
            )
        if len(tracklet.embedding) != size:
            raise GalleryMismatch(
                f"the gallery's embeddings have {size} dimensions, tracklet {tracklet.id} has {len(tracklet.embedding)}"
            )
        if not all(EARLIEST <= wall <= LATEST for wall in (tracklet.start_wall, tracklet.end_wall)):
            raise ValueError(
                f"tracklet {tracklet.id} is from {tracklet.start_wall!r} to {tracklet.end_wall!r} in Unix seconds, "
                "which is no time between the years 1 and 9999"
            )
        vectors = np.concatenate([tracklet.embedding[None], tracklet.prototypes])
        # Written so that a NaN fails, too.
        if not np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT):
            raise ValueError(f"embedding and prototypes of tracklet {tracklet.id} must have unit length")


def store(connection: Connection, batch: Sequence[Tracklet], attempts: Mapping[str, int]) -> Stored:
    """Insert the tracklets that are not there yet.

    A track that was cut short when an earlier run stopped is replaced by what a later attempt saw of it; every
    other tracklet that is there already stays as it is, and what was erased stays away. One transaction at a time
    stores, whichever process it is of.
    """
    revision = storing_turn(connection)
    fresh = {tracklet.id: tracklet for tracklet in batch}
    changed: list[tuple[int, Tracklet]] = []
    c = tracklets.c
    for some in in_chunks(list(fresh)):
        for row in connection.execute(select(c.seq, c.id, c.attempt, c.reason).where(c.id.in_(some))):
            tracklet = fresh.pop(row.id)
            if row.reason in UNFINISHED and row.attempt < attempts[tracklet.content]:
                changed.append((row.seq, tracklet))
    erased = erased_before(connection, fresh.values())
    if erased:
        fresh = {id: tracklet for id, tracklet in fresh.items() if id not in erased}
        write_facts(connection, kept_out=read_facts(connection).kept_out + len(erased))
    if not fresh and not changed:
        return Stored((), (), len(erased), revision)
    inserted = [(revision + n, tracklet) for n, tracklet in enumerate(fresh.values(), start=1)]
    if inserted:
        _insert(connection, inserted, attempts)
    for seq, tracklet in changed:
        _replace(connection, seq, tracklet, attempts, revision + len(inserted) + 1)
        revision += 1
    revision += len(inserted)
    write_facts(connection, revision=revision)
    return Stored(tuple(fresh), tuple(tracklet.id for _, tracklet in changed), len(erased), revision)


def _insert(connection: Connection, batch: Sequence[tuple[int, Tracklet]], attempts: Mapping[str, int]) -> None:
    rows: dict[Table, list[dict[str, Any]]] = {
        tracklets: [],
        embeddings: [],
        details: [],
        crops: [],
        stays: [],
        more_crops: [],
    }
    for seq, tracklet in batch:
        rows[tracklets].append({"seq": seq, "revision": seq, **values_of(tracklet, attempts[tracklet.content])})
        for table, blobs in zip((embeddings, details, crops), blobs_of(tracklet), strict=True):
            if blobs is not None:
                rows[table].append({"seq": seq, **blobs})
        rows[stays] += [{"seq": seq, **asdict(stay)} for stay in tracklet.stays]
        rows[more_crops] += more_crops_of(seq, tracklet)
    for table, values in rows.items():
        if values:
            connection.execute(insert(table), values)


def _replace(connection: Connection, seq: int, tracklet: Tracklet, attempts: Mapping[str, int], revision: int) -> None:
    # In place, so that what other tables say about this tracklet stays.
    row = {"revision": revision, **values_of(tracklet, attempts[tracklet.content])}
    connection.execute(update(tracklets).where(tracklets.c.seq == seq).values(**row))
    for table, blobs in zip((embeddings, details, crops), blobs_of(tracklet), strict=True):
        connection.execute(delete(table).where(table.c.seq == seq))
        if blobs is not None:
            connection.execute(insert(table).values(seq=seq, **blobs))
    connection.execute(delete(more_crops).where(more_crops.c.seq == seq))
    if tracklet.more_crops:
        connection.execute(insert(more_crops), more_crops_of(seq, tracklet))
    connection.execute(delete(stays).where(stays.c.seq == seq))
    if tracklet.stays:
        connection.execute(insert(stays), [{"seq": seq, **asdict(stay)} for stay in tracklet.stays])


def remove(connection: Connection, ids: Sequence[str]) -> None:
    """Delete tracklets with all that belongs to them; other tables follow by their foreign keys."""
    statement = delete(tracklets).where(tracklets.c.id.in_(bindparam("ids", expanding=True)))
    for some in in_chunks(ids):
        connection.execute(statement, {"ids": list(some)})


def left_over(connection: Connection, content: str, attempt: int) -> list[str]:
    """Ids of a content's cut-short tracklets that the attempt, which has just read it to its end, did not see again."""
    c = tracklets.c
    return list(
        connection.execute(
            select(c.id).where(c.content == content, c.attempt < attempt, c.reason.in_(UNFINISHED))
        ).scalars()
    )
