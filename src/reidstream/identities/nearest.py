"""The people whose mean is nearest: looked for along the strongest axes, then put in order by all of them."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray

# Fewer people are compared with in full at once.
_MANY = 4096
_AXES = 128
# So many times what is asked for is looked at in full. Of the axes' nearest, the true ones are practically all among
# these: the 128 strongest hold more than 99 % of what tells people's means apart.
_MORE = 8


class NearestMeans:
    """Unit vectors of people in a table that grows.

    means: float32 (n, size), one row per person; rows beyond those put in are zero.
    """

    def __init__(self, size: int) -> None:
        self.means = np.zeros((0, size), np.float32)
        self._count = 0
        self._axes: FloatArray | None = None
        self._short = np.zeros((0, _AXES), np.float32)

    def put(self, row: int, mean: FloatArray) -> None:
        """Set the mean of a person; a new one has the row that follows the last."""
        if row == len(self.means):
            room = max(64, row)
            self.means = np.concatenate([self.means, np.zeros((room, self.means.shape[1]), np.float32)])
            self._short = np.concatenate([self._short, np.zeros((room, _AXES), np.float32)])
        self.means[row] = mean
        self._count = max(self._count, row + 1)
        if self._axes is not None:
            self._short[row] = mean @ self._axes
        elif self._count == _MANY and self.means.shape[1] > 2 * _AXES:
            # Decided once, from the first people: what follows depends on the order of storing only.
            first = self.means[:_MANY]
            _, axes = np.linalg.eigh(first.T @ first)
            self._axes = np.ascontiguousarray(axes[:, -_AXES:])
            self._short[:_MANY] = first @ self._axes

    def remove(self, row: int) -> None:
        """Take a person out; whoever had the last row has this one then."""
        last = self._count - 1
        for table in (self.means, self._short):
            table[row] = table[last]
            table[last] = 0.0
        self._count = last

    def to(self, vector: FloatArray, most: int) -> list[int]:
        """Rows of the ``most`` nearest to a vector float32 (size,), the nearest first."""
        if self._axes is None:
            best = _greatest(self.means[: self._count] @ vector, most)
        else:
            near = self._short[: self._count] @ (vector @ self._axes)
            rows = np.sort(np.argpartition(near, -most * _MORE)[-most * _MORE :])
            best = rows[_greatest(self.means[rows] @ vector, most)]
        ordered: list[int] = best.tolist()
        return ordered


def _greatest(values: FloatArray, most: int) -> IntArray:
    """Where the ``most`` greatest are, the greatest first."""
    most = min(most, len(values))
    best = np.argpartition(-values, most - 1)[:most]
    found: IntArray = best[np.argsort(-values[best], kind="stable")]
    return found
