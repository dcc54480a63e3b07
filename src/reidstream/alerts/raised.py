"""Alerts as they are kept: raised, confirmed or withdrawn, acknowledged; each change with its event."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from reidstream.alerts.lists import watches
from reidstream.alerts.rules import Rule
from reidstream.alerts.schema import alerts, rules
from reidstream.errors import WatchNotFound
from reidstream.gallery import Gallery
from reidstream.identities.outbox import ALERT_RAISED, ALERT_WITHDRAWN, append_events
from reidstream.identities.schema import people

RAISED, CONFIRMED, WITHDRAWN = "raised", "confirmed", "withdrawn"

# Everything but the pictures.
_SHOWN = [column for column in alerts.c if column.name not in {"frame", "crop"}]


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a rule holds: whom it is about (a person, an entry of a list, both or neither), and how probable that is.

    zone, seconds: where, and for how long by then.
    """

    probability: float
    person: str | None = None
    entry: str | None = None
    zone: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Where:
    """Of what an alert is. track: number in the source. media, wall: when; start_media: when the track began; s.

    box: where in the frame, x1, y1, x2, y2 in parts of it.
    """

    source: str
    content: str
    track: int
    start_media: float
    media: float
    wall: float
    tracklet: str | None = None
    frame: bytes | None = None
    crop: bytes | None = None
    box: tuple[float, float, float, float] | None = None


