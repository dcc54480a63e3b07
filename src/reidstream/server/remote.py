"""A gallery that a server owns, for whoever reads sources in another process and has what they find stored there.

Requests and answers are pickled by ``multiprocessing``: both ends are the same program of the same user. A tracklet
counts as stored when its answer has come.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from reidstream.alerts.sightings import Sighting
from reidstream.clips import Clip
from reidstream.errors import GalleryError
from reidstream.gallery.recordings import Begin
from reidstream.pipeline import GalleryRun
from reidstream.types import LeftOut, SourceEnded, SourceStarted, Tracklet

TELL_EVERY = 1.0
"""Seconds between two reports."""


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

    def tell(self, report: dict[str, Any]) -> bool:
        """Say how it goes; whether it may go on."""
        return bool(self._ask("report", report))

    def watched(self, sources: Sequence[str]) -> list[str]:
        """Of which of these sources somebody wants to hear of open tracks."""
        return list(self._ask("watched", list(sources)))

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Tell of whoever is in view."""
        self._ask("saw", list(sightings))

    def settle(self) -> None:
        """Wait until everything that was stored has a person."""
        self._ask("settle")

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


class Hearing(Protocol):
    """Who is told of whoever is in view."""

    def watched(self, sources: Sequence[str]) -> list[str]:
        """Of which of these sources somebody wants to hear of open tracks."""

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Hear of whoever is in view. Raises GalleryError."""


class RemoteWatcher:
    """A Watcher whose rules another process looks at. Tracking does not wait for it: a thread tells of what is in view,
    the newest of each track. ``close`` tells what is left.

    again: seconds until it is told again that could not be told; None: who cannot be told once has gone for good.
    """

    def __init__(self, store: Hearing, again: float | None = None) -> None:
        self._store, self._again = store, again
        self._wanted: frozenset[str] = frozenset()
        self._asked: set[str] = set()
        self._waiting: dict[tuple[str, int], Sighting] = {}
        self._ready = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._tell, name="who is in view", daemon=True)
        self._thread.start()

    def wants(self, source: str) -> bool:
        if source not in self._asked:
            self._asked.add(source)
            self.refresh()
        return source in self._wanted

    def refresh(self) -> None:
        """Ask anew of which sources is to be told."""
        self._wanted = frozenset(self._store.watched(sorted(self._asked)))

    def saw(self, sightings: Iterable[Sighting]) -> None:
        with self._ready:
            for one in sightings:
                key = one.content, one.track
                before = self._waiting.pop(key, None)
                if before is not None and one.frame is None:
                    one = replace(one, frame=before.frame, frame_box=before.frame_box)
                self._waiting[key] = one
            self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._thread.join()

    def _tell(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._ended)
                told, self._waiting = list(self._waiting.values()), {}
            if not told:
                return
            try:
                self._store.saw(told)
            except GalleryError:
                with self._ready:
                    if self._again is None or self._ended:
                        # The server has gone; the run hears of it when it stores.
                        return
                    for one in told:
                        # Unless there is a newer one, which holds all that this one does.
                        self._waiting.setdefault((one.content, one.track), one)
                    self._ready.wait_for(lambda: self._ended, self._again)


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


@contextlib.contextmanager
def reporting(job: GalleryRun, store: RemoteStore, watcher: RemoteWatcher | None = None) -> Iterator[None]:
    """While a run goes on, and once at its end, the server is told how it goes; the run ends when it is told to.

    watcher: hears which sources are watched now.
    """
    ended = threading.Event()
    reporter = threading.Thread(target=_report, args=(job, store, ended, watcher), name="reports", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
    store.tell(_state(job))


def _report(job: GalleryRun, store: RemoteStore, ended: threading.Event, watcher: RemoteWatcher | None = None) -> None:
    while not ended.wait(TELL_EVERY):
        try:
            goes_on = store.tell(_state(job))
            if watcher is not None:
                watcher.refresh()
        except GalleryError:
            goes_on = False
        if not goes_on:
            job.stop()
            return


def _state(job: GalleryRun) -> dict[str, Any]:
    summary = job.summary
    return {
        "sources": {name: asdict(source) for name, source in list(summary.sources.items())},
        "open_tracks": summary.open_tracks,
        "tracklets": summary.tracklets,
    }
