"""Signing in through an OpenID provider, as a user writes it down."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from reidstream.config.base import Section
from reidstream.config.secrets import checked_place


class OidcAccountConfig(Section):
    """Who of the provider's users may do what here. The first of these that fits counts."""

    value: str = Field(min_length=1, description="What must stand in the claim: a group or role of the provider.")
    role: Literal["viewer", "reviewer", "operator", "admin"] = Field(description="What such a user may do.")
    cameras: tuple[str, ...] | None = Field(default=None, description="Sources that they may see; none: all.")


class OidcConfig(Section):
    """Signing in to `reidstream serve` through an OpenID provider; off without an issuer."""

    issuer: str = Field(
        default="", description="The provider, exactly as it calls itself: https://login.example.org/realms/shop."
    )
    client_id: str = Field(default="", description="What the provider calls this server.")
    client_secret: str | None = Field(
        default=None,
        description="The client's secret: env:NAME or file:PATH, where it stands; none: a public client.",
    )
    address: str = Field(
        default="",
        description="Where browsers reach this server. The provider must allow this address with /oidc/return behind "
        "it, and with /login for logging out.",
    )
    name: str = Field(
        default="OpenID", min_length=1, max_length=20, description="What the button to sign in with is called."
    )
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile"), description="What is asked of the provider; openid is always."
    )
    claim: str = Field(
        default="groups",
        min_length=1,
        description="The claim that says what somebody may do, with dots for what lies inside: realm_access.roles.",
    )
    accounts: tuple[OidcAccountConfig, ...] = Field(
        default=(), description="What values of the claim stand for. Whoever has none of them is not let in."
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts beside the issuer's at which the provider may have its addresses; all others are refused.",
    )
    ca: str | None = Field(
        default=None,
        description="A PEM file with the authorities that the provider's certificate may be of; none: this machine's.",
    )
    local_login: bool = Field(
        default=True,
        description="Whether names and passwords are taken as well. Without, they are still taken until an admin of "
        "all cameras has signed in through the provider.",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=720, description="Hours after which somebody must sign in again, however active."
    )
    token_days: float = Field(
        default=30.0, gt=0, le=3650, description="Days without signing in after which tokens of an account are refused."
    )

    @property
    def is_set(self) -> bool:
        return bool(self.issuer)

    @property
    def return_url(self) -> str:
        """Where the provider sends browsers back to: fixed, whatever a request says."""
        return f"{self.address.rstrip('/')}/oidc/return"

    @field_validator("issuer", "address")
    @classmethod
    def _safe(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if not is_safe(parts) or parts.query or parts.fragment or parts.username:
                raise ValueError("must be an https:// address (http:// on this machine alone) without user or query")
        return value

    @field_validator("client_secret")
    @classmethod
    def _placed(cls, value: str | None) -> str | None:
        return checked_place(value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer:
            missing = [key for key in ("client_id", "address", "accounts") if not getattr(self, key)]
            if missing:
                raise ValueError(f"with an issuer, {' and '.join(missing)} must be set")
        elif not self.local_login:
            raise ValueError("without an issuer nobody could come in: leave local_login on")
        return self


def is_safe(parts: SplitResult) -> bool:
    """Whether an address is of https, or of http on this machine, which is for trying things out."""
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return parts.scheme == "http" and loopback
