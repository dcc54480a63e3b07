"""How sure each tracklet is of its group, and who is not sure enough to stay there.

Groups are joined as a whole: what most of a group's tracklets say outweighs a few who fit badly. So each is asked for
itself at last, by the same measure:

    odds(row, group) = prior odds * mean of ratio(row, j) over the group's others j, weighted by their clarity * times

Who is likelier not one of them is no member, nor is who is less sure than a join must be while of all memberships more
than the accepted risk is expected wrong: the least likely leaves first, then the others are asked anew. Those who left
a group stay together as far as they are sure of each other. Who stays alone is nobody's likeliest of all that is left,
and is asked without what makes these likelier than any two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.identities.linkage import UNLIKE
from reidstream.types import FloatArray, IntArray

_LEAST_RATIO = float(np.exp(UNLIKE))
_SUREST = 1e13

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What m pairs of n rows say.

    rows, others: int64 (m,); how much rows[k] resembles others[k] is ratio[k], the logarithm of a likelihood ratio.
    Each pair stands in both directions. Who was not compared is unlike. weight: float64 (n,), how much each row counts
    among its group.
    """

    rows: IntArray
    others: IntArray
    ratio: Floats
    weight: Floats

    def some(self, chosen: npt.NDArray[np.bool_]) -> Likeness:
        """The same of some of the pairs."""
        return Likeness(self.rows[chosen], self.others[chosen], self.ratio[chosen], self.weight)


def without_doubtful(
    group: IntArray,
    pairs: Likeness,
    times: Floats,
    prior: float,
    needed: float,
    risk: float,
    fixed: npt.NDArray[np.bool_],
) -> IntArray:
    """The grouping without members who are less likely so than has to be: int64 (n,), with new labels for who left.

    group: int64 (n,), 0 or greater. times: float64 (n,), what the times before and after say for each row's place in
    its group. needed: the log-odds that a join needed; a membership needs no more. risk: the share of memberships that
    may be wrong. fixed: bool (n,), rows that stay.
    """
    found = group.copy()
    inside = pairs.some(group[pairs.rows] == group[pairs.others])
    asked = np.flatnonzero(~fixed)
    # Where those go who leave a group.
    beside: dict[int, int] = {}
    members = ~fixed & (np.bincount(found)[found] > 1)
    needed = min(needed, _needed((prior + _own_ratio(found, inside) + times)[members], risk))
    while True:
        asked = asked[np.bincount(found)[found[asked]] > 1]
        odds = prior + _own_ratio(found, inside) + np.where(found == group, times, 0.0)
        weak = asked[odds[asked] < needed]
        if not len(weak):
            return found
        # The last of equals goes.
        order = np.lexsort((-weak, pairs.weight[weak], odds[weak], found[weak]))
        _, first = np.unique(found[weak[order]], return_index=True)
        free = int(found.max()) + 1
        for row in weak[order[first]].tolist():
            left = int(found[row])
            if left not in beside:
                beside[left] = free
                free += 1
            found[row] = beside[left]
        asked = np.flatnonzero(~fixed)


def _needed(odds: Floats, risk: float) -> float:
    """The log-odds that a membership needs so that no more than the risk of those that have them is expected wrong;
    never less than even. odds: float64 (k,), of all memberships."""
    surest = -np.sort(-odds)
    expected = np.cumsum(1.0 / (1.0 + np.exp(np.minimum(surest, 30.0)))) / np.arange(1, len(odds) + 1)
    enough = np.flatnonzero((expected <= risk) & (surest >= 0.0))
    return float(surest[enough[-1]]) if len(enough) else float("inf")


def _own_ratio(group: IntArray, pairs: Likeness) -> Floats:
    """float64 (n,): the logarithm of the mean likelihood ratio of each row to the others of its group."""
    n = len(group)
    own = group[pairs.rows] == group[pairs.others]
    rows, weight = pairs.rows[own], pairs.weight[pairs.others[own]]
    total = np.bincount(rows, np.exp(pairs.ratio[own]) * weight, n)
    others = np.bincount(group, pairs.weight)[group] - pairs.weight
    missing = np.maximum(others - np.bincount(rows, weight, n), 0.0)
    mean: Floats = (total + _LEAST_RATIO * missing) / np.maximum(others, 1e-9)
    return np.log(np.maximum(mean, 1.0 / _SUREST))


def memberships(
    group: IntArray,
    pairs: Likeness,
    prior: float,
    alone: float,
    fixed: npt.NDArray[np.bool_],
    times: Floats | None = None,
    left: IntArray | None = None,
) -> tuple[FloatArray, IntArray, FloatArray]:
    """How sure each tracklet's membership is, and what is undecided: as in ``Resolution``.

    prior: the log-odds before looking. alone: those of who stayed alone, and so is nobody's likeliest of all that was
    left. fixed: bool (n,), rows whose group is certain. times: float64 (n,), what the times before and after say for
    each row in the group that it has, or that it left. left: int64 (n,), that group, of rows that left one; -1 for all
    others.
    """
    n, groups = len(group), int(group.max(initial=-1)) + 1
    sure, chance = np.ones(n, np.float32), np.zeros(n, np.float32)
    likeliest = np.full(n, -1, np.int64)
    size = np.bincount(group, minlength=groups)
    spoken_for = group if left is None else np.where(left >= 0, left, group)
    keys = pairs.rows * groups + group[pairs.others]
    unique, where = np.unique(keys, return_inverse=True)
    owner, candidate = unique // groups, unique % groups
    weights = pairs.weight[pairs.others]
    compared = np.bincount(where, weights)
    whole = np.bincount(group, pairs.weight, groups)[candidate]
    whole -= np.where(group[owner] == candidate, pairs.weight[owner], 0.0)
    missing = np.maximum(whole - compared, 0.0)
    mean = (np.bincount(where, np.exp(pairs.ratio) * weights) + _LEAST_RATIO * missing) / (compared + missing)
    if times is not None:
        mean = mean * np.where(spoken_for[owner] == candidate, np.exp(times[owner]), 1.0)
    before = np.where(size[group[owner]] > 1, prior, alone)
    odds = np.clip(mean * np.exp(before), 1 / _SUREST, _SUREST)
    for row, begin, end in _runs(owner):
        if fixed[row]:
            continue
        near, some = candidate[begin:end], odds[begin:end]
        nobody = 1.0 + float(some.sum())
        own = near == group[row]
        mine = float(some[own].sum())
        sure[row] = mine / (1.0 + mine) if size[group[row]] > 1 else 1.0 / nobody
        best = int(np.argmax(np.where(own, -1.0, some)))
        if size[group[row]] == 1 and sure[row] < 0.5 and not own[best]:
            likeliest[row], chance[row] = near[best], float(some[best]) / nobody
    # Of two who may be each other, and nobody else, the first is somebody.
    for row in np.flatnonzero(likeliest >= 0).tolist():
        held = np.flatnonzero(group == likeliest[row])
        if (likeliest[held] >= 0).all():
            likeliest[row], chance[row] = -1, 0.0
    return sure, likeliest, chance


def _runs(sorted_values: IntArray) -> list[tuple[int, int, int]]:
    """(value, begin, end) of each run of equal values."""
    if len(sorted_values) == 0:
        return []
    edges = np.flatnonzero(np.diff(sorted_values)) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(sorted_values)]])
    return list(zip(sorted_values[begins].tolist(), begins.tolist(), ends.tolist(), strict=True))
