"""What the tables of identities say about people, what erases it, and what finds it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from reidstream.gallery.personal import Store, Subject
from reidstream.gallery.rows import in_chunks
from reidstream.identities.outbox import append_events
from reidstream.identities.people import keep_numbers
from reidstream.identities.schema import (
    ERASED,
    ERASED_SUMMARY,
    ERASURE,
    former_links,
    former_members,
    former_people,
    links,
    members,
    operations,
    outbox,
    people,
)
from reidstream.wording import counted

PERSON_ERASED = "PersonErased"


def _widen(connection: Connection, subject: Subject) -> Subject:
    """Whoever has no visit left goes with the last one, and so do those who were merged into them, with all names."""
    for some in in_chunks(subject.people):
        visits = connection.execute(select(members.c.tracklet).where(members.c.person.in_(some))).scalars()
        subject = replace(subject, tracklets=tuple(dict.fromkeys((*subject.tracklets, *visits))))
    erased = set(subject.tracklets)
    gone = set(subject.people)
    for person in sorted(_tied(connection, subject.tracklets) - gone):
        now = set(connection.execute(select(members.c.tracklet).where(members.c.person == person)).scalars())
        former = select(former_members.c.tracklet).where(former_members.c.person == person)
        # A person without visits may be somebody to whom an undoing gives back what is not erased here.
        left = now if subject.people else now | set(connection.execute(former).scalars())
        if not left - erased:
            gone.add(person)
    merged = {e["person"]: _listed(e["merged"]) for e in _payloads(connection, "IdentityMerged")}
    with_visits = set(connection.execute(select(members.c.person).distinct()).scalars())
    waiting = list(gone)
    while waiting:
        others = {p for p in merged.get(waiting.pop(), ()) if p not in gone and p not in with_visits}
        gone |= others
        waiting += others
    rows = [*_about(connection, people, people.c.id, gone)]
    rows += _about(connection, former_people, former_people.c.person, gone)
    texts = {text for row in rows for text in (row.name, row.notes)}
    for event in _payloads(connection, "IdentityLabelled"):
        if event["person"] in gone:
            texts |= {event["name"] or "", event["notes"] or ""}
    return subject.with_people(sorted(gone), sorted({form for text in filter(None, texts) for form in _forms(text)}))


def _forms(text: str) -> set[str]:
    """A name as it may be written down: as it is, in the payload of an event, and in the words of a decision."""
    return {text, json.dumps(text)[1:-1], repr(text)[1:-1]}


def _erase(connection: Connection, subject: Subject) -> None:
    number = _touched_and_log(connection, subject) if subject.people else None
    for some in in_chunks(subject.tracklets):
        # Their foreign keys would do the same a moment later; what stays of a decision is looked at before.
        for column in (former_members.c.tracklet, former_links.c.a, former_links.c.b, links.c.a, links.c.b):
            connection.execute(delete(column.table).where(column.in_(some)))
        for table in (members, former_members):
            doubtful = update(table).where(table.c.candidate.in_(some))
            connection.execute(doubtful.values(candidate=None, chance=None))
    for some in in_chunks(subject.people):
        emptied = {"person": None, "probability": None, "candidate": None, "chance": None}
        connection.execute(update(former_members).where(former_members.c.person.in_(some)).values(**emptied))
        connection.execute(update(former_members).where(former_members.c.became.in_(some)).values(became=None))
        connection.execute(delete(former_people).where(former_people.c.person.in_(some)))
        connection.execute(delete(members).where(members.c.person.in_(some)))
        keep_numbers(connection)
        connection.execute(delete(people).where(people.c.id.in_(some)))
    if number is None:
        return
    _empty_decisions(connection)
    _forget_events(connection, subject)
    erased = [(PERSON_ERASED, {"person": person, "operation": number}) for person in subject.people]
    append_events(connection, erased)


def _touched_and_log(connection: Connection, subject: Subject) -> int:
    """Take the words out of the history of these people, and add that they were erased; that entry's number."""
    touched = _touched(connection, subject)
    for some in in_chunks(sorted(touched)):
        values = {"summary": ERASED_SUMMARY}
        connection.execute(update(operations).where(operations.c.id.in_(some)).values(**values))
    count = len(subject.people)
    whom = "somebody" if count == 1 else counted(count, "person")
    entry = insert(operations).values(
        wall=time.time(),
        author=subject.author,
        kind=ERASURE,
        summary=f"erased {whom} with {counted(len(subject.tracklets), 'visit')}",
    )
    result = connection.execute(entry)
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _touched(connection: Connection, subject: Subject) -> set[int]:
    """Decisions about these people, and those that undid them."""
    found: set[int] = set()

    def add(query: Select[Any]) -> None:
        found.update(int(row[0]) for row in connection.execute(query))

    for some in in_chunks(subject.people):
        add(select(former_people.c.changed_by).where(former_people.c.person.in_(some)))
        add(select(former_members.c.changed_by).where(former_members.c.person.in_(some)))
    for some in in_chunks(subject.tracklets):
        add(select(former_members.c.changed_by).where(former_members.c.tracklet.in_(some)))
        for table, by in ((links, links.c.operation), (former_links, former_links.c.changed_by)):
            add(select(by).where(or_(table.c.a.in_(some), table.c.b.in_(some))))
    # An imported decision can have come without the people that it names.
    named = _words(subject.texts)
    rows = connection.execute(select(operations.c.id, operations.c.undoes, operations.c.summary)).all()
    with_people = set(connection.execute(select(former_people.c.changed_by).distinct()).scalars())
    found |= {row.id for row in rows if row.id not in with_people and named(row.summary)}
    return found | {row.id for row in rows if row.undoes in found}


