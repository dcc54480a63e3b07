"""Who was seen where and when, as columns: read in bulk, and only what the one who asks may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, func, literal, select, true

from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.gallery.schema import stays, tracklets
from reidstream.identities.people import doubts, has_people
from reidstream.identities.schema import members, people
from reidstream.numbers.buckets import UTC_CLOCK, Bucket, Clock

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    bucket, clock: over what, in whose hours. visible: the cameras that the one who asks may see, None for all: others
    do not count, and whom only they have seen before is new. cameras: of these only, empty for all of those.
    since, until: Unix seconds; what lies outside does not count. stay: seconds; somebody who is seen again at one
    place within them has stayed. journey: seconds within which somebody is on the way to the next camera.
    """

    bucket: Bucket = Bucket.HOUR
    clock: Clock = UTC_CLOCK
    visible: tuple[str, ...] | None = None
    cameras: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    stay: float = 60.0
    journey: float = 3600.0

    @property
    def counted(self) -> tuple[str, ...] | None:
        """The cameras that count; None: all."""
        if self.visible is None:
            return self.cameras or None
        return tuple(c for c in self.cameras if c in self.visible) if self.cameras else self.visible


@dataclass(frozen=True, slots=True)
class Visits:
    """n visits of people, every array of length n.

    key: the visit's number in the gallery. camera: of ``cameras``. start, end: Unix seconds, inside what is asked for.
    decided: it is known whose it is. owner: whose, a number; every undecided visit has one of its own. group: whose it
    most probably is, of undecided ones that of the person that it may be. sure: how probable that is. first: when that
    person was first seen by any camera that the one who asks may see (Unix seconds); infinite where there is none.
    without: visits beside them that wait to be given a person.
    """

    cameras: tuple[str, ...]
    key: Ints
    camera: Ints
    start: Floats
    end: Floats
    decided: Mask
    owner: Ints
    group: Ints
    sure: Floats
    first: Floats
    without: int

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True)
class ZoneStays:
    """m stays in named zones: zone, of ``zones`` (camera's name, zone's name); row, of the visits; start, end."""

    zones: tuple[tuple[str, str], ...]
    zone: Ints
    row: Ints
    start: Floats
    end: Floats


def read_visits(gallery: Gallery, asked: Asked) -> Visits:
    """The visits that are asked for."""
    t = tracklets.c
    with gallery.read() as connection:
        where = _within(asked, t.start_wall, t.end_wall)
        if not has_people(gallery):
            without = connection.execute(select(func.count()).select_from(tracklets).where(*where)).scalar_one()
            return _visits([], {}, asked, int(without))
        candidate, chance = doubts(connection)
        other = members.alias()
        alone = ~select(literal(1)).where(other.c.person == members.c.person, other.c.tracklet != t.id).exists()
        doubtful = candidate.is_not(None) & (func.coalesce(people.c.name, "") == "") & alone
        may_be = members.alias()
        query = (
            select(
                *(t.seq, t.source, t.start_wall, t.end_wall, members.c.person, members.c.probability),
                *(doubtful, may_be.c.person, chance),
            )
            .select_from(tracklets)
            .outerjoin(members, members.c.tracklet == t.id)
            .outerjoin(people, people.c.id == members.c.person)
            .outerjoin(may_be, may_be.c.tracklet == candidate)
            .where(*where)
        )
        rows = [tuple(row) for row in connection.execute(query)]
        firsts = _firsts(connection, asked)
    decided = [row for row in rows if row[4] is not None]
    return _visits(decided, firsts, asked, len(rows) - len(decided))


def _within(asked: Asked, start: ColumnElement[float], end: ColumnElement[float]) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [true()]
    if asked.counted is not None:
        where.append(tracklets.c.source.in_(asked.counted))
    if asked.since is not None:
        where.append(end >= asked.since)
    if asked.until is not None:
        where.append(start < asked.until)
    return where


