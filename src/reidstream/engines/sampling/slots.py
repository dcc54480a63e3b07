"""Choosing the crops of a track: a few good ones, spread over its life."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from reidstream.types import FloatArray, IntArray, TrackIds

_FIRST_SPAN = 0.4
"""Seconds of a slot of a new track."""
_MARGIN = 0.1
"""A filled slot takes another crop only if that is better by so much: embedding costs more than all the rest."""
_PAUSE = 0.1
"""Seconds between two offers of a track: even looking at a crop's sharpness costs more than tracking does."""


class SampleSlots:
    """For every open track of one source, slots over its life, each wanting the best crop of its span.

    A track begins with ``slots`` spans of .4 seconds. When it outlives them, the spans double and neighbours merge,
    the better crop staying: a track of any length keeps at most ``slots`` crops, evenly spread, and about
    ``slots * log2(length)`` crops are ever embedded.
    """

    def __init__(self, slots: int) -> None:
        self._slots = SlotRows(slots)
        self._row: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row)

    def wanted(self, track_ids: TrackIds, quality: FloatArray, time: float) -> IntArray:
        """Rows (indices into ``track_ids``) whose crops are worth taking at ``time`` seconds, given their quality.

        quality may be an upper bound; what the crop turns out to be worth is told to ``take``.
        """
        if len(track_ids) == 0:
            return np.zeros(0, np.int64)
        return self._slots.wanted(self._rows(track_ids, time), quality, np.full(len(track_ids), time))

    def take(self, track_ids: TrackIds, quality: FloatArray, time: float) -> IntArray:
        """Fill slots with crops of this quality where they are better than what is there.

        Returns the rows that were taken, int64 (m,): those are worth embedding.
        """
        if len(track_ids) == 0:
            return np.zeros(0, np.int64)
        return self._slots.take(self._rows(track_ids, time), quality, np.full(len(track_ids), time))

    def forget(self, track_id: int) -> None:
        """The track has ended."""
        row = self._row.pop(track_id, None)
        if row is not None:
            self._slots.close([row])

    def _rows(self, track_ids: TrackIds, time: float) -> IntArray:
        ids = track_ids.tolist()
        new = [track_id for track_id in dict.fromkeys(ids) if track_id not in self._row]
        if new:
            self._row.update(zip(new, self._slots.open(np.full(len(new), time)).tolist(), strict=True))
        return np.fromiter((self._row[i] for i in ids), np.int64, len(ids))


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
