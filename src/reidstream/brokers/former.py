"""What a broker keeps of us under a target that is no target any more: it is taken away.

MQTT brokers keep the last message of some topics: whether somebody is there, pictures, what Home Assistant finds us
by. What was published so is noted in the gallery while it is, with the address as it is written down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlsplit

from reidstream.brokers.envelopes import Plain
from reidstream.brokers.home import kept_topics
from reidstream.brokers.mqtt import Mqtt
from reidstream.config.secrets import without_secrets


@dataclass(frozen=True, slots=True)
class Former:
    """A target that Home Assistant was told by. uri: without a password that is written out. node: see ``Home``."""

    uri: str
    ca: str | None
    node: str
    cameras: tuple[str, ...]

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Self:
        held = json.loads(text)
        return cls(held["uri"], held["ca"], held["node"], tuple(held["cameras"]))

    def withdraw(self, shown: Mapping[str, str], uri: str | None = None, *, shared: bool = False) -> None:
        """Take away everything that the broker keeps. shown: cameras with pictures. uri: the whole address, if it is
        known. shared: another target has the same topics now: only what Home Assistant finds us by is taken away.
        Raises DeliveryError, ConfigError for a secret that is gone."""
        # Not as the target's own client: a broker has one of each name.
        mqtt = Mqtt(uri or self.uri, Plain(), f"{self.node}-former", ca=self.ca)
        cameras = () if shared else {*self.cameras, *shown}
        mqtt.forget(kept_topics(mqtt.prefix, self.node, cameras), availability=not shared)


def without_written_password(uri: str) -> str:
    """The address as it may be kept: a password that is written out goes, one that is named by its place stays."""
    password = urlsplit(uri).password
    if password is None or without_secrets(password) == "***":
        return uri
    head, _, rest = uri.partition("://")
    return f"{head}://{rest.rpartition('@')[2]}"


def place_at_broker(uri: str) -> tuple[str, str]:
    """Where an address's topics are: the broker, and what they begin with."""
    parts = urlsplit(uri)
    return parts.netloc.rpartition("@")[2], parts.path.strip("/")
