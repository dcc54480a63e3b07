"""Looking through an archive's tracklets in a process of its own, which may end over them.

Arrow calls ``terminate`` over some broken Parquet files, which no ``except`` clause sees. The importing process (it may
be a server that owns a gallery) must outlive whatever somebody sends: it reads a file only after another process has
read the very same bytes to their end.

Run as a main program it answers requests, pickled as ``multiprocessing`` does: (path, size, count, sources, pictures),
and None or (kind of error, text).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from reidstream.children import conversing_child
from reidstream.errors import GalleryCorrupt, GalleryError


class Examiner:
    """The other process; another one is started for the file after one that ended it. A context manager."""

    def __init__(self) -> None:
        self._start()

    def demand_tracklets(
        self, path: Path, size: int, count: int, sources: Mapping[str, str], pictures: Path | None = None
    ) -> None:
        """As ``archive_checks.demand_tracklets``. Raises GalleryCorrupt also where reading the file ends a process."""
        if self._child.poll() is not None:
            self._start()
        try:
            self._requests.send((str(path), size, count, dict(sources), pictures and str(pictures)))
            answer = self._answers.recv()
        except (OSError, EOFError):
            raise GalleryCorrupt(
                f"{path} cannot be read: the process that looked through it {_ended(self.close())}; export the gallery "
                "again"
            ) from None
        if answer is not None:
            kind, text = answer
            raise GalleryCorrupt(text if kind == GalleryCorrupt.__name__ else f"{path} cannot be read: {kind}: {text}")

    def close(self) -> int:
        """End the other process; its exit status. Nothing happens when called again."""
        self._requests.close()
        self._answers.close()
        return self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        try:
            self._child, self._requests, self._answers = conversing_child("reidstream.gallery.archive_examiner")
        except OSError as error:
            raise GalleryError(f"the process that looks through archives cannot be started: {error.strerror}") from None


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def main() -> None:
    """Answer until nobody asks any more."""
    from reidstream.gallery.archive_checks import demand_tracklets

    requests = Connection(os.dup(sys.stdin.fileno()), writable=False)
    answers = Connection(os.dup(sys.stdout.fileno()), readable=False)
    # What libraries print is not an answer, and what C++ says when it gives up is said by the other side in words.
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())
    while True:
        try:
            path, size, count, sources, pictures = requests.recv()
        except EOFError:
            return
        try:
            demand_tracklets(Path(path), size, count, sources, pictures and Path(pictures))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side says it
            answers.send((type(error).__name__, str(error)))
        else:
            answers.send(None)


if __name__ == "__main__":
    main()
