"""What an ID token says, if it may be believed (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidstream.errors import MissingDependency, NotAuthenticated

try:
    from joserfc import jws, jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
except ImportError:
    raise MissingDependency("signing in by OpenID needs joserfc: pip install 'reidstream[oidc]'") from None

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key that only the provider has; what is signed by a secret that others know, or not at all, is not
believed."""
LEEWAY = 60
"""Seconds by which clocks may differ."""
_LEAST_RSA_BITS = 2048
_MOST_KEYS = 32
_MOST_TOKEN = 64 * 1024
_REGISTRY = jws.JWSRegistry(strict_check_header=False)
# Some providers send the whole certificate along.
_REGISTRY.max_header_length = 8 * 1024


def public_keys(document: Mapping[str, Any]) -> list[Key]:
    """The keys of a JWKS (RFC 7517) that signatures may be checked with; what cannot be used is left out."""
    found: list[Key] = []
    listed = document.get("keys")
    for one in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        # In base64, before a library warns of it: four letters are three bytes.
        if one.get("kty") == "RSA" and len(str(one.get("n"))) * 6 < _LEAST_RSA_BITS:
            continue
        try:
            key = import_key(one)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        # Never a secret ("oct"): whoever reads this public document has it.
        if isinstance(key, ECKey | OKPKey) or (isinstance(key, RSAKey) and _bits(key) >= _LEAST_RSA_BITS):
            found.append(key)
    return found


def named_key(token: str) -> str | None:
    """The id of the key that a token says it is signed by. Raises NotAuthenticated for what is no token."""
    return _header(token).get("kid")


def claims_of(token: str, keys: Sequence[Key], *, issuer: str, client: str, nonce: str, now: float) -> dict[str, Any]:
    """The claims of an ID token for this client, in answer to this nonce.

    keys: the provider's. now: Unix seconds. Raises NotAuthenticated, which says what is wrong with it.
    """
    header = _header(token)
    if header.get("alg") not in ALGORITHMS:
        raise NotAuthenticated("the provider's token is not signed by a key of its own")
    wanted = header.get("kid")
    fitting = [key for key in keys if wanted is None or key.kid is None or key.kid == wanted]
    for key in fitting:
        try:
            claims = jwt.decode(token, key, algorithms=list(ALGORITHMS), registry=_REGISTRY).claims
        except (JoseError, ValueError, TypeError):
            continue
        return _checked(claims, issuer, client, nonce, now)
    raise NotAuthenticated("the provider's token is signed by none of its keys")


def _checked(claims: dict[str, Any], issuer: str, client: str, nonce: str, now: float) -> dict[str, Any]:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    party = claims.get("azp")
    if claims.get("iss") != issuer:
        raise NotAuthenticated("the provider's token is of another issuer")
    if client not in audiences or (party is not None and party != client) or (len(audiences) > 1 and party is None):
        raise NotAuthenticated("the provider's token is for another client")
    if claims.get("nonce") != nonce:
        raise NotAuthenticated("the provider's token answers another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise NotAuthenticated("the provider's token does not say who it is about")
    try:
        jwt.JWTClaimsRegistry(int(now), LEEWAY, exp={"essential": True}, iat={"essential": True}).validate(claims)
    except JoseError:
        raise NotAuthenticated(
            "the provider's token has run out, or is from the future; compare this machine's clock with the provider's"
        ) from None
    return claims


def _header(token: str) -> dict[str, Any]:
    try:
        if len(token) > _MOST_TOKEN:
            raise ValueError
        return jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
    except (JoseError, ValueError, TypeError, KeyError):
        raise NotAuthenticated("the provider's answer has no token that can be read") from None


def _bits(key: RSAKey) -> int:
    size: int = key.public_key.key_size
    return size
