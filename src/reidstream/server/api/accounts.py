"""Coming in and going out, users, sessions, tokens, the log."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from reidstream.errors import AccessDenied, ConfigError
from reidstream.server.access.accounts import MOST_NAME, MOST_PASSWORD, SESSION_SECONDS
from reidstream.server.access.roles import Caller, Role
from reidstream.server.api.common import Admin, Limit, Number, TheAccounts, TheDesk, Viewer, answer
from reidstream.server.guard import cookie_name

router = APIRouter(prefix="/api/v1", tags=["accounts"])

_Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
_Password = Annotated[str, Field(min_length=1, max_length=MOST_PASSWORD)]
_Cameras = Annotated[list[str] | None, Field(max_length=1000, description="Sources that may be seen; null: all.")]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Credentials(_Sent):
    name: _Name
    password: _Password


class Setup(Credentials):
    secret: str = Field(min_length=1, max_length=200, description="From the link that the first start wrote.")


class NewUser(Credentials):
    role: Role = Role.VIEWER
    cameras: _Cameras = None


class ChangedUser(_Sent):
    password: _Password | None = None
    role: Role | None = None
    cameras: _Cameras = None
    all_cameras: bool = False


class OwnPassword(_Sent):
    old: _Password
    new: _Password


class NewToken(_Sent):
    name: _Name
    role: Role = Field(default=Role.VIEWER, description="What it may do, never more than its user.")
    cameras: _Cameras = None


class Keys(_Sent):
    """Keys of one page: the page's own, and what is pressed instead."""

    page: Literal["people", "person", "review"]
    keys: dict[
        Annotated[str, Field(min_length=1, max_length=20)], Annotated[str, Field(min_length=1, max_length=1)]
    ] = Field(max_length=50, examples=[{"y": "1", "n": "2"}])

    @model_validator(mode="after")
    def _no_two(self) -> Self:
        if len(set(self.keys.values())) < len(self.keys):
            raise ValueError("one key cannot mean two things on a page")
        if taken := {"?", " "} & set(self.keys.values()):
            raise ValueError(f"{min(taken)!r} cannot be given away: it shows the keys, or presses a button")
        return self


@router.get("/keys")
def list_keys(accounts: TheAccounts, caller: Viewer) -> Response:
    """The keys that this user has changed, by page."""
    return answer({"keys": accounts.keys(caller.user)})


@router.put("/keys")
def change_keys(sent: Keys, accounts: TheAccounts, caller: Viewer) -> Response:
    """Change this user's keys of one page; with none, they are as the page has them."""
    if caller.user is None:
        raise ConfigError("keys belong to an account; the gallery's owner came without one")
    return answer({"keys": accounts.set_keys(caller.user, sent.page, sent.keys)})


@router.post("/login", openapi_extra={"security": []})
def log_in(sent: Credentials, request: Request, accounts: TheAccounts, desk: TheDesk) -> Response:
    """Begin a session; the answer sets its cookie."""
    address = request.state.address
    try:
        secret, user = accounts.log_in(sent.name, sent.password, address)
    except Exception:
        desk.log.note(Caller("?", Role.VIEWER, address=address), "failed to log in", detail="by password")
        raise
    desk.log.note(Caller(user.name, user.role, address=address), "logged in", detail="by password")
    return with_session(request, answer(user.as_dict()), secret)


@router.post("/setup", openapi_extra={"security": []})
def set_up(sent: Setup, request: Request, accounts: TheAccounts) -> Response:
    """Make the first user, an admin, with the secret of the link that the first start wrote."""
    secret, user = accounts.set_up(sent.secret, sent.name, sent.password, request.state.address)
    return with_session(request, answer(user.as_dict()), secret)


