"""Clips of visits and of alerts: what was kept, or is cut out of the recording for the answer."""

from __future__ import annotations

import shutil
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from reidstream.clips import clip_of
from reidstream.clips.span import Span, span_of
from reidstream.errors import TrackletNotFound, WatchNotFound
from reidstream.server.api.alerts import alert_seen
from reidstream.server.api.common import TheDesk, Viewer, tracklet_source
from reidstream.server.shown_clip import recording_to_cut, shown_clip

router = APIRouter(prefix="/api/v1", tags=["what was seen"])

_KINDS = {".mp4": "video/mp4", ".mkv": "video/x-matroska"}
# What is deleted must not stay in the browser.
_NOT_KEPT = {"Cache-Control": "private, no-store"}


@router.get("/tracklets/{tracklet}/clip", response_class=FileResponse)
def clip(tracklet: str, desk: TheDesk, caller: Viewer) -> Response:
    """The clip of a visit: the one that was kept, or one that is cut out of the recording; players may ask for parts
    of it."""
    tracklet_source(desk, caller, tracklet)
    path = clip_of(desk.gallery, tracklet)
    if path is not None:
        desk.log.note(caller, "looked at a clip", tracklet=tracklet)
        return _file(path)
    whole = desk.gallery.tracklet(tracklet)
    recording = recording_to_cut(desk.gallery.sources(), whole.content)
    if recording is None:
        raise TrackletNotFound(f"no clip was kept of tracklet {tracklet}, and there is no recording to cut one out of")
    desk.log.note(caller, "looked at a clip", tracklet=tracklet)
    return _cut(recording, whole.content, span_of(whole, desk.config.clips))


@router.get("/alerts/{alert}/clip", response_class=FileResponse)
def clip_of_alert(alert: str, desk: TheDesk, caller: Viewer) -> Response:
    """The clip of an alert: of the visit that it was about, once there is one, else out of the recording around it."""
    found = alert_seen(desk, caller, alert)
    path = None if found["tracklet"] is None else clip_of(desk.gallery, found["tracklet"])
    recording = recording_to_cut(desk.gallery.sources(), found["content"]) if path is None else None
    if path is None and recording is None:
        raise WatchNotFound("no clip was kept of this alert, and there is no recording to cut one out of")
    person = (found["person"] or {}).get("id")
    desk.log.note(caller, "looked at a clip of an alert", person=person, tracklet=found["tracklet"])
    if path is not None:
        return _file(path)
    assert recording is not None
    wanted = desk.config.clips
    start = max(0.0, found["start_media"] - wanted.margin, found["media"] - wanted.seconds / 2)
    return _cut(recording, found["content"], Span(start, found["media"] + wanted.seconds / 2))


def _file(path: Path, gone: BackgroundTask | None = None) -> Response:
    kind = _KINDS.get(path.suffix, "application/octet-stream")
    return FileResponse(path, media_type=kind, headers=_NOT_KEPT, background=gone)


def _cut(recording: Path, content: str, span: Span) -> Response:
    """A clip that is there for this answer alone. Raises SourceBroken."""
    path = shown_clip(recording, content, span)
    return _file(path, BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True))
