"""A ChromaDB index in a process of its own, for whoever writes a gallery while doing other things.

ChromaDB holds Python's global lock for as long as a call lasts: half a thousand vectors put into an index of some
thousands stop every thread of the process for one to two seconds, the decoder and the trackers included. In another
process the same call costs this one nothing but the wait of the thread that asked.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.children import conversing_child
from reidstream.errors import GalleryError
from reidstream.gallery.index.exact import Nearest
from reidstream.gallery.index.worker import ERRORS
from reidstream.types import FloatArray

_AT_ONCE = 5000
"""Vectors in one message."""


class ProcessIndex:
    """A VectorIndex whose work is done by the worker process. Safe to use from several threads.

    folder: of the index; lock: the file that keeps two worker processes apart. Raises GalleryError when the worker
    cannot be started, has died, or when ChromaDB fails.
    """

    def __init__(self, folder: Path, size: int, lock: Path) -> None:
        self._size = size
        self._closed = False
        self._number = next(_numbers)
        self._process = _process()
        self._call("open", str(folder.absolute()), size, str(lock.absolute()))
        self._process.open_indexes.add(self._number)

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        if vectors.shape != (len(ids), self._size):
            raise ValueError(f"vectors must have shape ({len(ids)}, {self._size}), got {vectors.shape}")
        for start in range(0, len(ids), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            self._call("upsert", list(ids[some]), np.ascontiguousarray(vectors[some]))

    def remove(self, ids: Sequence[str]) -> None:
        self._call("remove", list(ids))

    def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
        found: list[Nearest] = self._call("search", np.ascontiguousarray(vectors), k)
        return found

    def ids(self) -> list[str]:
        ids: list[str] = self._call("ids")
        return ids

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        parts = [self._call("vectors", list(ids[n : n + _AT_ONCE])) for n in range(0, len(ids), _AT_ONCE)]
        vectors: FloatArray = np.concatenate([np.zeros((0, self._size), np.float32), *parts])
        return vectors

    def __len__(self) -> int:
        return int(self._call("__len__"))

    def save(self) -> None:
        self._call("save")

    def close(self) -> None:
        if self._closed:
            return
        # A worker that died has let go of everything already.
        with contextlib.suppress(GalleryError):
            self._call("close")
        self._closed = True
        self._process.open_indexes.discard(self._number)

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._closed:
            raise GalleryError("the vector index is closed")
        return self._process.call(name, self._number, arguments)


class _Process:
    """The child process and the pipes to it; one call at a time."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.open_indexes: set[int] = set()
        self._lock = threading.Lock()
        try:
            self._child, self._requests, self._answers = conversing_child("reidstream.gallery.index.worker")
        except OSError as error:
            raise GalleryError(f"the process of the vector index cannot be started: {error.strerror}") from None

    @property
    def alive(self) -> bool:
        return self.pid == os.getpid() and self._child.poll() is None and not self._requests.closed

    def call(self, name: str, number: int, arguments: tuple[Any, ...]) -> Any:
        with self._lock:
            try:
                self._requests.send((name, number, arguments))
                done, *answer = self._answers.recv()
            except (OSError, EOFError):
                status = self._stopped()
                raise GalleryError(f"the process of the vector index died (exit status {status})") from None
        if done:
            return answer[0]
        kind, text = answer
        raise ERRORS[kind](text)

    def stop(self) -> int:
        """Let the child finish its call and end. Whoever calls it meanwhile waits, and hears that it died."""
        with self._lock:
            return self._stopped()

    def _stopped(self) -> int:
        self._requests.close()
        self._answers.close()
        return self._child.wait()


_current: _Process | None = None
_starting = threading.Lock()
_numbers = itertools.count(1)


def _process() -> _Process:
    """The one worker of this process, started when it is first needed; starting costs a second."""
    global _current
    with _starting:
        if _current is None or not _current.alive:
            _current = _Process()
        return _current


def start() -> None:
    """Have the worker start now, for whoever is going to need it and has other things to do until then."""
    _process()


def renew() -> None:
    """End the worker, unless it has an index open: the next one's memory holds nothing of what was erased."""
    with _starting:
        if _current is not None and _current.alive and not _current.open_indexes:
            _current.stop()


@atexit.register
def _end() -> None:
    if _current is not None and _current.alive:
        _current.stop()
