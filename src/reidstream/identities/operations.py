"""The log of what was decided: each entry with what it changed, so that it can be told and taken back as a whole."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.identities.outbox import append_events
from reidstream.identities.people import (
    assign,
    doubts,
    has_people,
    leave_undecided,
    person_of_tracklets,
    rename,
)
from reidstream.identities.schema import former_links, former_members, former_people, links, members, operations, people

RESOLVED = "resolve"
"""Kind of the entry of the log that says that everybody was decided anew."""


REVISITED = "revisit"
"""Kind of the entry of the log for what was decided again while tracklets came."""

BY_ITSELF = frozenset({RESOLVED, REVISITED})
"""Kinds of entries that say what was decided without anybody who looked."""

# Seconds for which what is decided again goes into one entry, as long as nobody decides anything in between.
_COALESCED = 3600.0


class Undertaking:
    """One entry of the log while it is being made.

    ``open`` it, or ``go_on`` with the last one, ``touch`` what is going to change, change that, and ``close`` it, in
    one transaction.
    """

    def __init__(self, kind: str, author: str) -> None:
        self._kind, self._author = kind, author
        self._summary = ""
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._goes_on = False
        self.id = 0
        self.undoes: int | None = None

    def go_on(self, connection: Connection) -> None:
        """Add to the last entry of the log if it is of the same kind and author, in force and not an hour old."""
        last = connection.execute(select(operations).order_by(operations.c.id.desc()).limit(1)).first()
        if last is None or (last.kind, last.author, last.undone_by) != (self._kind, self._author, None):
            return
        if time.time() - last.wall < _COALESCED:
            self.id, self._goes_on = int(last.id), True

    def open(self, connection: Connection) -> int:
        values = {"wall": time.time(), "author": self._author, "kind": self._kind, "summary": self._summary}
        result = connection.execute(insert(operations).values(**values))
        assert result.inserted_primary_key is not None
        self.id = int(result.inserted_primary_key[0])
        return self.id

    def close(self, connection: Connection, *, known: bool = False) -> None:
        """known: whether ``became`` was told of all tracklets already."""
        values = {"summary": self._summary, "undoes": self.undoes}
        connection.execute(update(operations).where(operations.c.id == self.id).values(**values))
        if not known:
            self.became(connection)
        if self.undoes is not None:
            connection.execute(update(operations).where(operations.c.id == self.undoes).values(undone_by=self.id))
        append_events(connection, [(kind, {"operation": self.id, **payload}) for kind, payload in self._events])

    def became(self, connection: Connection, tracklets: Sequence[str] | None = None) -> None:
        """Note whose these tracklets are by now; None: all that it touched."""
        now = select(members.c.person).where(members.c.tracklet == former_members.c.tracklet).scalar_subquery()
        touched = update(former_members).where(former_members.c.changed_by == self.id)
        if tracklets is None:
            connection.execute(touched.values(became=now))
            return
        for some in in_chunks(tracklets):
            connection.execute(touched.where(former_members.c.tracklet.in_(some)).values(became=now))

    def touch(self, connection: Connection, tracklets: Sequence[str], persons: Sequence[str]) -> None:
        """Remember how these were, for undoing."""
        if self._goes_on:
            told = self._known(connection, former_members.c.tracklet, tracklets)
            named_before = self._known(connection, former_people.c.person, persons)
            tracklets = [t for t in tracklets if t not in told]
            persons = [p for p in persons if p not in named_before]
        held: dict[str, Any] = {}
        query = select(members.c.tracklet, members.c.person, members.c.probability, *doubts(connection))
        for some in in_chunks(list(dict.fromkeys(tracklets))):
            held.update((row.tracklet, row) for row in connection.execute(query.where(members.c.tracklet.in_(some))))
        former: list[dict[str, Any]] = []
        for tracklet in dict.fromkeys(tracklets):
            row = held.get(tracklet)
            values = {"changed_by": self.id, "tracklet": tracklet, "person": None, "probability": 0.0}
            doubt = {"candidate": None, "chance": None}
            if row is not None:
                values |= {"person": row.person, "probability": row.probability}
                doubt = {"candidate": row.candidate, "chance": row.chance}
            former.append({**values, **doubt})
        if former:
            connection.execute(insert(former_members), former)
        named: list[dict[str, Any]] = []
        columns = (people.c.id, people.c.name, people.c.notes)
        for some in in_chunks(list(dict.fromkeys(persons))):
            rows = connection.execute(select(*columns).where(people.c.id.in_(some)))
            named += [{"changed_by": self.id, "person": r.id, "name": r.name, "notes": r.notes} for r in rows]
        if named:
            connection.execute(insert(former_people), named)

    def count(self, connection: Connection) -> int:
        """How many tracklets are with another person by it."""
        c = former_members.c
        moved = (c.changed_by == self.id, c.person.is_not(None), c.became != c.person)
        return int(connection.execute(select(func.count()).where(*moved)).scalar_one())

    def _known(self, connection: Connection, column: ColumnElement[Any], ids: Sequence[str]) -> set[str]:
        """Which of these it remembers already. column: of the table that says how they were."""
        found: set[str] = set()
        for some in in_chunks(list(dict.fromkeys(ids))):
            query = select(column).where(column.table.c.changed_by == self.id, column.in_(some))
            found.update(connection.execute(query).scalars())
        return found

    def link(self, connection: Connection, kind: str, pairs: Iterable[tuple[str, str]]) -> None:
        wanted = dict.fromkeys((min(pair), max(pair)) for pair in pairs)
        known: set[tuple[str, str]] = set()
        for some in in_chunks(list(dict.fromkeys(a for a, _ in wanted))):
            held = select(links.c.a, links.c.b).where(links.c.kind == kind, links.c.a.in_(some))
            known.update((row.a, row.b) for row in connection.execute(held))
        new = [{"a": a, "b": b, "kind": kind, "operation": self.id} for a, b in wanted if (a, b) not in known]
        if new:
            connection.execute(insert(links), new)

    def unlink(self, connection: Connection, some: Sequence[str], others: Sequence[str], kind: str = "same") -> None:
        """An earlier decision is overruled by this one: its links between the two sides go."""
        one, two = set(some), set(others)
        near = select(links).where(links.c.kind == kind, or_(links.c.a.in_(one), links.c.b.in_(one)))
        for row in connection.execute(near).all():
            if (row.a in one and row.b in two) or (row.b in one and row.a in two):
                values = {"a": row.a, "b": row.b, "kind": row.kind, "operation": row.operation}
                connection.execute(insert(former_links).values(changed_by=self.id, **values))
                connection.execute(
                    delete(links).where(links.c.a == row.a, links.c.b == row.b, links.c.kind == row.kind)
                )

    def summarise(self, summary: str) -> None:
        self._summary = summary

    def tell_moves(self, connection: Connection, before: Mapping[str, tuple[str, float]]) -> None:
        """Say of every tracklet whose person is another one than before where it went."""
        now = person_of_tracklets(connection, before)
        for tracklet, (person, _) in sorted(now.items()):
            if person != before[tracklet][0]:
                self.event("TrackletMoved", tracklet=tracklet, person=person)

    def event(self, kind: str, **payload: Any) -> None:
        self._events.append((kind, payload))


def touching(person: str) -> ColumnElement[bool]:
    """Of entries of the log: those that touched a person, or a tracklet that is theirs now."""
    theirs = select(members.c.tracklet).where(members.c.person == person)
    return or_(
        operations.c.id.in_(select(former_people.c.changed_by).where(former_people.c.person == person)),
        operations.c.id.in_(select(former_members.c.changed_by).where(former_members.c.tracklet.in_(theirs))),
    )


def within(cameras: Collection[str]) -> ColumnElement[bool]:
    """Of entries of the log: those that touched tracklets, all of them of these cameras."""
    touched = select(former_members.c.tracklet).where(former_members.c.changed_by == operations.c.id)
    other = touched.join(tracklets, tracklets.c.id == former_members.c.tracklet)
    return and_(touched.exists(), ~other.where(tracklets.c.source.not_in(list(cameras))).exists())


def built_on(connection: Connection, operation: int, now: int) -> Any:
    """The first later operation that is in force and changed anything that this one changed."""
    later = select(operations).where(
        operations.c.id > operation,
        operations.c.id < now,
        operations.c.undone_by.is_(None),
        operations.c.undoes.is_(None),
    )
    tracklets = select(former_members.c.tracklet).where(former_members.c.changed_by == operation)
    persons = select(former_people.c.person).where(former_people.c.changed_by == operation)
    touching = select(former_members.c.changed_by).where(former_members.c.tracklet.in_(tracklets))
    naming = select(former_people.c.changed_by).where(former_people.c.person.in_(persons))
    both = or_(operations.c.id.in_(touching), operations.c.id.in_(naming))
    return connection.execute(later.where(both).order_by(operations.c.id)).first()


def restore(connection: Connection, operation: int) -> None:
    """Make everything as it was before an operation that nothing builds on."""
    connection.execute(delete(links).where(links.c.operation == operation))
    for row in connection.execute(select(former_links).where(former_links.c.changed_by == operation)).all():
        key = (links.c.a == row.a, links.c.b == row.b, links.c.kind == row.kind)
        # An imported decision may have said the same again meanwhile.
        if connection.execute(select(links.c.a).where(*key)).first() is None:
            connection.execute(insert(links).values(a=row.a, b=row.b, kind=row.kind, operation=row.operation))
    rows = connection.execute(select(former_members).where(former_members.c.changed_by == operation)).all()
    assign(connection, [(row.tracklet, row.person, row.probability) for row in rows if row.person is not None])
    leave_undecided(connection, [(row.tracklet, row.candidate, row.chance) for row in rows if row.candidate])
    # Those that had no person then have none again; of those whose person was erased nothing is known.
    for some in in_chunks([row.tracklet for row in rows if row.person is None and row.probability is not None]):
        connection.execute(delete(members).where(members.c.tracklet.in_(some)))
    for row in connection.execute(select(former_people).where(former_people.c.changed_by == operation)).all():
        rename(connection, row.person, row.name, row.notes)


@dataclass(frozen=True, slots=True)
class Moved:
    """What an entry of the log did to one tracklet.

    before, after: person ids; None where it had no person, that person was erased, or an earlier version of the
    program wrote the entry.
    """

    tracklet: str
    before: str | None
    after: str | None


def moves_of(gallery: Gallery, number: int) -> list[Moved]:
    """The tracklets that an entry of the log took from one person to another, by tracklet id.

    Raises IdentityError when there is no such entry.
    """
    c = former_members.c
    with gallery.read() as connection:
        known = has_people(gallery) and connection.execute(select(operations.c.id).where(operations.c.id == number))
        if not known or known.first() is None:
            raise IdentityError(f"no operation {number} in the history (see `people history`)")
        if not has_column(connection, "former_members", "became"):
            return []
        changed = or_(c.became != c.person, c.became.is_(None) != c.person.is_(None))
        query = select(c.tracklet, c.person, c.became).where(c.changed_by == number, changed).order_by(c.tracklet)
        return [Moved(row.tracklet, row.person, row.became) for row in connection.execute(query)]