@router.post("/logout")
def log_out(request: Request, accounts: TheAccounts, caller: Viewer) -> Response:
    """End this session, and have the browser forget its pictures.

    ``elsewhere``: where to end the session at the OpenID provider, without which the next click on its button would
    need no password; null for whoever came by a password.
    """
    elsewhere = None
    if caller.session is not None:
        if request.app.state.openid is not None and accounts.provided.is_one(caller.user):
            elsewhere = request.app.state.openid.leaving()
        accounts.end_session(caller.session)
    response = answer({"logged_out": True, "elsewhere": elsewhere})
    name = cookie_name(request.app.state.cookie, request.scope["scheme"])
    response.delete_cookie(name, path="/", secure=request.scope["scheme"] == "https", httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.get("/me")
def me(accounts: TheAccounts, caller: Viewer) -> Response:
    """Who asks, and what they may do."""
    cameras = None if caller.cameras is None else sorted(caller.cameras)
    known = {"name": caller.name, "role": caller.role.value, "cameras": cameras, "user": caller.user}
    return answer({**known, "password": caller.user is not None and not accounts.provided.is_one(caller.user)})


@router.post("/me/password")
def own_password(sent: OwnPassword, accounts: TheAccounts, caller: Viewer) -> Response:
    """Change one's own password; all sessions and tokens end."""
    if caller.user is None or caller.session is None:
        raise AccessDenied("only somebody who has logged in can change their password")
    if accounts.provided.is_one(caller.user):
        raise AccessDenied("your password is the provider's that you sign in through; change it there")
    accounts.log_in(caller.name, sent.old, caller.address)
    accounts.change(caller.user, password=sent.new)
    return answer({"changed": True})


@router.get("/users")
def list_users(accounts: TheAccounts, caller: Admin) -> Response:
    """Everybody who has an account."""
    return answer({"users": [user.as_dict() for user in accounts.users()]})


@router.post("/users", status_code=201)
def add_user(sent: NewUser, accounts: TheAccounts, desk: TheDesk, caller: Admin) -> Response:
    """A new account."""
    _everywhere(caller)
    made = accounts.add(sent.name, sent.password, sent.role, sent.cameras)
    desk.log.note(caller, "added a user", detail=f"user {made.id}")
    return answer(made.as_dict(), 201)


@router.patch("/users/{user}")
def change_user(user: Number, sent: ChangedUser, accounts: TheAccounts, desk: TheDesk, caller: Admin) -> Response:
    """Another password, role or cameras; the user's sessions and tokens end."""
    _everywhere(caller)
    changed = accounts.change(
        min(user, 2**53),
        password=sent.password,
        role=sent.role,
        cameras=sent.cameras,
        all_cameras=sent.all_cameras,
    )
    desk.log.note(caller, "changed a user", detail=f"user {changed.id}")
    return answer(changed.as_dict())


@router.delete("/users/{user}")
def remove_user(user: Number, accounts: TheAccounts, desk: TheDesk, caller: Admin) -> Response:
    """Take an account away, with its sessions and tokens."""
    _everywhere(caller)
    accounts.remove(min(user, 2**53))
    desk.log.note(caller, "removed a user", detail=f"user {user}")
    return answer({"removed": user})


@router.get("/sessions")
def list_sessions(accounts: TheAccounts, caller: Viewer) -> Response:
    """One's own sessions; an admin sees everybody's."""
    return answer({"sessions": accounts.sessions(_whose(caller))})


@router.delete("/sessions/{session}")
def end_session(session: str, accounts: TheAccounts, caller: Viewer) -> Response:
    """End a session."""
    if not accounts.end_session(session, _whose(caller)):
        raise ConfigError("there is no such session")
    return answer({"ended": session})


@router.get("/tokens")
def list_tokens(accounts: TheAccounts, caller: Viewer) -> Response:
    """One's own tokens; an admin sees everybody's. The tokens themselves are not kept."""
    return answer({"tokens": accounts.tokens(_whose(caller))})


@router.post("/tokens", status_code=201)
def add_token(sent: NewToken, accounts: TheAccounts, desk: TheDesk, caller: Viewer) -> Response:
    """A new token for programs, shown this once."""
    if caller.user is None or not caller.role.may(sent.role):
        raise AccessDenied("a token is made by somebody who has logged in, and may do no more than they")
    if caller.cameras is not None and not caller.cameras.issuperset(sent.cameras or caller.cameras):
        raise AccessDenied("a token may see no more cameras than its user")
    secret, made = accounts.add_token(caller.user, sent.name, sent.role, sent.cameras)
    desk.log.note(caller, "made a token", detail=f"token {made['id']}")
    return answer({"token": secret, **made}, 201)


@router.delete("/tokens/{token}")
def end_token(token: str, accounts: TheAccounts, caller: Viewer) -> Response:
    """End a token."""
    if not accounts.end_token(token, _whose(caller)):
        raise ConfigError("there is no such token")
    return answer({"ended": token})


@router.get("/log")
def log(
    desk: TheDesk,
    caller: Admin,
    limit: Limit = 100,
    before: Annotated[int | None, Query(ge=1, le=2**53, description="Only entries before this number.")] = None,
) -> Response:
    """Who looked at, searched for or tried what, the newest first. Decisions are in /operations."""
    _everywhere(caller)
    found = desk.log.page(before, limit)
    return answer({"entries": found, "next": found[-1]["id"] if len(found) == limit else None})


def with_session(request: Request, response: Response, secret: str) -> Response:
    """The answer, with the cookie of a session that has begun."""
    scheme = request.scope["scheme"]
    response.set_cookie(
        cookie_name(request.app.state.cookie, scheme),
        secret,
        max_age=int(SESSION_SECONDS),
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


def _whose(caller: Caller) -> int | None:
    """Whose sessions and tokens a caller may see: None for everybody's, no user's for who has none."""
    if caller.role is Role.ADMIN and caller.cameras is None:
        return None
    return -1 if caller.user is None else caller.user


def _everywhere(caller: Caller) -> None:
    if caller.cameras is not None:
        raise AccessDenied("an admin of some cameras only cannot manage users or see the log")
