"""Tracklets as rows: what is asked of the tables, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, exists, func, select, true

from reidstream.errors import GalleryCorrupt
from reidstream.gallery.schema import crops, details, embeddings, more_crops, stays, tracklets
from reidstream.gallery.whose import WHOSE, with_whose
from reidstream.types import EndReason, FloatArray, IntArray, Stay, TrackIds, Tracklet

_PLAIN = (
    *("id", "source", "content", "part", "parts", "start_frame", "end_frame"),
    *("start_media", "end_media", "start_wall", "end_wall", "observations", "confidence"),
    *("embeddings_used", "embeddings_seen", "purity", "quality", "crop_frame"),
)
"""Columns that are called and typed like the fields of Tracklet."""

Id = TypeVar("Id", str, int)

_IN_AT_ONCE = 900
"""Parameters of one IN list; below the smallest limit that SQLite was ever built with (999)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tracklets are meant; all conditions must hold, and an empty one always does.

    sources: source ids. since, until: wall time in Unix seconds; a tracklet counts when any of its time span lies
    in between. media_since, media_until: the same in seconds since its source's first frame. contents: fingerprints of
    what was read. zones: names of zones, in one of which it was.
    """

    sources: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    media_since: float | None = None
    media_until: float | None = None
    contents: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything at all is asked for."""
        return any(getattr(self, f.name) not in (None, ()) for f in fields(self))

    def holds(
        self, source: str, content: str, start_wall: float, end_wall: float, start_media: float, end_media: float
    ) -> bool:
        """Whether one tracklet, given by its row, is meant; the same as ``clause`` says in SQL, but for zones, which
        stand in a table of their own (``in_zones``)."""
        return (
            (not self.sources or source in self.sources)
            and (not self.contents or content in self.contents)
            and (self.since is None or end_wall >= self.since)
            and (self.until is None or start_wall <= self.until)
            and (self.media_since is None or end_media >= self.media_since)
            and (self.media_until is None or start_media <= self.media_until)
        )

    def clause(self, table: Table = tracklets) -> ColumnElement[bool]:
        """In SQL, on tracklets or on another table that has their columns of source, content and times."""
        c = table.c
        clause: ColumnElement[bool] = true()
        if self.sources:
            clause &= c.source.in_(self.sources)
        if self.contents:
            clause &= c.content.in_(self.contents)
        if self.since is not None:
            clause &= c.end_wall >= self.since
        if self.until is not None:
            clause &= c.start_wall <= self.until
        if self.media_since is not None:
            clause &= c.end_media >= self.media_since
        if self.media_until is not None:
            clause &= c.start_media <= self.media_until
        if self.zones and table is tracklets:
            clause &= in_zones(self.zones)
        return clause


EVERYTHING = Filter()


def in_zones(zones: Sequence[str]) -> ColumnElement[bool]:
    """In SQL: tracklets that were in one of these zones."""
    return exists().where(stays.c.seq == tracklets.c.seq, stays.c.zone.in_(zones))


@dataclass(frozen=True, slots=True)
class Rows:
    """The metadata of n tracklets without their vectors and pictures: the fields of Tracklet as arrays of length n.

    person, person_number, person_name: whose each is; "", 0 and "" where nobody was decided on. undecided: it may be
    somebody known, and that person is only where it is kept until somebody decides. zones: names of the zones that it
    was in, with ", " between them.
    """

    id: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    content: npt.NDArray[np.str_]
    track_id: TrackIds
    part: IntArray
    parts: IntArray
    start_frame: IntArray
    end_frame: IntArray
    start_media: npt.NDArray[np.float64]
    end_media: npt.NDArray[np.float64]
    start_wall: npt.NDArray[np.float64]
    end_wall: npt.NDArray[np.float64]
    reason: npt.NDArray[np.str_]
    observations: IntArray
    confidence: npt.NDArray[np.float64]
    embeddings_used: IntArray
    embeddings_seen: IntArray
    purity: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    zones: npt.NDArray[np.str_]
    person: npt.NDArray[np.str_]
    person_number: IntArray
    person_name: npt.NDArray[np.str_]
    undecided: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.id)

    def records(self) -> Iterator[dict[str, Any]]:
        """One dictionary of plain Python values per tracklet; without a person, its id and number are None."""
        names = [f.name for f in fields(self)]
        for values in zip(*(getattr(self, name).tolist() for name in names), strict=True):
            record = dict(zip(names, values, strict=True))
            zones = record["zones"].split(", ") if record["zones"] else []
            person = {"person": record["person"] or None, "person_number": record["person_number"] or None}
            yield {**record, "zones": zones, **person}


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("id", "source", "content", "reason", "zones", "person", "person_name"), np.str_),
    "undecided": np.bool_,
    **dict.fromkeys(("start_media", "end_media", "start_wall", "end_wall"), np.float64),
    **dict.fromkeys(("confidence", "purity", "quality"), np.float64),
}


