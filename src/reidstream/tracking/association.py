"""Which detection continues which track: similarities and their best assignment."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from reidstream.types import FloatArray, IntArray


def similarity(predicted: FloatArray, deviation: FloatArray, boxes: FloatArray) -> FloatArray:
    """float32 (tracks, detections) in 0..1: overlap of predicted and detected boxes.

    Both are widened by how unsure the prediction is (cf. the buffers of C-BIoU, Yang et al. 2023): a track that is
    new, unseen for a while, or filmed at a low frame rate may be found further away. Overlap is weighted by
    agreement in height (Hybrid-SORT, Yang et al. 2024), which is what distinguishes people at different distances.
    """
    if not len(predicted) or not len(boxes):
        return np.zeros((len(predicted), len(boxes)), np.float32)
    margin = deviation[:, None, :2]
    grown = np.concatenate([predicted[:, None, :2] - margin, predicted[:, None, 2:] + margin], axis=2)
    others = np.concatenate([boxes[None, :, :2] - margin, boxes[None, :, 2:] + margin], axis=2)
    sides = np.maximum(np.minimum(grown[..., 2:], others[..., 2:]) - np.maximum(grown[..., :2], others[..., :2]), 0)
    inner = sides[..., 0] * sides[..., 1]
    areas = [np.prod(edges[..., 2:] - edges[..., :2], axis=2) for edges in (grown, others)]
    heights = (predicted[:, 3] - predicted[:, 1])[:, None], (boxes[:, 3] - boxes[:, 1])[None, :]
    agreement = np.minimum(*heights) / np.maximum(np.maximum(*heights), 1e-3)
    result: FloatArray = inner / (areas[0] + areas[1] - inner) * np.sqrt(agreement)
    return result


def assignment(
    weights: FloatArray, allowed: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pairs, all allowed, whose weights (0..1) have the greatest sum."""
    if not allowed.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = linear_sum_assignment(np.where(allowed, weights, 0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)
