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
# No more rows are compared with all others at once.
_IN_A_TABLE = 1024


class _Judged:
    """Whether joins go on, the likeliest first: as long as no more of them than the risk are expected wrong.

    needed: the log-odds that a join needs; None as long as the risk left out none.
    """

    def __init__(self, prior: float, risk: float) -> None:
        self._prior, self._risk = prior, risk
        self._wrong, self._joined, self._last = 0.0, 0, 0.0
        self.needed: float | None = None

    def joins(self, average: float) -> bool:
        self._wrong += 1.0 / (1.0 + float(np.exp(average + self._prior)))
        if self._wrong > self._risk * (self._joined + 1):
            alone = math.log((1.0 - self._risk) / self._risk)
            self.needed = min(self._last, alone) if self._joined else alone
            return False
        self._joined, self._last = self._joined + 1, average + self._prior
        return True


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
        # Pairs of groups to begin with, the smaller first: the sums of their ratios, and of the weights of these.
        self._first: IntArray = np.zeros(0, np.int64)
        self._second: IntArray = np.zeros(0, np.int64)
        self._sums: npt.NDArray[np.float64] = np.zeros(0)
        self._compared: npt.NDArray[np.float64] = np.zeros(0)
        self._apart: dict[int, set[int]] = {}
        for a, b in links.different.tolist():
            first, second = int(start[a]), int(start[b])
            if first != second:
                self._apart.setdefault(first, set()).add(second)
                self._apart.setdefault(second, set()).add(first)

    def add_pairs(self, i: IntArray, j: IntArray, ratio: npt.NDArray[np.floating]) -> None:
        """Sum the likelihood ratios of pairs between groups: [sum, weight] per neighbour. ratio: their logarithms.

        It is done once, and before joining.
        """
        a, b = self._label[i], self._label[j]
        between = a != b
        weights = (self._weight[i] * self._weight[j])[between]
        low, high = np.minimum(a, b)[between], np.maximum(a, b)[between]
        keys: IntArray = low * len(self._label) + high
        pair, place = np.unique(keys, return_inverse=True)
        self._sums = np.bincount(place, np.exp(ratio[between]) * weights, len(pair)).astype(np.float64)
        self._compared = np.bincount(place, weights, len(pair)).astype(np.float64)
        self._first, self._second = np.divmod(pair, max(len(self._label), 1))

    def run(self, prior: float, risk: float, enough: float | None = None) -> float:
        """Join while joins are likelier right than wrong, and of all of them no more than the risk is expected wrong.

        prior: log-odds before looking. enough: the log-odds that a join needs, instead of the risk. Returns the
        log-odds that a join needs: 0 where the risk left out none, and never more than one alone needs to be no more
        probably wrong than the risk.
        """
        least = -prior if enough is None else enough - prior
        if enough is not None:
            risk = 1.0
        judged = _Judged(prior, risk)
        groups = len(self._members)
        if len(self._label) <= _IN_A_TABLE and 4 * len(self._first) >= groups * (groups - 1):
            self._join_in_a_table(least, judged)
        else:
            self._join_by_neighbours(least, judged)
        if judged.needed is not None:
            return judged.needed
        return 0.0 if enough is None else enough

    def _join_by_neighbours(self, least: float, judged: _Judged) -> None:
        """Where most groups are nobody's neighbours: what was summed is kept by neighbour."""
        # The logarithm of numpy may differ by its last digit from that by which they are put in order.
        means = _log_means(self._sums, self._compared, self._sizes()[self._first] * self._sizes()[self._second])
        rather = np.flatnonzero(means >= least - 1e-9)
        likely = zip(self._first[rather].tolist(), self._second[rather].tolist(), strict=True)
        del means, rather
        self._keep_by_neighbour()
        heap = [(-average, a, b) for a, b in likely if (average := self._average(a, b)) >= least]
        heapq.heapify(heap)
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
            if not judged.joins(average):
                return
            self._join(a, b)
            size = self._group_weight[a]
            for c, (total, compared_weight) in self._near[a].items():
                average = _log_mean(total, compared_weight, size * self._group_weight[c])
                if average >= least:
                    heapq.heappush(heap, (-average, min(a, c), max(a, c)))

    def _join_in_a_table(self, least: float, judged: _Judged) -> None:
        """Where most groups were compared: the same from a table of all, which is made and searched much faster."""
        names: IntArray = np.array(sorted(self._members), np.int64)
        count, size = len(names), self._sizes()[names]
        if count < 2:
            return
        first, second = np.searchsorted(names, self._first), np.searchsorted(names, self._second)
        sums, compared = np.zeros((2, count, count))
        sums[first, second] = sums[second, first] = self._sums
        compared[first, second] = compared[second, first] = self._compared
        near = np.zeros((count, count), bool)
        near[first, second] = near[second, first] = True
        apart = self._all_excluded(names)
        means = np.full((count, count), -np.inf)
        some = np.triu(near & ~apart, 1)
        means[some] = _log_means(sums, compared, np.outer(size, size))[some]
        while True:
            a, b = divmod(int(means.argmax()), count)
            if means[a, b] < least or not judged.joins(float(means[a, b])):
                return
            self._members[int(names[a])] += self._members.pop(int(names[b]))
            size[a] += size[b]
            for amounts in (sums, compared):
                amounts[a] += amounts[b]
                amounts[:, a] = amounts[a]
            for whether in (near, apart):
                whether[a] |= whether[b]
                whether[:, a] = whether[a]
            near[b], near[:, b] = False, False
            now = np.where(near[a] & ~apart[a], _log_means(sums[a], compared[a], size[a] * size), -np.inf)
            means[a, a + 1 :], means[:a, a] = now[a + 1 :], now[:a]
            means[b], means[:, b] = -np.inf, -np.inf

    def _all_excluded(self, names: IntArray) -> npt.NDArray[np.bool_]:
        """bool (g, g): which of these groups are certainly two people."""
        rows = np.concatenate([self._members[name] for name in names.tolist()])
        begins = np.cumsum([0, *(len(self._members[name]) for name in names.tolist())])[:-1]
        rows_apart = self._table.excluded(rows, rows)
        found: npt.NDArray[np.bool_] = np.logical_or.reduceat(
            np.logical_or.reduceat(rows_apart, begins, axis=0), begins, axis=1
        )
        for group, others in self._apart.items():
            found[np.searchsorted(names, group), np.searchsorted(names, sorted(others))] = True
        return found

    def groups(self) -> IntArray:
        """int64 (n,), numbered by first appearance."""
        group = np.empty(len(self._label), np.int64)
        for number, members in enumerate(sorted(self._members.values(), key=min)):
            group[members] = number
        return group

    def _average(self, a: int, b: int) -> float:
        total, compared_weight = self._near[a][b]
        return _log_mean(total, compared_weight, self._group_weight[a] * self._group_weight[b])

    def _sizes(self) -> npt.NDArray[np.float64]:
        """float64 (n,): how much each group weighs, by its label."""
        return np.array(self._group_weight)

    def _keep_by_neighbour(self) -> None:
        """Instead of in columns, which large galleries have no room for beside it."""
        columns = (self._first, self._second, self._sums, self._compared)
        for begin in range(0, len(self._first), _PAIRS_AT_ONCE):
            some = (column[begin : begin + _PAIRS_AT_ONCE].tolist() for column in columns)
            for first, second, value, weight in zip(*some, strict=True):
                self._near[first][second] = self._near[second][first] = [value, weight]
        self._first = self._second = self._first[:0].copy()
        self._sums = self._compared = self._sums[:0].copy()

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


def _log_means(
    totals: npt.NDArray[np.float64], compared: npt.NDArray[np.float64], pairs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """``_log_mean`` of many, of any shape."""
    found: npt.NDArray[np.float64] = np.log((totals + _LEAST_RATIO * np.maximum(pairs - compared, 0.0)) / pairs)
    return found


def _log_mean(total: float, compared_weight: float, pairs: float) -> float:
    """The logarithm of the mean likelihood ratio of pairs that weigh ``pairs`` together, so much of it compared."""
    return math.log((total + _LEAST_RATIO * max(pairs - compared_weight, 0.0)) / pairs)
