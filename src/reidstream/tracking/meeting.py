"""Which tracks and detections have anything to do with each other, over many sources at once.

Tracks of one source meet detections of the same source and no other. Most of those pairs lie far apart, so that what
decides between them is computed for the few that do not, in arrays with one entry per pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.boxes import overlapping, pairs
from reidstream.tracking import motion
from reidstream.types import FloatArray, IntArray

Mask = npt.NDArray[np.bool_]

_SCATTER = np.array([[0.06], [0.06], [0.12], [0.12]], np.float32)
"""Standard deviation of a detection in heights for cx, cy, w, h, when a lost track is looked for."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Every pair of two kinds of things that belong to the same source.

    first, second: int64 (p,), of all pairs, those of one ``first`` side by side in the order of ``second``.
    """

    first: IntArray
    second: IntArray
    _begins: IntArray
    _seconds: IntArray

    @classmethod
    def of(cls, firsts: IntArray, seconds: IntArray) -> Crossing:
        """firsts, seconds: int64 (sources,), how many of each kind a source has; sources stand one after the other."""
        first, second, begins, offset = pairs(firsts, seconds)
        return cls(first, second, begins, offset)

    def __len__(self) -> int:
        return len(self.first)

    def place(self, first: IntArray, second: IntArray) -> IntArray:
        """Where pairs of one source stand."""
        place: IntArray = self._begins[first] + second - self._seconds[first]
        return place


@dataclass(frozen=True, slots=True)
class Meetings:
    """The pairs of a track and a detection that overlap or are near, in the order of tracks, then of detections.

    tracks, detections: int64 (p,). fits: float32 (p,), ``overlap``. near: bool (p,), within the gate of a track that
    was unseen for a while. Of any pair of one source, ``fit`` says the overlap, 0 for pairs that are not listed.
    """

    tracks: IntArray
    detections: IntArray
    fits: FloatArray
    near: Mask
    _crossing: Crossing
    _fits: FloatArray

    def fit(self, tracks: IntArray, detections: IntArray) -> FloatArray:
        found: FloatArray = self._fits[self._crossing.place(tracks, detections)]
        return found


def meet(state: FloatArray, stale: Mask, boxes: FloatArray, gate: float, crossing: Crossing) -> Meetings:
    """Where tracks and detections meet.

    state: as in ``motion``. stale: bool (tracks,), unseen for a while. boxes: float32 (4, detections). gate: the
    Mahalanobis distance below which a pair is near.
    """
    tracks, detections = crossing.first, crossing.second
    predicted, margin = motion.boxes_of(state), motion.deviation(state)
    # Across the picture first: it leaves few pairs for the rest.
    low = np.maximum(predicted[0][tracks], boxes[0][detections]) - margin[0][tracks]
    high = np.minimum(predicted[2][tracks], boxes[2][detections]) + margin[0][tracks]
    met = high > low
    close = np.zeros(len(crossing), bool)
    if stale.any():
        waiting = stale[tracks].nonzero()[0]
        close[waiting[_within(gate, state, tracks[waiting], boxes, detections[waiting])]] = True
        met |= close
    listed = met.nonzero()[0]
    fits = overlap(predicted, margin, tracks[listed], boxes, detections[listed])
    kept = (fits > 0) | close[listed]
    listed, fits = listed[kept], fits[kept]
    every = np.zeros(len(crossing), np.float32)
    every[listed] = fits
    return Meetings(tracks[listed], detections[listed], fits, close[listed], crossing, every)


def overlap(
    predicted: FloatArray, margin: FloatArray, tracks: IntArray, boxes: FloatArray, detections: IntArray
) -> FloatArray:
    """float32 (p,) in 0..1: how well detected boxes (4, m) fit the predicted ones (4, n), pair by pair.

    IoU of boxes that are both widened by the standard deviation of the prediction (cf. the buffers of C-BIoU, Yang et
    al. 2023): a track that is new, unseen for a while, or filmed at a low frame rate may be found further away. It is
    weighted by agreement in height (cf. Hybrid-SORT, Yang et al. 2024), which tells people near and far apart.
    margin: float32 (4, n), of which the first two count.
    """
    own, other, margin = predicted[:, tracks], boxes[:, detections], margin[:2, tracks]
    low = np.maximum(own[:2], other[:2]) - margin
    high = np.minimum(own[2:], other[2:]) + margin
    sides = np.maximum(high - low, 0)
    inner = sides[0] * sides[1]
    own_sides, other_sides = own[2:] - own[:2], other[2:] - other[:2]
    grown, others = own_sides + 2 * margin, other_sides + 2 * margin
    union = grown[0] * grown[1] + others[0] * others[1] - inner
    tall = np.maximum(np.maximum(own_sides[1], other_sides[1]), 1e-3)
    agreement = np.minimum(own_sides[1], other_sides[1]) / tall
    result: FloatArray = inner / union * np.sqrt(agreement)
    return result


def distance(state: FloatArray, tracks: IntArray, boxes: FloatArray, detections: IntArray) -> FloatArray:
    """float32 (p,): Mahalanobis distance of position and size, of boxes (4, m) from tracks, pair by pair."""
    scatter = (_SCATTER * np.maximum(state[0, 3], 1)) ** 2
    spread = np.sqrt(motion.deviation(state) ** 2 + scatter)
    offsets = (motion.centred(boxes)[:, detections] - state[0][:, tracks]) / spread[:, tracks]
    result: FloatArray = np.sqrt((offsets**2).sum(axis=0))
    return result


def _within(gate: float, state: FloatArray, tracks: IntArray, boxes: FloatArray, detections: IntArray) -> Mask:
    within: Mask = distance(state, tracks, boxes, detections) < gate
    return within


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The pairs of detections of one source that overlap; each pair is there twice, once for either.

    detections, others: int64 (p,). iou: float32 (p,). covered: float32 (p,), the part of ``detections`` that lies
    inside ``others``. mutual: float32 (detections,), how much each overlaps the other that it overlaps most (IoU).
    """

    detections: IntArray
    others: IntArray
    iou: FloatArray
    covered: FloatArray
    mutual: FloatArray


def neighbours(boxes: FloatArray, counts: IntArray) -> Neighbours:
    """Which detections overlap. boxes: float32 (4, n). counts: int64 (sources,), how many of them each source has."""
    a, b, inner, iou = overlapping(boxes, counts)
    area = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    mutual = np.zeros(boxes.shape[1], np.float32)
    np.maximum.at(mutual, a, iou)
    return Neighbours(a, b, iou, inner / np.maximum(area[a], 1e-3), mutual)
