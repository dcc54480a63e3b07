"""The application, made from a desk: tests call it as it is, ``running`` binds it to sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.staticfiles import StaticFiles

import reidstream
from reidstream.server import pages
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.api import accounts as account_routes
from reidstream.server.api import (
    alerts,
    clips,
    decisions,
    events,
    health,
    jobs,
    live,
    numbers,
    openid,
    people,
    privacy,
    retention,
    review,
    search,
    sources,
    targets,
    tracklets,
    watch,
)
from reidstream.server.api.common import Needs
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.guard import OPEN, Guard, Trust
from reidstream.server.photos import Photos
from reidstream.server.problems import add_problems
from reidstream.server.review_queue import ReviewQueue
from reidstream.server.telling import Telling

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from reidstream.server.openid.signing_in import SigningIn

_PEOPLE = (tracklets, people, decisions, review, search, events, numbers, alerts, clips, watch)
_API = (*_PEOPLE, sources, live, jobs, retention, privacy, targets, account_routes)
_ROUTERS = [module.router for module in (*_API, health, pages, openid)]
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
    telling: Telling | None = None,
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
    people_of_server = accounts or Accounts(desk.gallery, oidc=desk.config.oidc)
    cookie = f"reidstream-{desk.gallery.facts().uuid[:8]}"
    app.state.desk = desk
    app.state.accounts = people_of_server
    app.state.cameras = cameras or Cameras(desk)
    app.state.photos = photos or Photos(desk.gallery, desk.config)
    app.state.telling = telling or Telling(desk, ())
    app.state.review = ReviewQueue(desk)
    app.state.cookie = cookie
    app.state.openid = _signing_in(desk)
    _demand_roles()
    for router in _ROUTERS:
        # Made at import; including would make each a second time, when the first request comes.
        app.router.routes.extend(router.routes)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_problems(app)
    return Guard(app, people_of_server, trust or Trust(), cookie)


def _signing_in(desk: Desk) -> SigningIn | None:
    """Sign-ins through the provider, if there is one. Raises MissingDependency without what the extra brings."""
    if not desk.config.oidc.is_set:
        return None
    from reidstream.server.openid.provider import Provider
    from reidstream.server.openid.signing_in import SigningIn

    return SigningIn(Provider(desk.config.oidc))


@dataclass(frozen=True, slots=True)
class Entrance:
    """One route: whom it is for; None when it is open to everybody."""

    method: str
    path: str
    role: Role | None


def entrances() -> Iterator[Entrance]:
    """Every route of the application."""
    for router in _ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute | APIWebSocketRoute)
            demanded = [one.call.role for one in route.dependant.dependencies if isinstance(one.call, Needs)]
            methods = sorted(route.methods or ()) if isinstance(route, APIRoute) else ["WEBSOCKET"]
            for method in methods:
                yield Entrance(method, route.path, demanded[0] if demanded else None)


def _demand_roles() -> None:
    """A route that forgot to say whom it is for is an error of ours that must not get as far as a user."""
    for entrance in entrances():
        if entrance.role is None and entrance.path not in OPEN:
            raise AssertionError(f"{entrance.path} demands no role and is not one of the open paths")
