"""The provider: where it is asked what, its keys, and what it gives for a code."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from reidstream.brokers.tls import context_of
from reidstream.config.oidc import OidcConfig, is_safe
from reidstream.config.secrets import secret
from reidstream.errors import NotAuthenticated, ProviderError
from reidstream.foreign_text import terminal_text
from reidstream.server.openid.documents import SECONDS, fetched
from reidstream.server.openid.tokens import claims_of, named_key, public_keys

if TYPE_CHECKING:
    from joserfc.jwk import Key

KEPT_SECONDS = 3600.0
"""What the provider says of itself, and its keys, are asked for again after so long."""
AGAIN_SECONDS = 30.0
"""Keys are asked for out of turn, for a token whose key is not known, at most so often."""
FAILED_SECONDS = 5.0
"""After a failure nobody asks again for so long."""
AT_ONCE = 8
"""Requests to the provider at the same time; whoever comes beyond them is told to try again."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked what; leave: where browsers end their session there. basic: how the client's secret
    is sent, in a header or in the body."""

    authorize: str
    token: str
    keys: str
    userinfo: str | None
    leave: str | None
    basic: bool
    names_itself: bool


class Provider:
    """Asked by coroutines of one event loop. clock: growing seconds. wall: Unix seconds.

    Raises ConfigError for a secret or authorities that cannot be read.
    """

    def __init__(
        self,
        config: OidcConfig,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        seconds: float = SECONDS,
    ) -> None:
        self.config = config
        self._clock, self._wall, self._seconds = clock, wall, seconds
        self._trusted = context_of(config.ca)
        self._secret()
        self._running = 0
        self._endpoints: tuple[float, Endpoints] | None = None
        self._keys: tuple[float, list[Key]] | None = None
        self._failed: tuple[float, str] | None = None

    @property
    def known(self) -> Endpoints | None:
        """What was last learnt of the provider, without asking."""
        return None if self._endpoints is None else self._endpoints[1]

    async def endpoints(self) -> Endpoints:
        """What the provider says of itself (OpenID Connect Discovery 1.0). Raises ProviderError."""
        now = self._clock()
        if self._endpoints is not None and now - self._endpoints[0] < KEPT_SECONDS:
            return self._endpoints[1]
        if self._failed is not None and now - self._failed[0] < FAILED_SECONDS:
            raise ProviderError(self._failed[1])
        try:
            found = self._read(
                await self._asked("GET", f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration")
            )
        except ProviderError as error:
            self._failed = (self._clock(), str(error))
            raise
        self._endpoints, self._failed = (now, found), None
        return found

    async def claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """What the provider says of whoever came back with a code.

        Raises ProviderError where it does not answer, NotAuthenticated for what cannot be believed.
        """
        at = await self.endpoints()
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.config.return_url,
            "code_verifier": verifier,
        }
        auth, known = None, self._secret()
        if known is not None and at.basic:
            # RFC 6749, 2.3.1: both are encoded as in a form.
            auth = (quote(self.config.client_id, safe=""), quote(known, safe=""))
        else:
            sent["client_id"] = self.config.client_id
            if known is not None:
                sent["client_secret"] = known
        status, tokens = await self._fetched("POST", at.token, data=sent, auth=auth)
        if status != 200 or not isinstance(tokens.get("id_token"), str):
            reason = tokens.get("error")
            said = terminal_text(reason[:80]) if isinstance(reason, str) else f"status {status}"
            raise NotAuthenticated(f"the provider does not take the code that it sent ({said}); sign in again")
        claims = await self._believed(tokens["id_token"], nonce)
        access = tokens.get("access_token")
        if at.userinfo is not None and isinstance(access, str) and claim(claims, self.config.claim) is None:
            status, more = await self._fetched("GET", at.userinfo, headers={"authorization": f"Bearer {access}"})
            # Another subject's would be somebody else's claims (OpenID Connect Core 1.0, 5.3.2).
            if status == 200 and more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    async def _believed(self, token: str, nonce: str) -> dict[str, Any]:
        wanted = {"issuer": self.config.issuer, "client": self.config.client_id, "nonce": nonce, "now": self._wall()}
        name = named_key(token)
        keys = await self._known_keys(KEPT_SECONDS)
        if name is not None and all(key.kid != name for key in keys):
            # The provider may have begun to sign with a new one.
            keys = await self._known_keys(AGAIN_SECONDS)
        return claims_of(token, keys, **wanted)  # type: ignore[arg-type]

    async def _known_keys(self, older: float) -> list[Key]:
        """The provider's keys, asked for anew when they are older than so many seconds."""
        now = self._clock()
        if self._keys is None or now - self._keys[0] >= older:
            self._keys = (now, public_keys(await self._asked("GET", (await self.endpoints()).keys)))
        return self._keys[1]

    async def _asked(self, method: str, address: str) -> dict[str, Any]:
        status, document = await self._fetched(method, address)
        if status != 200:
            raise ProviderError(f"{address} answers {status}")
        return document

    async def _fetched(self, method: str, address: str, **sent: Any) -> tuple[int, dict[str, Any]]:
        if self._running >= AT_ONCE:
            raise ProviderError("many are signing in just now; try again in a moment")
        self._running += 1
        try:
            return await fetched(method, address, trusted=self._trusted, seconds=self._seconds, **sent)
        finally:
            self._running -= 1

    def _read(self, document: Mapping[str, Any]) -> Endpoints:
        issuer = document.get("issuer")
        if issuer != self.config.issuer:
            named = terminal_text(str(issuer)[:200])
            raise ProviderError(f"the provider calls itself {named}; oidc.issuer says {self.config.issuer}")
        methods = document.get("token_endpoint_auth_methods_supported")
        found = {
            name: self._address(document, key, needed)
            for name, key, needed in (
                ("authorize", "authorization_endpoint", True),
                ("token", "token_endpoint", True),
                ("keys", "jwks_uri", True),
                ("userinfo", "userinfo_endpoint", False),
                ("leave", "end_session_endpoint", False),
            )
        }
        return Endpoints(
            **found,  # type: ignore[arg-type]
            basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, document: Mapping[str, Any], key: str, needed: bool) -> str | None:
        value = document.get(key)
        if value is None and not needed:
            return None
        try:
            parts = urlsplit(value if isinstance(value, str) else "")
            host, safe = parts.hostname or "", is_safe(parts) and not parts.username and not parts.fragment
        except ValueError:
            host, safe = "", False
        if not safe or not isinstance(value, str):
            raise ProviderError(f"the provider's {key} is no https:// address")
        if host not in {urlsplit(self.config.issuer).hostname, *self.config.hosts}:
            # It may be one inside of this network, that nobody outside should have us ask.
            raise ProviderError(
                f"the provider's {key} is at {terminal_text(host)}, which is not the issuer's host; if that is right, "
                "name it in oidc.hosts"
            )
        return value

    def _secret(self) -> str | None:
        if self.config.client_secret is None:
            return None
        kind, _, name = self.config.client_secret.partition(":")
        return secret(kind, name)


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a path with dots into what lies inside; None where there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
