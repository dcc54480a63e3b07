"""From a target as it is written down to somebody who takes events."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from reidstream.brokers.envelopes import CloudEvents, Envelope, Plain
from reidstream.brokers.kafka import Kafka
from reidstream.brokers.mqtt import Mqtt
from reidstream.brokers.nats import Nats
from reidstream.config.secrets import secret
from reidstream.config.targets import TargetConfig
from reidstream.gallery import Gallery
from reidstream.identities.delivery import Webhook
from reidstream.identities.outbox import OutboxEvent


class Target(Protocol):
    """A subscriber that holds a connection."""

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See ``Subscriber``."""

    def close(self) -> None:
        """End the connection."""


def subscriber_of(config: TargetConfig, gallery: Gallery, *, patient: bool = True) -> Target:
    """The subscriber that a target means. Nothing is connected yet.

    patient: a web server that does not answer is asked again for minutes, before the one who delivers hears of it.
    Raises ConfigError for an address that cannot be one, a secret that is not there, or a package that is missing.
    """
    uuid = gallery.facts().uuid
    envelope: Envelope = CloudEvents(uuid) if config.format == "cloudevents" else Plain()
    scheme = config.uri.partition("://")[0]
    if scheme in {"mqtt", "mqtts"}:
        return Mqtt(config.uri, envelope, f"reidstream-{key_of(config, gallery)}", ca=config.ca)
    if scheme in {"nats", "nats+tls"}:
        return Nats(config.uri, envelope, uuid, ca=config.ca)
    if scheme in {"kafka", "kafka+tls"}:
        return Kafka(config.uri, envelope, uuid, config.ca)
    signing = None
    if config.secret is not None:
        kind, _, name = config.secret.partition(":")
        signing = secret(kind, name)
    if patient:
        return Webhook(config.uri, signing, envelope=envelope)
    return Webhook(config.uri, signing, envelope=envelope, attempts=1)


def key_of(config: TargetConfig, gallery: Gallery) -> str:
    """A short name for a target of a gallery, always the same."""
    return hashlib.sha256(f"{gallery.facts().uuid} {config.uri}".encode()).hexdigest()[:12]
