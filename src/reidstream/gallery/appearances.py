"""What tracklets look like and where they stood, as stored: vectors, prototypes, first and last boxes, many at once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, LargeBinary, case, func, select

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


@dataclass(frozen=True, slots=True)
class Route:
    """Where a tracklet was. content: fingerprint of what was read; frames: int64 (m,) of it; boxes: float32 (m, 4)."""

    content: str
    frames: IntArray
    boxes: FloatArray


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


# A velocity is read off so many boxes, and no more than so many seconds of them.
_VELOCITY_BOXES, _VELOCITY_SECONDS = 32, 1.0


def velocities(connection: Connection, ids: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """How the middles of the boxes move when each of these tracklets begins and ends, float32 (n, 2) each, pixels a
    second, in the order given; zero where that cannot be told.

    It is the slope of a straight line through the boxes of a second.
    """
    c, frames, boxes = tracklets.c, details.c.frames, details.c.boxes
    most = _VELOCITY_BOXES
    query = select(
        c.id,
        ((c.end_frame - c.start_frame) / (c.end_media - c.start_media)).label("rate"),
        func.substr(frames, 1, 8 * most, type_=LargeBinary).label("first_frames"),
        func.substr(boxes, 1, 16 * most, type_=LargeBinary).label("first"),
        func.substr(frames, _from_last(frames, 8 * most), 8 * most, type_=LargeBinary).label("last_frames"),
        func.substr(boxes, _from_last(boxes, 16 * most), 16 * most, type_=LargeBinary).label("last"),
    ).join(details, details.c.seq == c.seq)
    whole = (c.end_media > c.start_media) & (func.length(boxes) == 2 * func.length(frames)) & (func.length(frames) >= 8)
    row_of = {tracklet: row for row, tracklet in enumerate(ids)}
    begun, ended = np.zeros((len(ids), 2), np.float32), np.zeros((len(ids), 2), np.float32)
    for some in in_chunks(ids):
        for row in connection.execute(query.where(c.id.in_(some), whole)):
            begun[row_of[row.id]] = _velocity(row.first_frames, row.first, row.rate, 0)
            ended[row_of[row.id]] = _velocity(row.last_frames, row.last, row.rate, -1)
    return begun, ended


def routes(connection: Connection, ids: Sequence[str]) -> dict[str, Route]:
    """Where these tracklets were, by id. Who is not there (any more), or whose row is damaged, is left out."""
    c, frames, boxes = tracklets.c, details.c.frames, details.c.boxes
    query = select(c.id, c.content, frames, boxes).join(details, details.c.seq == c.seq)
    whole = (func.length(boxes) == 2 * func.length(frames)) & (func.length(frames) % 8 == 0)
    found: dict[str, Route] = {}
    for some in in_chunks(ids):
        for row in connection.execute(query.where(c.id.in_(some), whole)):
            found[row.id] = Route(
                row.content, np.frombuffer(row.frames, "<i8").astype(np.int64), unpacked(row.boxes, 4)
            )
    return found


def _from_last(column: ColumnElement[Any], most: int) -> ColumnElement[Any]:
    """Where the last so many bytes of a column begin, from 1."""
    return case((func.length(column) > most, func.length(column) - most + 1), else_=1)


def _velocity(frames: bytes, boxes: bytes, rate: float, end: int) -> FloatArray:
    """float32 (2,): of the middles of boxes at frames, ``rate`` of them a second, near the first (0) or last (-1)."""
    held = unpacked(boxes, 4).astype(np.float64)
    seconds = np.frombuffer(frames, "<i8") / rate
    near = np.abs(seconds - seconds[end]) <= _VELOCITY_SECONDS
    moment = seconds[near] - seconds[near].mean()
    middles = (held[near, :2] + held[near, 2:]) / 2
    squares = float((moment**2).sum())
    found: FloatArray = (moment @ middles / squares if squares > 0 else np.zeros(2)).astype(np.float32)
    return found


def _refuse_unknown(ids: Sequence[str], held: Container[str], place: Place) -> None:
    missing = [i for i in ids if i not in held]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TrackletNotFound(f"no tracklet {missing[0]}{more} in gallery {place}")
