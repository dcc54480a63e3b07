"""The people of a gallery: reading them, and writing what was decided."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

from reidstream.errors import IdentityError, PersonNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.gallery.facts import write_facts
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import meta, tracklets
from reidstream.identities.constraints import HumanLinks
from reidstream.identities.schema import IDENTITY_MIGRATIONS, links, members, operations, people
from reidstream.suggestions import nearest

_CHUNK = 500
_LAST_NUMBER = "people:last_number"


@dataclass(frozen=True, slots=True)
class Person:
    """An identity: tracklets judged or labelled to be one person.

    id: 12 hex digits. number: counts from 1, what people call it as long as it has no name. tracklets: ids of its
    members. probability: how sure each membership is. candidate: of a tracklet that is undecided, one of the person
    that it may be; chance: how likely that is.
    """

    id: str
    number: int
    name: str
    notes: str
    created_wall: float
    tracklets: tuple[str, ...] = ()
    probability: tuple[float, ...] = ()
    candidate: str | None = None
    chance: float | None = None

    @property
    def undecided(self) -> bool:
        """Whether this is nobody yet, but one tracklet that may be somebody known."""
        return self.candidate is not None and not self.name and len(self.tracklets) == 1

    @property
    def title(self) -> str:
        return self.name or f"{'undecided' if self.undecided else 'person'} {self.number}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the log. undone_by, undoes: other entries, if it was undone or undoes one."""

    id: int
    wall: float
    author: str
    kind: str
    summary: str
    undone_by: int | None
    undoes: int | None


def prepare(gallery: Gallery) -> None:
    """Make or update the tables of identities; needs a gallery open for writing."""
    gallery.migrate("identities", IDENTITY_MIGRATIONS)


def has_people(gallery: Gallery) -> bool:
    """Whether anything was ever decided in this gallery."""
    with gallery.read() as connection:
        return has_column(connection, "people", "id")


def list_people(gallery: Gallery) -> list[Person]:
    """Everybody, by number, and who is undecided; people without tracklets (erased, merged) are left out."""
    if not has_people(gallery):
        return []
    with gallery.read() as connection:
        return people_of(connection)


def people_of(connection: Connection, ids: Sequence[str] | None = None) -> list[Person]:
    """People with their tracklets, by number."""
    held: dict[str, list[Any]] = {}
    query = select(members.c.person, members.c.tracklet, members.c.probability, *doubts(connection))
    query = query.order_by(members.c.tracklet)
    if ids is not None:
        query = query.where(members.c.person.in_(list(ids)))
    for row in connection.execute(query):
        held.setdefault(row.person, []).append(row)
    rows = connection.execute(select(people).order_by(people.c.number)).all()
    return [
        Person(
            row.id,
            row.number,
            row.name,
            row.notes,
            row.created_wall,
            tuple(member.tracklet for member in held[row.id]),
            tuple(member.probability for member in held[row.id]),
            held[row.id][0].candidate,
            held[row.id][0].chance,
        )
        for row in rows
        if row.id in held
    ]


def count_people(gallery: Gallery, sources: Collection[str] | None = None) -> tuple[int, int]:
    """How many people there are, and how many tracklets are undecided beside them.

    sources: count those only whom these saw; None for all.
    """
    if not has_people(gallery):
        return 0, 0
    other = members.alias()
    with gallery.read() as connection:
        candidate, _ = doubts(connection)
        beside = select(other.c.tracklet).where(
            other.c.person == members.c.person, other.c.tracklet != members.c.tracklet
        )
        everybody = select(func.count(members.c.person.distinct()))
        doubtful = (
            select(func.count())
            .select_from(members.join(people, people.c.id == members.c.person))
            .where(candidate.is_not(None), people.c.name == "", ~beside.exists())
        )
        if sources is not None:
            seen = members.c.tracklet.in_(select(tracklets.c.id).where(tracklets.c.source.in_(list(sources))))
            everybody, doubtful = everybody.where(seen), doubtful.where(seen)
        undecided = int(connection.execute(doubtful).scalar_one())
        return int(connection.execute(everybody).scalar_one()) - undecided, undecided


def doubts(connection: Connection) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """``candidate`` and ``chance`` of members; nothing where an earlier version wrote the gallery last."""
    if has_column(connection, "members", "candidate"):
        return members.c.candidate, members.c.chance
    return null().label("candidate"), null().label("chance")


