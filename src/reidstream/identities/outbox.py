"""What happened, as an ordered list in the gallery's own database, so that others hear of it at least once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, inspect, select, text

from reidstream.gallery import Gallery
from reidstream.identities.schema import outbox

ALERT_RAISED, ALERT_WITHDRAWN = "AlertRaised", "AlertWithdrawn"
_ORDER = 0x5265_4944_6F75_7462
"""A lock of PostgreSQL, held from an event's number to its commit: the letters "ReIDoutb"."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One thing that happened. seq: its place in the order, never used twice. wall: Unix seconds.

    kind: TrackletStored, IdentityCreated, IdentitySeenAgain, IdentityMerged, IdentitySplit, IdentityLabelled,
    TrackletMoved, TrackletRejected, DuplicatesLabelled, IdentitiesApart, IdentityConfirmed, OperationUndone,
    IdentitiesResolved, GalleryImported, PersonErased: whoever keeps anything of that person forgets it; AlertRaised or
    AlertWithdrawn: what was said was wrong, or is about somebody who was erased.
    """

    seq: int
    wall: float
    kind: str
    payload: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"seq": self.seq, "wall": self.wall, "kind": self.kind, **self.payload}


def stored(record: Mapping[str, Any]) -> dict[str, Any]:
    """What TrackletStored says of a tracklet; record: its row as ``Rows.records`` gives it."""
    return {
        "tracklet": record["id"],
        "source": record["source"],
        "start": record["start_wall"],
        "end": record["end_wall"],
        **zones_said(record["zones"]),
    }


def zones_said(zones: Iterable[str]) -> dict[str, Any]:
    """What TrackletStored adds of a tracklet that was in named zones of its camera: their names."""
    names = sorted(set(zones))
    return {"zones": names} if names else {}


def undecided_between(person: str, probability: float) -> dict[str, Any]:
    """What IdentityCreated adds of a tracklet that may be somebody known: who, and how likely that is."""
    return {"undecided": True, "candidate": person, "probability": round(probability, 4)}


def append_events(connection: Connection, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Add events in the caller's transaction: they are there exactly if what they tell of is.

    A payload's "tracklet" is kept apart, so that the event goes when the tracklet is erased; no other key may
    name tracklets.
    """
    now = time.time()
    if events and connection.dialect.name == "postgresql":
        # Numbers are given out before transactions end: without this one could appear after a later one, and whoever
        # follows would have passed it. SQLite lets one transaction write at a time.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER})
    if events:
        rows = [
            {
                "wall": now,
                "kind": kind,
                "tracklet": payload.get("tracklet"),
                "payload": json.dumps({key: value for key, value in payload.items() if key != "tracklet"}),
            }
            for kind, payload in events
        ]
        connection.execute(insert(outbox), rows)


def events_after(gallery: Gallery, seq: int, most: int = 1000) -> list[OutboxEvent]:
    """The events that follow ``seq``, in order, at most ``most``."""
    query = select(outbox).where(outbox.c.seq > seq).order_by(outbox.c.seq).limit(most)
    with gallery.read() as connection:
        rows = connection.execute(query).all()
    events = []
    for row in rows:
        payload = {"tracklet": row.tracklet} if row.tracklet else {}
        events.append(OutboxEvent(row.seq, row.wall, row.kind, {**payload, **json.loads(row.payload)}))
    return events


def seq_before(gallery: Gallery, wall: float) -> int:
    """The number after which the events begin that were written at ``wall`` (Unix seconds) or later."""
    query = select(func.max(outbox.c.seq)).where(outbox.c.wall < wall)
    with gallery.read() as connection:
        return int(connection.execute(query).scalar() or 0) if inspect(connection).has_table("outbox") else 0


def all_events_after(gallery: Gallery, seq: int) -> Iterator[OutboxEvent]:
    """Every event that follows ``seq`` and is there now."""
    while batch := events_after(gallery, seq):
        yield from batch
        seq = batch[-1].seq
