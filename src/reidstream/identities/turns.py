"""One person who was taken for two, each of whom is there only while the other is not.

A track may end on a passer, and another begins on the person meanwhile: both are seen at once, and nobody can be both.
Of somebody who sits there for an hour some tracks are such, and the person falls into two, each with a track that
contradicts one of the other's. But two people who come and go on their own would be seen together more often, and two
who relieve each other meet as often as they do so. Two groups of tracklets take turns where both is ruled out:

- If one's clock were turned, the two would hardly ever be seen together for as short a time: in fewer than 1 % of all
  settings round the time from the first to the last of both.
- Of all changes from one to the other, so few are contradictions that it happens in fewer than 1 % where every second
  is.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ONE_IN = 100
"""What would happen once in so many times is ruled out. A whole number, as chances of thousands of changes are no
floats."""
_SETTINGS = 4096
"""Settings of the clock, each a step of as much of the time."""


def take_turns(one: list[int], other: list[int], start: Floats, end: Floats, two: npt.NDArray[np.bool_]) -> bool:
    """Whether two groups of rows are there in turns.

    start, end: float64 (n,), seconds. two: bool (n, n), rows that contradict each other.
    """
    against = int(np.count_nonzero(two[np.ix_(one, other)]))
    rows = np.array([*one, *other])
    first = np.arange(len(rows)) < len(one)
    order = np.argsort(start[rows], kind="stable")
    rows, first = rows[order], first[order]
    changes = int(np.count_nonzero((first[1:] != first[:-1]) & ~two[rows[1:], rows[:-1]])) + against
    if _ONE_IN * sum(comb(changes, k) for k in range(against + 1)) >= 2**changes:
        return False
    begin, last = float(start[rows].min()), float(end[rows].max())
    there = [_there(start[group], end[group], begin, last) for group in (one, other)]
    together = np.fft.irfft(np.fft.rfft(there[0]) * np.conj(np.fft.rfft(there[1])), _SETTINGS)
    return bool(np.mean(together <= together[0] + 0.5) < 1 / _ONE_IN)


def _there(start: Floats, end: Floats, begin: float, last: float) -> Floats:
    """float64 (_SETTINGS,): 1 where any of these is there, in steps of the time from begin to last."""
    step = max(last - begin, 1e-6) / _SETTINGS
    first, behind = ((times - begin) / step for times in (start, end))
    found = np.zeros(_SETTINGS)
    for a, b in zip(first.round().astype(int).tolist(), behind.round().astype(int).tolist(), strict=True):
        found[a : max(b, a + 1)] = 1.0
    return found
