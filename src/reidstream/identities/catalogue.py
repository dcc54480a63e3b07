"""Everybody at a glance, kept up to date by what happens instead of being read anew."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, select

from reidstream.errors import PersonNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.identities.changes import changes_after, newest_event
from reidstream.identities.people import Person, doubts, has_people
from reidstream.identities.schema import members, people
from reidstream.suggestions import nearest

# So many changes are remembered for those who follow the catalogue.
_REMEMBERED_CHANGES = 1000


@dataclass(frozen=True, slots=True)
class Visit:
    """One tracklet of a person. start, end: Unix seconds. crop: whether a picture of it was kept.

    candidate, chance: of one that is undecided, as in ``Person``.
    """

    tracklet: str
    source: str
    start: float
    end: float
    purity: float
    quality: float
    crop: bool
    probability: float
    candidate: str | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Entry:
    """A person and where and when they were seen, first visit first; at least one visit."""

    person: Person
    visits: tuple[Visit, ...]

    @property
    def undecided(self) -> bool:
        """Whether this is nobody yet, but one tracklet that may be somebody known."""
        return self.person.undecided

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        return tuple(sorted({visit.source for visit in self.visits}))

    @cached_property
    def first_seen(self) -> float:
        return self.visits[0].start

    @cached_property
    def last_seen(self) -> float:
        return max(visit.end for visit in self.visits)

    @cached_property
    def seconds(self) -> float:
        return sum(visit.end - visit.start for visit in self.visits)

    @cached_property
    def least_sure(self) -> float:
        return min(visit.probability for visit in self.visits)

    @cached_property
    def quality(self) -> float:
        return max(visit.quality for visit in self.visits)

    @cached_property
    def best(self) -> str:
        """The tracklet whose picture shows them best."""
        return max(self.visits, key=lambda visit: (visit.crop, visit.quality)).tracklet

    def within(self, cameras: Collection[str] | None) -> Entry | None:
        """What somebody may know who may see these cameras only; None: nothing. With None for cameras, everything."""
        if cameras is None or all(camera in cameras for camera in self.cameras):
            return self
        seen = tuple(visit for visit in self.visits if visit.source in cameras)
        return Entry(self.person, seen) if seen else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; tracklets and probabilities by tracklet id.

        undecided: this is nobody yet; may_be is then a tracklet of the person that it may be, and how likely that is.
        """
        visits = sorted(self.visits, key=lambda visit: visit.tracklet)
        return {
            "id": self.person.id,
            "number": self.person.number,
            "name": self.person.name,
            "notes": self.person.notes,
            "tracklets": [visit.tracklet for visit in visits],
            "probability": [visit.probability for visit in visits],
            "cameras": list(self.cameras),
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "seconds": sum(visit.end - visit.start for visit in visits),
            "best": self.best,
            "undecided": self.undecided,
            "may_be": [self.person.candidate, self.person.chance] if self.undecided else None,
        }


