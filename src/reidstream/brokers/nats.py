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
from reidstream.brokers.tls import context_of, refusal
from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import ConfigError, DeliveryError
from reidstream.identities.outbox import OutboxEvent


class Nats:
    """Publishes to JetStream; a connection for each batch. uri: ``nats://user:password@host:port/subject``; nats+tls
    with TLS.

    gallery: its uuid, for the messages' ids. timeout: seconds for everything of a batch. ca: PEM file of whom
    certificates are trusted from.
    """

    def __init__(
        self, uri: str, envelope: Envelope, gallery: str, timeout: float = 10.0, *, ca: str | None = None
    ) -> None:
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
        self._tls, self._ca = parts.scheme == "nats+tls", ca

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See Subscriber."""
        asyncio.run(self._deliver(events))

    def close(self) -> None:
        """Nothing stays open between batches."""

    def _client(self) -> Any:
        from nats.aio.client import Client

        if not self._tls:
            return Client()

        class Secured(Client):  # type: ignore[misc]  # the package is optional, and unknown without it
            """Goes no further where TLS is not asked for: else whoever sits between could have the password."""

            async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
                if not info.get("tls_required"):
                    from nats.errors import Error

                    raise Error("it does not speak TLS")
                await super()._process_info(info, initial_connection)

        return Secured()

    async def _deliver(self, events: Sequence[OutboxEvent]) -> None:
        parts = urlsplit(filled_in(self._uri))
        who = {}
        if parts.username is not None and parts.password is None:
            who = {"token": unquote(parts.username)}
        elif parts.username is not None:
            who = {"user": unquote(parts.username), "password": unquote(parts.password or "")}
        secured: dict[str, Any] = {"tls": context_of(self._ca), "tls_hostname": parts.hostname} if self._tls else {}
        troubles: list[str] = []

        async def trouble(error: Exception) -> None:
            troubles.append(refusal(error) or str(error) or type(error).__name__)

        try:
            async with asyncio.timeout(self._timeout):
                connection = self._client()
                try:
                    await connection.connect(
                        f"nats://{parts.hostname}:{parts.port or 4222}",
                        allow_reconnect=False,
                        connect_timeout=self._timeout,
                        error_cb=trouble,
                        **who,
                        **secured,
                    )
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
            reason = refusal(error) or str(error) or type(error).__name__
            if troubles and isinstance(error, self._nats.errors.NoServersError):
                reason = troubles[0]
            if "no response from stream" in reason or "NoStreamResponse" in type(error).__name__:
                reason = (
                    f"no stream takes {self.subject}.*; make one: nats stream add NAME --subjects '{self.subject}.>'"
                )
            raise DeliveryError(f"{self._said} did not take the events: {reason}") from None
