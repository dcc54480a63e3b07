"""People: lists by page, one person, who looks like them, names, hiding."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import delete, insert, select

from reidstream.documents import people_document, person_document
from reidstream.identities.catalogue import Entry
from reidstream.server.access.roles import Caller
from reidstream.server.access.schema import hidden
from reidstream.server.api.common import (
    After,
    Limit,
    Reviewer,
    TheDesk,
    Viewer,
    answer,
    cursor,
    entry_of,
    read_cursor,
)
from reidstream.server.desk import Desk

router = APIRouter(tags=["people"])

# Visits given with a person; the rest comes by page.
MOST_VISITS = 200


class Order(StrEnum):
    """What a list of people begins with."""

    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"
    NUMBER = "number"
    TRACKLETS = "tracklets"
    LEAST_SURE = "least_sure"


# Each gives a number; lists begin with the smallest.
_KEYS: dict[Order, Callable[[Entry], float]] = {
    Order.LAST_SEEN: lambda entry: -entry.last_seen,
    Order.FIRST_SEEN: lambda entry: entry.first_seen,
    Order.NUMBER: lambda entry: entry.person.number,
    Order.TRACKLETS: lambda entry: -len(entry.visits),
    Order.LEAST_SURE: lambda entry: entry.least_sure,
}

Cameras = Annotated[list[str] | None, Query(max_length=100, description="Seen by this source; repeatable.")]
Since = Annotated[float | None, Query(description="Seen after this time, Unix seconds.")]
Until = Annotated[float | None, Query(description="Seen before this time, Unix seconds.")]


@router.get("/people")
def list_people(
    desk: TheDesk,
    caller: Viewer,
    camera: Cameras = None,
    since: Since = None,
    until: Until = None,
    named: Annotated[bool | None, Query(description="With a name, or without.")] = None,
    shown: Annotated[bool, Query(description="Those who are not hidden; false: the hidden ones.")] = True,
    words: Annotated[str, Query(max_length=200, description="In the name, the notes, or as the number.")] = "",
    quality: Annotated[float, Query(ge=0, le=1, description="Seen at least this well.")] = 0.0,
    surer: Annotated[float, Query(ge=0, le=1, description="Some tracklet is surer than this to be theirs.")] = 0.0,
    doubtful: Annotated[float | None, Query(ge=0, le=1, description="Some tracklet is less sure than this.")] = None,
    order: Order = Order.LAST_SEEN,
    limit: Limit = 60,
    after: After = None,
) -> Response:
    """People, a page at a time. ``next`` is the ``after`` of the following page, null on the last one."""
    desk.catalogue.refresh()
    apart = hidden_people(desk)

    def wanted(entry: Entry) -> bool:
        visits = entry.visits
        if camera or since is not None or until is not None:
            visits = tuple(
                v
                for v in visits
                if (not camera or v.source in camera)
                and (since is None or v.end >= since)
                and (until is None or v.start <= until)
            )
        return (
            bool(visits)
            and not entry.undecided
            and (entry.person.id not in apart) == shown
            and (named is None or bool(entry.person.name) == named)
            and (not words or matches(entry, words))
            and (not quality or entry.quality >= quality)
            and (not surer or max(v.probability for v in entry.visits) > surer)
            and (doubtful is None or entry.least_sure < doubtful)
        )

    key = _KEYS[order]
    everybody = desk.catalogue.ordered(order.value, lambda e: (key(e), e.person.id))
    if caller.cameras is not None:
        seen = (entry.within(caller.cameras) for entry in everybody)
        everybody = sorted((e for e in seen if e is not None), key=lambda e: (key(e), e.person.id))
    found = [entry for entry in everybody if wanted(entry)]
    begin = 0
    if after is not None:
        place = tuple(read_cursor(after, ((int, float), (str,))))
        begin = next((n for n, e in enumerate(found) if (key(e), e.person.id) > place), len(found))
    page = found[begin : begin + limit]
    more = begin + limit < len(found)
    undecided = sum(entry.within(caller.cameras) is not None for entry in desk.catalogue.undecided())
    document = people_document(page, len(found), *_counts(desk, caller), undecided=undecided)
    return answer({**document, "next": cursor([key(page[-1]), page[-1].person.id]) if more else None})


@router.get("/people/{person}")
def show_person(person: str, desk: TheDesk, caller: Viewer) -> Response:
    """A person with their first visits and who looks most like them. ``truncated``: there are more tracklets."""
    entry = entry_of(desk, caller, person)
    desk.log.note(caller, "looked at a person", person=entry.person.id)
    document = person_document(desk.gallery, entry, alike(desk, caller, entry, 5), most=MOST_VISITS)
    return answer(
        {
            **document,
            "hidden": entry.person.id in hidden_people(desk),
            "truncated": len(entry.visits) > MOST_VISITS,
            "hidden_by_cameras": _partly(desk, caller, entry),
        }
    )


@router.get("/people/{person}/tracklets")
def person_tracklets(person: str, desk: TheDesk, caller: Viewer, limit: Limit = 200, after: After = None) -> Response:
    """The tracklets of a person by page, earliest first."""
    entry = entry_of(desk, caller, person)
    visits = list(entry.visits)
    if after is not None:
        place = tuple(read_cursor(after, ((int, float), (str,))))
        visits = [v for v in visits if (v.start, v.tracklet) > place]
    page = visits[:limit]
    sure = {v.tracklet: v.probability for v in page}
    records = sorted(desk.gallery.rows(ids=list(sure)).records(), key=lambda r: (r["start_wall"], r["id"]))
    following = cursor([page[-1].start, page[-1].tracklet]) if len(visits) > limit else None
    shown = [{"probability": sure[r["id"]], **r} for r in records]
    return answer({"tracklets": shown, "total": len(entry.visits), "next": following})


@router.get("/people/{person}/alike")
def alike_people(
    person: str, desk: TheDesk, caller: Viewer, limit: Annotated[int, Query(ge=1, le=50)] = 12
) -> Response:
    """Who looks most like a person, most alike first, with the probability that they are the same."""
    entry = entry_of(desk, caller, person)
    found = alike(desk, caller, entry, limit)
    same = desk.same_person(entry, [other for other, _ in found])
    others = zip(found, same, strict=True)
    return answer(
        {"alike": [{**other.as_dict(), "similarity": cosine, "same": sure} for (other, cosine), sure in others]}
    )


@router.get("/people/{person}/odd")
def odd_tracklets(person: str, desk: TheDesk, caller: Viewer) -> Response:
    """A person's tracklets by how little they look like the others, the oddest first, with the mean cosine."""
    entry = entry_of(desk, caller, person)
    return answer({"tracklets": [{"id": t, "similarity": s} for t, s in desk.looks.odd(entry)]})


