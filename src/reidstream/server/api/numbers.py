"""How many people were where and when, and how they went from camera to camera."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from reidstream.numbers.asking import journeys_document, numbers_document
from reidstream.numbers.buckets import Bucket
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import TheDesk, Viewer, answer

router = APIRouter(prefix="/api/v1", tags=["numbers"])

Cameras = Annotated[list[str] | None, Query(max_length=100, description="Only this source; repeatable.")]
Moment = Annotated[
    str | None,
    Query(max_length=40, description="A day or a moment (2026-01-31T17:00) in that time zone, or Unix seconds."),
]
TimeZone = Annotated[str, Query(max_length=60, description="Whose hours and days, as Europe/Berlin.")]
Seconds = Annotated[float, Query(ge=0, le=1e7, description="Seconds within which somebody seen again has stayed.")]
Within = Annotated[float, Query(ge=0, le=1e7, description="Seconds within which somebody is on the way.")]


@router.get("/numbers")
def numbers(
    desk: TheDesk,
    caller: Viewer,
    camera: Cameras = None,
    by: Bucket = Bucket.HOUR,
    since: Moment = None,
    until: Moment = None,
    time_zone: TimeZone = "UTC",
    stay: Seconds = 60.0,
) -> Response:
    """People of each camera and named zone in each hour or day: expected numbers, each with a 90 % interval.

    Whoever sees some cameras only counts what these saw; whom only others have seen before is new to them.
    """
    words = {**_common(caller, camera, since, until, time_zone), "stay": stay}
    return answer(numbers_document(desk.gallery, by=by.value, **words))


@router.get("/journeys")
def journeys(
    desk: TheDesk,
    caller: Viewer,
    camera: Cameras = None,
    since: Moment = None,
    until: Moment = None,
    time_zone: TimeZone = "UTC",
    stay: Seconds = 60.0,
    within: Within = 3600.0,
) -> Response:
    """How many went from each camera to each other one, came in and went out: expected, each with a 90 % interval."""
    words = {**_common(caller, camera, since, until, time_zone), "stay": stay, "within": within}
    return answer(journeys_document(desk.gallery, **words))


def _common(
    caller: Caller, camera: list[str] | None, since: str | None, until: str | None, time_zone: str
) -> dict[str, Any]:
    visible = None if caller.cameras is None else caller.sources
    return {"visible": visible, "cameras": camera or (), "since": since, "until": until, "time_zone": time_zone}
