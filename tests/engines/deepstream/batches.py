"""Batches of people as sampling sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidstream.engines.deepstream.metadata import Seen
from reidstream.types import FloatArray


@dataclass(frozen=True)
class Frame:
    """One frame of a source. boxes: float32 (n, 4). confidences: float32 (n,)."""

    source: int
    time: float
    ids: list[int]
    boxes: FloatArray
    confidences: FloatArray


def seen_of(frames: Sequence[Frame], size: tuple[int, int]) -> Seen:
    return Seen(
        [frame.source for frame in frames],
        np.array([frame.time for frame in frames], np.float64),
        np.tile(np.array(size, np.float32), (len(frames), 1)),
        np.concatenate([[0], np.cumsum([len(frame.ids) for frame in frames])]).astype(np.int64),
        np.array([object_id for frame in frames for object_id in frame.ids], np.uint64),
        np.concatenate([np.zeros((0, 4), np.float32), *(frame.boxes for frame in frames)]),
        np.concatenate([np.zeros(0, np.float32), *(frame.confidences for frame in frames)]),
    )


def seen_alone(source: int, time: float, size: tuple[int, int], ids: list[int], boxes: FloatArray) -> Seen:
    """A batch of one frame, in which everybody is sure."""
    return seen_of([Frame(source, time, ids, boxes, np.ones(len(ids), np.float32))], size)
