"""Two boxes on one person: a detector that sees somebody twice makes two tracks of one person, at once.

Whoever is seen twice at the same time before one camera is two people, unless both boxes lie on each other for as long:
then it is not known. Who sits or stands for an hour has many tracks, and a few of them are such doubles; one of these
would keep all the others apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reidstream.boxes import aligned_iou
from reidstream.gallery import Gallery
from reidstream.gallery.appearances import Route
from reidstream.types import FloatArray, IntArray

# Boxes lie on each other from this overlap (IoU) on; half of the time that both are seen is enough, since one of the
# two tracks mostly begins or ends on somebody who passes.
_ON_EACH_OTHER, _OF_THE_TIME = 0.5, 0.5
# Pairs that are compared at once, and whose boxes are read at once.
_AT_ONCE, _READ_AT_ONCE = 16_384, 500


def doubled(
    gallery: Gallery,
    ids: Sequence[str],
    camera: IntArray,
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    vectors: FloatArray,
    alike: float,
) -> IntArray:
    """Pairs of rows int64 (m, 2), the smaller first and in ascending order: tracklets of one camera that are seen at
    once, with boxes that lie on each other.

    ids: n tracklets. camera: int64 (n,). start, end: float64 (n,), wall seconds. vectors: float32 (n, d), unit length.
    alike: cosine below which two are two people by looks as well, so that their boxes need not be read.
    """
    pairs = seen_at_once(camera, start, end)
    kept = [np.zeros((0, 2), np.int64)]
    for begin in range(0, len(pairs), _AT_ONCE):
        some = pairs[begin : begin + _AT_ONCE]
        kept.append(some[np.einsum("md,md->m", vectors[some[:, 0]], vectors[some[:, 1]]) >= alike])
    pairs = np.concatenate(kept)
    found = np.zeros(len(pairs), bool)
    for begin in range(0, len(pairs), _READ_AT_ONCE):
        some = pairs[begin : begin + _READ_AT_ONCE]
        # Who was erased meanwhile is missing.
        held = gallery.routes([ids[row] for row in np.unique(some).tolist()])
        routes = [(held.get(ids[a]), held.get(ids[b])) for a, b in some.tolist()]
        found[begin : begin + _READ_AT_ONCE] = [bool(a and b and on_each_other(a, b)) for a, b in routes]
    return pairs[found]


def seen_at_once(camera: IntArray, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> IntArray:
    """Pairs of rows int64 (m, 2) of one camera that are seen at the same time; the smaller first, in ascending order.

    camera: int64 (n,). start, end: float64 (n,), wall seconds.
    """
    found = [np.zeros((0, 2), np.int64)]
    for one in np.unique(camera):
        rows = np.flatnonzero(camera == one)
        rows = rows[np.argsort(start[rows], kind="stable")]
        count = np.maximum(np.searchsorted(start[rows], end[rows], side="left") - np.arange(len(rows)) - 1, 0)
        first = np.repeat(np.arange(len(rows)), count)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        found.append(np.stack([rows[first], rows[first + 1 + offset]], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    ordered: IntArray = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return ordered


def on_each_other(one: Route, other: Route) -> bool:
    """Whether the boxes of two tracklets lie on each other in at least half of the frames in which both have one."""
    if one.content != other.content:
        return False
    _, a, b = np.intersect1d(one.frames, other.frames, assume_unique=True, return_indices=True)
    on = aligned_iou(one.boxes[a], other.boxes[b]) >= _ON_EACH_OTHER
    return bool(len(a) and np.mean(on) >= _OF_THE_TIME)
