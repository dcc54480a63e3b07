"""How far a crop can be trusted by its box: size, place in the frame, occlusion by others."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray

# A person this tall fills the Re-ID network's input well enough; taller ones add nothing (pixels).
_FULL_HEIGHT = 160.0
# Standing people are about 2.4 times as high as wide; half or twice that is a part of one, or several.
_ASPECT = 2.4


def box_quality(
    boxes: FloatArray,
    confidences: FloatArray,
    frame_size: tuple[int, int] | FloatArray,
    starts: IntArray | None = None,
) -> FloatArray:
    """Quality of each person's crop, from the boxes of one frame, or of many at once, alone.

    boxes: float32 (n, 4), xyxy pixels. confidences: float32 (n,). frame_size: width and height; of many frames
    float32 (n, 2), that of the frame of each box. starts: int64 (frames + 1,), the boxes of frame i are those from
    starts[i] to starts[i + 1]; none: all are of one frame.
    Returns float32 (n,) in 0..1, the product of: height (full from 160 px), aspect, how much of the box the other
    boxes leave free (boxes whose lower edge is lower stand in front and count fully, others by half), whether
    it touches the border, and the detector's confidence (halved at most).
    """
    if len(boxes) == 0:
        return np.zeros(0, np.float32)
    width = np.maximum(boxes[:, 2] - boxes[:, 0], 1.0)
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    size = np.sqrt(np.minimum(height / _FULL_HEIGHT, 1.0))
    aspect = np.exp(-0.5 * (np.log(height / width / _ASPECT) / np.log(1.8)) ** 2)
    free = 1.0 - _covered(boxes, width * height, starts)
    frame_width, frame_height = np.asarray(frame_size, np.float32).T
    margin = np.minimum.reduce(
        [boxes[:, 0], boxes[:, 1], frame_width - boxes[:, 2], frame_height - boxes[:, 3]]
    ) / np.maximum(0.02 * height, 1.0)
    border = np.clip(margin, 0.4, 1.0)
    sure = 0.5 + 0.5 * np.clip(confidences, 0.0, 1.0)
    quality: FloatArray = (size * aspect * free**1.5 * border * sure).astype(np.float32)
    return quality


def _covered(boxes: FloatArray, area: FloatArray, starts: IntArray | None) -> FloatArray:
    """Share of each box, 0..1, that the one box of its frame covering it most hides."""
    # All pairs inside frames, those of one box after those of the one before.
    begin = np.zeros(1, np.int64) if starts is None else starts[:-1]
    counts = np.array([len(boxes)]) if starts is None else np.diff(starts)
    others = np.repeat(counts, counts)
    first = np.cumsum(others) - others
    one = np.repeat(np.arange(len(boxes)), others)
    other = np.arange(len(one)) - np.repeat(first - np.repeat(begin, counts), others)
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    width = np.minimum(right[one], right[other]) - np.maximum(left[one], left[other])
    height = np.minimum(bottom[one], bottom[other]) - np.maximum(top[one], top[other])
    overlap = np.maximum(width, 0.0) * np.maximum(height, 0.0) / area[one]
    overlap *= np.where(bottom[other] > bottom[one], np.float32(1.0), np.float32(0.5))
    overlap[one == other] = 0.0
    covered: FloatArray = np.minimum(np.maximum.reduceat(overlap, first), 1.0).astype(np.float32)
    return covered