def _firsts(connection: Connection, asked: Asked) -> dict[str, float]:
    """When everybody was first seen by a camera that may be seen."""
    query = select(members.c.person, func.min(tracklets.c.start_wall)).join(
        tracklets, tracklets.c.id == members.c.tracklet
    )
    if asked.visible is not None:
        query = query.where(tracklets.c.source.in_(asked.visible))
    return {row[0]: row[1] for row in connection.execute(query.group_by(members.c.person))}


def _visits(rows: Sequence[tuple[Any, ...]], firsts: dict[str, float], asked: Asked, without: int) -> Visits:
    columns: tuple[Any, ...] = tuple(zip(*rows, strict=True)) if rows else ((),) * 9
    keys, sources, starts, ends, owners, probability, doubtful, candidates, chances = columns
    cameras = tuple(sorted(set(sources)))
    place = {name: number for number, name in enumerate(cameras)}
    undecided = np.array(doubtful, bool)
    # Whom the one who asks has never seen, nobody may be for them.
    whose = [c if u and c in firsts else o for c, u, o in zip(candidates, undecided, owners, strict=True)]
    number = {person: n for n, person in enumerate(dict.fromkeys((*owners, *whose)))}
    owner = np.array([number[person] for person in owners], np.int64)
    group = np.array([number[person] for person in whose], np.int64)
    chance = np.array([c or 0.0 for c in chances], np.float64)
    known = group != owner
    first = np.array([firsts.get(person, np.inf) for person in whose], np.float64)
    low = -np.inf if asked.since is None else asked.since
    high = np.inf if asked.until is None else asked.until
    start = np.clip(np.array(starts, np.float64), low, high)
    return Visits(
        cameras,
        key=np.array(keys, np.int64),
        camera=np.array([place[source] for source in sources], np.int64),
        start=start,
        end=np.maximum(np.clip(np.array(ends, np.float64), low, high), start),
        decided=~undecided,
        owner=owner,
        group=group,
        sure=np.clip(np.where(undecided, np.where(known, chance, 0.0), np.array(probability, np.float64)), 0.0, 1.0),
        # Whoever is undecided and may be nobody known was not seen before.
        first=np.where(undecided & ~known, np.inf, first),
        without=without,
    )


def read_zone_stays(gallery: Gallery, asked: Asked, visits: Visits) -> ZoneStays:
    """The stays of these visits in named zones."""
    query = select(stays.c.seq, tracklets.c.source, stays.c.zone, stays.c.start_wall, stays.c.end_wall)
    query = query.join(tracklets, tracklets.c.seq == stays.c.seq)
    with gallery.read() as connection:
        rows: list[tuple[Any, ...]] = []
        if has_column(connection, "stays", "zone"):
            rows = [
                tuple(row)
                for row in connection.execute(query.where(*_within(asked, stays.c.start_wall, stays.c.end_wall)))
            ]
    order = np.argsort(visits.key)
    seqs = np.array([row[0] for row in rows], np.int64)
    at = np.searchsorted(visits.key, seqs, sorter=order) if len(visits) else np.zeros(0, np.int64)
    row = order[np.minimum(at, len(visits) - 1)] if len(visits) else np.zeros(len(seqs), np.int64)
    there = visits.key[row] == seqs if len(visits) else np.zeros(len(seqs), bool)
    zones = tuple(sorted({(source, zone) for _, source, zone, _, _ in rows}))
    number = {zone: n for n, zone in enumerate(zones)}
    low = -np.inf if asked.since is None else asked.since
    high = np.inf if asked.until is None else asked.until
    start = np.clip(np.array([r[3] for r in rows], np.float64), low, high)
    end = np.maximum(np.clip(np.array([r[4] for r in rows], np.float64), low, high), start)
    zone = np.array([number[source, name] for _, source, name, _, _ in rows], np.int64)
    return ZoneStays(zones, zone[there], row[there], start[there], end[there])
