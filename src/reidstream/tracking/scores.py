"""Scores of any detector on the scale that the tracker's thresholds were chosen on.

What a score means differs between detectors, and for one detector between cameras: the boxes of people in a shop that
the package's detector gives .8 have a median of .32 from YOLOX-nano, which gives people on a square the same .8. What
nearly all detectors share is that their scores fall into two heaps, people and everything else. So the valley between
the heaps is looked for in each camera's own scores, and where it lies lower than with the package's detector, scores
are raised (in log odds) by the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reidstream.types import Detections, FloatArray

Counts = npt.NDArray[np.float64]

VALLEY = 0.54
"""Where the valley lies in the scores of the package's detector: .53 to .56 on five videos with more than one person
at a time; YOLOX-nano's lies at .38, .41, .44, .50 and .53 there."""

_LOWEST = 0.2
"""The valley is not believed to lie below this."""
_FAINT = 0.1
"""Scores below this say nothing: there is no end to them, and detectors differ in how many of them they give."""
_SLIGHT = 0.45
"""Valleys that lie lower by less than this (log odds) are left alone: on a square where YOLOX-nano's is .40 lower,
raising its scores found nobody more and cost .03 of precision; in a shop where it is .65 lower, nine people were found
instead of eight."""
_BINS = 64
_EDGE = 4.0
"""Log odds at the outermost bins, scores of .018 and .982."""
_CENTRES = np.linspace(-_EDGE, _EDGE, _BINS)
_SEPARATE = 0.7
"""Least part of the variance of the scores that two heaps explain (Otsu 1979); one heap alone, cut in two, has .64."""
_SURE = 0.45
"""The upper heap's mean score, at least: where nobody is there, both heaps are of things."""
_TRUST = 100.0
"""Detections after which what was seen counts as much as what was expected."""
_MEMORY = 20_000.0
"""Detections that are remembered; a camera's evening is not its morning."""


class ScoreScale:
    """Raises one camera's scores so that the valley between its two heaps of them lies at ``VALLEY``.

    Begins with scores as they are and follows what it sees; nothing that comes later changes what was given out.
    Scores are never lowered: a valley that lies high is that of people who are easily found.
    """

    def __init__(self) -> None:
        self._counts: Counts = np.zeros(_BINS)
        self._shift = 0.0

    @property
    def shift(self) -> float:
        """What is added to the log odds of scores now."""
        return self._shift

    def moved(self, detections: Detections) -> Detections:
        """The detections with their scores on the tracker's scale, after learning from them."""
        (moved,) = moved_together([self], [detections])
        return moved

    def as_now(self, detections: Detections) -> Detections:
        """The detections with their scores on the tracker's scale, without learning from them."""
        if not self._shift:
            return detections
        return Detections(detections.boxes, _shifted(log_odds(detections.scores), self._shift), detections.sharpness)


def moved_together(scales: Sequence[ScoreScale], detections: Sequence[Detections]) -> list[Detections]:
    """``ScoreScale.moved`` for a frame of each of several cameras, one step for all of them."""
    counts = [len(found) for found in detections]
    scores = np.concatenate([found.scores for found in detections])
    odds = log_odds(scores)
    telling = scores >= _FAINT
    camera = np.repeat(np.arange(len(scales)), counts)
    _learn(scales, odds[telling], camera[telling])
    shifts = [scale.shift for scale in scales]
    if not any(shifts):
        return list(detections)
    scores = _shifted(odds, np.array(shifts)[camera])
    ends = np.cumsum(counts).tolist()
    return [
        Detections(found.boxes, scores[end - count : end], found.sharpness) if shift and count else found
        for found, shift, count, end in zip(detections, shifts, counts, ends, strict=True)
    ]


def _shifted(odds: Counts, shift: float | Counts) -> FloatArray:
    """Scores of log odds that are raised."""
    shifted: FloatArray = (1 / (1 + np.exp(-(odds + shift)))).astype(np.float32)
    return shifted


def _learn(scales: Sequence[ScoreScale], odds: Counts, camera: npt.NDArray[np.int64]) -> None:
    """Let each camera learn from its log odds, and find its shift anew."""
    places = np.clip(np.rint((odds + _EDGE) * (_BINS - 1) / (2 * _EDGE)).astype(np.int64), 0, _BINS - 1)
    seen = np.bincount(camera * _BINS + places, minlength=len(scales) * _BINS).reshape(-1, _BINS)
    learning = np.flatnonzero(seen.any(axis=1))
    if not len(learning):
        return
    counts: Counts = np.array([scales[n]._counts for n in learning.tolist()], np.float64) + seen[learning]
    total = counts.sum(axis=1)
    full = total > _MEMORY
    counts[full] *= (_MEMORY / total[full])[:, None]
    valleys = _valleys(counts)
    wanted = np.where(np.isnan(valleys), 0.0, _WANTED - np.maximum(valleys, _DEEPEST))
    shifts = np.where(wanted >= _SLIGHT, wanted * total / (total + _TRUST), 0.0)
    for n, own, shift in zip(learning.tolist(), counts, shifts.tolist(), strict=True):
        scales[n]._counts, scales[n]._shift = own, shift


def _valleys(counts: Counts) -> Counts:
    """float64 (n,): the log odds between the two heaps of scores of each camera; NaN when there are not two, or none of
    them is of people.

    counts: float64 (n, bins), how many scores lie in each bin. Otsu's threshold ("A threshold selection method from
    gray-level histograms", 1979).
    """
    below = np.cumsum(counts, axis=1)[:, :-1]
    total, moment = counts.sum(axis=1, keepdims=True), counts * _CENTRES
    above = total - below
    usable = (below > 0) & (above > 0)
    so_far = np.cumsum(moment, axis=1)[:, :-1]
    low = so_far / np.maximum(below, 1)
    high = (moment.sum(axis=1, keepdims=True) - so_far) / np.maximum(above, 1)
    between = np.where(usable, below * above * (high - low) ** 2, 0) / total**2
    # Where the bins between two heaps are empty, any of them would do: the middle of these.
    best = between >= between.max(axis=1, keepdims=True) * (1 - 1e-9)
    middle = best.sum(axis=1, keepdims=True) // 2 + 1
    cut = (np.cumsum(best, axis=1) == middle).argmax(axis=1)
    mean = moment.sum(axis=1, keepdims=True) / total
    spread = (counts * (_CENTRES - mean) ** 2).sum(axis=1) / total[:, 0]
    rows = np.arange(len(counts))
    apart = usable.any(axis=1) & (between[rows, cut] >= _SEPARATE * spread) & (high[rows, cut] >= log_odds(_SURE))
    return np.where(apart, (_CENTRES[cut] + _CENTRES[cut + 1]) / 2, np.nan)


def log_odds(scores: FloatArray | float) -> Counts:
    """log(p / (1 - p)), finite for 0 and 1 as well."""
    safe = np.clip(np.asarray(scores, np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


_WANTED, _DEEPEST = float(log_odds(VALLEY)), float(log_odds(_LOWEST))
