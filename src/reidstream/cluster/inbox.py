"""What workers stored, changed and took out, until the decider has taken it over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from reidstream.cluster.schema import inbox
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.gallery.storing import Stored
from reidstream.identities.schema import members


class What(StrEnum):
    """What happened to a tracklet."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for the decider: rows, and for how many seconds the oldest of them has."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Happened:
    """Changes that nobody hears of by events. numbers: of their rows."""

    numbers: tuple[int, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def note(connection: Connection, what: What, ids: Sequence[str]) -> None:
    """Add rows in the caller's transaction. What is there already is there anew, behind everything else."""
    if ids:
        adding = insert(inbox).values([{"tracklet": id, "what": what.value} for id in ids])
        # Whoever has read the former row takes out that number, not this one.
        again = func.nextval(func.pg_get_serial_sequence("inbox", "number"))
        connection.execute(adding.on_conflict_do_update(index_elements=["tracklet", "what"], set_={"number": again}))


def note_stored(connection: Connection, stored: Stored) -> None:
    note(connection, What.NEW, stored.new)
    note(connection, What.CHANGED, stored.changed)


def happened(connection: Connection) -> Happened:
    """What has changed or gone since the decider looked last."""
    query = select(inbox.c.number, inbox.c.tracklet, inbox.c.what).where(inbox.c.what != What.NEW.value)
    rows = connection.execute(query.order_by(inbox.c.number)).all()
    changed = tuple(row.tracklet for row in rows if row.what == What.CHANGED.value)
    gone = tuple(row.tracklet for row in rows if row.what == What.GONE.value)
    return Happened(tuple(row.number for row in rows), changed, gone)


def taken_over(connection: Connection, numbers: Sequence[int]) -> None:
    """Take out rows that the decider knows of now, and of new tracklets those that have a person."""
    for some in in_chunks(numbers):
        connection.execute(delete(inbox).where(inbox.c.number.in_(some)))
    decided = exists().where(members.c.tracklet == inbox.c.tracklet)
    there = exists().where(tracklets.c.id == inbox.c.tracklet)
    connection.execute(delete(inbox).where(inbox.c.what == What.NEW.value, decided | ~there))


def backlog(connection: Connection) -> Backlog:
    """How far the decider is behind."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(inbox.c.at))
    rows, seconds = connection.execute(select(func.count(), func.coalesce(age, 0))).one()
    return Backlog(int(rows), max(0.0, float(seconds)))
