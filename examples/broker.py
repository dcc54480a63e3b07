"""A gallery's events into a message broker, each at least once: here NATS, by its plain text protocol.

    python examples/broker.py --gallery shop --server localhost:4222 --subject people --forever

Other brokers differ in ``deliver`` only: hand over, wait until the broker has confirmed, return. When it has not,
raise DeliveryError: the events are offered again the next time.
"""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Sequence
from pathlib import Path

from reidstream import Gallery
from reidstream.errors import DeliveryError
from reidstream.identities.delivery import Position, follow
from reidstream.identities.outbox import OutboxEvent


class Nats:
    """Publishes to a subject. After each batch a PING: its PONG says that all before it has arrived."""

    def __init__(self, server: str, subject: str) -> None:
        host, _, port = server.partition(":")
        self._server, self._subject = server, subject
        try:
            self._socket = socket.create_connection((host, int(port or 4222)), timeout=10)
        except OSError as error:
            raise DeliveryError(f"no NATS server answers at {server}: {error}") from None
        self._lines = self._socket.makefile("rb")
        self._lines.readline()  # the server says who it is
        self._socket.sendall(b'CONNECT {"verbose":false,"name":"reidstream"}\r\n')

    def deliver(self, events: Sequence[OutboxEvent]) -> None:
        messages = [json.dumps(event.as_dict()).encode() for event in events]
        sent = [b"PUB %s %d\r\n%s\r\n" % (self._subject.encode(), len(body), body) for body in messages]
        try:
            self._socket.sendall(b"".join(sent) + b"PING\r\n")
            while (answer := self._lines.readline().strip()) != b"PONG":
                if answer == b"PING":
                    self._socket.sendall(b"PONG\r\n")
                elif answer.startswith(b"-ERR") or not answer:
                    raise DeliveryError(f"{self._server} did not take the events: {answer.decode() or 'it closed'}")
        except OSError as error:
            raise DeliveryError(f"{self._server} did not take the events: {error}") from None

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--server", default="localhost:4222")
    parser.add_argument("--subject", default="people")
    parser.add_argument("--position", type=Path, default=Path("broker.json"))
    parser.add_argument("--forever", action="store_true", help="wait for more")
    options = parser.parse_args()
    broker = Nats(options.server, options.subject)
    try:
        with Gallery.open(options.gallery) as gallery:
            position = Position(options.position, gallery)
            last = follow(gallery, broker, position.seq, position=position, forever=options.forever)
    finally:
        broker.close()
    print(f"delivered up to event {last}")


if __name__ == "__main__":
    main()
