"""Sources: what is read, how it goes, adding, trying out, pausing, removing."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from reidstream.config import SourceConfig
from reidstream.config.sources import Polygon, ZoneName
from reidstream.errors import AccessDenied
from reidstream.server.access.roles import Caller, Role
from reidstream.server.api.common import Operator, TheDesk, Viewer, answer, everything
from reidstream.server.cameras import Cameras
from reidstream.server.trial import try_source

router = APIRouter(prefix="/api/v1", tags=["sources"])

_EXAMPLE: Any = {"camera": {"value": {"uri": "rtsp://user:password@camera/stream", "name": "entrance"}}}


class Paused(BaseModel):
    """Whether a source is paused."""

    model_config = ConfigDict(extra="forbid")
    paused: bool = Field(description="true: read no further; false: go on.")


class Drawn(BaseModel):
    """What is drawn on a source's picture: all of it, or as it was where it is left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "ignore": [[[0.1, 0.2], [0.3, 0.2], [0.3, 0.8]]],
                    "zones": {"till": [[0.5, 0.5], [0.9, 0.5], [0.9, 0.9]]},
                }
            ]
        },
    )
    ignore: tuple[Polygon, ...] | None = Field(
        default=None, max_length=100, description="Regions that do not count: corners [x, y], 0 to 1, top left first."
    )
    zones: dict[ZoneName, Polygon] | None = Field(
        default=None, max_length=100, description="Named parts of the picture: who stands in which, and for how long."
    )

    @model_validator(mode="after")
    def _as_in_a_camera_list(self) -> Self:
        SourceConfig(uri="any", ignore=self.ignore or (), zones=self.zones or {})
        return self


@router.get("/sources")
def list_sources(request: Request, caller: Viewer) -> Response:
    """Every source and how it goes. Passwords are never given out."""
    shown = [camera.as_dict() for camera in _cameras(request).all() if _sees(caller, camera.name)]
    if not caller.role.may(Role.OPERATOR):
        for one in shown:
            del one["uri"]
    return answer({"sources": shown})


@router.post("/sources", status_code=201)
def add_source(
    request: Request,
    desk: TheDesk,
    caller: Operator,
    config: Annotated[SourceConfig, Body(openapi_examples=_EXAMPLE)],
) -> Response:
    """Read one more source, now and whenever the server starts."""
    everything(caller)
    _refuse_files(caller, config)
    camera = _cameras(request).add(config)
    desk.log.note(caller, "added a source", detail=camera.name)
    return answer(camera.as_dict(), 201)


@router.post("/sources/trial")
def try_out(caller: Operator, config: Annotated[SourceConfig, Body(openapi_examples=_EXAMPLE)]) -> Response:
    """The first picture of a source that is not read yet (JPEG, base64), or what is wrong with it."""
    everything(caller)
    _refuse_files(caller, config)
    return answer(try_source(config))


@router.patch("/sources/{name}")
def pause_source(name: str, wanted: Paused, request: Request, desk: TheDesk, caller: Operator) -> Response:
    """Pause a source or go on; what was seen is stored."""
    _demand(caller, name)
    camera = _cameras(request).pause(name, wanted.paused)
    desk.log.note(caller, "paused a source" if wanted.paused else "went on with a source", detail=name)
    return answer(camera.as_dict())


@router.get("/sources/{name}/picture")
def picture_of_source(name: str, request: Request, desk: TheDesk, caller: Operator) -> Response:
    """A source's picture as it is now (a video's first one), JPEG in base64, and what is drawn on it."""
    _demand(caller, name)
    camera = _cameras(request).get(name)
    found = try_source(camera.config)
    desk.log.note(caller, "looked at a source", detail=name)
    return answer({**found, "ignore": camera.config.ignore, "zones": camera.config.zones})


@router.put("/sources/{name}/regions")
def draw_on_source(name: str, wanted: Drawn, request: Request, desk: TheDesk, caller: Operator) -> Response:
    """Keep which regions of a picture do not count, and its zones. ``in_force``: now, or when it is read again."""
    _demand(caller, name)
    cameras = _cameras(request)
    now = cameras.draw(name, wanted.ignore, wanted.zones)
    config = cameras.get(name).config
    desk.log.note(caller, "drew regions", detail=f"{name}: {len(config.ignore)} and {len(config.zones)} zones")
    in_force = "now" if now else "when it is read again"
    return answer({"ignore": config.ignore, "zones": config.zones, "in_force": in_force})


@router.delete("/sources/{name}")
def remove_source(name: str, request: Request, desk: TheDesk, caller: Operator) -> Response:
    """Read a source no more; what is stored of it stays."""
    everything(caller)
    _cameras(request).remove(name)
    desk.log.note(caller, "removed a source", detail=name)
    return answer({"removed": name})


def _cameras(request: Request) -> Cameras:
    cameras: Cameras = request.app.state.cameras
    return cameras


def _sees(caller: Caller, name: str) -> bool:
    return caller.cameras is None or name in caller.cameras


def _demand(caller: Caller, name: str) -> None:
    if not _sees(caller, name):
        raise AccessDenied("you may not see this source")


def _refuse_files(caller: Caller, config: SourceConfig) -> None:
    """Files of the server's machine are for admins: an operator could look at any video there."""
    from reidstream.sources.address import Kind, kind_of

    if kind_of(config.uri) in {Kind.FILE, Kind.FOLDER} and not caller.role.may(Role.ADMIN):
        raise AccessDenied("only an admin may have files of the server's machine read; operators add cameras")
