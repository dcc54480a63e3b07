"""What is known of each open track: one array per fact, one row per track."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.types import Detections, IntArray
from tests.tracking.one_source.appearance import Appearance
from tests.tracking.one_source.motion import Motion

UNCONFIRMED = np.uint64(0)
"""The id of a track that was not confirmed yet; ids are given at confirmation, from 1."""


class TrackTable:
    """Open tracks, confirmed or not, in the order in which they started.

    ids: uint64. first, last: seconds when first and last seen. hits: detections joined. evidence: the sum of their
    scores. box: float32 (n, 4), the last detection. due: seconds when the next look at the track is due. suspicion: how
    much its latest looks spoke against its being one person, 0 when nothing does.
    """

    def __init__(self) -> None:
        self.motion = Motion()
        self.appearance = Appearance()
        self.ids = np.zeros(0, np.uint64)
        self.first, self.last, self.due = np.zeros(0), np.zeros(0), np.zeros(0)
        self.hits, self.evidence = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self.suspicion = np.zeros(0, np.float32)
        self.box = np.zeros((0, 4), np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, detections: Detections, rows: IntArray, time: float) -> None:
        """Start a track from each of the given detections."""
        count = len(rows)
        if not count:
            return
        self.motion.append(detections.boxes[rows])
        self.appearance.append(count)
        self.ids = np.concatenate([self.ids, np.full(count, UNCONFIRMED)])
        self.first = np.concatenate([self.first, np.full(count, time)])
        self.last = np.concatenate([self.last, np.full(count, time)])
        self.due = np.concatenate([self.due, np.full(count, time)])
        self.hits = np.concatenate([self.hits, np.ones(count, np.int64)])
        self.evidence = np.concatenate([self.evidence, detections.scores[rows]])
        self.suspicion = np.concatenate([self.suspicion, np.zeros(count, np.float32)])
        self.box = np.concatenate([self.box, detections.boxes[rows]])

    def join(self, tracks: IntArray, detections: Detections, rows: IntArray, time: float) -> None:
        """Continue each of ``tracks`` with the detection in the same place of ``rows``."""
        boxes, scores = detections.boxes[rows], detections.scores[rows]
        self.motion.update(tracks, boxes, scores)
        self.box[tracks] = boxes
        self.last[tracks] = time
        self.hits[tracks] += 1
        self.evidence[tracks] += scores

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Drop the tracks where ``rows`` is False."""
        self.motion.keep(rows)
        self.appearance.keep(rows)
        for name in ("ids", "first", "last", "due", "hits", "evidence", "suspicion", "box"):
            setattr(self, name, getattr(self, name)[rows])