@router.put("/people/{person}/hidden")
def hide_person(person: str, desk: TheDesk, caller: Reviewer) -> Response:
    """Leave a person out of lists, suggestions and the queue."""
    entry = entry_of(desk, caller, person)
    with desk.gallery.write() as connection:
        connection.execute(delete(hidden).where(hidden.c.person == entry.person.id))
        connection.execute(insert(hidden).values(person=entry.person.id, who=caller.name, wall=time.time()))
    desk.log.note(caller, "hid a person", person=entry.person.id)
    return answer({"person": entry.person.id, "hidden": True})


@router.delete("/people/{person}/hidden")
def show_again(person: str, desk: TheDesk, caller: Reviewer) -> Response:
    """Take a person back into the lists."""
    entry = entry_of(desk, caller, person)
    with desk.gallery.write() as connection:
        connection.execute(delete(hidden).where(hidden.c.person == entry.person.id))
    desk.log.note(caller, "showed a person again", person=entry.person.id)
    return answer({"person": entry.person.id, "hidden": False})


@router.get("/names")
def names(
    desk: TheDesk, caller: Viewer, words: Annotated[str, Query(max_length=200)] = "", limit: Limit = 20
) -> Response:
    """Names that are given already, for completing one that is being typed."""
    desk.catalogue.refresh()
    found = {
        entry.person.name: entry.person.id
        for entry in desk.catalogue.entries()
        if entry.person.name
        and words.casefold() in entry.person.name.casefold()
        and entry.within(caller.cameras) is not None
    }
    return answer({"names": [{"name": name, "person": found[name]} for name in sorted(found)[:limit]]})


def alike(desk: Desk, caller: Caller, entry: Entry, most: int) -> list[tuple[Entry, float]]:
    """Who looks most like a person, of those that the caller may see and that are not hidden."""
    apart = hidden_people(desk)
    found = []
    for other, similarity in desk.looks.nearest(
        entry.person.id, most + len(apart) + len(desk.catalogue.undecided()) + 200 * bool(caller.sources)
    ):
        seen = other.within(caller.cameras)
        if seen is not None and other.person.id not in apart and not seen.undecided:
            found.append((seen, similarity))
    return found[:most]


def hidden_people(desk: Desk) -> set[str]:
    with desk.gallery.read() as connection:
        return set(connection.execute(select(hidden.c.person)).scalars())


def matches(entry: Entry, words: str) -> bool:
    """Whether a person is meant by some words: part of the name or notes, or the number."""
    text = words.casefold().strip()
    number = text.removeprefix("person").strip().removeprefix("#")
    return (
        text in entry.person.name.casefold()
        or text in entry.person.notes.casefold()
        or number == str(entry.person.number)
        or text == entry.person.id
    )


def _counts(desk: Desk, caller: Caller) -> tuple[int, int]:
    """How many tracklets the caller may see, and how many of them have no person yet."""
    if caller.cameras is None:
        stored = len(desk.gallery)
        return stored, max(0, stored - desk.catalogue.visits)
    stored = sum(r.tracklets for r in desk.gallery.sources() if r.source in caller.cameras)
    held = sum(v.source in caller.cameras for e in desk.catalogue.entries() for v in e.visits)
    return stored, max(0, stored - held)


def _partly(desk: Desk, caller: Caller, entry: Entry) -> bool:
    """Whether there is more of a person than the caller may see; which cameras is not said."""
    whole = desk.catalogue.get(entry.person.id)
    return whole is not None and len(whole.visits) > len(entry.visits)
