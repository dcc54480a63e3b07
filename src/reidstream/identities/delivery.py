"""Handing events over to others: every event at least once, in order.

A subscriber's position is kept in a small file of its own and not in the gallery, because a follower works while
another process owns the gallery for writing. It is moved on only after the subscriber has accepted what came before:
after a crash in between, the last events are delivered again, and their ``seq`` tells.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import ConfigError, DeliveryError
from reidstream.files import write_whole
from reidstream.foreign_documents import parsed_json
from reidstream.foreign_text import json_text
from reidstream.gallery import Gallery
from reidstream.identities.outbox import OutboxEvent, events_after
from reidstream.identities.people import has_people

SIGNATURE = "X-ReIDStream-Signature"
TIMESTAMP = "X-ReIDStream-Timestamp"

BATCH = 100
"""Events handed over at once, at most."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
# With the pauses in between about four minutes: longer than a server takes to start again.
_ATTEMPTS = 10
_POLL_SECONDS = 0.5
# Answers of a server that may be others the next time, although they blame the request.
_PASSING = frozenset({408, 425, 429})


class Subscriber(Protocol):
    """Somebody who wants events: a web server, a message broker, a pipe."""

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """Hand events over, oldest first; return only when they are accepted.

        Raises DeliveryError when they are not; the same events are then offered again by the next follower.
        """


class Packing(Protocol):
    """How a batch of events is written down for a web server. many: its content type."""

    @property
    def many(self) -> str: ...

    def write_all(self, events: Sequence[OutboxEvent]) -> bytes: ...


class Lines:
    """Events as JSON lines on standard output."""

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        for event in events:
            sys.stdout.write(json_text(event.as_dict()) + "\n")
        sys.stdout.flush()


class Webhook:
    """Events posted to an address as ``{"events": [...]}``; any 2xx answer accepts them.

    envelope: another way to write them down (``brokers.envelopes``). secret: signs each request, see ``signature``.
    timeout: seconds that an attempt may take from connecting to the answer's last header, however slowly it moves.
    attempts: another answer, or none, is tried again after growing pauses, so often in all; answers that blame the
    request (4xx) are not. pause: waits so many seconds. Of an answer only status and headers are read (up to about 100
    KiB): its body may be endless.
    """

    def __init__(
        self,
        url: str,
        secret: str | None = None,
        *,
        envelope: Packing | None = None,
        timeout: float = 10.0,
        attempts: int = _ATTEMPTS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"a webhook is an http:// or https:// address, got {redacted(url)!r}")
        self._envelope, self._attempts = envelope, attempts
        self._url, self._secret, self._timeout, self._pause = url, secret, timeout, pause

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        """See Subscriber. Raises DeliveryError when the last attempt has failed."""
        if self._envelope is None:
            body = json.dumps({"events": [event.as_dict() for event in events]}, ensure_ascii=False).encode()
        else:
            body = self._envelope.write_all(events)
        wait = _FIRST_PAUSE
        for left in reversed(range(self._attempts)):
            trouble, final = self._post(body)
            if trouble is None:
                return
            if final or not left:
                raise DeliveryError(
                    f"{redacted(self._url)} did not accept events {events[0].seq} to {events[-1].seq}: {trouble}; "
                    "nothing is lost: start again, and delivery goes on from there"
                )
            self._pause(wait)
            wait = min(2 * wait, _LONGEST_PAUSE)

    def close(self) -> None:
        """Nothing stays open between batches."""

    def _post(self, body: bytes) -> tuple[str | None, bool]:
        """What went wrong, if anything, and whether trying again is of no use."""
        import httpx

        headers = {
            "Content-Type": self._envelope.many if self._envelope else "application/json",
            TIMESTAMP: str(int(time.time())),
        }
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, headers[TIMESTAMP], body)
        url = filled_in(self._url)
        # Made before the clock starts: reading the system's certificates takes a while.
        with httpx.Client(timeout=self._timeout) as client, _Deadline(self._timeout) as deadline:
            extensions = {"trace": deadline.trace}
            try:
                with client.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer:
                    status = answer.status_code
            except httpx.InvalidURL as error:
                return str(error), True
            except (httpx.HTTPError, OSError) as error:
                if deadline.over:
                    return f"no answer within {self._timeout:g} seconds", False
                return str(error) or type(error).__name__, False
        if 200 <= status < 300:
            return None, True
        # A redirect is not followed: events go to nobody but the address that was named.
        return f"it answered {status}", 300 <= status < 500 and status not in _PASSING


class _Deadline:
    """Cuts a request's connection when its time is up: the library's time-outs count from the last byte, and a byte now
    and then keeps them waiting for ever. A context manager."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: Any = None
        self.over = False

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """httpx's ``trace`` extension: takes note of the connection."""
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            with self._lock:
                self._connection = info["return_value"]
                if self.over:
                    self._shut_down()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            if self._connection is not None:
                self._shut_down()

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class Position:
    """How far a subscriber has come: a file that is replaced at once, never written halfway."""

    def __init__(self, path: Path, gallery: Gallery) -> None:
        """Raises ConfigError when the file holds something else, or another gallery's position."""
        self._path = path
        self._gallery = gallery.facts().uuid
        self._access = gallery.access
        self.seq = 0
        try:
            held = parsed_json(path.read_text(encoding="utf-8"))
            self.seq = int(held["seq"])
            owner = str(held["gallery"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is not a position in a gallery's events: {error}") from None
        if owner != self._gallery:
            raise ConfigError(f"{path} is the position in another gallery's events; name another file with --position")

    def move_to(self, seq: int) -> None:
        """Everything up to ``seq`` has been accepted."""
        self.seq = seq
        text = json.dumps({"gallery": self._gallery, "seq": seq})
        write_whole(self._path, text, DeliveryError, "name another file with --position", self._access)


def position_file(gallery: Gallery, address: str) -> Path:
    """Where a webhook's position is kept unless the user names a file: beside the gallery's folder."""
    folder = gallery.place.folder
    if folder is None:
        raise ConfigError("name a file for the position with --position: a gallery on a server has no folder")
    key = hashlib.sha256(address.encode()).hexdigest()[:8]
    return folder.resolve().with_name(f"{folder.resolve().name}.events-{key}.json")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=`` and the HMAC-SHA256 in hex over the timestamp header, a full stop, and the body's bytes.

    The timestamp is signed too, so that a recorded request cannot be played back later.
    """
    mac = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


def follow(
    gallery: Gallery,
    subscriber: Subscriber,
    since: int,
    *,
    position: Position | None = None,
    forever: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Deliver every event after ``since``, in order; the last one's number.

    forever: wait for more instead of returning. Raises DeliveryError when the subscriber refuses.
    """
    while True:
        # A gallery whose identities nobody has decided yet has no events, and no table for them.
        batch = events_after(gallery, since, BATCH) if has_people(gallery) else []
        if batch:
            subscriber.deliver(batch)
            since = batch[-1].seq
            if position is not None:
                position.move_to(since)
        elif forever:
            pause(_POLL_SECONDS)
        else:
            return since
