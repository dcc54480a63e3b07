"""A person's own pictures, made in a process of its own: recordings are decoded there, and it may die.

``python -m reidstream.server.disclosing`` is that process. The order comes on standard input; how far it is, and then
what was written or what is wrong, in words, goes out on what was standard output, as ``multiprocessing`` pickles them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidstream.children import conversing_child, conversing_parent
from reidstream.config.local import DetectorConfig
from reidstream.disclosure import Disclosed, Shown, disclose
from reidstream.errors import GalleryError, ReIDStreamError
from reidstream.gallery import Gallery

# Others on this machine go first: nobody waits for this by the second.
_NICENESS = 10


@dataclass(frozen=True, slots=True)
class DisclosureOrder:
    """What the child is told; see ``disclosure.disclose``. gallery: where it is. detector: who finds the others."""

    gallery: str
    person: str
    target: Path
    shown: Shown
    sure: float
    clips: bool
    cameras: frozenset[str] | None
    detector: DetectorConfig


class Disclosing:
    """Runs one child at a time. ``stop`` ends it from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def made(self, order: DisclosureOrder, advance: Callable[[int, int], None]) -> Disclosed:
        """What was written. Raises GalleryError, also when the child dies; nothing is left behind then."""
        with self._lock:
            if self._stopped:
                raise GalleryError("the server is ending; nothing was written")
            self._child, requests, answers = conversing_child("reidstream.server.disclosing")
        child = self._child
        try:
            with requests, answers, contextlib.suppress(EOFError, OSError):
                requests.send(order)
                while True:
                    kind, said = answers.recv()
                    if kind == "wrong":
                        raise GalleryError(said)
                    if kind == "done":
                        assert isinstance(said, Disclosed)
                        return said
                    advance(*said)
        finally:
            status = child.wait()
            with self._lock:
                self._child = None
        for left in order.target.parent.glob(f".{order.target.stem}.*"):
            _remove(left)
        raise GalleryError(f"the process that makes the pictures ended with status {status}; nothing was written")

    def stop(self) -> None:
        """End the child; whoever waits for it gets a GalleryError, and so does whoever begins another."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()


def _remove(left: Path) -> None:
    import shutil

    shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = conversing_parent()
    order: DisclosureOrder = requests.recv()
    os.nice(_NICENESS)
    try:
        answer: tuple[str, Any] = ("done", _written(order, lambda *far: answers.send(("far", far))))
    except ReIDStreamError as error:
        answer = ("wrong", str(error))
    with contextlib.suppress(OSError):
        answers.send(answer)


def _written(order: DisclosureOrder, progress: Callable[[int, int], None]) -> Disclosed:
    from reidstream.inference import open_detector
    from reidstream.models import resolve_model

    detector = open_detector(resolve_model(order.detector.model, "detector"), order.detector)
    with Gallery.open(order.gallery) as gallery:
        return disclose(
            gallery,
            order.person,
            order.target,
            detector,
            shown=order.shown,
            sure=order.sure,
            clips=order.clips,
            cameras=order.cameras,
            progress=progress,
        )


if __name__ == "__main__":
    main()