def rows_of(connection: Connection, where: Filter, ids: Sequence[str] | None = None) -> Rows:
    """The metadata of the tracklets that a filter asks for, in the order in which they were first stored."""
    names = [f.name for f in fields(Rows)]
    own = [name for name in names if name not in WHOSE]
    columns_of = {**tracklets.c, "zones": _zones()}
    query = select(*(columns_of[name] for name in own)).where(where.clause()).order_by(tracklets.c.seq)
    query = with_whose(connection, query)
    found: list[Row[Any]] = []
    if ids is None:
        found.extend(connection.execute(query))
    else:
        for some in in_chunks(ids):
            found.extend(connection.execute(query.where(tracklets.c.id.in_(some))))
    columns = list(zip(*found, strict=True)) or [()] * len(names)
    arrays = {n: np.array(values, _TYPES.get(n, np.int64)) for n, values in zip(names, columns, strict=True)}
    arrays["track_id"] = arrays["track_id"].view(np.uint64)
    return Rows(**arrays)


def _zones() -> ColumnElement[str]:
    """The names of the zones that a tracklet was in, as one text."""
    names = select(stays.c.zone).where(stays.c.seq == tracklets.c.seq).correlate(tracklets).distinct()
    each = names.order_by(stays.c.zone).subquery()
    return func.coalesce(select(func.aggregate_strings(each.c.zone, ", ")).scalar_subquery(), "").label("zones")


def stays_of(connection: Connection, seqs: Sequence[int]) -> dict[int, tuple[Stay, ...]]:
    """The stays of tracklets, by their private row numbers, each one's in order of time."""
    found: dict[int, list[Stay]] = {}
    for some in in_chunks(seqs):
        query = select(stays).where(stays.c.seq.in_(some)).order_by(stays.c.start_media, stays.c.zone)
        for row in connection.execute(query):
            times = (row.start_media, row.end_media, row.start_wall, row.end_wall)
            found.setdefault(row.seq, []).append(Stay(row.zone, *times))
    return {seq: tuple(several) for seq, several in found.items()}


def in_chunks(ids: Sequence[Id]) -> Iterator[Sequence[Id]]:
    """The ids, or row numbers, in pieces that fit into one SQL statement."""
    for start in range(0, len(ids), _IN_AT_ONCE):
        yield ids[start : start + _IN_AT_ONCE]


def values_of(tracklet: Tracklet, attempt: int) -> dict[str, Any]:
    """A tracklet's row in ``tracklets``, all but seq and revision."""
    box = tracklet.crop_box or (None, None, None, None)
    return {
        **{name: getattr(tracklet, name) for name in _PLAIN},
        "track_id": int(np.uint64(tracklet.track_id).view(np.int64)),
        "reason": tracklet.reason.value,
        "attempt": attempt,
        **dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), box, strict=True)),
    }


def blobs_of(tracklet: Tracklet) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes] | None]:
    """A tracklet's rows in ``embeddings``, ``details`` and ``crops`` (None without a crop), all but seq."""
    return (
        {"vector": packed(tracklet.embedding)},
        {
            "prototypes": packed(tracklet.prototypes),
            "weights": packed(tracklet.prototype_weights),
            "frames": np.ascontiguousarray(tracklet.frames, "<i8").tobytes(),
            "boxes": packed(tracklet.boxes),
        },
        {"jpeg": tracklet.crop} if tracklet.crop is not None else None,
    )


def more_crops_of(seq: int, tracklet: Tracklet) -> list[dict[str, Any]]:
    """A tracklet's rows in ``more_crops``."""
    return [{"seq": seq, "number": n, "jpeg": jpeg} for n, jpeg in enumerate(tracklet.more_crops, start=1)]


