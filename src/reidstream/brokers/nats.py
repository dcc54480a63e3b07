"""Events to NATS JetStream: each is stored in a stream before it counts as delivered.

Subjects: ``SUBJECT.KIND``. A stream must take them (``nats stream add people --subjects 'people.>'``): how long it
keeps events about people is its owner's decision. Each message has an id, by which the stream drops what it got twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from reidstream.brokers.envelopes import Envelope
from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import ConfigError, DeliveryError
from reidstream.identities.outbox import OutboxEvent


class Nats:
    """Publishes to JetStream; a connection for each batch. uri: ``nats://user:password@host:port/subject``.

    gallery: its uuid, for the messages' ids. timeout: seconds for everything of a batch.
    """

    def __init__(self, uri: str, envelope: Envelope, gallery: str, timeout: float = 10.0) -> None:
        parts = urlsplit(uri)
        self.subject = parts.path.strip("/") or "reidstream"
        if not parts.hostname or any(letter in self.subject for letter in " *>/"):
            raise ConfigError(f"a NATS address is nats://host:port/subject, got {redacted(uri)!r}")
        try:
            import nats
        except ModuleNotFoundError:
            raise ConfigError("NATS needs the package nats-py: pip install 'reidstream[nats]'") from None
        self._nats: Any = nats
        self._uri, self._said = uri, redacted(uri)
        self._envelope, self._gallery, self._timeout = envelope, gallery, timeout

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See Subscriber."""
        asyncio.run(self._deliver(events))

    def close(self) -> None:
        """Nothing stays open between batches."""

    async def _deliver(self, events: Sequence[OutboxEvent]) -> None:
        parts = urlsplit(filled_in(self._uri))
        who = {}
        if parts.username is not None and parts.password is None:
            who = {"token": unquote(parts.username)}
        elif parts.username is not None:
            who = {"user": unquote(parts.username), "password": unquote(parts.password or "")}
        troubles: list[str] = []

        async def trouble(error: Exception) -> None:
            troubles.append(str(error) or type(error).__name__)

        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._nats.connect(
                    f"nats://{parts.hostname}:{parts.port or 4222}",
                    allow_reconnect=False,
                    connect_timeout=self._timeout,
                    error_cb=trouble,
                    **who,
                )
                try:
                    stream = connection.jetstream()
                    for event in events:
                        await stream.publish(
                            f"{self.subject}.{event.kind}",
                            self._envelope.write(event),
                            headers={"Nats-Msg-Id": f"{self._gallery}/{event.seq}", "Content-Type": self._envelope.one},
                        )
                finally:
                    await connection.close()
        except TimeoutError:
            reason = troubles[0] if troubles else f"no answer within {self._timeout:g} s"
            raise DeliveryError(f"{self._said} did not take the events: {reason}") from None
        except (self._nats.errors.Error, OSError) as error:
            reason = str(error) or type(error).__name__
            if "no response from stream" in reason or "NoStreamResponse" in type(error).__name__:
                reason = (
                    f"no stream takes {self.subject}.*; make one: nats stream add NAME --subjects '{self.subject}.>'"
                )
            raise DeliveryError(f"{self._said} did not take the events: {reason}") from None
