"""What was seen and not stored, and why: a line for each such track, without a picture or a vector.

It goes by the same ways as what was stored: with its recording, when what lies in a time is erased, and when anybody
is erased who was seen in the same recording at the same time, for it may be a piece of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from reidstream.gallery.personal import Subject
from reidstream.gallery.rows import EVERYTHING, Filter, in_chunks
from reidstream.gallery.schema import left_out, tracklets
from reidstream.types import LeftOut, LeftOutReason

_CLOSE = 2.0
"""Seconds before and after somebody was seen in which a piece of a track may be theirs."""


def write(connection: Connection, batch: Sequence[LeftOut]) -> None:
    """Note what was left out; what is there already under the same id is replaced."""
    rows = {one.id: one for one in batch}
    for some in in_chunks(list(rows)):
        connection.execute(delete(left_out).where(left_out.c.id.in_(some)))
    if rows:
        connection.execute(insert(left_out), [_values(one) for one in rows.values()])


def read(connection: Connection, where: Filter = EVERYTHING, most: int | None = None) -> list[LeftOut]:
    """What was left out, in order of time, ``most`` at most."""
    c = left_out.c
    query = select(left_out).where(where.clause(left_out)).order_by(c.start_wall, c.id).limit(most)
    return [_left_out(dict(row._mapping)) for row in connection.execute(query)]


def counts(connection: Connection, where: Filter = EVERYTHING) -> dict[str, int]:
    """How many were left out for each reason that there was; most first."""
    c = left_out.c
    many = func.count()
    query = select(c.why, many).where(where.clause(left_out)).group_by(c.why).order_by(many.desc(), c.why)
    return {str(why): int(n) for why, n in connection.execute(query)}


def forget(connection: Connection, content: str) -> None:
    """Take out all that was left out of a recording: it is forgotten, or read again from its start."""
    connection.execute(delete(left_out).where(left_out.c.content == content))


def erase(connection: Connection, subject: Subject) -> None:
    for content in subject.contents:
        forget(connection, content)
    for some in in_chunks(_meant(connection, subject)):
        connection.execute(delete(left_out).where(left_out.c.id.in_(some)))


def trace(connection: Connection, subject: Subject) -> Iterator[str]:
    """Nothing once it is erased. What was seen beside erased tracklets is looked for before these are gone."""
    found = set(_meant(connection, subject))
    for content in subject.contents:
        found.update(connection.execute(select(left_out.c.id).where(left_out.c.content == content)).scalars())
    if found:
        yield f"{len(found)} rows of what was left out"


def _meant(connection: Connection, subject: Subject) -> list[str]:
    """Ids of what is named, and of what was seen in the same recording while the subject's tracklets were."""
    found: set[str] = set()
    for some in in_chunks(subject.left_out):
        found.update(connection.execute(select(left_out.c.id).where(left_out.c.id.in_(some))).scalars())
    t, c = tracklets.c, left_out.c
    beside = (
        (c.content == t.content) & (c.start_media <= t.end_media + _CLOSE) & (c.end_media >= t.start_media - _CLOSE)
    )
    for some in in_chunks(subject.tracklets):
        query = select(c.id).join(tracklets, beside).where(t.id.in_(some))
        found.update(connection.execute(query).scalars())
    return sorted(found)


def _values(one: LeftOut) -> dict[str, object]:
    values = asdict(one)
    x1, y1, x2, y2 = values.pop("box")
    track = int(np.uint64(one.track_id).view(np.int64))
    return {**values, "why": one.why.value, "track_id": track, "x1": x1, "y1": y1, "x2": x2, "y2": y2}


def _left_out(values: dict[str, Any]) -> LeftOut:
    x1, y1, x2, y2 = (values.pop(side) for side in ("x1", "y1", "x2", "y2"))
    track = int(np.int64(values.pop("track_id")).view(np.uint64))
    return LeftOut(**{**values, "track_id": track, "why": LeftOutReason(values["why"]), "box": (x1, y1, x2, y2)})
