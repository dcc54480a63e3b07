"""In front of everything: who asks, from where, and with what headers the answer goes out.

Nobody unknown comes past it except to the few paths that are for coming in. No answer may be framed, run inline
scripts, or stay in a cache unless it says so itself.
"""

from __future__ import annotations

import ipaddress
import pwd
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reidstream.errors import AccessDenied, NotAuthenticated, ReIDStreamError
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Caller, Role
from reidstream.server.problems import problem, problem_of

LOCAL = "uid:"
"""How the address of whoever comes through the gallery's socket begins; the user's number follows."""

DATABASE = "database:"
"""How the address of whoever asks by the gallery's own database begins; their name follows."""

OPEN = frozenset(
    {
        *("/login", "/setup", "/healthz", "/readyz", "/api/v1/login", "/api/v1/setup", "/favicon.ico"),
        *("/oidc/begin", "/oidc/return"),
    }
)
_OPEN_FOLDER = "/static/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

MOST_BODY = 64 * 2**20
"""Bytes of one request; routes may take less."""

# blob: is what this program's own scripts have made of bytes that it sent: pictures, and the film of a camera.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of a connection.

    hosts: names under which the server may be asked, beside those of this machine's loopback. proxies: addresses or
    networks whose X-Forwarded-For and -Proto are believed. user_header: the header in which such a proxy names the
    user that it has checked, empty for none.
    """

    hosts: Collection[str] = ()
    proxies: Collection[str] = ()
    user_header: str = ""
    networks: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = tuple(ipaddress.ip_network(text, strict=False) for text in self.proxies)
        object.__setattr__(self, "networks", found)

    def is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


class Guard:
    """ASGI middleware; see the module. cookie: the name of the session's cookie, without prefix."""

    def __init__(self, app: ASGIApp, accounts: Accounts, trust: Trust, cookie: str) -> None:
        self._app, self._accounts, self._trust, self._cookie = app, accounts, trust, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._converse(scope, receive, send)
            return
        body = _Bounded(receive)
        outgoing = _Outgoing(send, scope)
        try:
            state = scope.setdefault("state", {})
            state["caller"] = await self._caller(scope)
            if int(Headers(scope=scope).get("content-length") or 0) > MOST_BODY:
                raise _TooLarge
            await self._app(scope, body, outgoing)
        except _TooLarge:
            await problem(413, "Content Too Large", f"a request may have {MOST_BODY} bytes")(scope, receive, outgoing)
        except NotAuthenticated as error:
            await self._unknown(scope, error)(scope, receive, outgoing)
        except ReIDStreamError as error:
            await problem_of(error)(scope, receive, outgoing)
        except ValueError:
            await problem(400, "Bad Request", "the request's headers cannot be read")(scope, receive, outgoing)

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: whoever may not open it is turned away before the handshake, in words where the server can."""
        state = scope.setdefault("state", {})
        try:
            state["caller"] = caller = await self._caller(scope)
            state["holds"] = partial(self._holds, scope, caller)
        except (ReIDStreamError, ValueError) as error:
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
            elif isinstance(error, ReIDStreamError):
                await problem_of(error)(scope, receive, send)
            else:
                await problem(400, "Bad Request", "the request's headers cannot be read")(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _holds(self, scope: Scope, caller: Caller | None) -> bool:
        """Whether whoever opened a WebSocket may still do what they might then; being asked is no use of a session."""
        if caller is not None and caller.session is not None:
            return await run_sync(self._accounts.holds, caller.session)
        try:
            return await self._caller(scope) == caller
        except ReIDStreamError:
            return False

    def _unknown(self, scope: Scope, error: NotAuthenticated) -> Response:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if wants_page and scope["method"] == "GET" and not scope["path"].startswith("/api/"):
            return RedirectResponse("/login", 303)
        return problem_of(error)

    async def _caller(self, scope: Scope) -> Caller | None:
        """Who asks, None for somebody unknown at an open path. Raises NotAuthenticated, AccessDenied."""
        connection = HTTPConnection(scope)
        headers = connection.headers
        client = scope.get("client") or ("", 0)
        scope["state"]["address"] = "this machine"
        if client[0].startswith(LOCAL):
            return local_caller(int(client[0].removeprefix(LOCAL)))
        if client[0].startswith(DATABASE):
            return Caller(client[0].removeprefix(DATABASE)[:64], Role.ADMIN, address="the database")
        address = client[0]
        proxied = self._trust.is_proxy(address)
        if proxied:
            scope["scheme"] = headers.get("x-forwarded-proto", scope["scheme"])
            address = headers.get("x-forwarded-for", address).rsplit(",", 1)[-1].strip()[:64]
        scope["state"]["address"] = address
        self._demand_host(headers)
        open_path = scope["path"] in OPEN or scope["path"].startswith(_OPEN_FOLDER)
        bearer = headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            caller = await run_sync(self._accounts.caller_of_token, bearer[7:].strip(), address)
            if caller is None:
                raise NotAuthenticated("this token is not known; it may have been ended")
            return caller
        # A bearer is sent by nobody by accident; cookies are.
        if scope.get("method") not in _SAFE:
            # What comes by a WebSocket is read by the page that opened it, which no other site's may.
            self._demand_own_origin(scope, headers)
        caller = None
        secret = connection.cookies.get(cookie_name(self._cookie, _scheme(scope)))
        if secret:
            caller = await run_sync(self._accounts.caller_of_session, secret, address)
        if caller is None and proxied and self._trust.user_header:
            caller = await run_sync(self._named, headers.get(self._trust.user_header, ""), address)
        if caller is None and not open_path:
            raise NotAuthenticated("log in first, or send a token: `Authorization: Bearer ...`")
        return caller

    def _named(self, name: str, address: str) -> Caller | None:
        for user in self._accounts.users():
            # Somebody of the provider comes in by it, and by nothing else.
            if name and user.name == name and user.issuer is None:
                return Caller(user.name, user.role, user.cameras, user.id, None, address)
        return None

    def _demand_host(self, headers: Headers) -> None:
        """A page elsewhere whose name was bound to this machine's address must not be taken for ours."""
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if host not in _LOOPBACK and host not in self._trust.hosts:
            raise AccessDenied(f"this server is not asked as {host!r}; allow it with --host-name")

    def _demand_own_origin(self, scope: Scope, headers: Headers) -> None:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = f"{_scheme(scope)}://{headers.get('host', '')}"
        if site is not None and site not in {"same-origin", "none"}:
            raise AccessDenied("this request comes from a page of another site")
        if origin is not None and origin != own:
            raise AccessDenied("this request comes from a page of another site")
        if site is None and origin is None:
            raise AccessDenied("a request that changes something needs an Origin, or a token instead of a cookie")


def _scheme(scope: Scope) -> str:
    """http or https, of a WebSocket too."""
    scheme: str = scope["scheme"]
    return {"ws": "http", "wss": "https"}.get(scheme, scheme)


def cookie_name(name: str, scheme: str) -> str:
    """On https the browser itself sees to it that nobody else sets this cookie."""
    return f"__Host-{name}" if scheme == "https" else name


def local_caller(uid: int) -> Caller:
    """The gallery's owner, who came through its socket and could read its files as well."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return Caller(name, Role.ADMIN, address="this machine")


class _TooLarge(Exception):
    """The body goes on beyond what is allowed."""


class _Bounded:
    """The request's body, as long as it is not too long."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MOST_BODY:
            raise _TooLarge
        return message


class _Outgoing:
    """The answer, with the headers that every answer has."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send, self._scope = send, scope

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            if self._scope["scheme"] == "https":
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await self._send(message)
