"""What each tracklet's similarity to other people is like: with whom it is compared before anybody else.

The nearest quarter of what it resembles, those left out that are likely the same person, has a mean and a standard
deviation. Few others say little, so each is moved towards what is usual in the gallery, and that towards what is usual
in the embedding space. ``calibration`` says what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reidstream.expected_looks import ANY, ExpectedLooks
from reidstream.types import IntArray

Floats = npt.NDArray[np.float64]

# The part of the others that counts as nearest.
_NEAREST = 0.25
# What is usual in a gallery weighs as much as so many others of a tracklet's own, and what is usual anywhere as much as
# so many of the gallery's.
_OWN, _GALLERY = 12.0, 10.0
# Nobody's strangers are spread wider than this many times what is usual.
_WIDEST = 3.0
_CELLS = 2**22


class Nearest(NamedTuple):
    """What one tracklet's similarity to other people is like: mean and spread of the nearest, of so many others."""

    mean: float
    spread: float
    others: float

    def among(self, looked_at: int, all_of_them: int) -> Nearest:
        """The same in a gallery of which only some were looked at: these stand for all."""
        return self._replace(others=self.others * max(all_of_them / looked_at, 1.0))


@dataclass(frozen=True, slots=True)
class Strangers:
    """What each of n tracklets' similarity to other people is like.

    mean, spread: float64 (n,), of the nearest. count: float64 (n,), how many others they were learnt from; infinite
    where nobody of whom they are asked was left out of them.
    """

    mean: Floats
    spread: Floats
    count: Floats

    @classmethod
    def of(cls, each: Sequence[Nearest]) -> Strangers:
        """Those of several tracklets."""
        return cls(*np.array(each, np.float64).reshape(-1, 3).T)

    def each(self) -> list[Nearest]:
        """The same, one after the other."""
        return [
            Nearest(*one) for one in zip(self.mean.tolist(), self.spread.tolist(), self.count.tolist(), strict=True)
        ]

    def standing(
        self, similarity: npt.NDArray[np.floating], i: IntArray, j: IntArray, left_out: Floats | float = 0.0
    ) -> tuple[Floats, Floats]:
        """z of pairs (i, j) and how much it grows per unit of similarity, both float64 (m,).

        left_out: float64 (m,), 0..1, how much of each was left out of the strangers of both for being likely one
        person. If they are two it belongs there, so there it is put for this question: else whoever was once taken
        for one person makes their strangers look the less alike, and is the more surely one person for that.
        """
        s = np.asarray(similarity, np.float64)
        z, growth = self._seen_from(s, i, left_out)
        other, more = self._seen_from(s, j, left_out)
        return (z + other) / 2, (growth + more) / 2

    def _seen_from(self, similarity: Floats, k: IntArray, left_out: Floats | float) -> tuple[Floats, Floats]:
        """The same with the strangers of rows k alone."""
        t = (similarity - self.mean[k]) / self.spread[k]
        more = left_out / (self.count[k] + _OWN)
        nearer = 1.0 / (1.0 + more)
        wider = nearer * (1.0 + more * nearer * t**2)
        return nearer * t / np.sqrt(wider), nearer**2 / (self.spread[k] * wider**1.5)


def nearest_strangers(similarity: Floats, weight: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Mean, standard deviation and number of the nearest quarter of each row's others, float64 (n,) each.

    similarity: float64 (n, c), each row's to c others. weight: float64 (n, c), how surely each is somebody else; 0 for
    the tracklet itself. None: all are.
    """
    rows = []
    for begin in range(0, len(similarity), max(1, _CELLS // max(similarity.shape[1], 1))):
        some = slice(begin, begin + max(1, _CELLS // max(similarity.shape[1], 1)))
        block = similarity[some]
        if weight is None:
            most = max(1, int(np.ceil(_NEAREST * block.shape[1])))
            held = -np.partition(-block, most - 1, axis=1)[:, :most]
            rows.append((held.mean(axis=1), held.std(axis=1), np.full(len(block), float(most))))
            continue
        order = np.argsort(-block, axis=1, kind="stable")
        value, counted = np.take_along_axis(block, order, 1), np.take_along_axis(weight[some], order, 1)
        before = np.cumsum(counted, axis=1) - counted
        counted = np.clip(np.minimum(counted, _NEAREST * counted.sum(axis=1, keepdims=True) - before), 0, None)
        count = counted.sum(axis=1)
        safe = np.maximum(count, 1e-9)
        mean = (counted * value).sum(axis=1) / safe
        rows.append((mean, np.sqrt((counted * (value - mean[:, None]) ** 2).sum(axis=1) / safe), count))
    if not rows:
        none = np.zeros(0)
        return none, none, none
    mean, spread, count = (np.concatenate(part) for part in zip(*rows, strict=True))
    return mean, spread, count


def as_if_few_return(similarity: Floats) -> tuple[Floats, Floats, Floats]:
    """As ``nearest_strangers`` says it of normal values whose median and lower quartile these are.

    Where expectation-maximisation begins. What lies below the median is hardly anybody's own, so that many who return
    cannot pass for strangers who are alike: then nobody would be found to return. similarity: float64 (n, n).
    """
    n = len(similarity)
    if n < 2:
        return np.zeros(n), np.zeros(n), np.zeros(n)
    return lower_half(similarity[~np.eye(n, dtype=bool)].reshape(n, n - 1))


def lower_half(similarity: Floats) -> tuple[Floats, Floats, Floats]:
    """As ``as_if_few_return``, for rows float64 (n, c) of similarities to others."""
    n, c = similarity.shape
    low, middle = np.quantile(similarity, (0.25, 0.5), axis=1)
    deviation = (middle - low) / 0.674
    return middle + 1.271 * deviation, 0.490 * deviation, np.full(n, _NEAREST * c)


def shrunk(
    mean: Floats,
    spread: Floats,
    count: Floats,
    usual: tuple[float, float] | None = None,
    expected: ExpectedLooks = ANY,
) -> tuple[Strangers, float, float]:
    """Each tracklet's strangers moved towards the gallery's, these towards the usual; the gallery's mean and spread.

    usual: the gallery's, where it is known already. expected: what is usual anywhere in its embedding space.
    """
    if usual is None:
        total = count.sum() / 2
        wide = np.minimum(spread, _WIDEST * expected.strangers_spread)
        middle = ((count * mean).sum() / 2 + _GALLERY * expected.strangers) / (total + _GALLERY)
        squares = ((count * wide**2).sum() / 2 + _GALLERY * expected.strangers_spread**2) / (total + _GALLERY)
        usual = float(middle), float(np.sqrt(squares))
    # A handful of others may lie anywhere, most of all where some of them are the same person.
    wide = np.minimum(spread, _WIDEST * usual[1])
    own = Strangers(
        (count * mean + _OWN * usual[0]) / (count + _OWN),
        np.sqrt((count * wide**2 + _OWN * usual[1] ** 2) / (count + _OWN)),
        count,
    )
    return own, *usual