class Alerts:
    """The alerts of a gallery; changing them needs one that is open for writing. clock: Unix seconds."""

    def __init__(self, gallery: Gallery, clock: Callable[[], float] = time.time) -> None:
        self._gallery, self._clock = gallery, clock

    # -- raising and putting right

    def raise_(self, rule: Rule, where: Where, finding: Finding) -> str | None:
        """Raise an alert; its id. None: the same was said within the rule's cooldown."""
        id = secrets.token_hex(8)
        wanted = rule.settings
        why: dict[str, Any] = {"risk": wanted.risk, "who": wanted.who.value, "seconds": round(finding.seconds, 2)}
        if finding.zone is not None:
            why["zone"] = finding.zone
        if where.frame is not None and where.box is not None:
            why["box"] = where.box
        with self._gallery.write() as connection:
            if self._said(connection, rule, where, finding):
                return None
            connection.execute(
                insert(alerts).values(
                    id=id,
                    rule=rule.id,
                    source=where.source,
                    content=where.content,
                    track=str(where.track),
                    wall=where.wall,
                    media=where.media,
                    start_media=where.start_media,
                    raised_wall=self._clock(),
                    state=RAISED if where.tracklet is None else CONFIRMED,
                    tracklet=where.tracklet,
                    person=finding.person,
                    entry=finding.entry,
                    probability=finding.probability,
                    why=json.dumps(why),
                    reason="",
                    frame=where.frame,
                    crop=where.crop,
                )
            )
            payload: dict[str, Any] = {"alert": id, "rule": rule.id, "name": wanted.name, "who": wanted.who.value}
            payload |= {"source": where.source, "wall": where.wall, "probability": round(finding.probability, 4)}
            payload |= {} if finding.person is None else {"person": finding.person}
            payload |= {} if finding.zone is None else {"zone": finding.zone}
            payload |= {} if where.tracklet is None else {"tracklet": where.tracklet}
            append_events(connection, [(ALERT_RAISED, {**payload, "seconds": round(finding.seconds, 2)})])
        return id

    def confirm(self, id: str, tracklet: str, person: str | None, probability: float) -> None:
        """Who it was is decided, and it was whom the rule is about."""
        values = {"state": CONFIRMED, "tracklet": tracklet, "person": person, "probability": probability}
        with self._gallery.write() as connection:
            connection.execute(update(alerts).where(alerts.c.id == id, alerts.c.state == RAISED).values(**values))

    def withdraw(self, id: str, reason: str, tracklet: str | None = None) -> None:
        """It was not so. reason: why, in words without names."""
        with self._gallery.write() as connection:
            row = connection.execute(select(alerts).where(alerts.c.id == id, alerts.c.state == RAISED)).one_or_none()
            if row is None:
                return
            values = {"state": WITHDRAWN, "reason": reason, "tracklet": tracklet}
            connection.execute(update(alerts).where(alerts.c.id == id).values(**values))
            append_events(connection, [withdrawn(row.id, row.rule, row.source, reason)])

    def acknowledge(self, id: str, author: str) -> dict[str, Any]:
        """Somebody has seen to it; the first one stays. Raises WatchNotFound."""
        values = {"acknowledged_wall": self._clock(), "acknowledged_by": author}
        with self._gallery.write() as connection:
            open_ = (alerts.c.id == id, alerts.c.acknowledged_wall.is_(None))
            connection.execute(update(alerts).where(*open_).values(**values))
        return self.get(id)

    def trim(self, days: float) -> int:
        """Delete what was raised longer ago; how many that were."""
        with self._gallery.write() as connection:
            old = delete(alerts).where(alerts.c.raised_wall < self._clock() - days * 86_400.0)
            return int(connection.execute(old).rowcount)

    # -- looking

    def page(
        self,
        limit: int = 100,
        before: float | None = None,
        cameras: Collection[str] | None = None,
        state: str | None = None,
        rule: str | None = None,
    ) -> list[dict[str, Any]]:
        """Alerts as plain values, the newest first. before: raised before this, Unix seconds. cameras: of these only.

        state: open (nobody has seen to it, and it was not withdrawn), or one of the states.
        """
        if not watches(self._gallery):
            return []
        query = self._query().order_by(alerts.c.raised_wall.desc(), alerts.c.id).limit(limit)
        if before is not None:
            query = query.where(alerts.c.raised_wall < before)
        if cameras is not None:
            query = query.where(alerts.c.source.in_(list(cameras)))
        if state == "open":
            query = query.where(alerts.c.acknowledged_wall.is_(None), alerts.c.state != WITHDRAWN)
        elif state is not None:
            query = query.where(alerts.c.state == state)
        if rule is not None:
            query = query.where(or_(alerts.c.rule == rule, rules.c.name == rule))
        with self._gallery.read() as connection:
            return [_plain(row) for row in connection.execute(query)]

    def get(self, id: str) -> dict[str, Any]:
        """One alert. Raises WatchNotFound."""
        with self._gallery.read() as connection:
            row = None
            if watches(self._gallery):
                row = connection.execute(self._query().where(alerts.c.id == id)).one_or_none()
        if row is None:
            raise WatchNotFound(f"no alert {id!r}")
        return _plain(row)

    def picture(self, id: str, part: str = "frame") -> bytes | None:
        """The frame of an alert, or its crop, JPEG; None: there is none. Raises WatchNotFound."""
        self.get(id)
        with self._gallery.read() as connection:
            found = connection.execute(select(alerts.c[part]).where(alerts.c.id == id)).scalar()
        return None if found is None else bytes(found)

    def unsettled(self, connection: Connection) -> Sequence[Any]:
        """Rows of alerts of which it is not decided yet who it was."""
        return connection.execute(select(*_SHOWN).where(alerts.c.state == RAISED)).all()

    def of_track(self, connection: Connection, content: str, track: int) -> Sequence[Any]:
        """Rows of all alerts of a track."""
        return connection.execute(
            select(*_SHOWN).where(alerts.c.content == content, alerts.c.track == str(track))
        ).all()

    def _query(self) -> Any:
        return (
            select(
                *_SHOWN,
                alerts.c.frame.is_not(None).label("has_frame"),
                alerts.c.crop.is_not(None).label("has_crop"),
                rules.c.name.label("rule_name"),
                people.c.number,
                people.c.name.label("person_name"),
            )
            .outerjoin(rules, rules.c.id == alerts.c.rule)
            .outerjoin(people, people.c.id == alerts.c.person)
        )

    def _said(self, connection: Connection, rule: Rule, where: Where, finding: Finding) -> bool:
        """Whether the rule said this a moment ago: of the same person or entry, else at the same camera."""
        cooldown = rule.settings.cooldown
        near = (alerts.c.wall > where.wall - cooldown, alerts.c.wall < where.wall + cooldown)
        same = [alerts.c.rule == rule.id, alerts.c.state != WITHDRAWN, *near]
        if finding.entry is not None:
            same.append(alerts.c.entry == finding.entry)
        else:
            same.append(alerts.c.source == where.source)
        return connection.execute(select(alerts.c.id).where(*same)).first() is not None


def withdrawn(alert: str, rule: str, source: str, reason: str) -> tuple[str, dict[str, Any]]:
    """The event that says that an alert does not hold."""
    return ALERT_WITHDRAWN, {"alert": alert, "rule": rule, "source": source, "reason": reason}


def _plain(row: Any) -> dict[str, Any]:
    person = None
    if row.person is not None:
        person = {"id": row.person, "number": row.number, "name": row.person_name or ""}
    return {
        "id": row.id,
        "rule": {"id": row.rule, "name": row.rule_name or "a rule that was deleted"},
        "source": row.source,
        "content": row.content,
        "wall": row.wall,
        "media": row.media,
        "start_media": row.start_media,
        "raised": row.raised_wall,
        "state": row.state,
        "reason": row.reason,
        "person": person,
        "tracklet": row.tracklet,
        "entry": row.entry,
        "probability": row.probability,
        "why": json.loads(row.why),
        "acknowledged": row.acknowledged_wall,
        "acknowledged_by": row.acknowledged_by,
        "frame": bool(row.has_frame),
        "crop": bool(row.has_crop),
    }
