"""Putting a grouping right: tracklets move to where they fit better, by looks and by the time between visits."""

from __future__ import annotations

from bisect import bisect

import numpy as np
import numpy.typing as npt

from reidstream.identities.travel import TravelTimes, successions
from reidstream.types import FloatArray, IntArray

# How often travel times are learnt anew from the grouping that they led to; sweeps over all tracklets each time.
_LESSONS, _SWEEPS = 4, 6
# A tracklet moves for no less: else two groups that fit equally well would exchange it for ever.
_MARGIN = 0.05
# Groups that look this unlike are not worth asking for the time between visits, nor are more than so many for one row.
_UNLIKE, _ASKED = -2.0, 12

Chain = list[int]


def refined(
    group: IntArray,
    looks: FloatArray,
    excluded: npt.NDArray[np.bool_],
    fixed: npt.NDArray[np.bool_],
    start: npt.NDArray[np.float64],
    continued: tuple[IntArray, IntArray, FloatArray],
    travel: TravelTimes,
    least: float,
) -> IntArray:
    """A better grouping of n rows, int64 (n,).

    group: int64 (n,), where to begin. looks: float32 (n, n), log-likelihood ratios of pairs; the diagonal is not used.
    excluded: bool (n, n), who is certainly two people. fixed: bool (n,), rows that stay with their group. start:
    float64 (n,), seconds. continued: see ``continuations``; between these rows the time says nothing else. least: the
    log-likelihood ratio that joining needs.
    """
    n = len(group)
    looks = looks.copy()
    np.fill_diagonal(looks, 0.0)
    earlier, later, worth = continued
    on = np.zeros((n, n), bool)
    on[earlier, later] = True
    for _ in range(_LESSONS):
        p, q = successions(group, start)
        learn = ~on[p, q]
        time = travel.ratios(p[learn], q[learn])
        time[earlier, later] = worth
        groups = _Groups(group, looks, excluded, start, time, least)
        for _ in range(_SWEEPS):
            moved = groups.move_each(fixed)
            if not groups.join() and not moved:
                break
        group = groups.label
    return group


class _Groups:
    """Chains of rows in the order of time.

    What a row gains by being in a chain is how much it looks like the others, on average, and what the times before
    and after it say.
    """

    def __init__(
        self,
        label: IntArray,
        looks: FloatArray,
        excluded: npt.NDArray[np.bool_],
        start: npt.NDArray[np.float64],
        time: FloatArray,
        least: float,
    ) -> None:
        n = len(label)
        self._looks, self._excluded, self._time, self._least = looks, excluded, time, least
        order = np.lexsort((np.arange(n), start))
        self._ranks: list[int] = np.argsort(order).tolist()
        self.label = np.unique(label, return_inverse=True)[1].astype(np.int64)
        self._chains: dict[int, Chain] = {}
        for row in order.tolist():
            self._chains.setdefault(int(self.label[row]), []).append(row)

    def move_each(self, fixed: npt.NDArray[np.bool_]) -> int:
        """Move every row to the chain that it fits best, or to one of its own; how many moved."""
        moved = 0
        for row in np.flatnonzero(~fixed).tolist():
            own = int(self.label[row])
            rest = [other for other in self._chains[own] if other != row]
            n = max(self._chains) + 1
            sums = np.bincount(self.label, self._looks[row], n)
            sizes = np.bincount(self.label, minlength=n)
            sizes[own] -= 1
            mean = np.where(sizes > 0, sums / np.maximum(sizes, 1), -np.inf)
            present = self._least
            if rest:
                present = float(mean[own]) + self._added(rest, row)
            mean[self.label[self._excluded[row]]] = -np.inf
            mean[own] = -np.inf
            best, to = (self._least, n) if rest else (-np.inf, own)
            asked = np.argsort(-mean, kind="stable")[:_ASKED]
            for chain in asked[mean[asked] >= _UNLIKE].tolist():
                gain = float(mean[chain]) + self._added(self._chains[chain], row)
                if gain > best:
                    best, to = gain, chain
            if to == own or best <= present + _MARGIN:
                continue
            moved += 1
            if rest:
                self._chains[own] = rest
            else:
                del self._chains[own]
            self._chains[to] = self._with(self._chains.get(to, []), [row])
            self.label[row] = to
        return moved

    def join(self) -> int:
        """Join chains, the likeliest first, until none is likely enough; how often."""
        gains = {pair: gain for pair in self._alike() if (gain := self._gain(*pair)) >= self._least}
        joined = 0
        while gains:
            a, b = min(gains, key=lambda pair: (-gains[pair], pair))
            self._chains[a] = self._with(self._chains[a], self._chains.pop(b))
            self.label[self._chains[a]] = a
            near = {c for pair in gains if a in pair or b in pair for c in pair} - {a, b}
            gains = {pair: gain for pair, gain in gains.items() if a not in pair and b not in pair}
            for c in near:
                pair = (min(a, c), max(a, c))
                if (gain := self._gain(*pair)) >= self._least:
                    gains[pair] = gain
            joined += 1
        return joined

    def _alike(self) -> list[tuple[int, int]]:
        """Pairs of chains that look alike enough to be asked, the smaller label first."""
        n = len(self.label)
        names, place = np.unique(self.label, return_inverse=True)
        order = np.argsort(place, kind="stable")
        begins = np.searchsorted(place[order], np.arange(len(names)))
        sums = np.add.reduceat(np.add.reduceat(self._looks[order], begins, axis=0)[:, order], begins, axis=1)
        sizes = np.diff([*begins, n])
        a, b = np.nonzero(np.triu(sums / np.outer(sizes, sizes) >= _UNLIKE, 1))
        return list(zip(names[a].tolist(), names[b].tolist(), strict=True))

    def _gain(self, a: int, b: int) -> float:
        one, other = self._chains[a], self._chains[b]
        pairs = np.ix_(one, other)
        if self._excluded[pairs].any():
            return -np.inf
        times = self._times(self._with(one, other)) - self._times(one) - self._times(other)
        return float(self._looks[pairs].mean()) + times / min(len(one), len(other))

    def _added(self, chain: Chain, row: int) -> float:
        """What the times before and after a row say when it comes into a chain that does not hold it."""
        place = bisect(chain, self._ranks[row], key=self._ranks.__getitem__)
        before = chain[place - 1] if place else None
        after = chain[place] if place < len(chain) else None
        gain = 0.0
        if before is not None:
            gain += self._time.item(before, row)
        if after is not None:
            gain += self._time.item(row, after)
        if before is not None and after is not None:
            gain -= self._time.item(before, after)
        return gain

    def _times(self, chain: Chain) -> float:
        return float(self._time[chain[:-1], chain[1:]].sum()) if len(chain) > 1 else 0.0

    def _with(self, one: Chain, other: Chain) -> Chain:
        return sorted(one + other, key=self._ranks.__getitem__)
