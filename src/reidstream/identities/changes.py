"""Whom the events since a moment speak of: those are read anew by whoever keeps everybody in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from reidstream.gallery.rows import in_chunks
from reidstream.identities.outbox import ALERT_RAISED, ALERT_WITHDRAWN
from reidstream.identities.schema import former_members, former_people, members, outbox

# After so many events it is quicker to read everybody.
_MANY = 20_000
# Kinds of events that name everybody whom they change.
_NAMING = frozenset(
    {
        *("TrackletStored", "IdentityCreated", "IdentitySeenAgain", "IdentityMerged", "IdentitySplit"),
        *("IdentityLabelled", "TrackletMoved", "TrackletRejected", "DuplicatesLabelled", "OperationUndone"),
        *("IdentitiesApart", "IdentityConfirmed"),
    }
)
# These change more than they name; whoever makes them says what (``told``).
_TOLD = frozenset({"IdentitiesResolved", "GalleryImported", "PersonErased"})
# These tell of people and change nobody.
_SAYING = frozenset({ALERT_RAISED, ALERT_WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Changes:
    """seq: the newest event. people: ids of those whom events name. tracklets: ids of those that events are about.

    named: whether that is everybody who has changed; else all have to be read.
    """

    seq: int
    people: frozenset[str] = frozenset()
    tracklets: frozenset[str] = frozenset()
    named: bool = True

    def __bool__(self) -> bool:
        return bool(self.people or self.tracklets) or not self.named


def newest_event(connection: Connection) -> int:
    """The number of the newest event that is there, 0 for none."""
    return int(connection.execute(select(func.max(outbox.c.seq))).scalar() or 0)


def changes_after(connection: Connection, seq: int, *, told: bool = False, fewer: bool = False) -> Changes:
    """Who has changed since an event.

    told: whether the caller knows whom an import, an erasure or a new look at everybody changed beyond that.
    fewer: whether the caller knows of all tracklets that took the newest events with them.
    """
    newest = newest_event(connection)
    # The number falls when the newest events were erased with their tracklets.
    if newest < seq and not (told or fewer):
        return Changes(newest, named=False)
    if newest <= seq:
        return Changes(newest)
    since = select(outbox).where(outbox.c.seq > seq, outbox.c.kind.not_in(_SAYING))
    events = connection.execute(since.limit(_MANY + 1)).all()
    known = _NAMING | _TOLD if told else _NAMING
    if len(events) > _MANY or any(event.kind not in known for event in events):
        return Changes(newest, named=False)
    persons: set[str] = set()
    moved: set[str] = set()
    for event in events:
        payload = json.loads(event.payload)
        merged = payload.get("merged")
        persons.update(merged if isinstance(merged, list) else [merged] if merged else [])
        persons.update(payload[key] for key in ("person", "new", "other") if payload.get(key))
        if event.tracklet:
            moved.add(event.tracklet)
        if event.kind == "OperationUndone":
            done = payload["operation"]
            touched = select(former_members.c.tracklet).where(former_members.c.changed_by == done)
            moved.update(connection.execute(touched).scalars())
            named = select(former_people.c.person).where(former_people.c.changed_by == done)
            persons.update(connection.execute(named).scalars())
    return Changes(newest, frozenset(persons | owners_of(connection, moved)), frozenset(moved))


def owners_of(connection: Connection, tracklets: Iterable[str]) -> set[str]:
    """The people whom these tracklets belong to now."""
    found: set[str] = set()
    for some in in_chunks(sorted(set(tracklets))):
        found.update(connection.execute(select(members.c.person).where(members.c.tracklet.in_(some))).scalars())
    return found
