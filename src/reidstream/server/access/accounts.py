"""Users, their sessions and tokens, in the gallery's own database.

Session ids and tokens are 256 random bits; only their hashes are kept, so that nobody who reads the database can use
them. Passwords are kept as argon2id (RFC 9106) makes them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, or_, select, update

from reidstream.config.oidc import OidcConfig
from reidstream.errors import AccessDenied, ConfigError, NotAuthenticated
from reidstream.gallery import Gallery
from reidstream.server.access.attempts import Attempts
from reidstream.server.access.provided import ProvidedAccounts
from reidstream.server.access.roles import Caller, Role
from reidstream.server.access.schema import as_json, notes, preferences, provided, sessions, tokens, users

if TYPE_CHECKING:
    from reidstream.server.openid.signing_in import Known

SESSION_SECONDS = 12 * 3600.0
"""A session that is not used for so long has ended."""
SETUP_SECONDS = 15 * 60.0
LEAST_PASSWORD = 10
MOST_PASSWORD = 256
MOST_NAME = 64

# Each check takes 64 MiB and a quarter of a second of a core.
_AT_ONCE = 2
# How precisely it is noted when a session was used: every request would be a write.
_USED_EVERY = 60.0
# Compared with when there is no such user, so that it takes as long.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$3KXwNC8h2Mj8oFVvpVQ0Gg5vNO0vXcLqk1sFyKTIRDE"


@dataclass(frozen=True, slots=True)
class User:
    """An account. cameras: the sources that it may see, None for all. issuer: its OpenID provider, if any."""

    id: int
    name: str
    role: Role
    cameras: frozenset[str] | None
    created_wall: float
    issuer: str | None = None

    def as_dict(self) -> dict[str, Any]:
        cameras = None if self.cameras is None else sorted(self.cameras)
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role.value,
            "cameras": cameras,
            "issuer": self.issuer,
        }


class Accounts:
    """Who may come in. Safe to use from several threads. clock: Unix seconds now. oidc: the provider, if any."""

    def __init__(
        self, gallery: Gallery, clock: Callable[[], float] = time.time, oidc: OidcConfig | None = None
    ) -> None:
        self._gallery = gallery
        self._clock = clock
        self._hasher = PasswordHasher()
        self._checking = threading.Semaphore(_AT_ONCE)
        self.attempts = Attempts(clock)
        self.provided = ProvidedAccounts(gallery, oidc or OidcConfig(), clock)

    # -- users

    def users(self) -> list[User]:
        with self._gallery.read() as connection:
            return [_user(row) for row in connection.execute(_accounts().order_by(users.c.id))]

    def add(self, name: str, password: str, role: Role, cameras: Collection[str] | None = None) -> User:
        """A new user. Raises ConfigError for a name that is taken or a password that is too short."""
        name = _checked_name(name)
        hashed = self._hashed(password)
        with self._gallery.write() as connection:
            return self._insert(connection, name, hashed, role, cameras)

    def change(
        self,
        user: int,
        *,
        password: str | None = None,
        role: Role | None = None,
        cameras: Collection[str] | None = None,
        all_cameras: bool = False,
    ) -> User:
        """Change an account; its sessions and tokens end. The last admin stays one."""
        values: dict[str, Any] = {}
        if password is not None:
            values["password"] = self._hashed(password)
        if role is not None:
            values["role"] = role.value
        if all_cameras or cameras is not None:
            values["cameras"] = None if all_cameras else as_json(cameras)
        with self._gallery.write() as connection:
            found = self._get(connection, user)
            if found.issuer is not None:
                raise ConfigError(f"{found.name} signs in through {found.issuer}, which says what they may do")
            if role not in (None, Role.ADMIN):
                self._keep_an_admin(connection, found)
            if values:
                connection.execute(update(users).where(users.c.id == user).values(**values))
                connection.execute(delete(sessions).where(sessions.c.user == user))
                connection.execute(delete(tokens).where(tokens.c.user == user))
            return self._get(connection, user)

    def remove(self, user: int) -> None:
        with self._gallery.write() as connection:
            self._keep_an_admin(connection, self._get(connection, user))
            for table in (sessions, tokens, preferences, provided):
                connection.execute(delete(table).where(table.c.user == user))
            connection.execute(delete(users).where(users.c.id == user))

    # -- what users set for themselves

    def keys(self, user: int | None) -> dict[str, dict[str, str]]:
        """Of each page the keys that a user has changed: the page's own, and what is pressed instead."""
        own = (preferences.c.user == user, preferences.c.key == "keys")
        with self._gallery.read() as connection:
            found = connection.execute(select(preferences.c.value).where(*own)).scalar()
        keys: dict[str, dict[str, str]] = json.loads(found) if found else {}
        return keys

    def set_keys(self, user: int, page: str, keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Change a user's keys of a page; all of the user's keys then. None at all: the page's own."""
        with self._gallery.write() as connection:
            own = (preferences.c.user == user, preferences.c.key == "keys")
            found = connection.execute(select(preferences.c.value).where(*own)).scalar()
            changed = {**(json.loads(found) if found else {}), page: dict(keys)}
            changed = {name: some for name, some in changed.items() if some}
            connection.execute(delete(preferences).where(*own))
            connection.execute(insert(preferences).values(user=user, key="keys", value=json.dumps(changed)))
        return changed

    # -- coming in

    def log_in(self, name: str, password: str, address: str) -> tuple[str, User]:
        """A new session's id, and whose it is. Raises NotAuthenticated, TooManyAttempts."""
        self.attempts.demand(name, address)
        if not self.provided.takes_passwords():
            raise AccessDenied(f"names and passwords are not taken here; sign in with {self.provided.config.name}")
        with self._gallery.read() as connection:
            # Accounts of a provider have no password, and are none that one could be tried for.
            row = connection.execute(_accounts().where(users.c.name == name, provided.c.user.is_(None))).one_or_none()
        if not self._matches(row.password if row is not None else _NOBODY, password) or row is None:
            self.attempts.failed(name, address)
            raise NotAuthenticated("no user with that name and password")
        self.attempts.succeeded(name, address)
        return self._begin(row.id, address), _user(row)

    def sign_in(self, known: Known, address: str) -> tuple[str, User]:
        """A new session's id, and the account of somebody whom the provider vouches for. Raises AccessDenied."""
        user = self.provided.sign_in(known)
        with self._gallery.read() as connection:
            account = self._get(connection, user)
        return self._begin(user, address), account

    def caller_of_session(self, secret: str, address: str) -> Caller | None:
        """Whose session this is; None when it has ended or never was."""
        now = self._clock()
        hashed = _hash(secret)
        row = self._session(hashed)
        if row is None:
            return None
        if now - row.used_wall > _USED_EVERY:
            with self._gallery.write() as connection:
                connection.execute(update(sessions).where(sessions.c.hash == hashed).values(used_wall=now))
        user = _user(row)
        return Caller(user.name, user.role, user.cameras, user.id, hashed, address)

    def caller_of_token(self, secret: str, address: str) -> Caller | None:
        """Whose token this is: never more than its user may."""
        now = self._clock()
        hashed = _hash(secret)
        query = _accounts(
            *(tokens.c.role.label("token_role"), tokens.c.cameras.label("token_cameras")),
            *(tokens.c.name.label("token"), tokens.c.used_wall),
        ).join(tokens, tokens.c.user == users.c.id)
        with self._gallery.read() as connection:
            row = connection.execute(query.where(tokens.c.hash == hashed)).one_or_none()
        if row is None or not self.provided.lets_in(row):
            return None
        if now - (row.used_wall or 0.0) > _USED_EVERY:
            with self._gallery.write() as connection:
                connection.execute(update(tokens).where(tokens.c.hash == hashed).values(used_wall=now))
        user = _user(row)
        role = min(user.role, Role(row.token_role), key=lambda one: one.rank)
        own = _cameras(row.token_cameras)
        cameras = own if user.cameras is None else user.cameras if own is None else user.cameras & own
        return Caller(f"{user.name} ({row.token})", role, cameras, user.id, None, address)

    def holds(self, session: str) -> bool:
        """Whether a session, known by its hash, goes on."""
        return self._session(session) is not None

    # -- sessions and tokens

    def sessions(self, user: int | None = None) -> list[dict[str, Any]]:
        """All sessions, or one user's; each is known by the first 16 digits of its hash."""
        query = (
            select(sessions, users.c.name).join(users, users.c.id == sessions.c.user).order_by(sessions.c.begun_wall)
        )
        if user is not None:
            query = query.where(sessions.c.user == user)
        with self._gallery.read() as connection:
            rows = connection.execute(query).all()
        return [
            {
                "id": row.hash[:16],
                "user": row.name,
                "begun": row.begun_wall,
                "used": row.used_wall,
                "address": row.address,
            }
            for row in rows
            if self._clock() - row.used_wall <= SESSION_SECONDS
        ]

    def end_session(self, beginning: str, user: int | None = None) -> int:
        """End a session, known by the first digits of its hash; how many ended."""
        if len(beginning) < 16:
            return 0
        gone = delete(sessions).where(sessions.c.hash.startswith(beginning, autoescape=True))
        with self._gallery.write() as connection:
            return connection.execute(gone if user is None else gone.where(sessions.c.user == user)).rowcount

    def add_token(
        self, user: int, name: str, role: Role, cameras: Collection[str] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """A new token, shown this once, and what is known of it."""
        secret = f"rs_{secrets.token_urlsafe(32)}"
        with self._gallery.write() as connection:
            owner = self._get(connection, user)
            if not owner.role.may(role):
                raise AccessDenied(f"{owner.name} is {owner.role.value}; a token may not be {role.value}")
            connection.execute(
                insert(tokens).values(
                    hash=_hash(secret),
                    user=user,
                    name=_checked_name(name),
                    role=role.value,
                    cameras=as_json(cameras),
                    begun_wall=self._clock(),
                )
            )
        (made,) = [token for token in self.tokens(user) if token["id"] == _hash(secret)[:16]]
        return secret, made

    def tokens(self, user: int | None = None) -> list[dict[str, Any]]:
        query = select(tokens, users.c.name.label("owner")).join(users, users.c.id == tokens.c.user)
        if user is not None:
            query = query.where(tokens.c.user == user)
        with self._gallery.read() as connection:
            rows = connection.execute(query.order_by(tokens.c.begun_wall)).all()
        return [
            {
                "id": row.hash[:16],
                "user": row.owner,
                "name": row.name,
                "role": row.role,
                "cameras": None if row.cameras is None else json.loads(row.cameras),
                "begun": row.begun_wall,
                "used": row.used_wall,
            }
            for row in rows
        ]

    def end_token(self, beginning: str, user: int | None = None) -> int:
        if len(beginning) < 16:
            return 0
        gone = delete(tokens).where(tokens.c.hash.startswith(beginning, autoescape=True))
        with self._gallery.write() as connection:
            return connection.execute(gone if user is None else gone.where(tokens.c.user == user)).rowcount

    # -- the first user

    def setup_secret(self) -> str | None:
        """A fresh single-use secret for making the first user; None when there are users already."""
        with self._gallery.write() as connection:
            if connection.execute(select(func.count()).select_from(users)).scalar():
                return None
            secret = secrets.token_urlsafe(32)
            connection.execute(delete(notes).where(notes.c.key == "setup"))
            value = json.dumps([_hash(secret), self._clock() + SETUP_SECONDS])
            connection.execute(insert(notes).values(key="setup", value=value))
        return secret

    def set_up(self, secret: str, name: str, password: str, address: str) -> tuple[str, User]:
        """The first user, who is an admin, and their session. Raises NotAuthenticated for a used or old secret."""
        self.attempts.demand("", address)
        name, hashed = _checked_name(name), self._hashed(password)
        with self._gallery.write() as connection:
            if not self._setup_holds(connection, secret):
                self.attempts.failed("", address)
                raise NotAuthenticated(
                    "this link was used, is older than 15 minutes or never was; start the server again for a new one"
                )
            connection.execute(delete(notes).where(notes.c.key == "setup"))
            user = self._insert(connection, name, hashed, Role.ADMIN, None)
        return self._begin(user.id, address), user

    def _setup_holds(self, connection: Connection, secret: str) -> bool:
        value = connection.execute(select(notes.c.value).where(notes.c.key == "setup")).scalar()
        if value is None or connection.execute(select(func.count()).select_from(users)).scalar():
            return False
        hashed, until = json.loads(value)
        return secrets.compare_digest(hashed, _hash(secret)) and self._clock() < until

    # -- inside

    def _session(self, hashed: str) -> Row[Any] | None:
        """The account of a session that goes on, with when it was begun and used."""
        query = _accounts(sessions.c.begun_wall, sessions.c.used_wall).join(sessions, sessions.c.user == users.c.id)
        with self._gallery.read() as connection:
            row = connection.execute(query.where(sessions.c.hash == hashed)).one_or_none()
        if row is None or self._clock() - row.used_wall > SESSION_SECONDS:
            return None
        return row if self.provided.lets_in(row, session_begun=row.begun_wall) else None

    def _begin(self, user: int, address: str) -> str:
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        with self._gallery.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.used_wall < now - SESSION_SECONDS))
            values = {"hash": _hash(secret), "user": user, "begun_wall": now, "used_wall": now, "address": address}
            connection.execute(insert(sessions).values(**values))
        return secret

    def _hashed(self, password: str) -> str:
        if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
            raise ConfigError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters, got {len(password)}")
        with self._checking:
            return self._hasher.hash(password)

    def _matches(self, hashed: str, password: str) -> bool:
        with self._checking:
            try:
                return self._hasher.verify(hashed, password[:MOST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return False

    def _insert(
        self, connection: Connection, name: str, hashed: str, role: Role, cameras: Collection[str] | None
    ) -> User:
        if connection.execute(select(users.c.id).where(users.c.name == name)).first() is not None:
            raise ConfigError(f"there is a user called {name!r} already")
        values = {"name": name, "password": hashed, "role": role.value, "cameras": as_json(cameras)}
        done = connection.execute(insert(users).values(**values, created_wall=self._clock()))
        assert done.inserted_primary_key is not None
        return self._get(connection, int(done.inserted_primary_key[0]))

    def _get(self, connection: Connection, user: int) -> User:
        row = connection.execute(_accounts().where(users.c.id == user)).one_or_none()
        if row is None:
            raise ConfigError(f"there is no user {user}")
        return _user(row)

    def _keep_an_admin(self, connection: Connection, leaving: User) -> None:
        # Those of a provider that is not asked any more could not come in.
        comes_in = or_(provided.c.user.is_(None), provided.c.issuer == self.provided.config.issuer)
        others = (
            select(func.count())
            .select_from(users)
            .join(provided, provided.c.user == users.c.id, isouter=True)
            .where(users.c.role == Role.ADMIN.value, users.c.id != leaving.id, comes_in)
        )
        if leaving.role is Role.ADMIN and not connection.execute(others).scalar():
            raise ConfigError(f"{leaving.name} is the last admin; make somebody else admin first")


def _accounts(*more: ColumnElement[Any]) -> Select[Any]:
    """Accounts, each with the provider that it is of, if any, and more columns."""
    query = select(users, provided.c.issuer, provided.c.signed_wall, *more)
    return query.select_from(users).join(provided, provided.c.user == users.c.id, isouter=True)


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, Role(row.role), _cameras(row.cameras), row.created_wall, row.issuer)


def _cameras(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def _hash(secret: str) -> str:
    # The secrets have 256 random bits: a fast hash is enough.
    return hashlib.sha256(secret.encode()).hexdigest()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise ConfigError(f"a name has 1 to {MOST_NAME} printable characters")
    return name
