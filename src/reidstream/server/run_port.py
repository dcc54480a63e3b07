"""Runs on a gallery that this server owns: ``reidstream run`` reads, and has what it finds stored here."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import reidstream
from reidstream.config import SourceConfig
from reidstream.errors import GalleryError
from reidstream.server.cameras import Camera, Cameras
from reidstream.server.desk import Desk
from reidstream.server.place import RUNS_FILE, bound_socket, short_path, user_of
from reidstream.server.reader import Reader
from reidstream.server.remote import RemoteStore

_log = logging.getLogger(__name__)

_WELCOME = b"welcome"
_PATIENCE = 60.0
"""Seconds that runs have for finishing what they saw when the server ends."""


class RunPort:
    """Listens in the gallery's folder while it is entered. Leaving asks the runs to finish, and waits for them."""

    def __init__(self, desk: Desk, cameras: Cameras, folder: Path) -> None:
        self._desk, self._cameras, self._folder = desk, cameras, folder
        self._closing = False
        self._runs: set[threading.Thread] = set()

    def __enter__(self) -> Self:
        self._bound = bound_socket(self._folder, RUNS_FILE)
        self._bound.setblocking(True)
        self._listener = threading.Thread(target=self._listen, name="runs", daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        # Closing alone would not wake the thread that waits for the next one.
        with contextlib.suppress(OSError):
            self._bound.shutdown(socket.SHUT_RDWR)
        self._bound.close()
        self._listener.join()
        (self._folder / RUNS_FILE).unlink(missing_ok=True)
        until = time.monotonic() + _PATIENCE
        for run in list(self._runs):
            run.join(max(0.0, until - time.monotonic()))
            if run.is_alive():
                _log.warning("a run does not end; what it has stored is safe")

    def _listen(self) -> None:
        while not self._closing:
            try:
                made, _ = self._bound.accept()
            except OSError:
                return
            if user_of(made) not in {os.getuid(), 0}:
                made.close()
                continue
            run = threading.Thread(target=self._serve, args=(made,), name="run", daemon=True)
            self._runs.add(run)
            run.start()

    def _serve(self, made: socket.socket) -> None:
        sources: dict[str, Camera] = {}

        def told(report: dict[str, Any]) -> bool:
            for name, one in report.get("sources", {}).items():
                if name not in sources:
                    sources[name] = Camera(name, SourceConfig(uri=one["uri"] or name), by_run=True)
                sources[name].take(one, time.time())
            self._cameras.of_run(sources_key, dict(sources))
            return not self._closing

        sources_key = object()
        connection = Connection(made.detach())
        try:
            # Plain bytes first: what is pickled is understood by the same version alone.
            theirs = connection.recv_bytes(64).decode(errors="replace")
            if theirs != reidstream.__version__:
                words = f"the server that owns the gallery is reidstream {reidstream.__version__}, this is {theirs}"
                connection.send_bytes(f"{words}; start the server again".encode())
                return
            connection.send_bytes(_WELCOME)
            Reader(self._desk, told).answer(connection, connection)
        except (EOFError, OSError):
            pass
        finally:
            connection.close()
            self._cameras.of_run(sources_key, None)
            self._runs.discard(threading.current_thread())


@contextlib.contextmanager
def joined(folder: Path) -> Iterator[RemoteStore]:
    """The store of the server that owns the gallery in this folder. Raises GalleryError when it does not answer."""
    reached = socket.socket(socket.AF_UNIX)
    with contextlib.ExitStack() as stack:
        stack.callback(reached.close)
        try:
            with short_path(folder, RUNS_FILE) as path:
                reached.connect(str(path))
            connection = stack.enter_context(Connection(reached.detach()))
            connection.send_bytes(reidstream.__version__.encode())
            answer = connection.recv_bytes(1024)
        except (OSError, EOFError):
            raise GalleryError(f"the server that owns gallery {folder} takes nothing; start it again") from None
        if answer != _WELCOME:
            raise GalleryError(answer.decode(errors="replace"))
        yield RemoteStore(connection, connection)
