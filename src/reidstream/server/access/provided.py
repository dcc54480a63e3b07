"""Accounts of an OpenID provider: kept apart from those with passwords, and open as long as the provider says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from reidstream.config.oidc import OidcConfig
from reidstream.errors import AccessDenied
from reidstream.gallery import Gallery
from reidstream.server.access.roles import Role
from reidstream.server.access.schema import as_json, provided, sessions, tokens, users

if TYPE_CHECKING:
    from reidstream.server.openid.signing_in import Known

_HOUR = 3600.0
_DAY = 24 * _HOUR
_LONGEST_NAME = 36


class ProvidedAccounts:
    """What the accounts of a provider may. config: without an issuer nobody comes in by one. clock: Unix seconds."""

    def __init__(self, gallery: Gallery, config: OidcConfig, clock: Callable[[], float]) -> None:
        self._gallery, self._clock = gallery, clock
        self.config = config

    def sign_in(self, known: Known) -> int:
        """The account of somebody whom the provider vouches for, made when it is new; it may what they may now.

        Raises AccessDenied for whoever may nothing; their sessions and tokens have ended then.
        """
        whose = (provided.c.issuer == known.issuer, provided.c.subject == known.subject)
        with self._gallery.write() as connection:
            user: int | None = connection.execute(select(provided.c.user).where(*whose)).scalar()
            if known.role is not None:
                may = {"role": known.role.value, "cameras": as_json(known.cameras)}
                if user is None:
                    name = self._free_name(connection, known)
                    values = {"name": name, "password": "", **may, "created_wall": self._clock()}
                    made = connection.execute(insert(users).values(**values)).inserted_primary_key
                    assert made is not None
                    user = int(made[0])
                    key = {"user": user, "issuer": known.issuer, "subject": known.subject}
                    connection.execute(insert(provided).values(**key, signed_wall=self._clock()))
                else:
                    connection.execute(update(users).where(users.c.id == user).values(**may))
                    connection.execute(update(provided).where(*whose).values(signed_wall=self._clock()))
                return user
            if user is not None:
                for table in (sessions, tokens):
                    connection.execute(delete(table).where(table.c.user == user))
        raise AccessDenied(
            f"{self.config.name} says who you are, but nothing that you may do here: whoever runs this server names "
            f"groups in oidc.accounts, by the claim {self.config.claim}"
        )

    def lets_in(self, row: Row[Any], *, session_begun: float | None = None) -> bool:
        """Whether an account (with the columns of ``provided``, null for one with a password) may come in just now.

        session_begun: when its session began; None for a token.
        """
        if row.issuer is None:
            return session_begun is None or self.takes_passwords()
        if not self.config.is_set or row.issuer != self.config.issuer:
            return False
        if session_begun is not None:
            return self._clock() - session_begun <= self.config.session_hours * _HOUR
        return bool(self._clock() - row.signed_wall <= self.config.token_days * _DAY)

    def takes_passwords(self) -> bool:
        """Whether names and passwords are taken: until an admin of all cameras has come in by the provider."""
        if self.config.local_login or not self.config.is_set:
            return True
        admins = (
            select(func.count())
            .select_from(users)
            .join(provided, provided.c.user == users.c.id)
            .where(provided.c.issuer == self.config.issuer, users.c.role == Role.ADMIN.value, users.c.cameras.is_(None))
        )
        with self._gallery.read() as connection:
            return not connection.execute(admins).scalar()

    def is_one(self, user: int | None) -> bool:
        """Whether an account is of a provider."""
        with self._gallery.read() as connection:
            return connection.execute(select(provided.c.user).where(provided.c.user == user)).first() is not None

    def _free_name(self, connection: Connection, known: Known) -> str:
        """A name for the log and the page, which nobody else has; it stays when the provider changes its own."""
        own = "".join(letter if letter.isprintable() else " " for letter in known.name).strip()[:_LONGEST_NAME]
        name = f"{own or 'somebody'} ({self.config.name})"
        if connection.execute(select(users.c.id).where(users.c.name == name)).first() is None:
            return name
        mark = hashlib.sha256(f"{known.issuer} {known.subject}".encode("utf-8", "surrogatepass")).hexdigest()
        return f"{name} {mark[:6]}"
