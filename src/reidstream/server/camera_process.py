"""The process that reads sources for a server: frames become tracklets here, and are stored by the server.

Requests go out on what was standard output and answers come in on standard input, as ``multiprocessing`` pickles them.
The first message on standard input is the ``Order``. Live pictures go their own way: by the connection whose descriptor
is the only argument. A tracklet counts as stored when its answer has come. SIGTERM ends
the run cleanly; when the server dies, the next request fails and the run ends as well.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from reidstream.alerts.frames import FrameShelf
from reidstream.children import conversing_parent
from reidstream.clips.shelf import FOLDER
from reidstream.config import Config, SourceConfig
from reidstream.errors import GalleryError, ReIDStreamError
from reidstream.pipeline import EngineName, open_run
from reidstream.server.live.publisher import Publisher
from reidstream.server.remote import RemoteShelf, RemoteStore, RemoteWatcher, reporting
from reidstream.sources.frame import Frame
from reidstream.types import Observed


@dataclass(frozen=True, slots=True)
class Order:
    """What to read. gallery: where it is, for reading what it has already."""

    config: Config
    sources: tuple[SourceConfig, ...]
    gallery: str
    engine: EngineName


def run(order: Order, store: RemoteStore, publisher: Publisher) -> None:
    """Read the sources to their ends, or until SIGTERM."""
    shelf = RemoteShelf(store, Path(order.gallery) / FOLDER) if order.config.clips.keep else None
    watcher, frames = RemoteWatcher(store), FrameShelf()

    def observe(frame: Frame, observed: Observed) -> None:
        publisher.observe(frame, observed)
        frames.observe(frame, observed)

    opened = open_run(
        order.sources,
        order.config,
        order.gallery,
        engine=order.engine,
        store=store,
        shelf=shelf,
        # DeepStream's frames stay with it.
        observer=observe if order.engine == "local" else None,
        watcher=watcher,
        frames=frames,
    )
    with opened as job:

        def stop(_number: int, _frame: object) -> None:
            # Stopping takes locks that the interrupted thread may hold.
            threading.Thread(target=job.stop, name="stop", daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        with reporting(job, store, watcher), closing(watcher):
            job.run()


def main() -> None:
    # Ctrl-C in a terminal is meant for the server, which ends this process in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, requests = conversing_parent()
    order: Order = answers.recv()
    store = RemoteStore(requests, answers)
    publisher = Publisher(Connection(int(sys.argv[1])), order.config.live)
    publisher.start()
    try:
        run(order, store, publisher)
    except ReIDStreamError as error:
        with contextlib.suppress(GalleryError):
            store.tell({"error": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