def find_person(connection: Connection, word: str) -> str:
    """The id of the person meant by a number, a name, or the beginning of an id. PersonNotFound if none or several."""
    text = word.strip()
    # Programs name people by whole ids; some of these consist of digits only.
    if connection.execute(select(members.c.tracklet).where(members.c.person == text).limit(1)).first() is not None:
        return text
    with_members = select(members.c.person).distinct()
    rows = connection.execute(
        select(people.c.id, people.c.number, people.c.name).where(people.c.id.in_(with_members))
    ).all()
    number = number_meant(text)
    found = {row.id for row in rows if number is not None and number == row.number}
    found = found or {row.id for row in rows if row.name and row.name.lower() == text.lower()}
    found = found or ({row.id for row in rows if row.id.startswith(text)} if len(text) >= 4 else set())
    if len(found) != 1:
        what = "no person" if not found else f"{len(found)} people"
        meant = nearest(text, [row.name for row in rows if row.name]) if not found else None
        raise PersonNotFound(
            f"{what} called {word!r}; "
            + (f"did you mean {meant}? " if meant else "")
            + "people are named by number, name or id (see `people list`)"
        )
    return str(found.pop())


def refuse_number(name: str) -> None:
    """Raise IdentityError for a name that means somebody by number: "4", "#4" or "person 4"."""
    if number_meant(name) is not None:
        raise IdentityError(
            f"a person cannot be called {name!r}: that is how people without a name are called by number"
        )


def number_meant(text: str) -> int | None:
    """The number of the person whom a text means by number; None when it does not."""
    number = text.strip().lower().removeprefix("person").removeprefix("undecided").strip().removeprefix("#")
    return int(number) if number.isdecimal() else None


def members_of(connection: Connection, person: str) -> list[str]:
    """Tracklet ids of a person."""
    query = select(members.c.tracklet).where(members.c.person == person).order_by(members.c.tracklet)
    return [row.tracklet for row in connection.execute(query)]


def person_of_tracklets(connection: Connection, tracklets: Iterable[str]) -> dict[str, tuple[str, float]]:
    """(person id, probability) of each of these tracklets that has a person."""
    found: dict[str, tuple[str, float]] = {}
    wanted = list(tracklets)
    for begin in range(0, len(wanted), _CHUNK):
        some = wanted[begin : begin + _CHUNK]
        query = select(members.c.tracklet, members.c.person, members.c.probability)
        for row in connection.execute(query.where(members.c.tracklet.in_(some))):
            found[row.tracklet] = (row.person, row.probability)
    return found


def create_person(connection: Connection, seed: str) -> str:
    """A new person, its id decided by ``seed`` (its first tracklet), so that runs over the same input agree."""
    attempt = 0
    while connection.execute(select(people.c.id).where(people.c.id == _id(seed, attempt))).first():
        attempt += 1
    new = _id(seed, attempt)
    number = _last_number(connection) + 1
    connection.execute(insert(people).values(id=new, number=number, name="", notes="", created_wall=time.time()))
    return new


class NewPeople:
    """People who are made in one transaction, and written at once; ids as those of ``create_person``."""

    def __init__(self, connection: Connection, seeds: Sequence[str]) -> None:
        """seeds: of all who may be added."""
        self._connection = connection
        self._asked = {_id(seed, 0) for seed in seeds}
        self._there: set[str] = set()
        for some in in_chunks(sorted(self._asked)):
            self._there.update(connection.execute(select(people.c.id).where(people.c.id.in_(some))).scalars())
        self._number = _last_number(connection)
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, seed: str) -> str:
        """A new person's id; there once it is written."""
        attempt = 0
        while (new := _id(seed, attempt)) in self._rows or self._is_there(new):
            attempt += 1
        self._number += 1
        self._rows[new] = {"id": new, "number": self._number, "name": "", "notes": "", "created_wall": time.time()}
        return new

    def write(self) -> None:
        if self._rows:
            self._connection.execute(insert(people), list(self._rows.values()))
            self._rows = {}

    def _is_there(self, person: str) -> bool:
        if person in self._asked:
            return person in self._there
        return self._connection.execute(select(people.c.id).where(people.c.id == person)).first() is not None


