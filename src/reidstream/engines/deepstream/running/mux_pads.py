"""Which source stands behind which pad of nvstreammux."""

from __future__ import annotations

import threading
import time
from collections import deque

_LET_GO = 10.0
"""Seconds after which a pad whose source was taken out is used again though the mux never said that it is gone: what
was on its way then has long come through, for the queues hold a few batches."""
_REST = 1.0
"""Seconds for which a pad that is gone is not given again. The new mux sends its event from the thread that takes the
pad out, while a batch with a frame of it may be on the way (gst_nvstreammux_release_pad, DeepStream 8.0)."""


class MuxPads:
    """Pad numbers below the mux's batch, given to sources and used again; safe from any thread.

    nvtracker maps pad numbers below its batch only, and takes every other for the first source (nvtracker_proc.cpp,
    DeepStream 8.0), so that numbers have to be used again. Sources themselves are known by an index that is never used
    twice. A pad keeps its source until the mux's event ``nv-pad-deleted`` has come through the whole chain, and rests
    for a moment after it: what comes late is nobody's, and never taken for the next source's. The pad that has been
    free for the longest is given first.
    """

    def __init__(self, batch: int) -> None:
        self._free = deque(range(batch))
        # Pads that rest, and since when.
        self._resting: deque[tuple[int, float]] = deque()
        self._sources: dict[int, int] = {}
        self._leaving: dict[int, float] = {}
        self._lock = threading.Lock()

    def give(self, index: int) -> int | None:
        """A pad for a source, None while there is none."""
        with self._lock:
            self._let_rested_go()
            if not self._free:
                return None
            pad = self._free.popleft()
            self._sources[pad] = index
            return pad

    def source(self, pad: int) -> int | None:
        """The index of the source whose frames and events come from a pad, None when it is nobody's."""
        with self._lock:
            return self._sources.get(pad)

    def leaves(self, index: int) -> None:
        """A source is about to be taken out of the mux."""
        with self._lock:
            for pad, owner in self._sources.items():
                if owner == index:
                    self._leaving.setdefault(pad, time.monotonic())

    def deleted(self, pad: int) -> int | None:
        """The mux says that a pad is gone: it is free soon. The source that had it, None when the event is an old one
        and the pad another's by now."""
        with self._lock:
            if self._leaving.pop(pad, None) is None:
                return None
            self._resting.append((pad, time.monotonic()))
            return self._sources.pop(pad)

    def released(self, pad: int) -> None:
        """The mux has let go of a pad: it rests from now on. Those of 8.0 and 9.1 take a while between saying that a
        pad is gone and that, in which they send on what they hold of it."""
        with self._lock:
            now = time.monotonic()
            self._resting = deque((resting, now if resting == pad else since) for resting, since in self._resting)

    @property
    def free(self) -> bool:
        """Whether there is a pad to give."""
        with self._lock:
            self._let_rested_go()
            return bool(self._free)

    def _let_rested_go(self) -> None:
        before = time.monotonic() - _REST
        while self._resting and self._resting[0][1] <= before:
            self._free.append(self._resting.popleft()[0])

    def overdue(self) -> list[int]:
        """The pads of sources that were taken out long ago without the mux having said so."""
        with self._lock:
            before = time.monotonic() - _LET_GO
            return [pad for pad, since in self._leaving.items() if since < before]
