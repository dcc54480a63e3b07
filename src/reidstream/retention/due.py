"""What was kept long enough, by the rules: said before anything is erased, and what is erased then."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, or_, select

from reidstream.config.retention import RetentionConfig
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import left_out, tracklets
from reidstream.identities.people import has_people
from reidstream.identities.schema import members, people

DAY = 86_400.0
_NEVER = -1e18
"""Unix seconds before everything that ever ended."""


@dataclass(frozen=True, slots=True)
class DueCamera:
    """Of one camera: days it keeps (None: for ever), and what is due of it. first, last: when the visits began and
    ended that are due, Unix seconds; None without any. named: how many of them are of people with a name."""

    camera: str
    days: float | None
    visits: int
    named: int
    left_out: int
    first: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Due:
    """What is due at a moment.

    tracklets, left_out: ids. people, named: how many people go with their last visit, and how many of these have a
    name. cameras: by camera. kept: how many visits stay.
    """

    wall: float
    tracklets: tuple[str, ...]
    left_out: tuple[str, ...]
    people: int
    named: int
    kept: int
    cameras: tuple[DueCamera, ...]

    def __bool__(self) -> bool:
        return bool(self.tracklets or self.left_out)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the ids."""
        return {
            "wall": self.wall,
            "visits": len(self.tracklets),
            "left_out": len(self.left_out),
            "people": self.people,
            "named": self.named,
            "kept": self.kept,
            "cameras": [
                {name: getattr(camera, name) for name in DueCamera.__dataclass_fields__} for camera in self.cameras
            ],
        }


def due_now(gallery: Gallery, rules: RetentionConfig, now: float) -> Due:
    """What the rules say is due at ``now`` (Unix seconds)."""
    with gallery.read() as connection:
        decided = has_people(gallery)
        visits = _visits(connection, rules, now, decided)
        unstored = _left_out(connection, rules, now)
        rows = connection.execute(select(tracklets.c.source, func.count()).group_by(tracklets.c.source))
        stored: dict[str, int] = {row[0]: row[1] for row in rows}
        gone, named = _people(connection, [row.id for row in visits]) if decided else (0, 0)
    by_camera: dict[str, list[Any]] = {}
    for row in visits:
        by_camera.setdefault(row.source, []).append(row)
    more = Counter(row.source for row in unstored)
    found = []
    for camera in sorted({*stored, *by_camera, *more}):
        own = by_camera.get(camera, [])
        found.append(
            DueCamera(
                camera,
                rules.cameras.get(camera, rules.days),
                len(own),
                sum(row.named for row in own),
                more[camera],
                min((row.start_wall for row in own), default=None),
                max((row.end_wall for row in own), default=None),
            )
        )
    return Due(
        now,
        tuple(row.id for row in visits),
        tuple(row.id for row in unstored),
        gone,
        named,
        sum(stored.values()) - len(visits),
        tuple(found),
    )


def _visits(connection: Connection, rules: RetentionConfig, now: float, decided: bool) -> list[Any]:
    c = tracklets.c
    if not decided:
        query = select(c.id, c.source, c.start_wall, c.end_wall, literal(0).label("named"))
        return list(connection.execute(query.where(c.end_wall < _limit(c.source, rules, now)).order_by(c.seq)))
    named = func.coalesce(people.c.name, "") != ""
    limit: ColumnElement[Any] = _limit(c.source, rules, now)
    if rules.named_days is not None:
        limit = case((named, literal(_before(now, rules.named_days))), else_=limit)
    query = (
        select(c.id, c.source, c.start_wall, c.end_wall, case((named, 1), else_=0).label("named"))
        .select_from(tracklets)
        .outerjoin(members, members.c.tracklet == c.id)
        .outerjoin(people, people.c.id == members.c.person)
    )
    return list(connection.execute(query.where(c.end_wall < limit).order_by(c.seq)))


def _left_out(connection: Connection, rules: RetentionConfig, now: float) -> list[Any]:
    if not has_column(connection, "left_out", "id"):
        return []
    c = left_out.c
    query = select(c.id, c.source).where(c.end_wall < _limit(c.source, rules, now)).order_by(c.end_wall, c.id)
    return list(connection.execute(query))


def _limit(source: ColumnElement[str], rules: RetentionConfig, now: float) -> ColumnElement[Any]:
    """Before when a visit must have ended to be due, by its camera."""
    default = literal(_before(now, rules.days))
    if not rules.cameras:
        return default
    return case({camera: _before(now, days) for camera, days in rules.cameras.items()}, value=source, else_=default)


def _before(now: float, days: float | None) -> float:
    return _NEVER if days is None else max(now - days * DAY, _NEVER)


def _people(connection: Connection, ids: list[str]) -> tuple[int, int]:
    """How many people lose their last visit with these, and how many of them have a name."""
    going: Counter[str] = Counter()
    for some in in_chunks(ids):
        query = select(members.c.person, func.count()).where(members.c.tracklet.in_(some)).group_by(members.c.person)
        going.update({row[0]: row[1] for row in connection.execute(query)})
    gone: list[str] = []
    for some in in_chunks(list(going)):
        query = select(members.c.person, func.count()).where(members.c.person.in_(some)).group_by(members.c.person)
        gone += [person for person, count in connection.execute(query) if count == going[person]]
    named = 0
    for some in in_chunks(gone):
        query = select(func.count()).where(people.c.id.in_(some), or_(people.c.name != ""))
        named += int(connection.execute(query).scalar_one())
    return len(gone), named
