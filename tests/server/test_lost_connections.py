"""A connection that the server closes in the moment in which something is asked on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidstream.client import Client
from reidstream.errors import GalleryError

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Forgetful:
    """A server that answers the first request on each connection, and closes it when there is a second one."""

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    self.asked.append(connection.recv(65536).split(b" ")[0].decode())
                    connection.sendall(ANSWER)
                    # What comes next is left unread, which resets the connection.
                    connection.recv(1)
        except OSError:
            pass

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Forgetful]:
    made = Forgetful(tmp_path / "socket")
    yield made
    made.close()


def test_what_only_asks_is_asked_again_and_what_changes_something_is_not(forgetful: Forgetful, tmp_path: Path) -> None:
    with Client(socket=tmp_path / "socket") as client:
        assert client.get("/facts") == {}
        assert client.get("/facts") == {}
        with pytest.raises(GalleryError, match="does not answer"):
            client.post("/decisions", {})
        assert client.post("/decisions", {}) == {}
    assert forgetful.asked == ["GET", "GET", "POST"]
