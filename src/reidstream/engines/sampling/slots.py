"""Choosing the crops of a track: a few good ones, spread over its life."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray, TrackIds


class SampleSlots:
    """For every open track of one source, slots over its life, each wanting the best crop of its span.

    A track begins with ``slots`` spans of ``first_span`` seconds. When it outlives them, the spans double and
    neighbours merge, the better crop staying: a track of any length keeps at most ``slots`` crops, evenly spread,
    and about ``slots * log2(length)`` crops are ever embedded. A filled slot takes another crop only if that is
    better by ``margin``, since embedding costs more than all the rest. A track is offered at most every ``pause``
    seconds: even looking at a crop's sharpness costs more than tracking does.
    """

    def __init__(self, slots: int, first_span: float = 0.4, margin: float = 0.1, pause: float = 0.1) -> None:
        self._pause = pause
        self._slots = slots
        self._first_span = first_span
        self._margin = margin
        self._row: dict[int, int] = {}
        self._free: list[int] = []
        self._start = np.zeros(0)
        self._span = np.zeros(0)
        self._next = np.zeros(0)
        self._best = np.zeros((0, slots), np.float32)

    def __len__(self) -> int:
        return len(self._row)

    def wanted(self, track_ids: TrackIds, quality: FloatArray, time: float) -> IntArray:
        """Rows (indices into ``track_ids``) whose crops are worth taking at ``time`` seconds, given their quality.

        quality may be an upper bound; what the crop turns out to be worth is told to ``take``.
        """
        if len(track_ids) == 0:
            return np.zeros(0, np.int64)
        rows = self._rows(track_ids, time)
        slot = self._slot(rows, time)
        best = self._best[rows, slot]
        needed = np.where(best > 0, best + self._margin, 0.0)
        wanted = np.flatnonzero((quality > needed) & (time >= self._next[rows]))
        self._next[rows[wanted]] = time + self._pause
        return wanted

    def take(self, track_ids: TrackIds, quality: FloatArray, time: float) -> IntArray:
        """Fill slots with crops of this quality where they are better than what is there.

        Returns the rows that were taken, int64 (m,): those are worth embedding.
        """
        if len(track_ids) == 0:
            return np.zeros(0, np.int64)
        rows = self._rows(track_ids, time)
        slot = self._slot(rows, time)
        best = self._best[rows, slot]
        taken = np.flatnonzero(quality > np.where(best > 0, best + self._margin, 0.0))
        self._best[rows[taken], slot[taken]] = quality[taken]
        return taken

    def forget(self, track_id: int) -> None:
        """The track has ended."""
        row = self._row.pop(track_id, None)
        if row is not None:
            self._free.append(row)

    def _rows(self, track_ids: TrackIds, time: float) -> IntArray:
        ids = track_ids.tolist()
        for track_id in ids:
            if track_id not in self._row:
                self._row[track_id] = self._new_row(time)
        return np.fromiter((self._row[i] for i in ids), np.int64, len(ids))

    def _new_row(self, time: float) -> int:
        if not self._free:
            old = len(self._start)
            grown = max(16, old)
            self._start = np.concatenate([self._start, np.zeros(grown)])
            self._span = np.concatenate([self._span, np.zeros(grown)])
            self._next = np.concatenate([self._next, np.zeros(grown)])
            self._best = np.concatenate([self._best, np.zeros((grown, self._slots), np.float32)])
            self._free = list(range(old + grown - 1, old - 1, -1))
        row = self._free.pop()
        self._start[row] = time
        self._span[row] = self._first_span
        self._next[row] = time
        self._best[row] = 0.0
        return row

    def _slot(self, rows: IntArray, time: float) -> IntArray:
        age = np.maximum(time - self._start[rows], 0.0)
        while (full := rows[age >= self._slots * self._span[rows]]).size:
            best = self._best[full]
            if self._slots % 2:
                best = np.concatenate([best, np.zeros((len(full), 1), np.float32)], axis=1)
            merged = best.reshape(len(full), -1, 2).max(axis=2)
            self._best[full] = 0.0
            self._best[full, : merged.shape[1]] = merged
            self._span[full] *= 2
        return np.minimum((age / self._span[rows]).astype(np.int64), self._slots - 1)
