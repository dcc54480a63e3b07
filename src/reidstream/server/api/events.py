"""What happens, as it happens: server-sent events that can be taken up again, and pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from reidstream.identities.outbox import OutboxEvent, events_after
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import Limit, TheAccounts, TheDesk, Viewer, answer
from reidstream.server.desk import Desk

router = APIRouter(prefix="/api/v1", tags=["events"])

LOOK_EVERY = 0.5
"""Seconds between two looks for new events."""
SIGN_OF_LIFE = 15.0
"""Seconds of silence after which something is sent, so that proxies keep the connection; also how soon a stream ends
whose session was ended."""


@router.get("/events")
def events(
    desk: TheDesk,
    caller: Viewer,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only events after this number.")] = 0,
    limit: Limit = 100,
) -> Response:
    """Events after a number, in order. ``next`` is where to go on."""
    found = events_after(desk.gallery, after, limit)
    shown = [event.as_dict() for event in found if visible(desk, caller, event)]
    return answer({"events": shown, "next": found[-1].seq if found else after})


@router.get("/events/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    desk: TheDesk,
    accounts: TheAccounts,
    caller: Viewer,
    after: Annotated[int | None, Query(ge=0, le=2**53, description="Only events after this number.")] = None,
) -> Response:
    """Events as they happen, each with its number as ``id``: a browser that lost the connection goes on from there."""
    last = request.headers.get("last-event-id", "")
    begin = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else after
    if begin is None:
        begin = await run_sync(desk.last_event)
    return StreamingResponse(
        _stream(desk, accounts, caller, begin, request),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _stream(desk: Desk, accounts: Any, caller: Caller, seq: int, request: Request) -> AsyncIterator[str]:
    # At once, so that the other side knows that it is connected, and how long to wait before it tries again.
    yield f"retry: 2000\nid: {seq}\n\n"
    spoke = time.monotonic()
    while not desk.closing:
        if await run_sync(desk.last_event) > seq:
            for event in await run_sync(events_after, desk.gallery, seq, 200):
                seq = event.seq
                if await run_sync(visible, desk, caller, event):
                    yield f"id: {seq}\nevent: {event.kind}\ndata: {json.dumps(event.as_dict())}\n\n"
            spoke = time.monotonic()
        if time.monotonic() - spoke > SIGN_OF_LIFE:
            if caller.session is not None and not await run_sync(accounts.holds, caller.session):
                return
            yield f": {seq}\n\n"
            spoke = time.monotonic()
        if await request.is_disconnected():
            return
        await asyncio.sleep(LOOK_EVERY)


def visible(desk: Desk, caller: Caller, event: OutboxEvent) -> bool:
    """Whether a caller may hear of an event: whoever sees some cameras only hears of tracklets of those."""
    if caller.cameras is None:
        return True
    source = event.payload.get("source")
    if source is None and event.payload.get("tracklet"):
        rows = desk.gallery.rows(ids=[event.payload["tracklet"]])
        source = str(rows.source[0]) if len(rows) else None
    return source is not None and source in caller.cameras
