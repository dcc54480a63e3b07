"""Boxes against boxes: overlap and non-maximum suppression, over arrays."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray


def pairwise_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of xyxy boxes (n, 4) and (m, 4): float32 (n, m), 0 where both are empty."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    inner = sides[..., 0] * sides[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - inner
    iou: FloatArray = np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)
    return iou


def non_maximum(boxes: FloatArray, scores: FloatArray, threshold: float, most: int = 1000) -> IntArray:
    """Rows to keep, best score first: greedy suppression of boxes whose IoU with a better one is above ``threshold``.

    Only the ``most`` best boxes are looked at, so that a broken model cannot ask for unbounded memory.
    """
    order = np.argsort(-scores, kind="stable")[:most]
    overlaps = pairwise_iou(boxes[order], boxes[order]) > threshold
    alive = np.ones(len(order), bool)
    for row in range(len(order)):
        if alive[row]:
            alive[row + 1 :] &= ~overlaps[row, row + 1 :]
    return order[alive]