def keep_numbers(connection: Connection) -> None:
    """Before people are erased: nobody is going to get their numbers, which others may remember them by."""
    write_facts(connection, **{_LAST_NUMBER: _last_number(connection)})


def _last_number(connection: Connection) -> int:
    """The highest number that was ever given to a person."""
    kept = connection.execute(select(meta.c.value).where(meta.c.key == _LAST_NUMBER)).scalar()
    return max(int(kept or 0), int(connection.execute(select(func.max(people.c.number))).scalar() or 0))


def assign(connection: Connection, rows: Sequence[tuple[str, str, float]]) -> None:
    """Put tracklets to people: (tracklet, person, probability). Each has one person; the last word counts.

    That is decided then: whom else they may have been is forgotten (see ``leave_undecided``).
    """
    for begin in range(0, len(rows), _CHUNK):
        some = rows[begin : begin + _CHUNK]
        connection.execute(delete(members).where(members.c.tracklet.in_([t for t, _, _ in some])))
        connection.execute(insert(members), [{"tracklet": t, "person": p, "probability": v} for t, p, v in some])


def leave_undecided(connection: Connection, rows: Sequence[tuple[str, str, float]]) -> None:
    """Note of tracklets that they may be somebody: (tracklet, a tracklet of that person, how likely it is)."""
    if rows:
        change = update(members).where(members.c.tracklet == bindparam("whose"))
        values = [{"whose": t, "candidate": candidate, "chance": chance} for t, candidate, chance in rows]
        connection.execute(change, values)


def human_links(connection: Connection, rows: dict[str, int]) -> HumanLinks:
    """What people decided, as rows of the evidence; links to tracklets that were erased are left out."""
    found: dict[str, list[tuple[int, int]]] = {"same": [], "different": []}
    for link in connection.execute(select(links).order_by(links.c.operation)):
        if link.a in rows and link.b in rows:
            found[link.kind].append((rows[link.a], rows[link.b]))
    return HumanLinks(*(np.array(found[kind], np.int64).reshape(-1, 2) for kind in ("same", "different")))


def history(
    gallery: Gallery,
    number: int | None = None,
    *,
    before: int | None = None,
    newest: int | None = None,
    where: Sequence[ColumnElement[bool]] = (),
) -> list[Operation]:
    """Every operation, oldest first; or the one with a number.

    before: only those with a smaller number. newest: at most so many, the newest of them. where: what else must hold
    (see ``operations.touching`` and ``operations.within``).
    """
    if not has_people(gallery):
        return []
    c = operations.c
    # Not the origin: galleries that were last written by an earlier version have none yet.
    columns = (c.id, c.wall, c.author, c.kind, c.summary, c.undone_by, c.undoes)
    query = select(*columns).where(*where).order_by(operations.c.id.desc()).limit(newest)
    if number is not None:
        query = query.where(c.id == number)
    if before is not None:
        query = query.where(c.id < before)
    with gallery.read() as connection:
        rows = connection.execute(query).all()
    return [
        Operation(row.id, row.wall, row.author, row.kind, row.summary, row.undone_by, row.undoes)
        for row in reversed(rows)
    ]


def newest_operation(gallery: Gallery) -> int:
    """The number of the newest entry of the log, 0 for none."""
    if not has_people(gallery):
        return 0
    with gallery.read() as connection:
        return int(connection.execute(select(func.max(operations.c.id))).scalar() or 0)


def count_of_operations(gallery: Gallery, before: int | None = None, where: Sequence[ColumnElement[bool]] = ()) -> int:
    """How many entries the log has, or how many with a number smaller than ``before``; where: as in ``history``."""
    if not has_people(gallery):
        return 0
    query = select(func.count()).select_from(operations).where(*where)
    if before is not None:
        query = query.where(operations.c.id < before)
    with gallery.read() as connection:
        return int(connection.execute(query).scalar_one())


def rename(connection: Connection, person: str, name: str | None, notes: str | None) -> None:
    """Set a person's name or notes; None leaves them as they are."""
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = name
    if notes is not None:
        values["notes"] = notes
    if values:
        connection.execute(update(people).where(people.c.id == person).values(**values))


def _id(seed: str, attempt: int) -> str:
    return hashlib.blake2b(f"{seed}\0{attempt}".encode(), digest_size=6).hexdigest()
