"""Boxes against boxes: overlap and non-maximum suppression, over arrays."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray

# Boxes of one picture from which on pictures are looked at one by one: pairs of all at once would take much memory.
_MANY = 256


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


def aligned_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of each xyxy box with the one of the same row: float32 (n,), 0 where both are empty.

    a, b: float32 (n, 4).
    """
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    inner = sides.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - inner
    iou: FloatArray = np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)
    return iou


def whole_pixels(box: FloatArray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels of an xyxy box (4,) in a picture of this width and height: inside it, and at least one."""
    x1, y1, x2, y2 = box.tolist()
    left, top = min(max(int(x1), 0), size[0] - 1), min(max(int(y1), 0), size[1] - 1)
    return left, top, max(min(round(x2), size[0]), left + 1), max(min(round(y2), size[1]), top + 1)


def non_maximum(boxes: FloatArray, scores: FloatArray, threshold: float, most: int = 1000) -> IntArray:
    """Rows to keep, best score first: greedy suppression of boxes whose IoU with a better one is above ``threshold``.

    Only the ``most`` best boxes are looked at, so that a broken model cannot ask for unbounded memory.
    """
    return non_maximum_each(boxes, scores, np.zeros(len(scores), np.int64), threshold, most)


def non_maximum_each(
    boxes: FloatArray, scores: FloatArray, pictures: IntArray, threshold: float, most: int = 1000
) -> IntArray:
    """``non_maximum`` in each of several pictures: rows to keep, picture by picture, in each the best score first.

    pictures: int64 (n,), where each box is. No box suppresses one of another picture.
    """
    order = np.lexsort((-scores, pictures))
    counts = np.bincount(pictures)
    if len(counts) > 1 and counts.max(initial=0) > _MANY:
        ends = np.cumsum(counts).tolist()
        parts = [order[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        return np.concatenate([part[non_maximum(boxes[part], scores[part], threshold, most)] for part in parts])
    begins = np.cumsum(counts) - counts
    order = order[np.arange(len(order)) - begins[pictures[order]] < most]
    a, b, _, iou = overlapping(np.ascontiguousarray(boxes[order].T), np.minimum(counts, most))
    over = (iou > threshold) & (a < b)
    alive = [True] * len(order)
    # In the order of a: whoever suppresses is settled before.
    for better, worse in zip(a[over].tolist(), b[over].tolist(), strict=True):
        if alive[better]:
            alive[worse] = False
    kept: IntArray = order[np.array(alive, bool)]
    return kept


def overlapping(boxes: FloatArray, counts: IntArray) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """The pairs of boxes of one picture that overlap; each pair is there twice, in the order of its first.

    boxes: float32 (4, n), picture by picture. counts: int64 (pictures,), how many of them each has.
    Returns first and second, int64 (p,), then the area that both share and their IoU, float32 (p,).
    """
    a, b, *_ = pairs(counts, counts)
    # Across the picture first: it leaves few pairs for the rest.
    met = np.flatnonzero((np.minimum(boxes[2][a], boxes[2][b]) > np.maximum(boxes[0][a], boxes[0][b])) & (a != b))
    a, b = a[met], b[met]
    sides = np.maximum(np.minimum(boxes[2:, a], boxes[2:, b]) - np.maximum(boxes[:2, a], boxes[:2, b]), 0)
    inner = sides[0] * sides[1]
    area = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    union = area[a] + area[b] - inner
    return a, b, inner, np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)


def pairs(firsts: IntArray, seconds: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Every pair of a first and a second thing of the same kind, in the order of the firsts.

    firsts, seconds: int64 (kinds,), how many of each there are; things are numbered kind by kind.
    Returns the first and the second of each pair, int64 (p,), then for each first thing where its pairs begin and the
    number of the second in the first of them.
    """
    width = np.repeat(seconds, firsts)
    begins = np.cumsum(width) - width
    offset = np.repeat(np.cumsum(seconds) - seconds, firsts)
    first = np.repeat(np.arange(len(width)), width)
    return first, np.arange(len(first)) + np.repeat(offset - begins, width), begins, offset
