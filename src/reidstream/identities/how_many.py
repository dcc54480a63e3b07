"""How many people there are, where of many it cannot be said who they are.

Whoever comes back and is not recognised counts twice where groups are counted. So groupings are drawn, each as often as
it is probable: one tracklet after the other leaves its group and joins another one, or none, by

    odds(row, group) = (size + 1) * share(size + 1) / share(size) * likeness(row, group)
    odds(row, none) = (groups + 1) * share(1)
    likeness(row, group) = (mean of ratio(row, j) ** _POWER over the group's j, by their clarity) ** (1 / _POWER)

share(k) is which share of all people comes k times; it is drawn anew with each sweep from how often those of the
grouping came (Gibbs sampling; sizes of groups as in Zanella et al., Flexible models for microclustering, NIPS 2016).
The mean number of groups is the estimate: no single doubtful join has to be made for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.identities.linkage import UNLIKE
from reidstream.types import IntArray

# With 1 it would be the mean by which groups are joined, for which one look-alike is enough; near 0 that of logarithms,
# for which everybody is seen from one side. Chosen of 1, .5 and .3 on benchmarks.regimes' people for choices.
_POWER = 0.5
# So many questions are asked in small galleries, in sweeps over all rows of which the first third is not counted: a
# grouping changes slowly, and of few people each is much of the mean. No fewer and no more sweeps than these.
_QUESTIONS = 30_000
_FEWEST, _MOST = 30, 150
# Before looking, it is as if one had come once, one half twice, and so on; who comes more often than the largest is as
# likely to come once more.
_LARGEST = 40
_EXPECTED = 0.5 ** np.arange(_LARGEST)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likeliest:
    """A likely grouping of n rows, and what speaks for any other.

    group: int64 (n,). begun: int64 (n,), groups of what is certainly one person. i, j: int64 (m,), pairs i < j, each
    once. ratio: float64 (m,), the logarithms of their likelihood ratios; others are unlike. weight: float64 (n,),
    clarity. two: bool (n, n), who is certainly two people.
    """

    group: IntArray
    begun: IntArray
    i: IntArray
    j: IntArray
    ratio: Floats
    weight: Floats
    two: npt.NDArray[np.bool_]


def how_many(found: Likeliest) -> float:
    """The expected number of people; the same for the same rows."""
    if not len(found.group):
        return 0.0
    drawn = _Grouping(found)
    rng = np.random.default_rng(0)
    sweeps = min(max(_QUESTIONS // len(found.group), _FEWEST), _MOST)
    counts = []
    for _ in range(sweeps):
        drawn.sweep(rng)
        counts.append(drawn.people)
    return float(np.mean(counts[sweeps // 3 :]))


class _Grouping:
    """A grouping of units, which are rows that are certainly one person."""

    def __init__(self, begin: Likeliest) -> None:
        names, first, unit = np.unique(begin.begun, return_index=True, return_inverse=True)
        self._two = begin.two
        self._rows: list[list[int]] = [[] for _ in names]
        for row, number in enumerate(unit.tolist()):
            self._rows[number].append(row)
        self._weight: list[float] = np.bincount(unit, begin.weight).tolist()
        # What is no more alike than who was not compared needs no place.
        self._least = math.exp(_POWER * UNLIKE)
        some = (begin.ratio > UNLIKE) & (unit[begin.i] != unit[begin.j])
        i, j = begin.i[some], begin.j[some]
        above = (np.exp(_POWER * begin.ratio[some]) - self._least) * begin.weight[i] * begin.weight[j]
        self._near: list[dict[int, float]] = [{} for _ in names]
        for a, b, value in zip(unit[i].tolist(), unit[j].tolist(), above.tolist(), strict=True):
            self._near[a][b] = self._near[b][a] = self._near[a].get(b, 0.0) + value
        self._label: list[int] = begin.group[first].tolist()
        self._members: dict[int, list[int]] = {}
        for number, label in enumerate(self._label):
            self._members.setdefault(label, []).append(number)
        self._mass = {label: sum(self._weight[u] for u in held) for label, held in self._members.items()}
        self._free: int = max(self._label) + 1

    @property
    def people(self) -> int:
        """How many groups there are."""
        return len(self._members)

    def sweep(self, rng: np.random.Generator) -> None:
        """Ask every unit once, in an order by chance."""
        sizes = np.bincount([min(len(held), _LARGEST) for held in self._members.values()], minlength=_LARGEST + 1)
        share = np.log(np.maximum(rng.dirichlet(_EXPECTED + sizes[1:]), 1e-300))
        more = np.exp(np.diff(share)) * np.arange(2, _LARGEST + 1)
        # By size of the group; none has no member.
        joins = [0.0, *more.tolist(), float(more[-1])]
        order, chances = rng.permutation(len(self._label)), rng.random(len(self._label))
        for unit, chance in zip(order.tolist(), chances.tolist(), strict=True):
            self._leave(unit)
            self._join(unit, self._drawn(unit, math.exp(share[0]), joins, chance))

    def _drawn(self, unit: int, alone: float, joins: list[float], chance: float) -> int:
        """The group that a unit without one joins, or a new one. chance: 0..1."""
        near: dict[int, float] = {}
        for other, value in self._near[unit].items():
            label = self._label[other]
            near[label] = near.get(label, 0.0) + value
        own, power = self._weight[unit], 1.0 / _POWER
        groups: list[int] = list(near)
        odds: list[float] = []
        for label, value in near.items():
            likeness: float = (self._least + value / max(own * self._mass[label], 1e-12)) ** power
            odds.append(likeness * joins[min(len(self._members[label]), _LARGEST)])
        total = (len(self._members) + 1) * alone + sum(odds)
        # Who is certainly somebody else gives way to the others.
        while groups:
            rest = chance * total
            k = 0
            while k < len(odds) and rest >= odds[k]:
                rest -= odds[k]
                k += 1
            if k == len(odds):
                break
            theirs = [row for other in self._members[groups[k]] for row in self._rows[other]]
            if not self._two[np.ix_(self._rows[unit], theirs)].any():
                return groups[k]
            chance = rest / odds[k]
            total -= odds[k]
            del groups[k], odds[k]
        self._free += 1
        return self._free - 1

    def _leave(self, unit: int) -> None:
        label = self._label[unit]
        self._members[label].remove(unit)
        self._mass[label] -= self._weight[unit]
        self._label[unit] = -1
        if not self._members[label]:
            del self._members[label], self._mass[label]

    def _join(self, unit: int, label: int) -> None:
        self._label[unit] = label
        self._members.setdefault(label, []).append(unit)
        self._mass[label] = self._mass.get(label, 0.0) + self._weight[unit]
