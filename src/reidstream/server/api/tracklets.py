"""What was seen: facts of the gallery, tracklets by page, their pictures."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select

from reidstream.clips import clip_of
from reidstream.documents import facts_document, left_out_document, tracklet_document
from reidstream.errors import TrackletNotFound
from reidstream.gallery import Filter
from reidstream.gallery.rows import rows_of
from reidstream.gallery.schema import tracklets
from reidstream.identities.schema import members
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import (
    After,
    Limit,
    TheDesk,
    Viewer,
    answer,
    cursor,
    everything,
    read_cursor,
    tracklet_source,
)
from reidstream.server.shown_clip import recording_to_cut
from reidstream.server.still import still_of

router = APIRouter(prefix="/api/v1", tags=["what was seen"])

WIDTHS = (64, 128, 256, 512)
"""Widths in which pictures are given out, in pixels; others would only fill caches."""


def _seen_by(caller: Caller, camera: list[str] | None) -> tuple[str, ...]:
    """The sources that are asked for, as far as the caller may see them; those of all when none is named."""
    sources = tuple(camera or ())
    if caller.cameras is None:
        return sources
    return tuple(s for s in sources if s in caller.cameras) or (("\0",) if sources else caller.sources)


@router.get("/facts")
def facts(desk: TheDesk, caller: Viewer) -> Response:
    """What is in the gallery: model, recordings, numbers, state of the index."""
    return answer(facts_document(desk.gallery, caller.cameras))


@router.get("/left-out")
def list_left_out(
    desk: TheDesk,
    caller: Viewer,
    camera: Annotated[list[str] | None, Query(max_length=100, description="Of this source; repeatable.")] = None,
    since: Annotated[float | None, Query(description="Seen after this time, Unix seconds.")] = None,
    until: Annotated[float | None, Query(description="Seen before this time, Unix seconds.")] = None,
    media_since: Annotated[float | None, Query(description="Seen after this time in its video, seconds.")] = None,
    media_until: Annotated[float | None, Query(description="Seen before this time in its video, seconds.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most this many.")] = 100,
) -> Response:
    """What was seen and not stored, and why, in order of time: too short, no usable picture, guessed, a thing."""
    where = Filter(_seen_by(caller, camera), since, until, media_since, media_until)
    return answer(left_out_document(desk.gallery.left_out(where, limit), desk.gallery.left_out_counts(where)))


@router.get("/tracklets")
def list_tracklets(
    desk: TheDesk,
    caller: Viewer,
    camera: Annotated[list[str] | None, Query(max_length=100, description="Of this source; repeatable.")] = None,
    since: Annotated[float | None, Query(description="Seen after this time, Unix seconds.")] = None,
    until: Annotated[float | None, Query(description="Seen before this time, Unix seconds.")] = None,
    media_since: Annotated[float | None, Query(description="Seen after this time in its video, seconds.")] = None,
    media_until: Annotated[float | None, Query(description="Seen before this time in its video, seconds.")] = None,
    zone: Annotated[list[str] | None, Query(max_length=100, description="In this named zone; repeatable.")] = None,
    person: Annotated[bool | None, Query(description="With a person, or without.")] = None,
    quality: Annotated[float, Query(ge=0, le=1, description="Seen at least this well.")] = 0.0,
    purer: Annotated[float | None, Query(ge=0, le=1, description="Less surely one person than this.")] = None,
    limit: Limit = 100,
    after: After = None,
) -> Response:
    """Tracklets in the order of storing, a page at a time."""
    where = Filter(_seen_by(caller, camera), since, until, media_since, media_until, zones=tuple(zone or ()))
    c = tracklets.c
    query = select(c.seq, c.id).where(where.clause(), c.quality >= quality)
    if purer is not None:
        query = query.where(c.purity < purer)
    if person is not None:
        held = c.id.in_(select(members.c.tracklet))
        query = query.where(held if person else ~held)
    if after is not None:
        query = query.where(c.seq > read_cursor(after, ((int,),))[0])
    with desk.gallery.read() as connection:
        rows = connection.execute(query.order_by(c.seq).limit(limit + 1)).all()
        page = rows[:limit]
        records = list(rows_of(connection, Filter(), [row.id for row in page]).records())
    for record in records:
        record["person"] = desk.catalogue.owner(record["id"])
    return answer({"tracklets": records, "next": cursor([page[-1].seq]) if len(rows) > limit else None})


@router.get("/tracklets/{tracklet}")
def show_tracklet(tracklet: str, desk: TheDesk, caller: Viewer) -> Response:
    """Everything about one tracklet."""
    whole = desk.gallery.find(tracklet)
    tracklet_source(desk, caller, whole)
    desk.log.note(caller, "looked at a tracklet", tracklet=whole)
    return answer(tracklet_document(desk.gallery, whole))


@router.get("/tracklets/{tracklet}/person")
def person_of_tracklet(tracklet: str, desk: TheDesk, caller: Viewer) -> Response:
    """The id of the person of a tracklet, null without one."""
    tracklet_source(desk, caller, tracklet)
    desk.catalogue.refresh()
    return answer({"person": desk.catalogue.owner(tracklet)})


@router.get("/tracklets/{tracklet}/crop", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def crop(
    tracklet: str,
    request: Request,
    desk: TheDesk,
    caller: Viewer,
    w: Annotated[int | None, Query(ge=1, le=512, description="No wider than about this many pixels.")] = None,
) -> Response:
    """The best picture of a tracklet, as JPEG. A browser keeps it for five minutes."""
    tracklet_source(desk, caller, tracklet)
    jpeg = desk.gallery.crop(tracklet)
    if jpeg is None:
        raise TrackletNotFound(f"no picture was kept of tracklet {tracklet}")
    width = None if w is None else next((one for one in WIDTHS if one >= w), WIDTHS[-1])
    tag = f'"{hashlib.blake2b(jpeg, digest_size=12).hexdigest()}-{width or 0}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=300"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(jpeg if width is None else narrower(jpeg, width), media_type="image/jpeg", headers=headers)


@router.get("/tracklets/{tracklet}/frame")
def frame(tracklet: str, desk: TheDesk, caller: Viewer) -> Response:
    """The frame of the recording at the tracklet's best picture, with the box. ``picture``: JPEG, base64; null where
    there is none, and ``why`` says why: nothing is kept of live cameras, or the recording is not there any more.
    ``clip``: whether there is one of the visit: it was kept, or can be cut out of the recording."""
    tracklet_source(desk, caller, tracklet)
    desk.log.note(caller, "looked at a frame", tracklet=tracklet)
    jpeg, why = still_of(desk.gallery, tracklet)
    clip = clip_of(desk.gallery, tracklet) is not None or (
        recording_to_cut(desk.gallery.sources(), desk.gallery.tracklet(tracklet).content) is not None
    )
    return answer({"picture": None if jpeg is None else base64.b64encode(jpeg).decode(), "why": why, "clip": clip})


@router.get("/names-of-cameras")
def cameras(desk: TheDesk, caller: Viewer) -> Response:
    """The sources that the caller may see."""
    known = sorted({recording.source for recording in desk.gallery.sources()})
    return answer({"cameras": [name for name in known if caller.cameras is None or name in caller.cameras]})


@router.get("/check")
def check(desk: TheDesk, caller: Viewer) -> Response:
    """Whether anything in the gallery contradicts itself. Takes seconds in large galleries."""
    from dataclasses import asdict

    everything(caller)
    return answer(asdict(desk.gallery.check()))


def narrower(jpeg: bytes, width: int) -> bytes:
    """The picture no wider than this; itself when it is not wider, or cannot be read."""
    import cv2
    import numpy as np

    try:
        picture: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None or picture.shape[1] <= width:
        return jpeg
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes() if done else jpeg
