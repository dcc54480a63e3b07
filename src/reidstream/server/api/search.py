"""Searching: by a stored tracklet, a vector, or a photo that is sent."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from reidstream.errors import ConfigError
from reidstream.gallery import Filter
from reidstream.gallery.reranking import Reranking, search_reranked
from reidstream.search.answers import Answer
from reidstream.search.query import Query as Question
from reidstream.search.query import tracklet_query
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import TheDesk, Viewer, answer, tracklet_source
from reidstream.server.desk import Desk
from reidstream.server.photos import MOST_BYTES, Photos, media_types

router = APIRouter(prefix="/api/v1", tags=["search"])

K = Annotated[int, Query(ge=1, le=500, description="How many to find.")]


class Search(BaseModel):
    """One of tracklet and vector."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"tracklet": "3fa1", "k": 5}, {"vector": [0.1, -0.2], "k": 5}]}
    )

    tracklet: str | None = Field(default=None, min_length=1, max_length=64)
    vector: list[float] | None = Field(default=None, min_length=1, max_length=8192)
    k: int = Field(default=10, ge=1, le=500, description="How many to find.")
    cameras: list[str] = Field(default=[], max_length=100, description="Only these sources.")
    since: float | None = Field(default=None, description="Only what was seen after this time, Unix seconds.")
    until: float | None = Field(default=None, description="Only what was seen before this time, Unix seconds.")
    rerank: bool = Field(default=False, description="A better order of the first answers, by mutual neighbours.")


@router.post("/search")
def search(desk: TheDesk, caller: Viewer, wanted: Search) -> Response:
    """Who somebody is, or that it is nobody known, and the tracklets that look most like them."""
    if (wanted.tracklet is None) == (wanted.vector is None):
        raise ConfigError("search for a tracklet or for a vector, one of the two")
    where = Filter(_sources(caller, wanted.cameras), wanted.since, wanted.until)
    if wanted.tracklet is not None:
        whole = desk.gallery.find(wanted.tracklet)
        tracklet_source(desk, caller, whole)
        asked = tracklet_query(desk.gallery, whole)
    else:
        asked = _vector(desk, wanted.vector or [])
    desk.log.note(caller, "searched", tracklet=asked.tracklet, detail="a vector" if asked.tracklet is None else "")
    return answer(found_by(desk, caller, asked, wanted.k, where, wanted.rerank))


@router.post("/search/photo")
async def search_photo(
    request: Request,
    desk: TheDesk,
    caller: Viewer,
    box: Annotated[str | None, Query(max_length=60, description="The person in the photo, x1,y1,x2,y2.")] = None,
    whole: Annotated[bool, Query(description="The whole photo is the person.")] = False,
    k: K = 10,
    camera: Annotated[list[str] | None, Query(max_length=100, description="Only this source; repeatable.")] = None,
) -> Response:
    """The same for the photo in the request's body (JPEG, PNG, WebP): its largest person unless a box is given."""
    from anyio.to_thread import run_sync

    data = await photo_of(request)
    photos: Photos = request.app.state.photos

    def work() -> dict[str, Any]:
        asked = photos.query(data, read_box(box), whole)
        desk.log.note(caller, "searched", detail="a photo")
        return found_by(desk, caller, asked, k, Filter(_sources(caller, camera or [])), False)

    return answer(await run_sync(work))


@router.post("/photos/people")
async def people_in_photo(request: Request, caller: Viewer) -> Response:
    """The boxes of the people in the photo in the request's body, x1, y1, x2, y2 in its pixels, the largest first."""
    from anyio.to_thread import run_sync

    data = await photo_of(request)
    photos: Photos = request.app.state.photos
    return answer(await run_sync(photos.people, data))


def found_by(desk: Desk, caller: Caller, asked: Question, k: int, where: Filter, rerank: bool) -> dict[str, Any]:
    """The answer to a question, of what the caller may see."""
    most = k + (asked.tracklet is not None)
    vector = asked.vector
    if rerank:
        found = search_reranked(desk.gallery, vector, most, Reranking(), where)[0]
    else:
        found = desk.gallery.search(vector, most, where)[0]
    matches = [match for match in found if match.tracklet != asked.tracklet][:k]
    identity = desk.who_is(caller, asked, [match.tracklet for match in matches])
    return Answer(asked, identity, tuple(matches)).as_dict(desk.gallery)


async def photo_of(request: Request) -> bytes:
    """The body, as long as it may be. Raises ConfigError."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in media_types():
        raise ConfigError(f"send the photo itself as the body, as one of {', '.join(media_types())}; got {kind!r}")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            raise ConfigError(f"a photo may have {MOST_BYTES // 2**20} MiB")
    return bytes(data)


def read_box(text: str | None) -> tuple[int, int, int, int] | None:
    """The pixels of x1,y1,x2,y2. Raises ConfigError."""
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"box must be x1,y1,x2,y2 in pixels, got {text!r}") from None
    if not (0 <= x1 < x2 <= 2**20 and 0 <= y1 < y2 <= 2**20):
        raise ConfigError(f"box must have 0 <= x1 < x2 and 0 <= y1 < y2, got {text!r}")
    return x1, y1, x2, y2


def _sources(caller: Caller, wanted: list[str]) -> tuple[str, ...]:
    if not wanted:
        return caller.sources
    seen = tuple(name for name in wanted if caller.cameras is None or name in caller.cameras)
    return seen or ("\0",)


def _vector(desk: Desk, values: list[float]) -> Question:
    vector = np.array(values, np.float64)
    with np.errstate(over="ignore"):
        # What is too large becomes infinite, and is refused as such.
        length = float(np.linalg.norm(vector))
    size = desk.gallery.space.size
    if len(vector) != size or not np.isfinite(length) or length < 1e-12:
        raise ConfigError(f"the vector must have {size} finite numbers, as the gallery's model makes, not all zero")
    return Question((vector / length).astype(np.float32), "a vector")
