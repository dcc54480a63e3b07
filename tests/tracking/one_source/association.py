"""Which detection may continue which track: overlap, distance, doubt, and the best assignment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from reidstream.tracking.thresholds import Thresholds
from reidstream.types import FloatArray, IntArray
from tests.tracking.one_source.motion import Motion, centred

Mask = npt.NDArray[np.bool_]

_SCATTER = np.array([0.06, 0.06, 0.12, 0.12], np.float32)
"""Standard deviation of a detection in heights for cx, cy, w, h, when a lost track is looked for."""


def overlap(motion: Motion, boxes: FloatArray) -> FloatArray:
    """float32 (tracks, detections) in 0..1: how well detected boxes fit the predicted ones.

    IoU of boxes that are both widened by the standard deviation of the prediction (cf. the buffers of C-BIoU, Yang et
    al. 2023): a track that is new, unseen for a while, or filmed at a low frame rate may be found further away. It is
    weighted by agreement in height (cf. Hybrid-SORT, Yang et al. 2024), which tells people near and far apart.
    """
    predicted, margin = motion.boxes()[:, None], motion.deviation()[:, None, :2]
    found = boxes[None]
    low = np.maximum(predicted[..., :2], found[..., :2]) - margin
    high = np.minimum(predicted[..., 2:], found[..., 2:]) + margin
    sides = np.maximum(high - low, 0)
    inner = sides[..., 0] * sides[..., 1]
    own, other = predicted[..., 2:] - predicted[..., :2], found[..., 2:] - found[..., :2]
    grown, others = own + 2 * margin, other + 2 * margin
    union = grown[..., 0] * grown[..., 1] + others[..., 0] * others[..., 1] - inner
    agreement = np.minimum(own[..., 1], other[..., 1]) / np.maximum(np.maximum(own[..., 1], other[..., 1]), 1e-3)
    result: FloatArray = inner / union * np.sqrt(agreement)
    return result


def distance(motion: Motion, boxes: FloatArray) -> FloatArray:
    """float32 (tracks, detections): Mahalanobis distance of position and size."""
    scatter = (_SCATTER * np.maximum(motion.position[:, 3:], 1)) ** 2
    deviation = np.sqrt(motion.deviation() ** 2 + scatter)
    offsets = (centred(boxes)[None] - motion.position[:, None]) / deviation[:, None]
    result: FloatArray = np.sqrt(np.einsum("tdk,tdk->td", offsets, offsets))
    return result


def covered(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """float32 (n, m): the part of each of ``boxes`` that lies inside each of ``others``."""
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    inner = np.prod(np.maximum(sides, 0), axis=2)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    part: FloatArray = inner / np.maximum(area, 1e-3)[:, None]
    return part


def assignment(weights: FloatArray, allowed: Mask) -> tuple[IntArray, IntArray]:
    """Rows and columns of the allowed pairs with the greatest sum of weights, one pair more being worth 3.

    weights: (tracks, detections), greater than -3.
    """
    if not allowed.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = linear_sum_assignment(np.where(allowed, weights + 3, 0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)


def doubtful(fits: FloatArray, tracks: Mask, sure: Mask, thresholds: Thresholds) -> Mask:
    """Which detections motion alone cannot give to a track: bool (detections,).

    fits: overlaps (tracks, detections). tracks: the rows that were seen just now. sure: the detections that would be
    missed if they stayed without a track. A pair of the best assignment is in doubt when it is weak, or when nearly as
    much overlap is had by exchanging it with another pair, or with a track or a sure detection that has no partner.
    """
    margin, touch = thresholds.margin, thresholds.touch
    doubt = np.zeros(fits.shape[1], bool)
    rows, columns = assignment(fits, (fits >= touch) & tracks[:, None])
    if not len(rows):
        return doubt
    own = fits[rows, columns]
    cross = fits[np.ix_(rows, columns)]
    close = (own[:, None] + own[None, :] - cross - cross.T < margin) & (np.maximum(cross, cross.T) >= touch)
    np.fill_diagonal(close, False)
    unsettled = close.any(axis=1) | (own < thresholds.weak)
    idle = tracks.copy()
    idle[rows] = False
    rivals = fits[idle][:, columns]
    unsettled |= ((own - rivals < margin) & (rivals >= touch)).any(axis=0)
    unclaimed = sure.copy()
    unclaimed[columns] = False
    others = fits[rows][:, unclaimed]
    close = (own[:, None] - others < margin) & (others >= touch)
    doubt[columns] = unsettled | close.any(axis=1)
    doubt[np.flatnonzero(unclaimed)[close.any(axis=0)]] = True
    return doubt
