"""How an event is written down for others: as it is, or in the envelope of CloudEvents 1.0.

The envelope is the JSON event format of the specification (github.com/cloudevents/spec, v1.0.2): ``source`` and ``id``
together name an event once and for all, so that whoever gets one twice can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from reidstream.identities.outbox import OutboxEvent

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Envelope(Protocol):
    """How events are written down. one, many: their content types on the wire."""

    @property
    def one(self) -> str: ...

    @property
    def many(self) -> str: ...

    def write(self, event: OutboxEvent) -> bytes:
        """One event."""

    def write_all(self, events: Sequence[OutboxEvent]) -> bytes:
        """Several together."""


@dataclass(frozen=True, slots=True)
class Plain:
    """An event as ``reidstream events`` prints it."""

    one: str = "application/json"
    many: str = "application/json"

    def write(self, event: OutboxEvent) -> bytes:
        return _json(event.as_dict())

    def write_all(self, events: Sequence[OutboxEvent]) -> bytes:
        return _json({"events": [event.as_dict() for event in events]})


@dataclass(frozen=True, slots=True)
class CloudEvents:
    """CloudEvents 1.0 in structured mode. gallery: its uuid."""

    gallery: str
    one: str = "application/cloudevents+json"
    many: str = "application/cloudevents-batch+json"

    def write(self, event: OutboxEvent) -> bytes:
        return _json(self.envelope(event))

    def write_all(self, events: Sequence[OutboxEvent]) -> bytes:
        return _json([self.envelope(event) for event in events])

    def envelope(self, event: OutboxEvent) -> dict[str, Any]:
        """The event's attributes and data. subject: the person it is about, else the tracklet, if any."""
        subject = event.payload.get("person") or event.payload.get("tracklet")
        return {
            "specversion": "1.0",
            "id": str(event.seq),
            "source": f"urn:uuid:{UUID(self.gallery)}",
            "type": type_of(event.kind),
            "time": datetime.fromtimestamp(event.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **({"subject": subject} if isinstance(subject, str) else {}),
            "datacontenttype": "application/json",
            "data": event.as_dict(),
        }


def type_of(kind: str) -> str:
    """``reidstream.identity.seen_again.v1`` of ``IdentitySeenAgain``."""
    first, *others = _WORD.sub(" ", kind).lower().split()
    return ".".join(["reidstream", first, *(["_".join(others)] if others else []), "v1"])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
