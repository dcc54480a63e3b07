"""Events to Kafka: each is stored by all replicas that count before it counts as delivered.

All events of a gallery have one key and so one partition, in which they keep their order. The producer is idempotent:
what it sends again by itself is stored once. What is delivered again after a crash is stored again, with the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from reidstream.brokers.envelopes import Envelope
from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import ConfigError, DeliveryError
from reidstream.identities.outbox import OutboxEvent

_log = logging.getLogger(__name__)
_SECURED = {"kafka": False, "kafka+tls": True}


class Kafka:
    """A producer, made when it is first needed and made anew after it failed.

    uri: ``kafka://user:password@host:9092,host:9092/topic``; kafka+tls with TLS. gallery: its uuid, the messages' key.
    ca: PEM file of whom certificates are trusted from. timeout: seconds for everything of a batch.
    """

    def __init__(
        self, uri: str, envelope: Envelope, gallery: str, ca: str | None = None, timeout: float = 10.0
    ) -> None:
        parts = urlsplit(uri)
        self.topic = parts.path.strip("/") or "reidstream"
        if not _hosts(parts.netloc) or not self.topic.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ConfigError(f"a Kafka address is kafka://host:port/topic, got {redacted(uri)!r}")
        try:
            import confluent_kafka
        except ModuleNotFoundError:
            raise ConfigError("Kafka needs the package confluent-kafka: pip install 'reidstream[kafka]'") from None
        self._kafka: Any = confluent_kafka
        self._uri, self._said, self._tls = uri, redacted(uri), _SECURED[parts.scheme]
        self._envelope, self._gallery, self._ca, self._timeout = envelope, gallery, ca, timeout
        self._producer: Any = None
        self._trouble = ""

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See Subscriber."""
        failures: list[str] = []

        def done(error: Any, _message: Any) -> None:
            if error is not None:
                failures.append(str(error.str()))

        try:
            producer = self._made()
            self._trouble = ""
            for event in events:
                producer.produce(
                    self.topic,
                    self._envelope.write(event),
                    key=self._gallery,
                    headers={
                        "id": f"{self._gallery}/{event.seq}",
                        "kind": event.kind,
                        "content-type": self._envelope.one,
                    },
                    on_delivery=done,
                )
            left = producer.flush(self._timeout)
        except (self._kafka.KafkaException, BufferError, ValueError) as error:
            self._drop()
            raise DeliveryError(f"{self._said} did not take the events: {redacted(str(error))}") from None
        if left or failures:
            # Why nobody was reached says more than that time ran out.
            reason = self._trouble or (failures[0] if failures else f"no answer within {self._timeout:g} s")
            # What is under way must not arrive after what is sent next.
            self._drop()
            raise DeliveryError(f"{self._said} did not take the events: {redacted(reason)}")

    def close(self) -> None:
        """End the connections."""
        self._drop()

    def _made(self) -> Any:
        if self._producer is None:
            # Secrets are filled in now, and librdkafka alone keeps them.
            parts = urlsplit(filled_in(self._uri))
            settings: dict[str, Any] = {
                "bootstrap.servers": _hosts(parts.netloc),
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": int(self._timeout * 1000),
                "error_cb": self._note,
                "logger": _log,
            }
            secured = "SSL" if self._tls else "PLAINTEXT"
            if parts.username is not None:
                secured = f"SASL_{secured}"
                settings |= {"sasl.mechanism": "PLAIN", "sasl.username": unquote(parts.username)}
                settings["sasl.password"] = unquote(parts.password or "")
            settings["security.protocol"] = secured
            if self._ca is not None:
                settings["ssl.ca.location"] = self._ca
            self._producer = self._kafka.Producer(settings)
        return self._producer

    def _note(self, error: Any) -> None:
        # The first says why; what follows is that no broker is left.
        self._trouble = self._trouble or str(error.str())

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1.0)


def _hosts(netloc: str) -> str:
    """The servers of an address, without who logs in."""
    return netloc.rpartition("@")[2]
