"""What lists and alerts say about people, what erases it, and what finds it.

Whoever is erased goes off every list. What was raised about them goes and is withdrawn, so that whoever was told hears
of it; pictures of other alerts that were taken while they were in view go as well. A photo on a list goes with the
person whom an alert by it turned out to be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from reidstream.alerts.raised import CONFIRMED, WITHDRAWN, withdrawn
from reidstream.alerts.rules import RuleSettings
from reidstream.alerts.schema import alerts, entries, lists, rules
from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets
from reidstream.identities.outbox import ALERT_RAISED, append_events
from reidstream.identities.schema import members, outbox

_AT_ONCE = 100
_SOMEBODY = "somebody erased"
"""What stands for a name in the words of operators."""
_CLOSE = 2.0
"""Seconds before and after somebody was seen in which a picture may show them."""


def _about(connection: Connection, subject: Subject) -> list[Any]:
    """Rows of alerts about somebody: by person, tracklet, recording, or the track while it was not stored yet."""
    found: dict[str, Any] = {}
    for column, wanted in (
        (alerts.c.person, subject.people),
        (alerts.c.tracklet, subject.tracklets),
        (alerts.c.content, subject.contents),
    ):
        for some in in_chunks(wanted):
            rows = select(alerts.c.id, alerts.c.rule, alerts.c.source, alerts.c.state, alerts.c.entry).where(
                column.in_(some)
            )
            found |= {row.id: row for row in connection.execute(rows)}
    return list(found.values())


def _shown(connection: Connection, subject: Subject) -> Iterator[ColumnElement[bool]]:
    """Conditions on alerts whose pictures were taken while one of the tracklets was in view, some at a time."""
    ids = list(subject.tracklets)
    for begin in range(0, len(ids), _AT_ONCE):
        spans = connection.execute(
            select(tracklets.c.content, tracklets.c.start_media, tracklets.c.end_media).where(
                tracklets.c.id.in_(ids[begin : begin + _AT_ONCE])
            )
        ).all()
        if spans:
            yield or_(
                *(
                    and_(
                        alerts.c.content == span.content,
                        alerts.c.media >= span.start_media - _CLOSE,
                        alerts.c.media <= span.end_media + _CLOSE,
                    )
                    for span in spans
                )
            )


def _keep_on_lists(connection: Connection, subject: Subject) -> None:
    """An entry whose tracklet goes while its person stays names another one of theirs."""
    gone, erased = set(subject.people), set(subject.tracklets)
    for some in in_chunks(subject.tracklets):
        query = select(entries.c.id, members.c.person).join(members, members.c.tracklet == entries.c.tracklet)
        for row in connection.execute(query.where(entries.c.tracklet.in_(some))).all():
            if row.person in gone:
                continue
            theirs = connection.execute(select(members.c.tracklet).where(members.c.person == row.person)).scalars()
            left = sorted(set(theirs) - erased)
            if left:
                connection.execute(update(entries).where(entries.c.id == row.id).values(tracklet=left[0]))


def _erase(connection: Connection, subject: Subject) -> None:
    for condition in _shown(connection, subject):
        connection.execute(update(alerts).where(condition).values(frame=None, crop=None))
    found = _about(connection, subject)
    events = [withdrawn(row.id, row.rule, row.source, "erased") for row in found if row.state != WITHDRAWN]
    for some in in_chunks([row.entry for row in found if row.entry is not None and row.state == CONFIRMED]):
        connection.execute(delete(entries).where(entries.c.id.in_(some), entries.c.photo.is_not(None)))
    for some in in_chunks([row.id for row in found]):
        connection.execute(delete(alerts).where(alerts.c.id.in_(some)))
    for some in in_chunks(_events_of(connection, {row.id for row in found})):
        connection.execute(delete(outbox).where(outbox.c.seq.in_(some)))
    _keep_on_lists(connection, subject)
    for some in in_chunks(subject.tracklets):
        connection.execute(delete(entries).where(entries.c.tracklet.in_(some)))
    append_events(connection, events)


def _events_of(connection: Connection, ids: set[str]) -> list[int]:
    """The numbers of the events that told of alerts."""
    if not ids:
        return []
    rows = connection.execute(select(outbox.c.seq, outbox.c.payload).where(outbox.c.kind == ALERT_RAISED))
    return [row.seq for row in rows if json.loads(row.payload).get("alert") in ids]


def _trace(connection: Connection, subject: Subject) -> Iterator[str]:
    if count := len(_about(connection, subject)):
        yield f"{count} rows of {alerts.name}"
    for condition in _shown(connection, subject):
        pictures = or_(alerts.c.frame.is_not(None), alerts.c.crop.is_not(None))
        held = select(func.count()).select_from(alerts).where(condition, pictures)
        if count := connection.execute(held).scalar_one():
            yield f"{count} pictures of {alerts.name}"
    for some in in_chunks(subject.tracklets):
        held = select(func.count()).select_from(entries).where(entries.c.tracklet.in_(some))
        if count := connection.execute(held).scalar_one():
            yield f"{count} rows of {entries.name}"


def _erase_words(connection: Connection, subject: Subject) -> None:
    """Names of whom is erased go out of what operators wrote; the list or rule stays."""
    replaced = _replacing(subject.texts)
    for row in connection.execute(select(lists)).all():
        name, purpose = replaced(row.name, row.id), replaced(row.purpose)
        if (name, purpose) != (row.name, row.purpose):
            connection.execute(update(lists).where(lists.c.id == row.id).values(name=name, purpose=purpose))
    for row in connection.execute(select(rules)).all():
        settings = RuleSettings.model_validate_json(row.settings)
        changed = {"name": replaced(settings.name, row.id), "purpose": replaced(settings.purpose)}
        if changed == {"name": settings.name, "purpose": settings.purpose}:
            continue
        text = settings.model_copy(update=changed).model_dump_json()
        connection.execute(update(rules).where(rules.c.id == row.id).values(name=changed["name"], settings=text))
    events = connection.execute(select(outbox.c.seq, outbox.c.payload).where(outbox.c.kind == ALERT_RAISED)).all()
    # What was told of an alert names its rule.
    named = [row.seq for row in events if _named(json.loads(row.payload), replaced)]
    for some in in_chunks(named):
        connection.execute(delete(outbox).where(outbox.c.seq.in_(some)))


def _trace_words(connection: Connection, subject: Subject) -> Iterator[str]:
    replaced = _replacing(subject.texts)
    for table in (lists, rules):
        written = [table.c.name, table.c.purpose if table is lists else table.c.settings]
        for row in connection.execute(select(*written)):
            texts = [row[0], row[1]]
            if table is rules:
                texts[1] = RuleSettings.model_validate_json(row[1]).purpose
            if any(replaced(text) != text for text in texts):
                yield f"words of {table.name}"
                break


def _named(payload: Any, replaced: Callable[..., str]) -> bool:
    name = payload.get("name") if isinstance(payload, dict) else None
    return isinstance(name, str) and replaced(name) != name


def _replacing(texts: Sequence[str]) -> Callable[..., str]:
    """What becomes of words: names that stand in them as words of their own give way. Whoever must stay told apart
    gives the beginning of an id as well."""
    # The longest first: a part of a name must not leave the rest of it.
    wanted = sorted({text for text in texts if text.strip()}, key=len, reverse=True)
    if not wanted:
        return lambda text, _id="": text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, wanted))})(?!\w)", re.IGNORECASE)

    def replaced(text: str, id: str = "") -> str:
        return pattern.sub(f"{_SOMEBODY} {id[:4]}" if id else _SOMEBODY, text)

    return replaced


STORES: tuple[Store, ...] = (
    Store(
        "watch lists, and alerts with their pictures",
        tables=("watch_entries", "alerts"),
        erase=_erase,
        trace=_trace,
    ),
    Store(
        "what watch lists are for, and rules",
        tables=("watch_lists", "watch_rules"),
        erase=_erase_words,
        trace=_trace_words,
    ),
    Store(
        "how far events were looked at", tables=("watch_looked",), beyond="holds one number, and nothing about anybody"
    ),
)