def _empty_decisions(connection: Connection) -> None:
    """Decisions of which nothing is left cannot be undone: they become entries that say so."""
    left = [
        select(former_members.c.changed_by),
        select(former_people.c.changed_by),
        select(former_links.c.changed_by),
        select(links.c.operation),
    ]
    empty = [operations.c.id.not_in(query) for query in left]
    words = (operations.c.summary == ERASED_SUMMARY, operations.c.undoes.is_(None))
    connection.execute(update(operations).where(*words, *empty).values(kind=ERASED))


def _forget_events(connection: Connection, subject: Subject) -> None:
    gone, texts = set(subject.people), set(subject.texts)
    redacted = set(connection.execute(select(operations.c.id).where(operations.c.summary == ERASED_SUMMARY)).scalars())
    query = select(outbox.c.seq, outbox.c.payload).where(outbox.c.kind != PERSON_ERASED)
    numbers = []
    for row in connection.execute(query.execution_options(yield_per=5000)):
        payload = json.loads(row.payload)
        if ("summary" in payload and payload.get("operation") in redacted) or _mentions(payload, gone, texts):
            numbers.append(row.seq)
    for some in in_chunks(numbers):
        connection.execute(delete(outbox).where(outbox.c.seq.in_(some)))


def _trace(connection: Connection, subject: Subject) -> Iterator[str]:
    columns = [
        *((column, subject.people) for column in (people.c.id, members.c.person)),
        *((column, subject.people) for column in (former_members.c.person, former_people.c.person)),
        (former_members.c.became, subject.people),
        *((column, subject.tracklets) for column in (members.c.candidate, former_members.c.candidate)),
        *((column, subject.tracklets) for column in (members.c.tracklet, former_members.c.tracklet)),
        *((column, subject.tracklets) for column in (links.c.a, links.c.b, former_links.c.a, former_links.c.b)),
        (outbox.c.tracklet, subject.tracklets),
    ]
    for column, wanted in columns:
        for some in in_chunks(wanted):
            query = select(func.count()).select_from(column.table).where(column.in_(some))
            if count := connection.execute(query).scalar_one():
                yield f"{count} rows of {column.table.name}"
    gone, texts = set(subject.people), set(subject.texts)
    events = select(outbox.c.payload).where(outbox.c.kind != PERSON_ERASED)
    payloads = connection.execute(events.execution_options(yield_per=5000)).scalars()
    if subject.people and (count := sum(_mentions(json.loads(payload), gone, texts) for payload in payloads)):
        yield f"{count} events in the outbox"
    words = set(connection.execute(select(operations.c.id).where(operations.c.summary != ERASED_SUMMARY)).scalars())
    if subject.people and (count := len(words & _touched(connection, subject))):
        yield f"{count} entries of the history"


def _tied(connection: Connection, tracklets: Sequence[str]) -> set[str]:
    """Everybody who has, or once had, one of these tracklets."""
    tied: set[str] = set()
    for some in in_chunks(tracklets):
        tied.update(connection.execute(select(members.c.person).where(members.c.tracklet.in_(some))).scalars())
        former = select(former_members.c.person).where(former_members.c.tracklet.in_(some))
        tied.update(person for person in connection.execute(former).scalars() if person is not None)
    return tied


def _about(connection: Connection, table: Any, column: Any, gone: set[str]) -> list[Any]:
    found: list[Any] = []
    for some in in_chunks(sorted(gone)):
        found += connection.execute(select(table).where(column.in_(some)))
    return found


def _payloads(connection: Connection, kind: str) -> list[dict[str, Any]]:
    query = select(outbox.c.payload).where(outbox.c.kind == kind)
    return [json.loads(payload) for payload in connection.execute(query).scalars()]


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _mentions(value: Any, gone: set[str], texts: set[str]) -> bool:
    """Whether a payload names one of these people, by id or by name."""
    if isinstance(value, dict):
        return any(_mentions(each, gone, texts) for each in value.values())
    if isinstance(value, list):
        return any(_mentions(each, gone, texts) for each in value)
    return isinstance(value, str) and (value in gone or value in texts)


def _words(texts: Sequence[str]) -> Any:
    """Says of a text whether one of these texts is in it as a word of its own."""
    if not texts:
        return lambda _text: False
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, texts))})(?!\w)")
    return lambda text: pattern.search(text) is not None


STORES: tuple[Store, ...] = (
    Store(
        "people, decisions about them, and events",
        tables=(
            *("people", "members", "links", "operations"),
            *("former_members", "former_links", "former_people", "outbox"),
        ),
        widen=_widen,
        erase=_erase,
        trace=_trace,
    ),
    Store(
        "how far a follower of the events has come",
        files=("../{name}.events-*.json",),
        beyond="a number and the gallery's own name",
    ),
)