def more_crops_held(connection: Connection, seqs: Sequence[int]) -> dict[int, tuple[bytes, ...]]:
    """The pictures of tracklets beside the best ones, by their private row numbers, the best of them first."""
    found: dict[int, list[bytes]] = {}
    for some in in_chunks(seqs):
        query = select(more_crops).where(more_crops.c.seq.in_(some)).order_by(more_crops.c.seq, more_crops.c.number)
        for row in connection.execute(query):
            found.setdefault(row.seq, []).append(row.jpeg)
    return {seq: tuple(several) for seq, several in found.items()}


def crops_held(connection: Connection, ids: Sequence[str]) -> dict[str, list[bytes]]:
    """The pictures of tracklets, JPEG files, the best first; of those that have any."""
    found: dict[str, list[bytes]] = {}
    for table, order in ((crops, ()), (more_crops, (more_crops.c.number,))):
        query = select(tracklets.c.id, table.c.jpeg).join(table, table.c.seq == tracklets.c.seq)
        for some in in_chunks(ids):
            for id, jpeg in connection.execute(query.where(tracklets.c.id.in_(some)).order_by(*order)):
                found.setdefault(id, []).append(jpeg)
    return found


def packed(array: FloatArray) -> bytes:
    """The array's float32 values, little-endian, row by row."""
    return np.ascontiguousarray(array, "<f4").tobytes()


def unpacked(blob: bytes, columns: int | None = None) -> FloatArray:
    """A writable float32 array of a blob, (n,) or (n, columns)."""
    flat = np.frombuffer(blob, "<f4").astype(np.float32)
    return flat if columns is None else flat.reshape(-1, columns)


def whole_tracklets() -> Select[Any]:
    """All that belongs to a tracklet, in one row; for ``tracklet_of``."""
    return (
        select(tracklets, embeddings.c.vector, details, crops.c.jpeg)
        .join(embeddings, embeddings.c.seq == tracklets.c.seq)
        .join(details, details.c.seq == tracklets.c.seq)
        .outerjoin(crops, crops.c.seq == tracklets.c.seq)
    )


def tracklet_of(row: Row[Any], stays: tuple[Stay, ...] = (), more: tuple[bytes, ...] = ()) -> Tracklet:
    """The tracklet of a row of ``whole_tracklets``; stays: see ``stays_of``, more: see ``more_crops_held``."""
    r = row._mapping
    vector = unpacked(r["vector"])
    box = (r["crop_x1"], r["crop_y1"], r["crop_x2"], r["crop_y2"])
    return Tracklet(
        **{name: r[name] for name in _PLAIN},
        track_id=int(np.int64(r["track_id"]).view(np.uint64)),
        reason=EndReason(r["reason"]),
        embedding=vector,
        prototypes=unpacked(r["prototypes"], len(vector)),
        prototype_weights=unpacked(r["weights"]),
        frames=np.frombuffer(r["frames"], "<i8").astype(np.int64),
        boxes=unpacked(r["boxes"], 4),
        crop=r["jpeg"],
        crop_box=None if None in box else box,
        stays=stays,
        more_crops=more,
    )


def rows_after(connection: Connection, revision: int, limit: int, size: int) -> tuple[list[str], FloatArray, int]:
    """What was stored or changed after a revision: ids, vectors float32 (n, size), and the last one's revision.

    The oldest ``limit`` of them; with none, the revision that was given. Raises GalleryCorrupt.
    """
    found = connection.execute(
        select(tracklets.c.revision, tracklets.c.id, embeddings.c.vector)
        .join(embeddings, embeddings.c.seq == tracklets.c.seq)
        .where(tracklets.c.revision > revision)
        .order_by(tracklets.c.revision)
        .limit(limit)
    ).all()
    if not found:
        return [], np.zeros((0, size), np.float32), revision
    ids = [row.id for row in found]
    return ids, checked_vectors(ids, [row.vector for row in found], size), found[-1].revision


def checked_vectors(ids: Sequence[str], blobs: Sequence[bytes], size: int) -> FloatArray:
    """float32 (n, size) of the blobs that belong to the ids. Raises GalleryCorrupt for one of another size."""
    for id, blob in zip(ids, blobs, strict=True):
        if len(blob) != 4 * size:
            raise GalleryCorrupt(
                f"tracklet {id} has a vector of {len(blob)} bytes instead of {4 * size}; "
                "erase it (reidstream gallery erase), or restore the gallery from a backup"
            )
    return np.frombuffer(b"".join(blobs), "<f4").astype(np.float32, copy=False).reshape(-1, size)
