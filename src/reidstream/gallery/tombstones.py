"""What keeps erased visits from coming back when their recording is read again, or imported.

Ids would not do: another model or other settings give the same visit another id, and an id in clear would be a trace of
who was erased. So a visit is remembered by where it was seen in which recording: every few frames, the recording, the
frame, and the box's place and height, coarsely, under a hash with a key of the gallery's own (BLAKE2b). The marks say
whether a visit that comes again was erased; they tell nobody who, or what anybody looks like, and nothing about other
recordings: who comes again tomorrow is somebody new.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, insert, select

from reidstream.gallery.facts import write_facts
from reidstream.gallery.rows import in_chunks, unpacked
from reidstream.gallery.schema import details, meta, tombstones, tracklets
from reidstream.types import FloatArray, Tracklet

_KEY = "tombstone_key"
_STRIDE = 8
"""Frames between two marks; counted from the recording's first frame, so that all runs mark the same ones."""

_ACROSS, _DOWN, _LEVELS = 0.4, 0.5, 2.0
"""How coarse: cells as wide and high as these parts of the body's height, and so many levels of height in an octave.
A box that is a fifth of its height beside the other one, or a fifth larger, is the same; a neighbour's is not."""

_SAME = 0.5
"""Share of a visit's marks from which on it is one that was erased."""

Numbers = npt.NDArray[np.float64]


def bury(connection: Connection, ids: Sequence[str], people: Iterable[str] = ()) -> None:
    """Remember tracklets that are about to be erased, and ids of people, so that they can be told when they come again.

    Damaged tracklets, whose path cannot be read, are left out.
    """
    key = _key(connection) or _new_key(connection)
    marks = {_digest(key, "person", person) for person in people}
    c = tracklets.c
    query = select(c.content, c.start_frame, c.end_frame, details.c.frames, details.c.boxes)
    query = query.join(details, details.c.seq == c.seq)
    for some in in_chunks(ids):
        for row in connection.execute(query.where(c.id.in_(some))):
            if not row.frames or len(row.boxes) != 2 * len(row.frames):
                continue
            frames = np.frombuffer(row.frames, "<i8")
            at = _frames(row.start_frame, row.end_frame)
            places = np.rint(_places(_boxes_at(at, frames, unpacked(row.boxes, 4)), np.rint)).astype(int)
            marks.add(_digest(key, "content", row.content))
            marks.update(_digest(key, row.content, *each) for each in zip(at.tolist(), *places.tolist(), strict=True))
    known = _held(connection, marks)
    rows = [{"mark": mark} for mark in sorted(marks - known)]
    if rows:
        connection.execute(insert(tombstones), rows)


def erased_before(connection: Connection, batch: Iterable[Tracklet]) -> set[str]:
    """Ids of those tracklets that were erased already, whatever their ids were then."""
    key = _key(connection)
    if key is None:
        return set()
    by_content: dict[str, list[Tracklet]] = {}
    for tracklet in batch:
        by_content.setdefault(tracklet.content, []).append(tracklet)
    contents = {_digest(key, "content", content): content for content in by_content}
    wanted: dict[str, list[set[bytes]]] = {}
    for mark in _held(connection, contents):
        for tracklet in by_content[contents[mark]]:
            if len(tracklet.frames):
                wanted[tracklet.id] = _candidates(key, tracklet)
    held = _held(connection, {mark for marks in wanted.values() for each in marks for mark in each})
    return {id for id, marks in wanted.items() if np.mean([bool(each & held) for each in marks]) >= _SAME}


def erased_people(connection: Connection, people: Iterable[str]) -> set[str]:
    """Those of these ids that are ids of people who were erased."""
    key = _key(connection)
    if key is None:
        return set()
    marks = {_digest(key, "person", person): person for person in people}
    return {marks[mark] for mark in _held(connection, marks)}


def _candidates(key: bytes, tracklet: Tracklet) -> list[set[bytes]]:
    """For each marked frame the marks of an erased visit that would be the same there."""
    at = _frames(tracklet.start_frame, tracklet.end_frame)
    boxes = _boxes_at(at, tracklet.frames, tracklet.boxes)
    found: list[set[bytes]] = [set() for _ in at]
    # The neighbouring cells on either side, so that it does not matter on which side of a border a box lies.
    for level, across, down in itertools.product((np.floor, np.ceil), repeat=3):
        levels, x, y = _places(boxes, level)
        places = np.stack([levels, across(x), down(y)]).astype(int)
        for marks, frame, *place in zip(found, at.tolist(), *places.tolist(), strict=True):
            marks.add(_digest(key, tracklet.content, frame, *place))
    return found


def _frames(first: int, last: int) -> npt.NDArray[np.int64]:
    """The frames of a visit that are marked; at least one."""
    inside = np.arange(-(-first // _STRIDE) * _STRIDE, last + 1, _STRIDE)
    return inside if len(inside) else np.array([first // _STRIDE * _STRIDE])


def _boxes_at(at: npt.NDArray[np.int64], frames: npt.NDArray[np.int64], boxes: FloatArray) -> Numbers:
    """float64 (n, 4): where the path is at these frames."""
    return np.stack([np.interp(at, frames, boxes[:, side]) for side in range(4)], axis=1)


def _places(boxes: Numbers, whole: np.ufunc) -> Numbers:
    """float64 (3, n): level of height made a whole number by ``whole``, and the centre in cells of that level."""
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    level = whole(_LEVELS * np.log2(height))
    size = 2.0 ** (level / _LEVELS)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.stack([level, middle[:, 0] / (_ACROSS * size), middle[:, 1] / (_DOWN * size)])


def _digest(key: bytes, *parts: str | int) -> bytes:
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16, key=key).digest()


def _held(connection: Connection, marks: Iterable[bytes]) -> set[bytes]:
    held: set[bytes] = set()
    wanted = list(marks)
    for start in range(0, len(wanted), 900):
        query = select(tombstones.c.mark).where(tombstones.c.mark.in_(wanted[start : start + 900]))
        held.update(bytes(mark) for mark in connection.execute(query).scalars())
    return held


def _key(connection: Connection) -> bytes | None:
    """The gallery's key; None when nothing was erased yet."""
    value = connection.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar()
    return None if value is None else bytes.fromhex(value)


def _new_key(connection: Connection) -> bytes:
    value = secrets.token_hex(32)
    write_facts(connection, **{_KEY: value})
    return bytes.fromhex(value)
