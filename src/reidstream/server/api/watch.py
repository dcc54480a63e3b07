"""Watch lists and rules: whom alerts are raised about, what for, and until when."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from reidstream.alerts.lists import PHOTO_DAYS, WatchLists
from reidstream.alerts.rules import RuleSettings
from reidstream.server.api.common import Operator, TheDesk, answer, entry_of, everything
from reidstream.server.api.search import photo_of, read_box
from reidstream.server.desk import Desk
from reidstream.server.photos import Photos

router = APIRouter(prefix="/api/v1", tags=["watch"])


class NewList(BaseModel):
    """A watch list, with what it is for and when it ends."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "barred", "purpose": "banned from the shop by a court", "until": 1800000000}]
        },
    )
    name: str = Field(min_length=1, max_length=100, description="What it is called.")
    purpose: str = Field(min_length=5, max_length=1000, description="What it is for, in words.")
    until: float = Field(ge=0, le=1e11, description="When it ends, Unix seconds; within a year.")


class NewPerson(BaseModel):
    """Somebody to put on a list."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"person": "Ann"}]})
    person: str = Field(min_length=1, max_length=200, description="Their name, number or id.")


class Active(BaseModel):
    """Whether a rule holds."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"active": False}]})
    active: bool = Field(description="false: it says nothing for now.")


@router.get("/watch/lists")
def list_lists(desk: TheDesk, caller: Operator) -> Response:
    """Every watch list, what it is for, when it ends and who is on it."""
    everything(caller)
    return answer({"lists": [one.as_dict() for one in _lists(desk).all()]})


@router.post("/watch/lists", status_code=201)
def make_list(desk: TheDesk, caller: Operator, wanted: NewList) -> Response:
    """Make a watch list."""
    everything(caller)
    made = _lists(desk).make(wanted.name, wanted.purpose, wanted.until, caller.name)
    desk.log.note(caller, "made a watch list", detail=made.id)
    return answer(made.as_dict(), 201)


@router.delete("/watch/lists/{name}")
def drop_list(name: str, desk: TheDesk, caller: Operator) -> Response:
    """Delete a list with everybody on it, and the rules about it; what was raised stays."""
    everything(caller)
    found = _lists(desk).get(name)
    _lists(desk).drop(found.id)
    _changed(desk)
    desk.log.note(caller, "deleted a watch list", detail=found.id)
    return answer({"deleted": found.id})


@router.post("/watch/lists/{name}/people", status_code=201)
def add_person(name: str, desk: TheDesk, caller: Operator, wanted: NewPerson) -> Response:
    """Put somebody of the gallery on a list."""
    everything(caller)
    entry = entry_of(desk, caller, wanted.person)
    made = _lists(desk).add_person(name, entry.best, caller.name)
    _changed(desk)
    desk.log.note(caller, "put somebody on a watch list", person=entry.person.id, detail=made.list)
    return answer(made.as_dict(), 201)


@router.post("/watch/lists/{name}/photos", status_code=201)
async def add_photo(
    name: str,
    request: Request,
    desk: TheDesk,
    caller: Operator,
    box: Annotated[str | None, Query(max_length=60, description="The person in the photo, x1,y1,x2,y2.")] = None,
    whole: Annotated[bool, Query(description="The whole photo is the person.")] = False,
    days: Annotated[float, Query(gt=0, le=366, description="After how many days the photo is deleted.")] = PHOTO_DAYS,
) -> Response:
    """Put whoever the photo in the request's body (JPEG, PNG, WebP) shows on a list; kept is the cut-out person."""
    everything(caller)
    data = await photo_of(request)
    photos: Photos = request.app.state.photos

    def work() -> dict[str, Any]:
        lists = _lists(desk)
        lists.get(name)
        asked = photos.query(data, read_box(box), whole)
        made = lists.add_photo(name, asked.vector, asked.crop or b"", caller.name, days)
        _changed(desk)
        desk.log.note(caller, "put a photo on a watch list", detail=made.list)
        return made.as_dict()

    return answer(await run_sync(work), 201)


@router.get("/watch/entries/{entry}/photo")
def entry_photo(entry: str, desk: TheDesk, caller: Operator) -> Response:
    """The photo of an entry."""
    everything(caller)
    return _jpeg(_lists(desk).photo(entry))


@router.delete("/watch/lists/{name}/entries/{entry}")
def remove_entry(name: str, entry: str, desk: TheDesk, caller: Operator) -> Response:
    """Take somebody, or a photo, off a list."""
    everything(caller)
    _lists(desk).remove(name, entry)
    _changed(desk)
    desk.log.note(caller, "took an entry off a watch list", detail=entry)
    return answer({"removed": entry})


@router.get("/watch/rules")
def list_rules(desk: TheDesk, caller: Operator) -> Response:
    """Every rule, and whether it holds."""
    everything(caller)
    return answer({"rules": [rule.as_dict() for rule in _lists(desk).rules()]})


@router.post("/watch/rules", status_code=201)
def add_rule(desk: TheDesk, caller: Operator, wanted: RuleSettings) -> Response:
    """Add a rule; it holds from now on."""
    everything(caller)
    made = _lists(desk).add_rule(wanted, caller.name)
    _changed(desk)
    desk.log.note(caller, "added a rule", detail=made.id)
    return answer(made.as_dict(), 201)


@router.patch("/watch/rules/{name}")
def switch_rule(name: str, desk: TheDesk, caller: Operator, wanted: Active) -> Response:
    """Have a rule hold, or not for now."""
    everything(caller)
    found = _lists(desk).switch(name, wanted.active)
    _changed(desk)
    desk.log.note(caller, "switched a rule on" if wanted.active else "switched a rule off", detail=found.id)
    return answer(found.as_dict())


@router.delete("/watch/rules/{name}")
def drop_rule(name: str, desk: TheDesk, caller: Operator) -> Response:
    """Delete a rule; what it raised stays."""
    everything(caller)
    found = _lists(desk).rule(name)
    _lists(desk).drop_rule(found.id)
    _changed(desk)
    desk.log.note(caller, "deleted a rule", detail=found.id)
    return answer({"deleted": found.id})


def _lists(desk: Desk) -> WatchLists:
    return desk.watching.watch.lists


def _changed(desk: Desk) -> None:
    desk.watching.watch.reload()


def _jpeg(data: bytes) -> Response:
    headers = {"Cache-Control": "private, max-age=300"}
    return Response(data, media_type="image/jpeg", headers=headers)
