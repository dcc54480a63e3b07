"""Frames of several sources on their way to whoever tracks them, each source in its order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """One queue for each source, each of at most ``size`` items, and one reader of them all.

    ``put`` blocks while its own source's queue is full, so that a slow reader slows the source; then until it is half
    empty, as waking the source's thread for each item costs more than an item. An item is taken once it is ``ready``;
    ``look_again`` says that one may have become so.
    """

    def __init__(self, sources: Iterable[str], size: int, ready: Callable[[T], bool]) -> None:
        self._size = size
        self._ready = ready
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._items: dict[str, deque[T]] = {source: deque() for source in sources}
        self._room = {source: threading.Condition(self._lock) for source in self._items}
        self._closed: set[str] = set()
        self._abandoned: set[str] = set()

    def put(self, source: str, item: T) -> bool:
        """Add an item, waiting for room. False when nobody will ever read it."""
        with self._lock:
            items = self._items[source]
            while len(items) >= self._size and source not in self._abandoned:
                self._room[source].wait()
            if source in self._abandoned:
                return False
            items.append(item)
            if len(items) == 1:
                self._arrived.notify()
            return True

    def close(self, source: str) -> None:
        """Nothing more of this source will be put."""
        with self._lock:
            self._closed.add(source)
            self._arrived.notify()

    def abandon(self, source: str) -> None:
        """Nothing more of this source will be read."""
        with self._lock:
            self._abandoned.add(source)
            self._items[source].clear()
            self._room[source].notify_all()

    def look_again(self) -> None:
        """Something that was put has become ready."""
        with self._lock:
            self._arrived.notify()

    def coming(self, sources: Iterable[str], most: int) -> dict[str, list[T]]:
        """The items of each of these sources that would be taken next, at most so many, as far as they are ready."""
        with self._lock:
            return {
                source: list(takewhile(self._ready, islice(self._items[source], most)))
                for source in sources
                if self._items[source]
            }

    def take(self, sources: Iterable[str], wait: bool, patience: float = 0.0) -> tuple[dict[str, T], list[str]]:
        """The next item of each of these sources that has one that is ready, and the sources that are through.

        wait: until there is something to say of one of them. patience: seconds that are then waited for the others.
        """
        wanted = list(sources)
        until: float | None = None
        with self._lock:
            while True:
                taken = {source: self._items[source][0] for source in wanted if self._items[source]}
                taken = {source: item for source, item in taken.items() if self._ready(item)}
                through = [source for source in wanted if not self._items[source] and source in self._closed]
                if through or not wait or len(taken) == len(wanted):
                    break
                if taken:
                    now = time.monotonic()
                    until = now + patience if until is None else until
                    if now >= until:
                        break
                self._arrived.wait(until and until - time.monotonic())
            for source in taken:
                self._items[source].popleft()
                if len(self._items[source]) <= self._size // 2:
                    self._room[source].notify()
            return taken, through
