"""What tracklets look like and where they stood, as stored: vectors, prototypes, first and last boxes, many at once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, LargeBinary, func, select

from reidstream.errors import TrackletNotFound
from reidstream.gallery.database import Place
from reidstream.gallery.rows import checked_vectors, in_chunks, unpacked
from reidstream.gallery.schema import details, embeddings, tracklets
from reidstream.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Prototypes:
    """The typical appearances of tracklets.

    ids: whose. owner: int64 (m,), index into ids. vectors: float32 (m, d). weights: float32 (m,), 1 per tracklet.
    """

    ids: list[str]
    owner: IntArray
    vectors: FloatArray
    weights: FloatArray


def vectors(connection: Connection, place: Place, size: int, ids: Sequence[str] | None) -> tuple[list[str], FloatArray]:
    """Ids and pooled embeddings, float32 (n, size): in the order given, or all in order of storing.

    Raises TrackletNotFound.
    """
    query = select(tracklets.c.id, embeddings.c.vector).join(embeddings, embeddings.c.seq == tracklets.c.seq)
    if ids is None:
        rows = connection.execute(query.order_by(tracklets.c.seq)).all()
        ids = [row.id for row in rows]
        blobs = [row.vector for row in rows]
    else:
        held: dict[str, bytes] = {}
        for some in in_chunks(ids):
            held.update((row.id, row.vector) for row in connection.execute(query.where(tracklets.c.id.in_(some))))
        _refuse_unknown(ids, held, place)
        blobs = [held[i] for i in ids]
    return list(ids), checked_vectors(ids, blobs, size).copy()


def prototypes(connection: Connection, place: Place, size: int, ids: Sequence[str] | None) -> Prototypes:
    """The prototypes of these tracklets, in the order given, or of all in order of storing. Raises TrackletNotFound."""
    c = tracklets.c
    query = select(c.id, details.c.prototypes, details.c.weights).join(details, details.c.seq == c.seq)
    rows: Sequence[Any]
    if ids is None:
        rows = connection.execute(query.order_by(c.seq)).all()
    else:
        held: dict[str, Any] = {}
        for some in in_chunks(ids):
            held.update((row.id, row) for row in connection.execute(query.where(c.id.in_(some))))
        _refuse_unknown(ids, held, place)
        rows = [held[i] for i in ids]
    counts = [len(row.weights) // 4 for row in rows]
    return Prototypes(
        [row.id for row in rows],
        np.repeat(np.arange(len(rows)), counts),
        unpacked(b"".join(row.prototypes for row in rows), size),
        unpacked(b"".join(row.weights for row in rows)),
    )


def ends(connection: Connection, ids: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """The first and the last box of each of these tracklets, float32 (n, 4) each, xyxy, in the order given."""
    c, boxes = tracklets.c, details.c.boxes
    size = func.length(boxes)
    first = func.substr(boxes, 1, 16, type_=LargeBinary)
    last = func.substr(boxes, size - 15, 16, type_=LargeBinary)
    query = select(c.id, first.label("first"), last.label("last")).join(details, details.c.seq == c.seq)
    held: dict[str, Any] = {}
    for some in in_chunks(ids):
        held.update((row.id, row) for row in connection.execute(query.where(c.id.in_(some), size >= 16)))
    # A damaged row has no place; whoever checks the gallery is told of it.
    nowhere = bytes(16)
    found = [(held[i].first, held[i].last) if i in held else (nowhere, nowhere) for i in ids]
    return unpacked(b"".join(f for f, _ in found), 4), unpacked(b"".join(last for _, last in found), 4)


def _refuse_unknown(ids: Sequence[str], held: Container[str], place: Place) -> None:
    missing = [i for i in ids if i not in held]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TrackletNotFound(f"no tracklet {missing[0]}{more} in gallery {place}")
