"""Alerts: what was raised, why, the picture of the moment, and that somebody has seen to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from reidstream.alerts import Alerts
from reidstream.clips import clips_of
from reidstream.errors import WatchNotFound
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import Limit, Reviewer, TheDesk, Viewer, answer
from reidstream.server.desk import Desk
from reidstream.server.shown_clip import recording_to_cut

router = APIRouter(prefix="/api/v1", tags=["alerts"])

State = Literal["open", "raised", "confirmed", "withdrawn"]


@router.get("/alerts")
def list_alerts(
    desk: TheDesk,
    caller: Viewer,
    state: Annotated[State | None, Query(description="open: nobody has seen to it, and it holds.")] = None,
    rule: Annotated[str | None, Query(max_length=100, description="Only of this rule, by id or name.")] = None,
    camera: Annotated[list[str] | None, Query(max_length=100, description="Only of this source; repeatable.")] = None,
    before: Annotated[float | None, Query(ge=0, le=1e11, description="The ``next`` of the page before.")] = None,
    limit: Limit = 100,
) -> Response:
    """Alerts, the newest first. ``next`` is the ``before`` of the page that follows."""
    found = _alerts(desk).page(limit, before, _cameras(caller, camera), state, rule)
    shown = _with_clips(desk, [_shown(desk, caller, one) for one in found])
    return answer({"alerts": shown, "next": found[-1]["raised"] if len(found) == limit else None})


@router.get("/alerts/{alert}")
def one_alert(alert: str, desk: TheDesk, caller: Viewer) -> Response:
    """One alert, and why it was raised."""
    (shown,) = _with_clips(desk, [_shown(desk, caller, alert_seen(desk, caller, alert))])
    return answer(shown)


@router.get("/alerts/{alert}/frame")
def frame_of_alert(alert: str, desk: TheDesk, caller: Viewer) -> Response:
    """The camera's picture when it was raised; where there is none, the best one of whom it is about."""
    found = alert_seen(desk, caller, alert)
    picture = _alerts(desk).picture(alert) or _alerts(desk).picture(alert, "crop")
    if picture is None:
        raise WatchNotFound("there is no picture of this alert any more")
    desk.log.note(caller, "looked at an alert", person=(found["person"] or {}).get("id"), tracklet=found["tracklet"])
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})


@router.post("/alerts/{alert}/acknowledge")
def acknowledge(alert: str, desk: TheDesk, caller: Reviewer) -> Response:
    """Say that somebody has seen to it."""
    alert_seen(desk, caller, alert)
    (shown,) = _with_clips(desk, [_shown(desk, caller, _alerts(desk).acknowledge(alert, caller.name))])
    return answer(shown)


def _alerts(desk: Desk) -> Alerts:
    return desk.watching.watch.alerts


def _cameras(caller: Caller, wanted: list[str] | None) -> list[str] | None:
    if caller.cameras is None:
        return wanted or None
    return [name for name in wanted if name in caller.cameras] if wanted else sorted(caller.cameras)


def alert_seen(desk: Desk, caller: Caller, alert: str) -> dict[str, Any]:
    """An alert that the caller may see. Raises WatchNotFound."""
    found = _alerts(desk).get(alert)
    if caller.cameras is not None and found["source"] not in caller.cameras:
        raise WatchNotFound(f"no alert {alert!r}")
    return found


def _shown(desk: Desk, caller: Caller, alert: dict[str, Any]) -> dict[str, Any]:
    """An alert as a caller may see it: whoever sees some cameras only hears a name of people seen there alone."""
    person = alert["person"]
    if person is not None and caller.cameras is not None and desk.entry(caller, person["id"]) is None:
        return {**alert, "person": None}
    return alert


def _with_clips(desk: Desk, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Alerts with whether there is a clip of each: kept of the visit, or a recording to cut it out of."""
    kept = clips_of(desk.gallery, [one["tracklet"] for one in found if one["tracklet"] is not None])
    contents = {one["content"] for one in found if one["tracklet"] not in kept}
    known = [one for one in desk.gallery.sources() if one.content in contents] if contents else []
    there = {content for content in contents if recording_to_cut(known, content) is not None}
    return [{**one, "clip": one["tracklet"] in kept or one["content"] in there} for one in found]
