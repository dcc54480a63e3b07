"""How many of some things that each may or may not be: expected, and between which numbers.

The number of independent events that happen, each with a probability of its own, has the Poisson binomial
distribution; it is computed exactly, by adding one event after the other, and for many events by the normal one with
the same mean and variance (Hong, "On computing the distribution function for the Poisson binomial distribution", 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.9
"""How probably a number lies between its low and its high one."""

_TAIL = (1 - LEVEL) / 2
_QUANTILE = 1.6448536269514722
"""Of the standard normal distribution, which the part of ``_TAIL`` exceeds."""

_SIZES = (4, 16, 64)
"""Events up to which the distribution is computed exactly, in classes that are padded to these."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of each of n cells, float64 (n,): how many are expected, and the ends of the interval that holds ``LEVEL``."""

    expected: Floats
    low: Floats
    high: Floats


def counts(cell: Ints, probability: Floats, cells: int, certain: Floats | None = None) -> Counts:
    """How many events happen in each of so many cells.

    cell: int64 (m,), the cell of each event. probability: float64 (m,). certain: float64 (cells,), what is there
    anyway.
    """
    sure = np.zeros(cells) if certain is None else certain
    always = probability >= 1.0
    base = sure + np.bincount(cell[always], minlength=cells)
    may = (probability > 0.0) & ~always
    cell, probability = cell[may], probability[may]
    order = np.argsort(cell, kind="stable")
    cell, probability = cell[order], probability[order]
    size = np.bincount(cell, minlength=cells)
    begin = np.cumsum(size) - size
    mean = np.bincount(cell, probability, minlength=cells)
    low, high = np.zeros(cells), np.zeros(cells)
    smaller = 0
    for width in _SIZES:
        some = np.flatnonzero((size > smaller) & (size <= width))
        smaller = width
        if not len(some):
            continue
        columns = np.arange(width)
        padded = begin[some][:, None] + np.minimum(columns, size[some][:, None] - 1)
        events = np.where(columns < size[some][:, None], probability[padded], 0.0)
        low[some], high[some] = _exact(events)
    large = size > smaller
    spread = np.sqrt(np.bincount(cell, probability * (1 - probability), minlength=cells)[large])
    low[large] = np.clip(np.floor(mean[large] - _QUANTILE * spread), 0, None)
    high[large] = np.minimum(np.ceil(mean[large] + _QUANTILE * spread), size[large])
    return Counts(base + mean, base + low, base + high)


def _exact(events: Floats) -> tuple[Floats, Floats]:
    """The quantiles of each row's number of events; events: float64 (n, k), their probabilities."""
    n, k = events.shape
    chance = np.zeros((n, k + 1))
    chance[:, 0] = 1.0
    for column in range(k):
        happens = events[:, column : column + 1]
        chance[:, 1:] = chance[:, 1:] * (1 - happens) + chance[:, :-1] * happens
        chance[:, 0] *= 1 - happens[:, 0]
    below = np.cumsum(chance, axis=1)
    low = (below < _TAIL).sum(axis=1)
    high = (below < 1 - _TAIL).sum(axis=1)
    return low.astype(np.float64), np.minimum(high, k).astype(np.float64)
