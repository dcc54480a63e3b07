"""What became of stored tracklets without an event: a run that read its source again removed or rewrote them.

Whoever keeps people in memory asks for it whenever they follow the events. It is not kept on the disk: who opens the
gallery later reads everybody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

# So much is remembered for those who are behind; a hundred bytes each.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Unseen:
    """What a follower has not taken over yet. gone, changed: tracklet ids.

    number: what to ask with the next time. whole: whether that is everything; else everybody has to be read anew.
    """

    number: int
    gone: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    whole: bool = True


class Unannounced:
    """Tracklets of one open gallery, in the order in which it happened to them. Safe to use from several threads."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._happened: deque[tuple[str, bool]] = deque(maxlen=remembered)

    @property
    def number(self) -> int:
        """How much has happened so far: who reads everybody now begins to follow here."""
        return self._last

    def gone(self, ids: Iterable[str]) -> None:
        self._note(ids, True)

    def changed(self, ids: Iterable[str]) -> None:
        self._note(ids, False)

    def after(self, number: int) -> Unseen:
        """What has happened since ``number``."""
        with self._lock:
            new = self._last - number
            if new > len(self._happened):
                return Unseen(self._last, whole=False)
            some = list(islice(self._happened, len(self._happened) - new, None))
            gone = frozenset(id for id, went in some if went)
            return Unseen(self._last, gone, frozenset(id for id, _ in some) - gone)

    def _note(self, ids: Iterable[str], went: bool) -> None:
        with self._lock:
            for id in ids:
                self._happened.append((id, went))
                self._last += 1
