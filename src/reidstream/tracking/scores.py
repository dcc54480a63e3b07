"""Scores of any detector on the scale that the tracker's thresholds were chosen on.

What a score means differs between detectors, and for one detector between cameras: the boxes of people in a shop that
the package's detector gives .8 have a median of .32 from YOLOX-nano, which gives people on a square the same .8. What
nearly all detectors share is that their scores fall into two heaps, people and everything else. So the valley between
the heaps is looked for in each camera's own scores, and where it lies lower than with the package's detector, scores
are raised (in log odds) by the difference.
"""

from __future__ import annotations

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
        self._centres = np.linspace(-_EDGE, _EDGE, _BINS)
        self._shift = 0.0

    @property
    def shift(self) -> float:
        """What is added to the log odds of scores now."""
        return self._shift

    def moved(self, detections: Detections) -> Detections:
        """The detections with their scores on the tracker's scale, after learning from them."""
        odds = log_odds(detections.scores)
        self._learn(odds[detections.scores >= _FAINT])
        if not self._shift or not len(detections):
            return detections
        return Detections(detections.boxes, (1 / (1 + np.exp(-(odds + self._shift)))).astype(np.float32))

    def _learn(self, odds: Counts) -> None:
        if not len(odds):
            return
        places = np.rint((odds + _EDGE) * (_BINS - 1) / (2 * _EDGE)).astype(np.int64)
        self._counts += np.bincount(np.clip(places, 0, _BINS - 1), minlength=_BINS)
        total = float(self._counts.sum())
        if total > _MEMORY:
            self._counts *= _MEMORY / total
        valley = valley_between(self._counts, self._centres)
        wanted = 0.0 if valley is None else float(log_odds(VALLEY) - max(valley, float(log_odds(_LOWEST))))
        self._shift = wanted * total / (total + _TRUST) if wanted >= _SLIGHT else 0.0


def valley_between(counts: Counts, centres: Counts) -> float | None:
    """The log odds between two heaps of scores; None when there are not two, or none of them is of people.

    counts: how many scores lie in each bin. centres: log odds of the bins. Otsu's threshold ("A threshold selection
    method from gray-level histograms", 1979).
    """
    below = np.cumsum(counts)[:-1]
    total, moment = counts.sum(), counts * centres
    above = total - below
    usable = (below > 0) & (above > 0)
    if not usable.any():
        return None
    low = np.cumsum(moment)[:-1] / np.maximum(below, 1)
    high = (moment.sum() - np.cumsum(moment)[:-1]) / np.maximum(above, 1)
    between = np.where(usable, below * above * (high - low) ** 2, 0) / total**2
    # Where the bins between two heaps are empty, any of them would do: the middle of these.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    cut = int(best[len(best) // 2])
    mean = moment.sum() / total
    spread = float((counts * (centres - mean) ** 2).sum() / total)
    if between[cut] < _SEPARATE * spread or high[cut] < log_odds(_SURE):
        return None
    return float((centres[cut] + centres[cut + 1]) / 2)


def log_odds(scores: FloatArray | float) -> Counts:
    """log(p / (1 - p)), finite for 0 and 1 as well."""
    safe = np.clip(np.asarray(scores, np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))
