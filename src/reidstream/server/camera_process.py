"""The process that reads sources for a server: frames become tracklets here, and are stored by the server.

Requests go out on what was standard output and answers come in on standard input, as ``multiprocessing`` pickles them.
The first message on standard input is the ``Order``. A tracklet counts as stored when its answer has come. SIGTERM ends
the run cleanly; when the server dies, the next request fails and the run ends as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reidstream.clips import Clip
from reidstream.clips.shelf import FOLDER
from reidstream.config import Config, SourceConfig
from reidstream.errors import GalleryError, ReIDStreamError
from reidstream.gallery.recordings import Begin
from reidstream.pipeline import EngineName, GalleryRun, open_run
from reidstream.types import LeftOut, SourceEnded, SourceStarted, Tracklet

TELL_EVERY = 1.0
"""Seconds between two reports."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to read. gallery: where it is, for reading what it has already."""

    config: Config
    sources: tuple[SourceConfig, ...]
    gallery: str
    engine: EngineName


class RemoteStore:
    """A TrackletStore whose gallery another process owns. Safe to use from several threads."""

    def __init__(self, requests: Connection, answers: Connection) -> None:
        self._requests, self._answers = requests, answers
        self._lock = threading.Lock()
        self._contents: dict[str, str] = {}
        self.place = "of the server"

    def begin_source(
        self, started: SourceStarted, settings: str, *, replace: bool = False, formerly: str = ""
    ) -> Begin:
        self._contents[started.source] = started.content
        return Begin(self._ask("begin", started, settings, replace, formerly))

    def add(self, batch: Sequence[Tracklet]) -> int:
        return int(self._ask("add", list(batch)))

    def leave_out(self, batch: Sequence[LeftOut]) -> None:
        self._ask("leave out", list(batch))

    def end_source(self, ended: SourceEnded) -> None:
        content = self._contents.pop(ended.source, None)
        if content is not None:
            self._ask("end", ended, content)

    def about_clip(self, name: str, *arguments: Any) -> Any:
        """Have a method of the gallery's shelf called."""
        return self._ask("clip", name, arguments)

    def tell(self, report: dict[str, Any]) -> None:
        """Say how it goes."""
        self._ask("report", report)

    def _ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            try:
                self._requests.send((name, arguments))
                done, answer = self._answers.recv()
            except (OSError, EOFError):
                raise GalleryError("the server that owns the gallery has ended") from None
        if not done:
            raise GalleryError(answer)
        return answer


class RemoteShelf:
    """The shelf of clips of a gallery that another process owns: files are written here, and put into place there."""

    def __init__(self, store: RemoteStore, folder: Path) -> None:
        self._store, self.folder = store, folder

    def begin(self, clip: Clip) -> bool:
        return bool(self._store.about_clip("begin", clip))

    def holds(self, tracklet: str) -> bool:
        return bool(self._store.about_clip("holds", tracklet))

    def finish(self, clip: Clip, written: Path) -> bool:
        return bool(self._store.about_clip("finish", clip, written))

    def drop(self, tracklets: Sequence[str]) -> None:
        self._store.about_clip("drop", list(tracklets))

    def drop_showing(self, content: str, start_media: float, end_media: float) -> None:
        self._store.about_clip("drop_showing", content, start_media, end_media)

    def sweep(self, older_than: float | None = None, most_bytes: float | None = None) -> int:
        return int(self._store.about_clip("sweep", older_than, most_bytes))


def run(order: Order, store: RemoteStore) -> None:
    """Read the sources to their ends, or until SIGTERM."""
    shelf = RemoteShelf(store, Path(order.gallery) / FOLDER) if order.config.clips.keep else None
    opened = open_run(order.sources, order.config, order.gallery, engine=order.engine, store=store, shelf=shelf)
    with opened as job:
        stopped = threading.Event()

        def stop(_number: int, _frame: object) -> None:
            # Stopping takes locks that the interrupted thread may hold.
            threading.Thread(target=job.stop, name="stop", daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        reporter = threading.Thread(target=_report, args=(job, store, stopped), name="reports", daemon=True)
        reporter.start()
        try:
            job.run()
        finally:
            stopped.set()
            reporter.join()
        store.tell(_state(job))


def _report(job: GalleryRun, store: RemoteStore, stopped: threading.Event) -> None:
    while not stopped.wait(TELL_EVERY):
        try:
            store.tell(_state(job))
        except GalleryError:
            job.stop()
            return


def _state(job: GalleryRun) -> dict[str, Any]:
    summary = job.summary
    return {
        "sources": {name: asdict(source) for name, source in list(summary.sources.items())},
        "open_tracks": summary.open_tracks,
        "tracklets": summary.tracklets,
    }


def main() -> None:
    # Ctrl-C in a terminal is meant for the server, which ends this process in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the requests.
    requests = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    answers = Connection(os.dup(0), writable=False)
    order: Order = answers.recv()
    store = RemoteStore(requests, answers)
    try:
        run(order, store)
    except ReIDStreamError as error:
        with contextlib.suppress(GalleryError):
            store.tell({"error": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
