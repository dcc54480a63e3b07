"""Watch lists and rules as they are kept in a gallery, and changing them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, delete, insert, or_, select, update

from reidstream.alerts.rules import Rule, RuleSettings
from reidstream.alerts.schema import ALERT_MIGRATIONS, entries, lists, rules
from reidstream.errors import ConfigError, WatchNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.columns import has_column
from reidstream.identities.people import prepare
from reidstream.identities.presence import demand_there
from reidstream.identities.schema import members, people
from reidstream.types import FloatArray

LEAST_PURPOSE = 5
MOST_DAYS = 366.0
"""A list that is needed for longer is made anew, by somebody who says what for."""
PHOTO_DAYS = 30.0
"""A photo goes after so many days, or with its list."""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody on a list. person: who the tracklet's person is now; None: a photo, or nobody has it any more.

    vector: float32 (d,) of a photo, None if it was made with another model. until: when a photo goes, Unix seconds.
    """

    id: str
    list: str
    tracklet: str | None
    person: str | None
    number: int | None
    name: str
    vector: FloatArray | None
    stale: bool
    until: float | None
    author: str
    created: float

    @property
    def title(self) -> str:
        if self.tracklet is None:
            return "a photo"
        return self.name or (f"person {self.number}" if self.number is not None else "nobody any more")

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": "person" if self.tracklet is not None else "photo",
            "person": self.person,
            "title": self.title,
            "tracklet": self.tracklet,
            "usable": not self.stale and (self.vector is not None or self.person is not None),
            "until": self.until,
            "author": self.author,
            "created": self.created,
        }


@dataclass(frozen=True, slots=True)
class WatchList:
    """People who are looked for. until: when it ends, Unix seconds."""

    id: str
    name: str
    purpose: str
    until: float
    author: str
    created: float
    entries: tuple[Entry, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "purpose": self.purpose,
            "until": self.until,
            "author": self.author,
            "created": self.created,
            "entries": [entry.as_dict() for entry in self.entries],
        }


def watches(gallery: Gallery) -> bool:
    """Whether anything was ever watched for in this gallery."""
    with gallery.read() as connection:
        return has_column(connection, "watch_rules", "id")


def rules_in(connection: Connection, now: float) -> list[Rule]:
    """Every rule of a gallery's database, by name. One about a list that has ended is not active. now: Unix seconds."""
    if not has_column(connection, "watch_rules", "id"):
        return []
    known = {row.id: row for row in connection.execute(select(lists))}
    found = []
    for row in connection.execute(select(rules).order_by(rules.c.name)).all():
        settings = RuleSettings.model_validate_json(row.settings)
        about = settings.list
        goes = about is None or (about in known and known[about].until_wall > now)
        if about in known:
            settings = settings.model_copy(update={"list": known[about].name})
        found.append(Rule(row.id, settings, bool(row.active) and goes, about))
    return found


