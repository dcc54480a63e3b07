"""In the server: who looks at which cameras, and the newest picture of each for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyio import move_on_after

from reidstream.server.live.picture import LivePicture, View, Wanted

Key = tuple[str, View]


class Hub:
    """Pictures come in from any thread and go out to every viewer that wants them; nobody is waited for.

    told: called with what is wanted now whenever that changes.
    """

    def __init__(self, told: Callable[[Wanted], None]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._newest: dict[Key, LivePicture] = {}
        self._wanted: dict[str, frozenset[View]] = {}

    @property
    def wanted(self) -> Wanted:
        """Which cameras somebody looks at."""
        return self._wanted

    def publish(self, picture: LivePicture) -> None:
        """A picture has come."""
        key = picture.source, picture.view
        with self._lock:
            if picture.view not in self._wanted.get(picture.source, ()):
                return
            self._newest[key] = picture
            for viewer in self._viewers:
                if key in viewer.keys:
                    viewer.offer(picture)

    def forget(self, source: str) -> None:
        """A camera is read no more: what it last saw is not what it sees."""
        with self._lock:
            for view in View:
                self._newest.pop((source, view), None)

    @contextmanager
    def viewer(self) -> Iterator[Viewer]:
        """Somebody who looks, for as long as it is entered, within a running event loop."""
        viewer = Viewer(asyncio.get_running_loop())
        with self._lock:
            self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            with self._lock:
                self._viewers.discard(viewer)

    def look(self, viewer: Viewer, keys: frozenset[Key]) -> None:
        """Somebody looks at these now. May wait for a camera's process to be told; not for an event loop."""
        with self._lock:
            fresh = keys - viewer.keys
            viewer.keys = keys
            for key in fresh & self._newest.keys():
                viewer.offer(self._newest[key])
        self.settle()

    def settle(self) -> None:
        """Tell the cameras what is wanted, if that has changed."""
        # One at a time, so that what was said last is what is so.
        with self._telling:
            with self._lock:
                everything = {key for viewer in self._viewers for key in viewer.keys}
                sources = {source for source, _ in everything}
                wanted = {name: frozenset(view for view in View if (name, view) in everything) for name in sources}
                if wanted == self._wanted:
                    return
                self._wanted = wanted
                self._newest = {key: picture for key, picture in self._newest.items() if key in everything}
            self._told(wanted)


class Viewer:
    """One browser: the newest picture of each camera that it wants and has not been given yet.

    keys: what it looks at. lost: pictures by camera and view for which it was too slow, since it got the last one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.keys: frozenset[Key] = frozenset()
        self._loop = loop
        self._waiting: dict[Key, LivePicture] = {}
        self._lost: dict[Key, int] = {}
        self._ready = asyncio.Event()

    def offer(self, picture: LivePicture) -> None:
        """From any thread: a newer picture takes the place of one that was not sent yet."""
        try:
            self._loop.call_soon_threadsafe(self._put, picture)
        except RuntimeError:
            # The loop was closed a moment ago, with everybody who looked.
            return

    def _put(self, picture: LivePicture) -> None:
        key = picture.source, picture.view
        if key not in self.keys:
            return
        if key in self._waiting:
            self._lost[key] = self._lost.get(key, 0) + 1
        self._waiting[key] = picture
        self._ready.set()

    async def next(self, seconds: float) -> tuple[LivePicture, int] | None:
        """The next picture, and how many of its camera were left out for this viewer; None: none came in time."""
        with move_on_after(seconds):
            while not self._waiting:
                self._ready.clear()
                await self._ready.wait()
        if not self._waiting:
            return None
        key = next(iter(self._waiting))
        return self._waiting.pop(key), self._lost.pop(key, 0)
