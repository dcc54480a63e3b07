"""Joining groups of tracklets, the likeliest first, as long as joins are right often enough."""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

from reidstream.identities.constraints import HumanLinks, TimeTable
from reidstream.types import IntArray

UNLIKE = -4.0
"""What a pair that is not among each other's neighbours says: unlike, but unlooked-at."""
_LEAST_RATIO = math.exp(UNLIKE)
# Numbers become Python's own in blocks, since as such they take six times the memory.
_PAIRS_AT_ONCE = 100_000


class Linkage:
    """Groups that grow by joining the two whose members' pairs have the greatest mean likelihood ratio."""

    def __init__(self, weight: npt.NDArray[np.float64], table: TimeTable, start: IntArray, links: HumanLinks) -> None:
        """weight: float64 (n,), how much the ratios of each row count. start: int64 (n,), groups to begin with."""
        self._table = table
        self._label = start
        self._members: dict[int, list[int]] = {}
        self._weight = weight
        self._group_weight: list[float] = np.bincount(start, weight).tolist()
        for row, group in enumerate(start.tolist()):
            self._members.setdefault(group, []).append(row)
        self._near: dict[int, dict[int, list[float]]] = {group: {} for group in self._members}
        self._apart: dict[int, set[int]] = {}
        for a, b in links.different.tolist():
            first, second = int(start[a]), int(start[b])
            if first != second:
                self._apart.setdefault(first, set()).add(second)
                self._apart.setdefault(second, set()).add(first)

    def add_pairs(self, i: IntArray, j: IntArray, ratio: npt.NDArray[np.floating]) -> None:
        """Sum the likelihood ratios of pairs between groups: [sum, weight] per neighbour. ratio: their logarithms."""
        for begin in range(0, len(i), _PAIRS_AT_ONCE):
            some = slice(begin, begin + _PAIRS_AT_ONCE)
            a, b = self._label[i[some]], self._label[j[some]]
            weights = self._weight[i[some]] * self._weight[j[some]]
            ratios = np.exp(ratio[some]) * weights
            for first, second, value, weight in zip(
                *(x[a != b].tolist() for x in (a, b, ratios, weights)), strict=True
            ):
                entry = self._near[first].get(second)
                if entry is None:
                    entry = self._near[first][second] = self._near[second][first] = [0.0, 0.0]
                entry[0] += value
                entry[1] += weight

    def run(self, prior: float, risk: float, enough: float | None = None) -> float:
        """Join while joins are likelier right than wrong, and of all of them no more than the risk is expected wrong.

        prior: log-odds before looking. enough: the log-odds that a join needs, instead of the risk. Returns the
        log-odds that a join needs: 0 where the risk left out none, and never more than one alone needs to be no more
        probably wrong than the risk.
        """
        least = -prior if enough is None else enough - prior
        if enough is not None:
            risk = 1.0
        heap = [
            (-average, a, b)
            for a, near in self._near.items()
            for b in near
            if a < b and (average := self._average(a, b)) >= least
        ]
        heapq.heapify(heap)
        wrong, joins, needed = 0.0, 0, 0.0
        while heap:
            value, a, b = heapq.heappop(heap)
            if a not in self._members or b not in self._members or b not in self._near[a]:
                continue
            average = self._average(a, b)
            # Groups have grown since this was put in: what it is now was put in then, too.
            if -value != average:
                continue
            if self._excluded(a, b):
                del self._near[a][b], self._near[b][a]
                continue
            wrong += 1.0 / (1.0 + float(np.exp(average + prior)))
            if wrong > risk * (joins + 1):
                alone = math.log((1.0 - risk) / risk)
                return min(needed, alone) if joins else alone
            joins, needed = joins + 1, average + prior
            self._join(a, b)
            size = self._group_weight[a]
            for c, (total, compared_weight) in self._near[a].items():
                average = _log_mean(total, compared_weight, size * self._group_weight[c])
                if average >= least:
                    heapq.heappush(heap, (-average, min(a, c), max(a, c)))
        return 0.0 if enough is None else enough

    def groups(self) -> IntArray:
        """int64 (n,), numbered by first appearance."""
        group = np.empty(len(self._label), np.int64)
        for number, members in enumerate(sorted(self._members.values(), key=min)):
            group[members] = number
        return group

    def _average(self, a: int, b: int) -> float:
        total, compared_weight = self._near[a][b]
        return _log_mean(total, compared_weight, self._group_weight[a] * self._group_weight[b])

    def _excluded(self, a: int, b: int) -> bool:
        if b in self._apart.get(a, ()):
            return True
        return bool(self._table.excluded(self._members[a], self._members[b]).any())

    def _join(self, a: int, b: int) -> None:
        self._members[a] += self._members.pop(b)
        self._group_weight[a] += self._group_weight[b]
        near_a, near_b = self._near[a], self._near.pop(b)
        near_a.pop(b, None)
        near_b.pop(a, None)
        for c, entry in near_b.items():
            del self._near[c][b]
            held = near_a.get(c)
            if held is None:
                near_a[c] = self._near[c][a] = entry
            else:
                held[0] += entry[0]
                held[1] += entry[1]
        for c in self._apart.pop(b, set()):
            self._apart[c].discard(b)
            self._apart[c].add(a)
            self._apart.setdefault(a, set()).add(c)


def _log_mean(total: float, compared_weight: float, pairs: float) -> float:
    """The logarithm of the mean likelihood ratio of pairs that weigh ``pairs`` together, so much of it compared."""
    return math.log((total + _LEAST_RATIO * max(pairs - compared_weight, 0.0)) / pairs)