class WatchLists:
    """The lists and rules of a gallery; changing them needs one that is open for writing. clock: Unix seconds."""

    def __init__(self, gallery: Gallery, clock: Callable[[], float] = time.time) -> None:
        self._gallery, self._clock = gallery, clock
        if gallery.writable:
            prepare(gallery)
            gallery.migrate("alerts", ALERT_MIGRATIONS)

    # -- lists

    def all(self) -> list[WatchList]:
        """Every list by name, those that have ended among them."""
        if not watches(self._gallery):
            return []
        with self._gallery.read() as connection:
            held = self._entries(connection)
            rows = connection.execute(select(lists).order_by(lists.c.name)).all()
        return [_list(row, tuple(entry for entry in held if entry.list == row.id)) for row in rows]

    def get(self, word: str) -> WatchList:
        """A list by id or name. Raises WatchNotFound."""
        every = self.all()
        for one in every:
            if word in (one.id, one.name):
                return one
        there = ", ".join(one.name for one in every) or "none"
        raise WatchNotFound(f"no watch list {word!r}; there are: {there}")

    def make(self, name: str, purpose: str, until: float, author: str) -> WatchList:
        """A new list. until: when it ends, Unix seconds, within a year. Raises ConfigError."""
        name, purpose, now = name.strip(), purpose.strip(), self._clock()
        if not 1 <= len(name) <= 100:
            raise ConfigError("a watch list has a name of 1 to 100 letters")
        if not LEAST_PURPOSE <= len(purpose) <= 1000:
            raise ConfigError(f"say what the list is for (its purpose), in {LEAST_PURPOSE} to 1000 letters")
        if not now < until <= now + MOST_DAYS * _DAY:
            raise ConfigError(f"a watch list ends in the future, within {MOST_DAYS:.0f} days")
        if any(one.name == name for one in self.all()):
            raise ConfigError(f"there is a watch list called {name!r} already")
        values = {"name": name, "purpose": purpose, "until_wall": until, "author": author, "created_wall": now}
        with self._gallery.write() as connection:
            connection.execute(insert(lists).values(id=_id(), **values))
        return self.get(name)

    def drop(self, word: str) -> None:
        """Delete a list with everybody on it, and the rules about it. Raises WatchNotFound."""
        found = self.get(word)
        about = [rule.id for rule in self.rules() if rule.list == found.id]
        with self._gallery.write() as connection:
            connection.execute(delete(rules).where(rules.c.id.in_(about)))
            connection.execute(delete(entries).where(entries.c.list == found.id))
            connection.execute(delete(lists).where(lists.c.id == found.id))

    def add_person(self, word: str, tracklet: str, author: str) -> Entry:
        """Put whoever has this tracklet on a list. Raises WatchNotFound, TrackletNotFound, ConfigError for somebody
        who is on it."""
        found = self._open(word)
        with self._gallery.write() as connection:
            demand_there(connection, tracklet)
            owner = select(members.c.person).where(members.c.tracklet == tracklet).scalar_subquery()
            theirs = select(members.c.tracklet).where(members.c.person == owner)
            there = select(entries.c.id).where(entries.c.list == found.id, entries.c.tracklet.in_(theirs))
            if connection.execute(there).first() is not None:
                raise ConfigError(f"this person is on the list {found.name!r} already")
            id = self._insert(connection, found.id, author, tracklet=tracklet)
        return self._entry(id)

    def add_photo(self, word: str, vector: FloatArray, crop: bytes, author: str, days: float = PHOTO_DAYS) -> Entry:
        """Put whoever a photo shows on a list. vector: float32 (d,). crop: JPEG. Raises WatchNotFound, ConfigError."""
        found = self._open(word)
        if not 0 < days <= MOST_DAYS:
            raise ConfigError(f"a photo is kept for at most {MOST_DAYS:.0f} days, got {days:g}")
        until = min(self._clock() + days * _DAY, found.until)
        values = {"photo": crop, "vector": vector.astype("<f4").tobytes(), "space": self._gallery.space.fingerprint}
        with self._gallery.write() as connection:
            id = self._insert(connection, found.id, author, until_wall=until, **values)
        return self._entry(id)

    def remove(self, word: str, entry: str) -> None:
        """Take an entry off a list. Raises WatchNotFound."""
        found = self.get(word)
        if entry not in {one.id for one in found.entries}:
            raise WatchNotFound(f"no entry {entry!r} on the watch list {found.name!r}")
        with self._gallery.write() as connection:
            connection.execute(delete(entries).where(entries.c.id == entry))

    def photo(self, entry: str) -> bytes:
        """The picture of an entry, JPEG. Raises WatchNotFound."""
        query = select(entries.c.photo).where(entries.c.id == entry)
        with self._gallery.read() as connection:
            found = connection.execute(query).scalar() if watches(self._gallery) else None
        if found is None:
            raise WatchNotFound(f"no photo of an entry {entry!r}")
        return bytes(found)

    def sweep(self) -> int:
        """Delete photos whose time is over, and everybody on lists that have ended; how many entries that were."""
        now = self._clock()
        ended = select(lists.c.id).where(lists.c.until_wall <= now)
        over = or_(entries.c.until_wall <= now, entries.c.list.in_(ended))
        with self._gallery.write() as connection:
            return int(connection.execute(delete(entries).where(over)).rowcount)

    # -- rules

    def rules(self) -> list[Rule]:
        """Every rule, by name. One about a list that has ended is not active."""
        with self._gallery.read() as connection:
            return rules_in(connection, self._clock())

    def rule(self, word: str) -> Rule:
        """A rule by id or name. Raises WatchNotFound."""
        every = self.rules()
        for one in every:
            if word in (one.id, one.settings.name):
                return one
        there = ", ".join(one.settings.name for one in every) or "none"
        raise WatchNotFound(f"no rule {word!r}; there are: {there}")

    def add_rule(self, settings: RuleSettings, author: str) -> Rule:
        """A new rule, which holds from now on. Raises WatchNotFound for its list, ConfigError for a name there is."""
        if settings.list is not None:
            settings = settings.model_copy(update={"list": self._open(settings.list).id})
        if any(one.settings.name == settings.name for one in self.rules()):
            raise ConfigError(f"there is a rule called {settings.name!r} already")
        values = {"name": settings.name, "settings": settings.model_dump_json(), "active": True, "author": author}
        with self._gallery.write() as connection:
            connection.execute(insert(rules).values(id=_id(), created_wall=self._clock(), **values))
        return self.rule(settings.name)

    def switch(self, word: str, active: bool) -> Rule:
        """Have a rule hold, or not for now. Raises WatchNotFound."""
        found = self.rule(word)
        with self._gallery.write() as connection:
            connection.execute(update(rules).where(rules.c.id == found.id).values(active=active))
        return self.rule(found.id)

    def drop_rule(self, word: str) -> None:
        """Delete a rule; what it raised stays. Raises WatchNotFound."""
        found = self.rule(word)
        with self._gallery.write() as connection:
            connection.execute(delete(rules).where(rules.c.id == found.id))

    # -- inside

    def _open(self, word: str) -> WatchList:
        found = self.get(word)
        if found.until <= self._clock():
            raise ConfigError(f"the watch list {found.name!r} has ended; make a new one")
        return found

    def _insert(self, connection: Connection, list: str, author: str, **values: Any) -> str:
        id = _id()
        common = {"id": id, "list": list, "author": author, "created_wall": self._clock()}
        connection.execute(insert(entries).values(**common, **values))
        return id

    def _entry(self, id: str) -> Entry:
        with self._gallery.read() as connection:
            return next(entry for entry in self._entries(connection) if entry.id == id)

    def _entries(self, connection: Connection) -> Sequence[Entry]:
        query = (
            select(entries, members.c.person, people.c.number, people.c.name)
            .outerjoin(members, members.c.tracklet == entries.c.tracklet)
            .outerjoin(people, people.c.id == members.c.person)
            .order_by(entries.c.created_wall, entries.c.id)
        )
        now, space = self._clock(), self._gallery.space.fingerprint
        found = []
        for row in connection.execute(query):
            if row.until_wall is not None and row.until_wall <= now:
                continue
            stale = row.space is not None and row.space != space
            vector = None if row.vector is None or stale else np.frombuffer(row.vector, "<f4").astype(np.float32)
            found.append(
                Entry(
                    *(row.id, row.list, row.tracklet, row.person, row.number, row.name or "", vector, stale),
                    *(row.until_wall, row.author, row.created_wall),
                )
            )
        return found


def rule_settings(values: dict[str, Any]) -> RuleSettings:
    """A rule out of plain values. Raises ConfigError with every value that does not fit."""
    try:
        return RuleSettings.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'rule'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"the rule does not fit: {wrong}") from None


def _list(row: Any, held: tuple[Entry, ...]) -> WatchList:
    return WatchList(row.id, row.name, row.purpose, row.until_wall, row.author, row.created_wall, held)


def _id() -> str:
    return secrets.token_hex(6)
