"""Boxes to tracks: one source's tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reidstream.config.local import TrackerConfig
from reidstream.tracking.appearance import Appearance
from reidstream.tracking.association import assignment, similarity
from reidstream.tracking.motion import Motion
from reidstream.types import Detections, EndReason, FloatArray, IntArray, TrackIds

Embed = Callable[[IntArray], FloatArray]
"""Embeds the detections in the given rows: float32 (m, d), unit length."""

_UNCONFIRMED = 0.25
"""Seconds without being seen after which a track that was never confirmed is forgotten."""
_BORDER = 0.02
"""How near to the border, as a part of the picture's width and height, a box counts as touching it."""
PREDICTED = np.float32(-0.1)
"""The confidence of a box that was predicted, not detected (DeepStream's convention)."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """The confirmed tracks seen in one frame, and those that ended with it.

    track_ids: uint64 (n,). boxes: float32 (n, 4), clipped to the frame. confidences: float32 (n,), -0.1 if predicted.
    rows: int64 (n,), the detection behind each box, -1 where predicted.
    ended: (track id, reason), in the order of ids. None of them is in track_ids.
    """

    track_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray
    rows: IntArray
    ended: list[tuple[int, EndReason]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.track_ids)


class Tracker:
    """ByteTrack-style association (Zhang et al. 2022) of one source's detections, all state in this object.

    Sure detections are matched first, to all tracks; then unsure ones may continue tracks that were seen just now.
    A track is reported once it has been seen for ``confirm`` seconds; it ends when unseen for ``timeout`` seconds.
    """

    def __init__(self, config: TrackerConfig, frame_size: tuple[int, int]) -> None:
        self._config = config
        self._size = frame_size
        self._time = 0.0
        self._updated = 0.0
        self._next = 1
        self._motion = Motion()
        self._appearance = Appearance()
        self._ids = np.zeros(0, np.uint64)
        self._first = np.zeros(0)
        self._last = np.zeros(0)
        self._box = np.zeros((0, 4), np.float32)
        self._hits = np.zeros(0, np.int64)

    def update(self, detections: Detections | None, time: float, embed: Embed | None = None) -> Tracks:
        """The confirmed tracks in the frame at ``time`` (seconds, never going back).

        detections: None when the detector did not look at this frame: tracks that were seen when it last did are
        predicted. embed: called with the rows of detections for which motion alone does not decide; not kept.
        """
        self._motion.predict(time - self._time)
        self._time = time
        if detections is None:
            return self._report(self._last == self._updated, np.full(len(self._ids), -1, np.int64), None)
        self._updated = time
        matched = self._associate(detections)
        self._start(detections, matched)
        rows = np.full(len(self._ids), -1, np.int64)
        rows[: len(matched)] = matched
        return self._report(rows >= 0, rows, detections)

    def learn(self, track_ids: TrackIds, embeddings: FloatArray) -> None:
        """Embeddings of tracks that were computed anyway."""
        if len(track_ids) != len(embeddings):
            raise ValueError(f"expected one embedding per track ({len(track_ids)}), got {len(embeddings)}")
        for track_id, embedding in zip(track_ids, embeddings, strict=True):
            (rows,) = np.nonzero(self._ids == track_id)
            self._appearance.learn(rows, np.repeat(embedding[None], len(rows), axis=0))

    def finish(self, reason: EndReason) -> list[tuple[int, EndReason]]:
        """End all tracks that are open, because the source ended or the run was stopped."""
        open_ids = sorted(int(i) for i in self._ids if i)
        self._keep(np.zeros(len(self._ids), bool))
        return [(track_id, reason) for track_id in open_ids]

    def _associate(self, detections: Detections) -> IntArray:
        """Detection row per track, -1 where none; moves the matched tracks."""
        matched = np.full(len(self._ids), -1, np.int64)
        if not len(matched) or not len(detections):
            return matched
        overlap = similarity(self._motion.boxes(), self._motion.deviation(), detections.boxes)
        sure = detections.scores >= self._config.high
        unsure = (detections.scores >= self._config.low) & ~sure
        recent = self._time - self._last <= 0.5
        weights = overlap * detections.scores
        for tracks, candidates, floor in ((np.ones(len(matched), bool), sure, 0.15), (recent, unsure, 0.4)):
            free = tracks & (matched < 0)
            paired, with_row = assignment(weights, (overlap >= floor) & free[:, None] & candidates)
            matched[paired] = with_row
        rows = np.flatnonzero(matched >= 0)
        columns = matched[rows]
        self._motion.update(rows, detections.boxes[columns], detections.scores[columns])
        self._box[rows] = detections.boxes[columns]
        self._last[rows] = self._time
        self._hits[rows] += 1
        confirmed = (self._ids == 0) & (self._hits >= 2) & (self._last - self._first >= self._config.confirm - 1e-6)
        count = int(confirmed.sum())
        self._ids[confirmed] = np.arange(self._next, self._next + count, dtype=np.uint64)
        self._next += count
        return matched

    def _start(self, detections: Detections, matched: IntArray) -> None:
        free = np.ones(len(detections), bool)
        free[matched[matched >= 0]] = False
        rows = np.flatnonzero(free & (detections.scores >= self._config.start))
        self._motion.append(detections.boxes[rows])
        self._appearance.append(len(rows))
        self._box = np.concatenate([self._box, detections.boxes[rows]])
        n = len(rows)
        self._ids = np.concatenate([self._ids, np.zeros(n, np.uint64)])
        self._first = np.concatenate([self._first, np.full(n, self._time)])
        self._last = np.concatenate([self._last, np.full(n, self._time)])
        self._hits = np.concatenate([self._hits, np.ones(n, np.int64)])

    def _report(self, seen: npt.NDArray[np.bool_], rows: IntArray, detections: Detections | None) -> Tracks:
        shown = np.flatnonzero(seen & (self._ids > 0))
        limits = np.array([*self._size, *self._size], np.float32)
        boxes = np.clip(self._motion.boxes()[shown], 0, limits)
        confidences = np.full(len(shown), PREDICTED) if detections is None else detections.scores[rows[shown]]
        return Tracks(self._ids[shown], boxes, confidences, rows[shown], self._expire())

    def _expire(self) -> list[tuple[int, EndReason]]:
        """End what was unseen for too long; tracks that were never confirmed go without a word."""
        over = self._time - self._last > np.where(self._ids > 0, self._config.timeout, _UNCONFIRMED)
        if not over.any():
            return []
        gone = np.flatnonzero(over & (self._ids > 0))
        left = self._left()
        ended = [(int(self._ids[row]), EndReason.LEFT if left[row] else EndReason.LOST) for row in gone]
        self._keep(~over)
        return sorted(ended)

    def _left(self) -> npt.NDArray[np.bool_]:
        """Which tracks went out of the picture: last seen at its border moving outwards, or carried over it since."""
        size = np.array(self._size, np.float32)
        centre, speed = self._motion.position[:, :2], self._motion.velocity[:, :2]
        near = _BORDER * size
        out_low = (centre < 0) | ((self._box[:, :2] <= near) & (speed < 0))
        out_high = (centre > size) | ((self._box[:, 2:] >= size - near) & (speed > 0))
        left: npt.NDArray[np.bool_] = np.any(out_low | out_high, axis=1)
        return left

    def _keep(self, rows: npt.NDArray[np.bool_]) -> None:
        self._motion.keep(rows)
        self._appearance.keep(rows)
        self._ids, self._first, self._last = self._ids[rows], self._first[rows], self._last[rows]
        self._hits, self._box = self._hits[rows], self._box[rows]