class Catalogue:
    """The people of a gallery. ``refresh`` reads only who has changed since; safe to use from several threads."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._owner: dict[str, str] = {}
        self._undecided: tuple[int, list[Entry]] = (-1, [])
        self._seq = -1
        self._unannounced = gallery.unannounced.number
        self.version = 0
        """Another number whenever anything has changed."""
        self._changed: deque[tuple[int, frozenset[str]]] = deque(maxlen=_REMEMBERED_CHANGES)
        self.refresh()

    def refresh(self, told: Collection[str] | None = None, gone: Collection[str] = ()) -> None:
        """Take over what has happened.

        told: people who changed although no event names them. gone: tracklets that were erased. Both from whoever did
        it; else everybody is read anew after what names nobody. What runs removed or rewrote is taken over as well.
        """
        if self._seq < 0 and not has_people(self._gallery):
            return
        with self._lock, contextlib.ExitStack() as stack:
            # Before what is read: what happens in between is taken over the next time.
            unseen = self._gallery.unannounced.after(self._unannounced)
            self._unannounced = unseen.number
            connection = stack.enter_context(self._gallery.read())
            if self._seq < 0 or not unseen.whole:
                self._seq = newest_event(connection)
                self._reload(connection)
                self.version += 1
                return
            is_told = told is not None or bool(gone)
            changes = changes_after(connection, self._seq, told=is_told, fewer=bool(unseen.gone))
            gone = {*gone, *unseen.gone}
            self._seq = changes.seq
            if not changes.named:
                self._reload(connection)
            elif changes or told or gone or unseen.changed:
                persons = {*changes.people, *(told or ())}
                touched = (*changes.tracklets, *gone, *unseen.changed)
                persons.update(self._owner[t] for t in touched if t in self._owner)
                if gone:
                    # Who was undecided between nobody and an erased tracklet is that no more.
                    lost = set(gone)
                    persons.update(p for p, e in self._entries.items() if any(v.candidate in lost for v in e.visits))
                self._read(connection, persons)
                self._changed.append((self.version + 1, frozenset(persons)))
            else:
                return
            self.version += 1

    def changed_since(self, version: int) -> tuple[int, set[str] | None]:
        """The version now, and who has changed since another one; None: it may be everybody."""
        with self._lock:
            found: set[str] = set()
            expected = self.version
            for number, persons in reversed(self._changed):
                if number <= version or number != expected:
                    break
                found |= persons
                expected -= 1
            return self.version, found if expected == version else None

    def reload(self) -> None:
        """Read everybody anew."""
        with self._lock, self._gallery.read() as connection:
            self._seq = newest_event(connection)
            self._reload(connection)
            self.version += 1

    def entries(self) -> list[Entry]:
        """Everybody, in no order that means anything."""
        with self._lock:
            return list(self._entries.values())

    def undecided(self) -> list[Entry]:
        """What is undecided, the newest first; the rest of ``entries`` is people."""
        with self._lock:
            version, found = self._undecided
            if version != self.version:
                own = (entry for entry in self._entries.values() if entry.undecided)
                found = sorted(own, key=lambda entry: (-entry.first_seen, entry.person.id))
                self._undecided = (self.version, found)
            return found

    @property
    def visits(self) -> int:
        """How many tracklets have a person."""
        with self._lock:
            return len(self._owner)

    def get(self, person: str) -> Entry | None:
        with self._lock:
            return self._entries.get(person)

    def find(self, word: str, cameras: Collection[str] | None = None) -> Entry:
        """The one person meant by a number, a name, or the beginning of an id, of those that these cameras saw.

        Raises PersonNotFound if none or several.
        """
        text = word.strip().casefold()
        number = text.removeprefix("person").strip().removeprefix("#")
        seen = [one for entry in self.entries() if (one := entry.within(cameras)) is not None]
        found = [e for e in seen if text == e.person.id]
        found = found or [e for e in seen if number == str(e.person.number)]
        found = found or [e for e in seen if e.person.name and e.person.name.casefold() == text]
        found = found or ([e for e in seen if e.person.id.startswith(text)] if len(text) >= 4 else [])
        if len(found) != 1:
            what = "no person" if not found else f"{len(found)} people"
            names = [e.person.name for e in seen if e.person.name]
            meant = nearest(text, names) if not found else None
            raise PersonNotFound(
                f"{what} called {word!r}; "
                + (f"did you mean {meant}? " if meant else "")
                + "people are named by number, name or id (see `people list`)"
            )
        return found[0]

    def owner(self, tracklet: str) -> str | None:
        """The person of a tracklet."""
        with self._lock:
            return self._owner.get(tracklet)

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def _reload(self, connection: Connection) -> None:
        self._entries, self._owner = {}, {}
        self._put(connection.execute(_visits(connection)).all())

    def _read(self, connection: Connection, persons: Collection[str]) -> None:
        for person in persons:
            entry = self._entries.pop(person, None)
            for visit in entry.visits if entry else ():
                if self._owner.get(visit.tracklet) == person:
                    del self._owner[visit.tracklet]
        found: list[Row[Any]] = []
        for some in in_chunks(sorted(persons)):
            found += connection.execute(_visits(connection).where(members.c.person.in_(some))).all()
        self._put(found)

    def _put(self, rows: Iterable[Row[Any]]) -> None:
        held: dict[str, list[Row[Any]]] = {}
        for row in rows:
            held.setdefault(row.person, []).append(row)
            self._owner[row.id] = row.person
        for person, own in held.items():
            visits = [
                Visit(
                    *(r.id, r.source, r.start_wall, r.end_wall, r.purity, r.quality, r.crop),
                    *(r.probability, r.candidate, r.chance),
                )
                for r in own
            ]
            visits.sort(key=lambda visit: (visit.start, visit.tracklet))
            ids = sorted((visit.tracklet, visit.probability) for visit in visits)
            first = own[0]
            described = Person(
                person,
                first.number,
                first.name,
                first.notes,
                first.created_wall,
                tuple(t for t, _ in ids),
                tuple(p for _, p in ids),
                first.candidate,
                first.chance,
            )
            self._entries[person] = Entry(described, tuple(visits))


def _visits(connection: Connection) -> Any:
    c = tracklets.c
    return (
        select(
            *(c.id, c.source, c.start_wall, c.end_wall, c.purity, c.quality),
            c.crop_frame.is_not(None).label("crop"),
            *(members.c.person, members.c.probability, *doubts(connection)),
            *(people.c.number, people.c.name, people.c.notes, people.c.created_wall),
        )
        .join(members, members.c.tracklet == c.id)
        .join(people, people.c.id == members.c.person)
    )
