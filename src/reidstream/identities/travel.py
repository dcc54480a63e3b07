"""What the time between two visits says: people take about as long from one camera to the next as others do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.identities.constraints import Cameras
from reidstream.identities.evidence import Evidence
from reidstream.types import FloatArray, IntArray

# Gaps are compared on a logarithmic scale, since who takes twice as long has twice the scatter. Seconds.
_OFFSET, _SHORTEST, _LONGEST, _BINS = 4.0, -1.0, 120.0, 64
_GRID = np.linspace(np.log(_SHORTEST + _OFFSET), np.log(_LONGEST + _OFFSET), _BINS)
# Standard deviation of the smoothing, on that scale: 12 % of a gap. Walking speeds scatter by about as much.
_SMOOTH = 0.12
# Chance weighs as much as so many transitions: with few of its own a pair of cameras says next to nothing.
_CHANCE = 12.0
# No gap is proof.
_MOST = 2.0


class TravelTimes:
    """How long it takes from camera to camera, learnt from the visits that a grouping takes for one person's.

    Between cameras that may see somebody at once (or whose clocks may differ) gaps say nothing.
    """

    def __init__(self, evidence: Evidence, cameras: Cameras) -> None:
        self._camera = evidence.camera
        self._count = len(evidence.cameras)
        gap = np.clip(evidence.start[None, :] - evidence.end[:, None], _SHORTEST, _LONGEST)
        steps = (np.log(gap + _OFFSET) - _GRID[0]) / (_GRID[1] - _GRID[0])
        self._bin = np.clip(np.round(steps), 0, _BINS - 1).astype(np.int8)
        self._telling = ~cameras.together[evidence.camera[:, None], evidence.camera[None, :]]
        self._kernel = np.exp(-0.5 * ((_GRID[:, None] - _GRID[None, :]) / _SMOOTH) ** 2)
        self._kernel /= self._kernel.sum(axis=1, keepdims=True)
        p, q = np.nonzero(evidence.start[None, :] > evidence.start[:, None])
        # What chance gives: every visit followed by every later one.
        self._chance = self._histogram(p, q) + 1e-2
        both = self._chance + self._chance.transpose(1, 0, 2)
        self._shape = both / both.sum(axis=2, keepdims=True)
        onward = self._chance.sum(axis=2)
        self._onward = onward / onward.sum(axis=1, keepdims=True)

    def ratios(self, p: IntArray, q: IntArray) -> FloatArray:
        """Log-likelihood ratios, float32 (n, n), of row j being somebody's next visit after row i.

        p, q: the pairs of successive visits to learn from. They do not count for themselves: nobody who was joined by
        mistake makes their own gap look usual.
        """
        camera, shape = self._camera, self._shape
        found = self._histogram(p, q)
        # It takes about as long there as back.
        both = found + found.transpose(1, 0, 2)
        onward = found.sum(axis=2)
        gaps = (both + _CHANCE * shape) / (both.sum(axis=2, keepdims=True) + _CHANCE) / shape
        ways = (onward + _CHANCE * self._onward) / (onward.sum(axis=1, keepdims=True) + _CHANCE) / self._onward
        table = (np.log(gaps) + np.log(ways)[:, :, None]).astype(np.float32)
        ratio = table[camera[:, None], camera[None, :], self._bin]
        if len(p):
            a, b, k = camera[p], camera[q], self._bin[p, q]
            chance = shape[a, b, k]
            # A transition that ends in the camera where it began was counted there and back.
            own = self._kernel[k, k] * np.where(a == b, 2, 1)
            others = np.maximum(both[a, b, k] - own, 0)
            total = both.sum(axis=2)[a, b] - np.where(a == b, 2, 1)
            gap = (others + _CHANCE * chance) / (total + _CHANCE) / chance
            way = self._onward[a, b]
            onto = np.maximum(onward[a, b] - 1, 0)
            share = (onto + _CHANCE * way) / (np.maximum(onward.sum(axis=1)[a] - 1, 0) + _CHANCE) / way
            ratio[p, q] = np.log(gap) + np.log(share)
        ratio[~self._telling] = 0.0
        cut: FloatArray = np.clip(ratio, -_MOST, _MOST)
        return cut

    def _histogram(self, p: IntArray, q: IntArray) -> npt.NDArray[np.float64]:
        """float64 (c, c, bins): smoothed counts of these pairs' gaps, by the cameras they lead from and to."""
        c, bins = self._count, _BINS
        keys: IntArray = (self._camera[p] * c + self._camera[q]) * bins + self._bin[p, q]
        counts = np.bincount(keys, minlength=c * c * bins).astype(np.float64)
        smoothed: npt.NDArray[np.float64] = counts.reshape(c, c, bins) @ self._kernel
        return smoothed


def successions(group: IntArray, start: npt.NDArray[np.float64]) -> tuple[IntArray, IntArray]:
    """Pairs of rows (earlier, later) that follow each other within a group."""
    order = np.lexsort((np.arange(len(group)), start, group))
    follows = group[order[1:]] == group[order[:-1]]
    return order[:-1][follows], order[1:][follows]
