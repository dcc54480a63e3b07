"""In the server: who looks at which cameras, and the newest picture of each for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyio import move_on_after

from reidstream.server.live.fragments import Fragment
from reidstream.server.live.picture import LivePicture, View, Wanted

Key = tuple[str, View]

_MOST_KEPT = 16 * 2**20
"""Bytes of a film since its last key frame that are kept for whoever joins; with more they wait for the next one."""
_MOST_WAITING = 4 * 2**20
"""Bytes of a film that a browser may be behind; one that lags more gets nothing of it until its next key frame."""


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
        # Source → the beginning of its film, or why there is none, and everything from its last key frame on.
        self._films: dict[str, list[Fragment]] = {}
        self._wanted: dict[str, frozenset[View]] = {}

    @property
    def wanted(self) -> Wanted:
        """Which cameras somebody looks at."""
        return self._wanted

    def publish(self, shown: LivePicture | Fragment) -> None:
        """A picture, or the next part of a film, has come."""
        if isinstance(shown, Fragment):
            self._go_on(shown)
        else:
            self._show(shown)

    def _go_on(self, part: Fragment) -> None:
        key = part.source, View.MOVING
        with self._lock:
            if View.MOVING not in self._wanted.get(part.source, ()):
                return
            film = self._films.get(part.source)
            if part.beginning or part.refused:
                self._films[part.source] = [part]
            elif film is None or film[0].generation != part.generation:
                # Of a film that somebody looked at before.
                return
            elif part.key:
                self._films[part.source] = [film[0], part]
            elif len(film) > 1:
                if sum(len(one.data) for one in film) + len(part.data) > _MOST_KEPT:
                    self._films[part.source] = film[:1]
                else:
                    film.append(part)
            for viewer in self._viewers:
                if key in viewer.keys:
                    viewer.offer(part)

    def _show(self, picture: LivePicture) -> None:
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
            self._films.pop(source, None)

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
            for source, view in fresh:
                for part in self._films.get(source, ()) if view is View.MOVING else ():
                    viewer.offer(part)
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
                self._films = {n: film for n, film in self._films.items() if (n, View.MOVING) in everything}
            self._told(wanted)


class Viewer:
    """One browser: the newest picture of each camera that it wants and has not been given yet, and what of films it
    has not been given.

    keys: what it looks at. lost: pictures by camera and view for which it was too slow, since it got the last one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.keys: frozenset[Key] = frozenset()
        self._loop = loop
        self._waiting: dict[Key, LivePicture] = {}
        self._lost: dict[Key, int] = {}
        self._films: dict[Key, deque[Fragment]] = {}
        # Films of which nothing is taken until their next key frame.
        self._behind: set[Key] = set()
        self._ready = asyncio.Event()

    def offer(self, shown: LivePicture | Fragment) -> None:
        """From any thread: a newer picture takes the place of one that was not sent yet; parts of a film follow one
        another."""
        try:
            if isinstance(shown, Fragment):
                self._loop.call_soon_threadsafe(self._put_part, shown)
            else:
                self._loop.call_soon_threadsafe(self._put, shown)
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

    def _put_part(self, part: Fragment) -> None:
        key = part.source, View.MOVING
        if key not in self.keys:
            self._films.pop(key, None)
            return
        film = self._films.setdefault(key, deque())
        if part.beginning or part.refused:
            film.clear()
            self._behind.discard(key)
        elif part.key:
            self._behind.discard(key)
        if key not in self._behind and sum(len(one.data) for one in film) + len(part.data) > _MOST_WAITING:
            kept = [one for one in film if one.beginning]
            self._lost[key] = self._lost.get(key, 0) + len(film) - len(kept)
            self._films[key] = film = deque(kept)
            if not part.key:
                self._behind.add(key)
        if key in self._behind:
            self._lost[key] = self._lost.get(key, 0) + 1
            return
        film.append(part)
        self._ready.set()

    async def next(self, seconds: float) -> tuple[LivePicture | Fragment, int] | None:
        """The next picture or part of a film, and how many of its camera were left out for this viewer; None: none
        came in time."""
        with move_on_after(seconds):
            while not (self._waiting or any(self._films.values())):
                self._ready.clear()
                await self._ready.wait()
        if self._waiting:
            key = next(iter(self._waiting))
            return self._waiting.pop(key), self._lost.pop(key, 0)
        for key, film in self._films.items():
            if film:
                return film.popleft(), self._lost.pop(key, 0)
        return None
