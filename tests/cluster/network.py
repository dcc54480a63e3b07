"""A network between processes and PostgreSQL that can be slow, and can lose one half of a connection."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from pathlib import Path

from sqlalchemy import make_url

_KEEPALIVES = 11.0
"""Seconds after which a machine notices, by TCP's keepalives as workers set them, that the other end is gone. Both ends
are on this machine, whose kernel answers keepalives for a process that does not read; so the proxy says it then."""


class _Line:
    """One connection: two sockets, and a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket, network: Network) -> None:
        self.client, self.server, self._network = client, server, network
        self._deaf = threading.Event()
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def lose_half(self, towards_client: bool) -> None:
        """End one direction in the middle of what is said; the other stays open."""
        self._deaf.set()
        with contextlib.suppress(OSError):
            (self.client if towards_client else self.server).shutdown(socket.SHUT_WR)
        timer = threading.Timer(_KEEPALIVES, self.close)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._network.delay:
                    time.sleep(self._network.delay)
                if self._deaf.is_set():
                    return
                target.sendall(data)
        if not self._deaf.is_set():
            self.close()


class Network:
    """Listens on this machine and forwards to the socket of a PostgreSQL server. ``through``: an address by it.

    delay: seconds that each piece waits, in both directions.
    """

    def __init__(self, address: str) -> None:
        folder = make_url(address).query["host"]
        assert isinstance(folder, str)
        self._target = next(Path(folder).glob(".s.PGSQL.*[0-9]"))
        self.delay = 0.0
        self._lines: list[_Line] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def through(self, address: str) -> str:
        """The same database, by way of this network."""
        url = make_url(address).set(host="127.0.0.1", port=self._port)
        return url.difference_update_query(["host"]).render_as_string(hide_password=False)

    def lose_halves(self, rng: random.Random, share: float = 0.5) -> int:
        """Lose one half of about this share of the connections; of how many."""
        lines = [line for line in self._lines if line.client.fileno() >= 0 and rng.random() < share]
        for line in lines:
            line.lose_half(rng.random() < 0.5)
        self._lines = [line for line in self._lines if line.client.fileno() >= 0]
        return len(lines)

    def close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._target))
                except OSError:
                    # The server starts again just now.
                    client.close()
                    server.close()
                    continue
                self._lines.append(_Line(client, server, self))
