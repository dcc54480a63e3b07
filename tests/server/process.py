"""A server as its users start it: the command, in a process of its own."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from reidstream.children import command_of, environment
from reidstream.client import Client
from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.server.place import SETUP_FILE, is_served, short_path
from tests.identities.conftest import SPACE, Visit
from tests.server.conftest import stored


def free_port() -> int:
    """For what cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def made_gallery(folder: Path, visits: list[Visit]) -> Path:
    config = GalleryConfig(index="exact")
    with Gallery.open(folder, write=True, create=True, space=SPACE, config=config) as opened:
        stored(opened, visits)
    return folder


class Served:
    """A running server, at a port that it chose unless one is given.

    ``said``: what it has printed by the time it answers; ``address``: where it says that it is. authority: of its
    certificate, if any.
    """

    def __init__(self, gallery: Path, *words: str, authority: Path | None = None, port: int = 0) -> None:
        self.gallery, self.address, self._authority = gallery, "", authority
        self._words, self._port = words, str(port)
        self.said = ""

    def __enter__(self) -> Self:
        command = command_of("reidstream", "serve", *self._words, "--gallery", str(self.gallery), "--port", self._port)
        self.child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.said += line
            if line.startswith("serving "):
                self.address = line.split()[-1]
                break
        else:
            raise AssertionError(self.said)
        trusted = ssl.create_default_context(cafile=str(self._authority)) if self._authority else True
        httpx.get(f"{self.address}/readyz", timeout=60, verify=trusted).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child.poll() is None:
            self.end(signal.SIGKILL)

    @property
    def setup_link(self) -> str:
        return (self.gallery / SETUP_FILE).read_text().strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        out, _ = self.child.communicate(timeout=120)
        self.said += out
        return self.child.returncode

    @contextmanager
    def owner(self) -> Iterator[Client]:
        """The gallery's owner, through its socket."""
        assert is_served(self.gallery)
        with short_path(self.gallery) as path, Client(socket=path) as client:
            yield client
