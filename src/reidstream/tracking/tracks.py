"""What a tracker reports of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reidstream.types import EndReason, FloatArray, IntArray, TrackIds

PREDICTED = np.float32(-0.1)
"""The confidence of a box that was predicted, not detected (DeepStream's convention)."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """The confirmed tracks of one frame, and those that ended with it.

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
