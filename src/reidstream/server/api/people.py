"""People: lists by page, one person, who looks like them, names, hiding."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import delete, insert, select

from reidstream.documents import people_document, person_document
from reidstream.identities.catalogue import Entry
from reidstream.identities.presence import demand_there
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
from reidstream.server.people_table import PeopleFilter, PeopleOrder, PeopleTable

router = APIRouter(prefix="/api/v1", tags=["people"])

# Visits given with a person; the rest comes by page.
MOST_VISITS = 200


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
    order: PeopleOrder = PeopleOrder.LAST_SEEN,
    limit: Limit = 60,
    after: After = None,
    upto: Annotated[str | None, Query(max_length=400, description="Nobody beyond this place, a page's `next`.")] = None,
) -> Response:
    """People, a page at a time. ``next`` is the ``after`` of the following page, null on the last one.

    A page that was read before is read again by its ``after``, and by its ``next`` as ``upto``.
    """
    desk.catalogue.refresh()
    wanted = PeopleFilter(tuple(camera or ()), since, until, named, words, quality, surer, doubtful)
    table = desk.tables.of(caller.cameras)
    mask = table.where(wanted, hidden_people(desk), shown=shown)
    page, following = table.page(mask, order, limit, _place(after), _place(upto))
    document = people_document(page, int(mask.sum()), *_counts(desk, caller, table), undecided=table.undecided)
    return answer({**document, "next": None if following is None else cursor(list(following))})


def _place(text: str | None) -> tuple[float, str] | None:
    if text is None:
        return None
    key, last = read_cursor(text, ((int, float), (str,)))
    # Numbers beyond all times and counts, as a made-up cursor may hold, are the first or the last place.
    return float(min(max(key, -1e300), 1e300)), last


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
        demand_there(connection, entry.person.id)
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
    found = desk.tables.of(caller.cameras).names_with(words)
    return answer({"names": [{"name": name, "person": found[name]} for name in sorted(found)[:limit]]})


def alike(desk: Desk, caller: Caller, entry: Entry, most: int) -> list[tuple[Entry, float]]:
    """Who looks most like a person, of those that the caller may see and that are not hidden."""
    apart = hidden_people(desk)

    def wanted(other: Entry) -> Entry | None:
        seen = other.within(caller.cameras) if other.person.id not in apart else None
        return seen if seen is not None and not seen.undecided else None

    return desk.looks.nearest(entry.person.id, most, wanted)


def hidden_people(desk: Desk) -> set[str]:
    with desk.gallery.read() as connection:
        return set(connection.execute(select(hidden.c.person)).scalars())


def _counts(desk: Desk, caller: Caller, table: PeopleTable) -> tuple[int, int]:
    """How many tracklets the caller may see, and how many of them have no person yet."""
    if caller.cameras is None:
        stored = len(desk.gallery)
        return stored, max(0, stored - desk.catalogue.visits)
    stored = sum(r.tracklets for r in desk.gallery.sources() if r.source in caller.cameras)
    return stored, max(0, stored - table.visits)


def _partly(desk: Desk, caller: Caller, entry: Entry) -> bool:
    """Whether there is more of a person than the caller may see; which cameras is not said."""
    whole = desk.catalogue.get(entry.person.id)
    return whole is not None and len(whole.visits) > len(entry.visits)
