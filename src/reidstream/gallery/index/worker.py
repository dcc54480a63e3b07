"""The process that ChromaDB runs in while a gallery is being written; see ``process`` for the other side.

Requests come in on standard input and answers go out on what was standard output, as ``multiprocessing`` pickles them:
(call, index number, arguments) and (True, result) or (False, kind of error, its text).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reidstream.allocator import give_back_free_memory
from reidstream.errors import GalleryCorrupt, GalleryError
from reidstream.files import access_of

PATIENCE = 60.0
"""Seconds to wait for the process of a writer that died to finish its last call."""

ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (GalleryError, GalleryCorrupt, KeyError, ValueError)
}
"""What may be raised on the other side; everything else arrives there as a GalleryError."""


class Worker:
    """The open indexes of one writing process, by number. Each holds a lock on its gallery's index files."""

    def __init__(self) -> None:
        self._indexes: dict[int, Any] = {}
        self._locks: dict[int, FileLock] = {}
        self._umasks: dict[int, int] = {}

    def open(self, number: int, folder: str, size: int, lock: str) -> None:
        from reidstream.gallery.index.chroma import ChromaIndex

        access = access_of(Path(lock).parent)
        held = FileLock(lock, thread_local=False, is_singleton=True, mode=access.file_mode)
        try:
            held.acquire(timeout=PATIENCE)
        except Timeout:
            raise GalleryError(f"another process has been writing the index in {folder} for {PATIENCE:.0f} s") from None
        # ChromaDB makes files as the process's umask says; every gallery has its own.
        self._umasks[number] = access.umask
        os.umask(access.umask)
        try:
            self._indexes[number] = ChromaIndex.in_folder(Path(folder), size)
        except BaseException:
            held.release()
            raise
        self._locks[number] = held

    def close(self, number: int) -> None:
        index, lock = self._indexes.pop(number, None), self._locks.pop(number, None)
        try:
            if index is not None:
                index.close()
        finally:
            if lock is not None:
                lock.release()
            give_back_free_memory()

    def call(self, name: str, number: int, arguments: tuple[Any, ...]) -> Any:
        if name in {"open", "close"}:
            return getattr(self, name)(number, *arguments)
        if number not in self._indexes:
            raise GalleryError("the vector index is closed")
        os.umask(self._umasks[number])
        return getattr(self._indexes[number], name)(*arguments)


def serve(requests: Connection, answers: Connection) -> None:
    """Answer until the other side is gone."""
    worker = Worker()
    while True:
        try:
            name, number, arguments = requests.recv()
        except EOFError:
            return
        try:
            answer: tuple[Any, ...] = (True, worker.call(name, number, arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            kind = type(error).__name__ if type(error).__name__ in ERRORS else "GalleryError"
            # The first argument of an OSError is a number, and the words of a KeyError stand in quotes.
            text = str(error if isinstance(error, OSError) else error.args[0]) if error.args else type(error).__name__
            answer = (False, kind, text)
        try:
            answers.send(answer)
        except OSError:
            return


def main() -> None:
    # Ctrl-C is meant for the process that people look at; this one ends when that one has.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The index can wait, frames of a camera cannot.
    if hasattr(os, "nice"):
        os.nice(10)
    # Whatever a library prints must not get between the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    # Takes two seconds, which whoever started this process may have other work for. An error is told by the first call.
    with contextlib.suppress(Exception):
        from reidstream.gallery.index.chroma import chromadb

        chromadb()
    serve(Connection(0, writable=False), Connection(answers, readable=False))
    # ChromaDB's threads would keep the interpreter from ending; what was acknowledged is in its files' log.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
