"""Live pictures: one WebSocket for all cameras that somebody looks at."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import CancelScope, create_task_group
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from reidstream.server.access.roles import Caller
from reidstream.server.api.common import TheDesk, Viewer, answer
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.live.fragments import Fragment
from reidstream.server.live.hub import Viewer as Looking
from reidstream.server.live.picture import View

router = APIRouter(prefix="/api/v1", tags=["live"])

HEALTH_EVERY = 1.0
"""Seconds between two looks at how the cameras do, and at whether whoever looks still may."""
MOST_TILES = 256

SESSION_ENDED, WRONG_WORDS, SERVER_ENDS = 4401, 1008, 1001
"""Codes with which the server closes: the session or token has ended; what was sent is not understood; the server
ends."""


class Looks(BaseModel):
    """What a browser shows: tiles that are on the screen, and the camera that is shown large."""

    model_config = ConfigDict(extra="forbid")
    tiles: list[str] = Field(default=[], max_length=MOST_TILES, description="Cameras whose tiles are on the screen.")
    large: str | None = Field(default=None, description="The camera that is shown large.")
    moving: str | None = Field(default=None, description="The camera that is shown large as it sends itself.")


@router.get("/live/cameras")
def live_cameras(request: Request, caller: Viewer) -> Response:
    """The cameras of the live page, and how each is doing, in words."""
    return answer({"cameras": _health(request.app.state.cameras, caller)})


@router.websocket("/live")
async def live(websocket: WebSocket, desk: TheDesk, caller: Viewer) -> None:
    """Send ``{"tiles": [names], "large": name, "moving": name}`` whenever what is shown changes. What comes: texts with
    how the cameras are doing, pictures (``LivePicture.message``), and parts of films (``Fragment.message``)."""
    await websocket.accept()
    cameras: Cameras = websocket.app.state.cameras
    ends: list[tuple[int, str]] = []
    try:
        with cameras.live.viewer() as viewer:
            async with create_task_group() as tasks:

                async def until(work: Callable[..., Awaitable[tuple[int, str]]]) -> None:
                    ends.append(await work(websocket, desk, cameras, caller, viewer))
                    tasks.cancel_scope.cancel()

                tasks.start_soon(until, _hear)
                tasks.start_soon(until, _show)
    finally:
        # The cameras hear that somebody has gone, however that was.
        with CancelScope(shield=True):
            await run_sync(cameras.live.settle)
    code, words = ends[0]
    if code:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(code, words)


async def _hear(websocket: WebSocket, desk: Desk, cameras: Cameras, caller: Caller, viewer: Looking) -> tuple[int, str]:
    """Take over what is looked at, until the browser has gone; with which code to close then, 0 for none."""
    looked: set[str] = set()
    while True:
        try:
            said = Looks.model_validate_json(await websocket.receive_text())
        except WebSocketDisconnect:
            return 0, ""
        except (ValidationError, KeyError):
            return WRONG_WORDS, 'expected {"tiles": [names], "large": name or null, "moving": name or null}'
        keys = {(name, View.TILE) for name in said.tiles}
        if said.large is not None:
            keys.add((said.large, View.LARGE))
        if said.moving is not None:
            keys.add((said.moving, View.MOVING))
        keys = {(name, view) for name, view in keys if _sees(caller, name)}
        for name in sorted({name for name, _ in keys} - looked):
            await run_sync(_note, desk, caller, name)
        looked |= {name for name, _ in keys}
        await run_sync(cameras.live.look, viewer, frozenset(keys))


async def _show(websocket: WebSocket, desk: Desk, cameras: Cameras, caller: Caller, viewer: Looking) -> tuple[int, str]:
    """Send what comes. A socket that lags gets the newest picture of each camera when it is ready, and no other."""
    holds: Callable[[], Any] = websocket.state.holds
    said: list[dict[str, Any]] | None = None
    looked = 0.0
    try:
        while not desk.closing:
            if time.monotonic() - looked >= HEALTH_EVERY:
                if not await holds():
                    return SESSION_ENDED, "log in again"
                now = await run_sync(_health, cameras, caller)
                if now != said:
                    await websocket.send_json({"cameras": now})
                said, looked = now, time.monotonic()
            taken = await viewer.next(HEALTH_EVERY)
            if taken is not None:
                picture, lost = taken
                if isinstance(picture, Fragment):
                    await websocket.send_bytes(picture.message(lost))
                    continue
                named = picture.tracks and desk.watching.watch.in_view(picture.source)
                names = await run_sync(desk.names_in_view, caller, picture.source) if named else {}
                await websocket.send_bytes(picture.message(names, lost))
    except (WebSocketDisconnect, RuntimeError):
        # Starlette says so when somebody sends after the other side has gone.
        return 0, ""
    return SERVER_ENDS, "the server ends"


def _health(cameras: Cameras, caller: Caller) -> list[dict[str, Any]]:
    """What a tile says of its camera."""
    kept = ("name", "state", "words", "live", "by_run", "open_tracks")
    shown = []
    for camera in cameras.all():
        if _sees(caller, camera.name):
            about = camera.as_dict()
            shown.append({**{key: about[key] for key in kept}, "pictures": cameras.shows(camera)})
    return shown


def _sees(caller: Caller, name: str) -> bool:
    return caller.cameras is None or name in caller.cameras


def _note(desk: Desk, caller: Caller, name: str) -> None:
    desk.log.note(caller, "watched a camera live", detail=name)
