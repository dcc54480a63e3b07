"""Choosing the crops of a track: a few good ones, spread over its life."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from reidstream.types import FloatArray, IntArray

_FIRST_SPAN = 0.4
"""Seconds of a slot of a new track."""
_MARGIN = 0.1
"""A filled slot takes another crop only if that is better by so much: embedding costs more than all the rest."""
_PAUSE = 0.1
"""Seconds between two offers of a track: even looking at a crop's sharpness costs more than tracking does."""


class SampleSlots:
    """For every open track, of one source or of several, slots over its life, each wanting the best crop of its span.

    A track begins with ``slots`` spans of .4 seconds. When it outlives them, the spans double and neighbours merge,
    the better crop staying: a track of any length keeps at most ``slots`` crops, evenly spread, and about
    ``slots * log2(length)`` crops are ever embedded.

    tracks: what names them, each at most once in a call. times: seconds, one for all or float64 (n,).
    """

    def __init__(self, slots: int) -> None:
        self._slots = SlotRows(slots)
        self._row: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._row)

    def wanted(self, tracks: Sequence[Hashable], quality: FloatArray, times: float | FloatArray) -> IntArray:
        """Rows (indices into ``tracks``) whose crops are worth taking at their ``times``, given their quality.

        quality may be an upper bound; what the crop turns out to be worth is told to ``take``.
        """
        if not tracks:
            return np.zeros(0, np.int64)
        at = np.full(len(tracks), times)
        return self._slots.wanted(self._rows(tracks, at), quality, at)

    def take(self, tracks: Sequence[Hashable], quality: FloatArray, times: float | FloatArray) -> IntArray:
        """Fill slots with crops of this quality where they are better than what is there.

        Returns the rows that were taken, int64 (m,): those are worth embedding.
        """
        if not tracks:
            return np.zeros(0, np.int64)
        at = np.full(len(tracks), times)
        return self._slots.take(self._rows(tracks, at), quality, at)

    def forget(self, track: Hashable) -> None:
        """The track has ended."""
        row = self._row.pop(track, None)
        if row is not None:
            self._slots.close([row])

    def _rows(self, tracks: Sequence[Hashable], times: FloatArray) -> IntArray:
        known = self._row
        new = [place for place, track in enumerate(tracks) if track not in known]
        if new:
            known.update(zip([tracks[place] for place in new], self._slots.open(times[new]).tolist(), strict=True))
        return np.fromiter((known[track] for track in tracks), np.int64, len(tracks))


class SlotRows:
    """The slots of many tracks as rows of arrays, whoever's they are; see SampleSlots."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._free: list[int] = []
        self._start = np.zeros(0)
        self._span = np.zeros(0)
        self._next = np.zeros(0)
        self._best = np.zeros((0, slots), np.float32)

    def __len__(self) -> int:
        """How many rows there are, free ones and others."""
        return len(self._start)

    def open(self, times: FloatArray) -> IntArray:
        """Rows for new tracks that begin at these times, float64 (n,) seconds; int64 (n,)."""
        while len(self._free) < len(times):
            old = len(self._start)
            grown = max(16, old)
            self._start = np.concatenate([self._start, np.zeros(grown)])
            self._span = np.concatenate([self._span, np.zeros(grown)])
            self._next = np.concatenate([self._next, np.zeros(grown)])
            self._best = np.concatenate([self._best, np.zeros((grown, self._slots), np.float32)])
            self._free[:0] = range(old + grown - 1, old - 1, -1)
        rows = np.array([self._free.pop() for _ in range(len(times))], np.int64)
        self.restart(rows, times)
        return rows

    def restart(self, rows: IntArray, times: FloatArray) -> None:
        """The tracks of these rows begin anew."""
        self._start[rows] = times
        self._span[rows] = _FIRST_SPAN
        self._next[rows] = times
        self._best[rows] = 0.0

    def close(self, rows: Iterable[int]) -> None:
        """The tracks of these rows have ended."""
        self._free.extend(rows)

    def wanted(self, rows: IntArray, quality: FloatArray, times: FloatArray) -> IntArray:
        """See SampleSlots.wanted. rows: each once; times: float64 (n,), of each."""
        best = self._best[rows, self._slot(rows, times)]
        needed = np.where(best > 0, best + _MARGIN, 0.0)
        wanted = np.flatnonzero((quality > needed) & (times >= self._next[rows]))
        self._next[rows[wanted]] = times[wanted] + _PAUSE
        return wanted

    def take(self, rows: IntArray, quality: FloatArray, times: FloatArray) -> IntArray:
        """See SampleSlots.take."""
        slot = self._slot(rows, times)
        best = self._best[rows, slot]
        taken = np.flatnonzero(quality > np.where(best > 0, best + _MARGIN, 0.0))
        self._best[rows[taken], slot[taken]] = quality[taken]
        return taken

    def _slot(self, rows: IntArray, times: FloatArray) -> IntArray:
        age = np.maximum(times - self._start[rows], 0.0)
        while (full := rows[age >= self._slots * self._span[rows]]).size:
            best = self._best[full]
            if self._slots % 2:
                best = np.concatenate([best, np.zeros((len(full), 1), np.float32)], axis=1)
            merged = best.reshape(len(full), -1, 2).max(axis=2)
            self._best[full] = 0.0
            self._best[full, : merged.shape[1]] = merged
            self._span[full] *= 2
        return np.minimum((age / self._span[rows]).astype(np.int64), self._slots - 1)
