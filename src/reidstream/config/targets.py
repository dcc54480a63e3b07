"""Who is told what happens, as a user writes it down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from reidstream.config.base import Section
from reidstream.config.redaction import redacted
from reidstream.config.secrets import checked_place

SCHEMES = ("mqtt", "mqtts", "nats", "nats+tls", "kafka", "kafka+tls", "http", "https")


class TargetConfig(Section):
    """A message broker or web server that a server (`reidstream serve`) tells what happens."""

    uri: str = Field(
        description="mqtt://, mqtts:// (a path is the topics' beginning), nats://, nats+tls:// (a path is the "
        "subject), kafka://, kafka+tls:// (a path is the topic), or the https:// address of a web server. Passwords as "
        "{env:NAME} or {file:PATH}."
    )
    ca: str | None = Field(
        default=None,
        description="With TLS to a broker: a PEM file with the certificates of the authorities that are trusted; none: "
        "those of this machine.",
    )
    format: Literal["plain", "cloudevents"] = Field(
        default="plain", description="Events as they are, or each in an envelope of CloudEvents 1.0."
    )
    secret: str | None = Field(
        default=None, description="What signs requests to a web server: env:NAME or file:PATH, where it stands."
    )
    kinds: tuple[str, ...] = Field(default=(), description="Only these kinds of events; none: all.")
    home_assistant: bool = Field(
        default=False, description="With MQTT: be found by Home Assistant, with occupancy of every camera."
    )
    pictures: bool = Field(
        default=False,
        description="With home_assistant: also the last picture of every camera, which the broker keeps until the next "
        "one; withdrawn when who is on it is erased.",
    )

    @field_validator("uri")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.partition("://")[0] not in SCHEMES or not value.partition("://")[2]:
            raise ValueError(f"must begin with {', '.join(f'{s}://' for s in SCHEMES)}, got {redacted(value)!r}")
        return value

    @field_validator("secret")
    @classmethod
    def _placed(cls, value: str | None) -> str | None:
        return checked_place(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scheme = self.uri.partition("://")[0]
        if self.home_assistant and scheme not in {"mqtt", "mqtts"}:
            raise ValueError("home_assistant is told by MQTT: give it an mqtt:// target")
        if self.pictures and not self.home_assistant:
            raise ValueError("pictures are for Home Assistant: set home_assistant as well")
        if self.ca is not None and scheme not in {"mqtts", "nats+tls", "kafka+tls"}:
            raise ValueError("ca is for TLS to a broker: mqtts://, nats+tls:// or kafka+tls://")
        if self.secret is not None and scheme not in {"http", "https"}:
            raise ValueError("a secret signs requests to web servers; a broker's password stands in its address")
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(key, redacted(value) if key == "uri" else value) for key, value in super().__repr_args__()]
