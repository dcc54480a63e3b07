"""Signing in through an OpenID provider: where browsers are sent off, and where they come back."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from reidstream.errors import AccessDenied, AccessError, ReIDStreamError
from reidstream.server.access.roles import Caller, Role
from reidstream.server.api.accounts import with_session
from reidstream.server.api.common import TheAccounts, TheDesk
from reidstream.server.guard import cookie_name
from reidstream.server.pages import door
from reidstream.server.problems import status_of

if TYPE_CHECKING:
    from reidstream.server.openid.signing_in import SigningIn

router = APIRouter(include_in_schema=False)

_SECRET = 43
"""Letters of the secret by which the browser that began a sign-in is known."""
_MINUTES = 10


@router.get("/oidc/begin")
async def begin(request: Request, accounts: TheAccounts) -> Response:
    """Send the browser to the provider."""
    address = request.state.address
    try:
        signing_in = _configured(request)
        elsewhere = urlsplit(signing_in.config.address).netloc != request.headers.get("host")
        if elsewhere and "moved" not in request.query_params:
            # What the browser keeps must be there when it comes back.
            return RedirectResponse(f"{signing_in.config.address.rstrip('/')}/oidc/begin?moved=1", 303)
        accounts.attempts.demand(_from(address), address)
        kept = request.cookies.get(_cookie(request), "")
        # Two tabs of one browser share it: what each began is told apart by its state.
        own = kept if len(kept) == _SECRET else secrets.token_urlsafe(32)
        response: Response = RedirectResponse(await signing_in.begin(own, address), 303)
    except ReIDStreamError as error:
        return await run_sync(door, accounts, str(error), status_of(error))
    secure = request.scope["scheme"] == "https"
    response.set_cookie(
        _cookie(request), own, max_age=_MINUTES * 60, path="/", secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.get("/oidc/return")
async def come_back(request: Request, accounts: TheAccounts, desk: TheDesk) -> Response:
    """Begin a session for whoever comes back from the provider, or say why not."""
    address = request.state.address
    try:
        signing_in = _configured(request)
        accounts.attempts.demand(_from(address), address)
        known = await signing_in.end(request.query_params, request.cookies.get(_cookie(request), ""))
        secret, user = await run_sync(accounts.sign_in, known, address)
    except ReIDStreamError as error:
        if isinstance(error, AccessError):
            accounts.attempts.failed(_from(address), address)
        nobody = Caller("?", Role.VIEWER, address=address)
        await run_sync(lambda: desk.log.note(nobody, "failed to log in", detail="by OpenID"))
        return await run_sync(door, accounts, str(error), status_of(error))
    accounts.attempts.succeeded(_from(address), address)
    caller = Caller(user.name, user.role, address=address)
    await run_sync(lambda: desk.log.note(caller, "logged in", detail="by OpenID"))
    response = with_session(request, RedirectResponse("/", 303), secret)
    response.delete_cookie(_cookie(request), path="/", secure=request.scope["scheme"] == "https", httponly=True)
    return response


def _configured(request: Request) -> SigningIn:
    signing_in: SigningIn | None = request.app.state.openid
    if signing_in is None:
        raise AccessDenied("no OpenID provider is set here ([oidc] in the settings); log in with name and password")
    return signing_in


def _cookie(request: Request) -> str:
    return cookie_name(f"{request.app.state.cookie}-oidc", request.scope["scheme"])


def _from(address: str) -> str:
    # Names are counted beside addresses; nobody's failures must keep others from signing in.
    return f"OpenID from {address}"
