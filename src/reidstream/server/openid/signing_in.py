"""From the button to an account: what was sent with a browser, and what must come back with it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from reidstream.config.oidc import OidcConfig
from reidstream.errors import AccessDenied, NotAuthenticated
from reidstream.foreign_text import terminal_text
from reidstream.server.access.roles import Role
from reidstream.server.openid.provider import Provider, claim

SECONDS = 600.0
"""Somebody has so long at the provider before they have to begin anew."""
_MOST = 1000
_MOST_OF_ONE = 20


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun. browser: the hash of what the browser keeps, so that no other can end it."""

    nonce: str
    verifier: str
    browser: str
    address: str
    wall: float


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whom the provider vouches for, and what they may do here; role None: nothing.

    Who they are is issuer and subject: names and mail addresses change hands.
    """

    issuer: str
    subject: str
    name: str
    role: Role | None
    cameras: frozenset[str] | None = None


class SigningIn:
    """Sign-ins under way, in memory. Safe to use from several threads. clock: growing seconds."""

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.monotonic) -> None:
        self.provider = provider
        self.config = provider.config
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, Begun] = OrderedDict()

    async def begin(self, browser: str, address: str) -> str:
        """Where to send the browser. browser: a secret that it keeps. Raises ProviderError."""
        at = await self.provider.endpoints()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        with self._lock:
            now = self._clock()
            for old in [key for key, one in self._begun.items() if now - one.wall > SECONDS]:
                del self._begun[old]
            of_one = [key for key, one in self._begun.items() if one.address == address]
            for old in of_one[: max(0, len(of_one) - _MOST_OF_ONE + 1)]:
                del self._begun[old]
            while len(self._begun) >= _MOST:
                self._begun.popitem(last=False)
            self._begun[_hash(state)] = Begun(nonce, verifier, _hash(browser), address, now)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self.config.return_url,
            "scope": " ".join(dict.fromkeys(("openid", *self.config.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{at.authorize}{'&' if urlsplit(at.authorize).query else '?'}{urlencode(asked)}"

    def leaving(self) -> str | None:
        """Where a browser ends its session at the provider (OpenID Connect RP-Initiated Logout 1.0), if it is known."""
        at = self.provider.known
        if at is None or at.leave is None:
            return None
        asked = {
            "client_id": self.config.client_id,
            "post_logout_redirect_uri": f"{self.config.address.rstrip('/')}/login",
        }
        return f"{at.leave}{'&' if urlsplit(at.leave).query else '?'}{urlencode(asked)}"

    async def end(self, answer: Mapping[str, str], browser: str) -> Known:
        """Who came back with this answer of the provider.

        Raises NotAuthenticated for what cannot be believed, AccessDenied for a refusal, ProviderError.
        """
        begun = self._taken(answer.get("state", ""), browser)
        at = await self.provider.endpoints()
        named = answer.get("iss")
        # RFC 9207: the answer of another provider must not be taken for this one's.
        if (named is None and at.names_itself) or (named is not None and named != self.config.issuer):
            raise NotAuthenticated("this answer comes from another provider; sign in again")
        if "error" in answer:
            said = terminal_text(answer.get("error_description", "")[:200] or answer["error"][:80])
            raise AccessDenied(f"{self.config.name} did not let you in: {said}")
        if not answer.get("code"):
            raise NotAuthenticated("the provider sent no code; sign in again")
        return known_by(self.config, await self.provider.claims(answer["code"], begun.verifier, begun.nonce))

    def _taken(self, state: str, browser: str) -> Begun:
        with self._lock:
            begun = self._begun.get(_hash(state))
            fits = begun is not None and secrets.compare_digest(begun.browser, _hash(browser))
            if begun is None or not fits or self._clock() - begun.wall > SECONDS:
                # Whoever has the answer but not the browser does not take it from whom it belongs to.
                raise NotAuthenticated(
                    "this sign-in was not begun in this browser, is over, or took longer than ten minutes; begin anew"
                )
            del self._begun[_hash(state)]
        return begun


def known_by(config: OidcConfig, claims: Mapping[str, Any]) -> Known:
    """Somebody and what they may do, by what the provider says of them; role None: nothing."""
    value = claim(claims, config.claim)
    values = (
        {value}
        if isinstance(value, str)
        else {one for one in value if isinstance(one, str)}
        if isinstance(value, list)
        else set()
    )
    names = (claims.get(key) for key in ("preferred_username", "name", "email"))
    name = next((one for one in names if isinstance(one, str) and one.strip()), "somebody")
    for account in config.accounts:
        if account.value in values:
            cameras = None if account.cameras is None else frozenset(account.cameras)
            return Known(config.issuer, claims["sub"], name, Role(account.role), cameras)
    return Known(config.issuer, claims["sub"], name, None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
