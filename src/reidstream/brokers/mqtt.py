"""Events to an MQTT broker: quality of service 1, so that each has been confirmed before the position moves on.

Topics: ``PREFIX/events/KIND`` for each event, ``PREFIX/alerts`` for alerts, ``PREFIX/availability`` (retained: online,
and offline when we have gone, which the broker says of itself by our last will).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from reidstream.brokers.envelopes import Envelope
from reidstream.brokers.tls import context_of, refusal
from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import ConfigError, DeliveryError
from reidstream.identities.outbox import OutboxEvent

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE = 30
ONLINE, OFFLINE = "online", "offline"


class Mqtt:
    """A connection to a broker, made when it is first needed and made anew after it broke.

    uri: ``mqtt://user:password@host:port/prefix``; mqtts with TLS. name: the client's id at the broker, at which
    there can be one of each. timeout: seconds for connecting, and for the broker to confirm. ca: PEM file of whom
    certificates are trusted from. Safe to use from several threads.
    """

    def __init__(
        self, uri: str, envelope: Envelope, name: str, timeout: float = 10.0, *, ca: str | None = None
    ) -> None:
        parts = urlsplit(uri)
        self.prefix = parts.path.strip("/") or "reidstream"
        if not parts.hostname or "#" in uri or any(letter in self.prefix for letter in "+\0"):
            raise ConfigError(f"an MQTT address is mqtt://host:port/topic without + and #, got {redacted(uri)!r}")
        try:
            import paho.mqtt.client as paho
        except ModuleNotFoundError:
            raise ConfigError("MQTT needs the package paho-mqtt: pip install 'reidstream[mqtt]'") from None
        self._uri, self._said, self._scheme = uri, redacted(uri), parts.scheme
        self._envelope, self._name, self._timeout = envelope, name, timeout
        self._ca = ca
        self._paho: Any = paho
        self._lock = threading.RLock()
        self._client: Any = None
        self.connections = 0
        """How often we have connected: whoever published what a broker keeps does so again after another one."""

    @property
    def availability(self) -> str:
        """The topic that says whether we are there."""
        return f"{self.prefix}/availability"

    def topic_of(self, kind: str) -> str:
        """Where events of a kind go."""
        return f"{self.prefix}/alerts" if kind.startswith("Alert") else f"{self.prefix}/events/{kind}"

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See Subscriber."""
        self.publish([(self.topic_of(event.kind), self._envelope.write(event), False) for event in events])

    def publish(self, messages: Sequence[tuple[str, bytes, bool]]) -> None:
        """Send (topic, payload, retained) and wait until the broker has confirmed all. Raises DeliveryError.

        An empty payload that is retained takes away what the broker keeps of that topic.
        """
        with self._lock:
            client = self._connected()
            try:
                sent = [client.publish(topic, body, qos=1, retain=kept) for topic, body, kept in messages]
                deadline = time.monotonic() + self._timeout
                for one in sent:
                    one.wait_for_publish(max(0.01, deadline - time.monotonic()))
                if not all(one.is_published() for one in sent):
                    raise DeliveryError(f"{self._said} did not confirm {len(sent)} messages in {self._timeout:g} s")
            except (ValueError, RuntimeError, OSError) as error:
                self._drop()
                raise DeliveryError(f"{self._said} did not take the messages: {error}") from None
            except DeliveryError:
                # What is under way in this connection must not arrive after what is sent in the next.
                self._drop()
                raise

    def forget(self, topics: Sequence[str], *, availability: bool) -> None:
        """Take away what the broker keeps of these topics, and whether we are there, and end the connection.

        Raises DeliveryError.
        """
        with self._lock:
            try:
                gone = [*topics, *([self.availability] if availability else [])]
                self.publish([(topic, b"", True) for topic in gone])
            finally:
                # In the orderly way, so that the broker does not tell our last will.
                self._drop()

    def close(self) -> None:
        """Say that we have gone, and end the connection."""
        with self._lock:
            if self._client is None:
                return
            try:
                self._client.publish(self.availability, OFFLINE, qos=1, retain=True).wait_for_publish(2.0)
            except (ValueError, RuntimeError, OSError):
                # The broker has our last will.
                pass
            self._drop()

    def _connected(self) -> Any:
        if self._client is not None and self._client.is_connected():
            return self._client
        self._drop()
        # Secrets are filled in now and kept nowhere.
        parts = urlsplit(filled_in(self._uri))
        client = self._paho.Client(self._paho.CallbackAPIVersion.VERSION2, client_id=self._name)
        client.will_set(self.availability, OFFLINE, qos=1, retain=True)
        if parts.username is not None:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if self._scheme == "mqtts":
            client.tls_set_context(context_of(self._ca))
        client.connect_timeout = self._timeout
        answered = threading.Event()
        refused: list[str] = []

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                refused.append(str(reason))
            answered.set()

        client.on_connect = connected
        try:
            client.connect(parts.hostname, parts.port or _PORTS[self._scheme], _KEEPALIVE)
        except (OSError, ValueError) as error:
            raise DeliveryError(f"{self._said} does not answer: {refusal(error) or error}") from None
        client.loop_start()
        self._client = client
        if not answered.wait(self._timeout) or refused:
            self._drop()
            raise DeliveryError(f"{self._said} did not let us in: {refused[0] if refused else 'no answer'}")
        client.publish(self.availability, ONLINE, qos=1, retain=True)
        self.connections += 1
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()
