"""Truth against answer, frame by frame: identities as 0..n-1 and the overlaps of each frame's boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from reidstream.evaluation.motchallenge import Numbers, TrackedBoxes

Indices = npt.NDArray[np.int64]

EPSILON = float(np.finfo("float").eps)
"""TrackEval's tolerance when an overlap is compared to a threshold."""


@dataclass(frozen=True, slots=True)
class FramePair:
    """One frame. truth: int64 (g,), tracks: int64 (t,), indices of identities; overlap: float64 (g, t), IoU."""

    truth: Indices
    tracks: Indices
    overlap: Numbers


@dataclass(frozen=True, slots=True)
class SequencePair:
    """All frames that hold anything. truth_counts, track_counts: boxes per identity."""

    frames: list[FramePair]
    truth_counts: Indices
    track_counts: Indices


def paired(truth: TrackedBoxes, tracks: TrackedBoxes) -> SequencePair:
    """Truth and tracks side by side."""
    _, truth_ids = np.unique(truth.ids, return_inverse=True)
    _, track_ids = np.unique(tracks.ids, return_inverse=True)
    frames = [
        FramePair(truth_ids[g], track_ids[t], overlaps(truth.boxes[g], tracks.boxes[t]))
        for g, t in _slices(truth.frames, tracks.frames)
    ]
    return SequencePair(frames, np.bincount(truth_ids).astype(np.int64), np.bincount(track_ids).astype(np.int64))


def without_distractors(truth: TrackedBoxes, distractors: TrackedBoxes, tracks: TrackedBoxes) -> TrackedBoxes:
    """The tracks without the boxes that match a distractor better than any person (IoU at least 0.5)."""
    kept = np.ones(len(tracks), bool)
    both = np.concatenate([truth.frames, distractors.frames])
    order = np.argsort(both, kind="stable")
    boxes = np.concatenate([truth.boxes, distractors.boxes])[order]
    excuses = (np.arange(len(both)) >= len(truth))[order]
    for g, t in _slices(both[order], tracks.frames):
        overlap = overlaps(boxes[g], tracks.boxes[t])
        rows, columns = best_pairs(np.where(overlap < 0.5 - EPSILON, 0, overlap))
        matched = overlap[rows, columns] >= 0.5 - EPSILON
        kept[t.start + columns[matched & excuses[g][rows]]] = False
    return tracks.where(kept)


def overlaps(a: Numbers, b: Numbers) -> Numbers:
    """IoU of xyxy boxes, float64 (n, m); 0 for boxes without area. Double precision, as TrackEval's."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    inner = np.prod(np.maximum(sides, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - inner
    sound = (areas[0] > EPSILON)[:, None] & (areas[1] > EPSILON)[None, :] & (union > EPSILON)
    iou: Numbers = np.divide(inner, union, out=np.zeros_like(inner), where=sound)
    return iou


def best_pairs(weights: Numbers) -> tuple[Indices, Indices]:
    """Rows and columns of the assignment with the greatest sum of weights."""
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return rows, columns


def _slices(a: Indices, b: Indices) -> Iterator[tuple[slice, slice]]:
    """For each frame number in ``a`` or ``b``, both sorted: where it is in each."""
    numbers = np.union1d(a, b)
    bounds = [np.searchsorted(array, [numbers, numbers + 1]).T for array in (a, b)]
    for (a0, a1), (b0, b1) in zip(*bounds, strict=True):
        yield slice(int(a0), int(a1)), slice(int(b0), int(b1))
