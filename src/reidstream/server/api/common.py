"""What every route needs: who asks, the desk, and pages of lists."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from reidstream.errors import AccessDenied, ConfigError, NotAuthenticated, TrackletNotFound
from reidstream.identities.catalogue import Entry
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Caller, Role
from reidstream.server.desk import Desk


class Needs:
    """A dependency: the caller, if they have at least this role."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: HTTPConnection) -> Caller:
        caller: Caller | None = request.state.caller
        if caller is None:
            raise NotAuthenticated("log in first, or send a token")
        if not caller.role.may(self.role):
            raise AccessDenied(f"this needs the role {self.role.value}; {caller.name} is {caller.role.value}")
        return caller


def _desk(request: HTTPConnection) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _accounts(request: HTTPConnection) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


Viewer = Annotated[Caller, Depends(Needs(Role.VIEWER))]
Reviewer = Annotated[Caller, Depends(Needs(Role.REVIEWER))]
Operator = Annotated[Caller, Depends(Needs(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(Needs(Role.ADMIN))]
TheDesk = Annotated[Desk, Depends(_desk)]
TheAccounts = Annotated[Accounts, Depends(_accounts)]
Number = Annotated[int, Path(ge=0, le=2**53, description="Its number.")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most this many.")]
After = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]


def everything(caller: Caller) -> Caller:
    """The caller, if they see all cameras. Raises AccessDenied."""
    if caller.cameras is not None:
        raise AccessDenied("this speaks of all cameras, and you may see some of them only")
    return caller


def entry_of(desk: Desk, caller: Caller, person: str) -> Entry:
    """A person, named by id, number or name, as far as the caller may see them. Raises PersonNotFound."""
    return desk.entry(caller, person) or desk.catalogue.find(person, caller.cameras)


def tracklet_source(desk: Desk, caller: Caller, tracklet: str) -> str:
    """The source of a tracklet that the caller may see. Raises TrackletNotFound."""
    found = desk.gallery.rows(ids=[tracklet])
    if not len(found) or (caller.cameras is not None and str(found.source[0]) not in caller.cameras):
        raise TrackletNotFound(f"no tracklet {tracklet!r}")
    return str(found.source[0])


def cursor(values: list[Any]) -> str:
    """Where a page ends, for asking for the next one."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(text: str, kinds: tuple[tuple[type, ...], ...]) -> list[Any]:
    """The values of ``cursor``. Raises ConfigError for anything else."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        values = None
    fits = isinstance(values, list) and len(values) == len(kinds)
    if not fits or not all(isinstance(v, kind) for v, kind in zip(values, kinds, strict=True)):
        raise ConfigError("after must be the `next` of the page before")
    assert isinstance(values, list)
    return values


def answer(document: Any, status: int = 200) -> JSONResponse:
    """A document whose numbers may be NumPy's."""
    return _Json(document, status)


class _Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        # What is not finite has no place in JSON; it stands for unknown.
        try:
            return json.dumps(content, ensure_ascii=False, allow_nan=False, default=_plain).encode()
        except ValueError:
            return json.dumps(_finite(json.loads(json.dumps(content, default=_plain)))).encode()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
