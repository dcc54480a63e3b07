"""The application, made from a desk: tests call it as it is, ``running`` binds it to sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

import reidstream
from reidstream.server import pages
from reidstream.server.access.accounts import Accounts
from reidstream.server.api import accounts as account_routes
from reidstream.server.api import decisions, events, health, jobs, people, review, search, sources, tracklets
from reidstream.server.api.common import Needs
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.guard import OPEN, Guard, Trust
from reidstream.server.photos import Photos
from reidstream.server.problems import add_problems
from reidstream.server.review_queue import ReviewQueue

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_STATIC = Path(__file__).with_name("static")

_DESCRIPTION = """People of a gallery: who they are, when and where they were seen, and putting right what was decided
wrongly. Send a token (`Authorization: Bearer ...`), or the cookie of a session. Errors are problem details (RFC 9457)
in the words of the command line. Lists come in pages: `next` is the `after` of the page that follows."""


def create_app(
    desk: Desk,
    *,
    cameras: Cameras | None = None,
    accounts: Accounts | None = None,
    photos: Photos | None = None,
    trust: Trust | None = None,
) -> ASGIApp:
    """The application over a desk, guard included. Who makes the desk closes it."""
    app = FastAPI(
        title="ReIDStream",
        version=reidstream.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    people_of_server = accounts or Accounts(desk.gallery)
    cookie = f"reidstream-{desk.gallery.facts().uuid[:8]}"
    app.state.desk = desk
    app.state.accounts = people_of_server
    app.state.cameras = cameras or Cameras(desk)
    app.state.photos = photos or Photos(desk.gallery, desk.config)
    app.state.review = ReviewQueue(desk)
    app.state.cookie = cookie
    for router in _routers():
        app.include_router(router, prefix="/api/v1")
    app.include_router(health.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_problems(app)
    _demand_roles(app)
    return Guard(app, people_of_server, trust or Trust(), cookie)


def _routers() -> Iterator[APIRouter]:
    for module in (tracklets, people, decisions, review, search, events, sources, jobs, account_routes):
        yield module.router


def routes_of(app: FastAPI) -> Iterator[APIRoute]:
    """Every route of ours."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield route


def role_of(route: APIRoute) -> Needs | None:
    """The role that a route demands; None when it demands none."""
    demanded = [one.call for one in route.dependant.dependencies if isinstance(one.call, Needs)]
    return demanded[0] if demanded else None


def _demand_roles(app: FastAPI) -> None:
    """A route that forgot to say whom it is for is an error of ours that must not get as far as a user."""
    for route in routes_of(app):
        if role_of(route) is None and route.path not in OPEN:
            raise AssertionError(f"{route.path} demands no role and is not one of the open paths")
