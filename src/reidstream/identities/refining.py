"""Putting a grouping right: tracklets move to where they fit better, by looks and by the time between visits."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.identities.travel import TravelTimes, successions
from reidstream.identities.turns import take_turns
from reidstream.types import FloatArray, IntArray

# How often travel times are learnt anew from the grouping that they led to; sweeps over all tracklets each time.
_LESSONS, _SWEEPS = 4, 6
# A tracklet moves for no less: else two groups that fit about equally well would exchange it for ever.
_MARGIN = 0.3
# A person needs one tracklet as clear as this: it rests on two good crops.
_OWN_PERSON = 0.74
# How far times are believed that were learnt from the grouping which they led to. In a logistic fit to 1,959
# memberships (benchmarks.regimes, the part for choices and labelled scenes) a third of what they said fitted best.
_BELIEVED = 1 / 3
# Groups that look this unlike are not worth asking for the time between visits, nor are more than so many for one row.
_UNLIKE, _COMPARED = -2.0, 12

Chain = list[int]


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of n rows before looking.

    start, end: float64 (n,), seconds. fixed: bool (n,), rows that stay with their group. excluded: bool (n, n), who is
    two people. said: bool (n, n), of these whom somebody said to be; of others it may turn out that they are one person
    who is there in turns.
    """

    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    fixed: npt.NDArray[np.bool_]
    excluded: npt.NDArray[np.bool_]
    said: npt.NDArray[np.bool_]


def refined(
    group: IntArray,
    looks: FloatArray,
    weight: npt.NDArray[np.float64],
    given: Given,
    continued: tuple[IntArray, IntArray, FloatArray],
    travel: TravelTimes,
    least: float,
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """A better grouping of n rows, int64 (n,), and how far the times before and after each row speak for its place
    there, float64 (n,).

    group: int64 (n,), where to begin. looks: float32 (n, n), log-likelihood ratios of pairs; the diagonal is not used.
    weight: float64 (n,), how clear each row's looks are and how much they count, 0..1. continued: see
    ``continuations``; between these rows the time says nothing else. least: the log-likelihood ratio that joining
    needs.
    """
    n = len(group)
    looks = (np.exp(looks) * weight * weight[:, None]).astype(np.float32)
    np.fill_diagonal(looks, 0.0)
    earlier, later, worth = continued
    on = np.zeros((n, n), bool)
    on[earlier, later] = True
    for _ in range(_LESSONS):
        p, q = successions(group, given.start)
        learn = ~on[p, q]
        time = travel.ratios(p[learn], q[learn])
        time[earlier, later] = worth
        groups = _Groups(group, looks, weight, given, time, least)
        taught = groups.label.copy()
        for _ in range(_SWEEPS):
            moved = groups.move_each(given.fixed)
            if not groups.join() and not moved:
                break
        group = groups.label
        if np.array_equal(group, taught):
            # What led to the same grouping would lead to it again.
            break
    groups.give_up_weak(given.fixed)
    time *= _BELIEVED
    time[earlier, later] = worth
    return groups.label, groups.times(time)


class _Groups:
    """Chains of rows in the order of time.

    What a row gains by being in a chain is the logarithm of the weighted mean of its likelihood ratios to the others,
    and what the times before and after it say. looks: float32 (n, n), likelihood ratios times both rows' weights; zeros
    on the diagonal.
    """

    def __init__(
        self,
        label: IntArray,
        looks: FloatArray,
        weight: npt.NDArray[np.float64],
        given: Given,
        time: FloatArray,
        least: float,
    ) -> None:
        n = len(label)
        self._weight, self._given = weight, given
        self._looks, self._excluded, self._time, self._least = looks, given.excluded, time, least
        order = np.lexsort((np.arange(n), given.start))
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
            looks = self._alike(row)
            present = float(looks[own]) + self._added(rest, row) if rest else self._least
            best, to = self._best(row, looks, {own})
            if rest and to is None:
                to = next(free for free in range(len(self.label) + 1) if free not in self._chains)
            if to is None or best <= present + _MARGIN:
                continue
            moved += 1
            self._move(row, to)
        return moved

    def _best(self, row: int, looks: npt.NDArray[np.float64], but: set[int]) -> tuple[float, int | None]:
        """The chain that a row fits best by looks and times, and how well; none that is worth less than a join.

        looks: how much it looks like each chain. but: chains that do not count.
        """
        open_to = looks.copy()
        open_to[self.label[self._excluded[row]]] = -np.inf
        open_to[list(but)] = -np.inf
        nearest = np.argsort(-open_to, kind="stable")[:_COMPARED]
        best: float = self._least
        to: int | None = None
        for chain in nearest[open_to[nearest] >= _UNLIKE].tolist():
            gain = float(open_to[chain]) + self._added(self._chains[chain], row)
            if gain > best:
                best, to = gain, chain
        return best, to

    def _alike(self, row: int) -> npt.NDArray[np.float64]:
        """How much a row looks like each chain without itself, float64 (n + 1,) by label; -inf for no chain."""
        n, own = len(self.label) + 1, int(self.label[row])
        sums, weights = np.bincount(self.label, self._looks[row], n), np.bincount(self.label, self._weight, n)
        others = np.bincount(self.label, minlength=n)
        weights[own] -= self._weight[row]
        others[own] -= 1
        found = np.full(n, -np.inf)
        found[others > 0] = np.log(sums[others > 0] / (weights[others > 0] * self._weight[row]))
        return found

    def _candidate_pairs(self) -> list[tuple[int, int]]:
        """Pairs of chains, the smaller label first, that look alike enough to be compared, may be one person for all
        that contradicts it, and can gain as much as a join needs."""
        names, place = np.unique(self.label, return_inverse=True)
        order = np.argsort(place, kind="stable")
        begins = np.searchsorted(place[order], np.arange(len(names)))

        def between(table: npt.NDArray[Any], reduced: np.ufunc) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = reduced.reduceat(reduced.reduceat(table[order], begins)[:, order], begins, axis=1)
            return found

        weights = np.bincount(place, self._weight)
        alike = between(self._looks, np.add) / np.outer(weights, weights)
        times = between(self._time, np.maximum)
        # Each row of the shorter chain comes between two at most, and parts two at most, whom the time may have
        # spoken against.
        most = 2 * np.maximum(np.maximum(times, times.T), 0.0) + 2 * max(0.0, -float(self._time.min(initial=0.0)))
        with np.errstate(divide="ignore"):
            enough = (alike >= np.exp(_UNLIKE)) & (np.log(alike) + most >= self._least - 1e-3)
        # Who takes turns contradicts each other more rarely than not, and each row of the shorter makes two changes.
        against, counts = between(self._excluded.astype(np.int32), np.add), np.bincount(place)
        a, b = np.nonzero(np.triu(enough & (against < 2 * np.minimum(counts, counts[:, None])), 1))
        return list(zip(names[a].tolist(), names[b].tolist(), strict=True))

    def _move(self, row: int, to: int) -> None:
        own = int(self.label[row])
        self._chains[own].remove(row)
        if not self._chains[own]:
            del self._chains[own]
        self._chains[to] = self._with(self._chains.get(to, []), [row])
        self.label[row] = to

    def give_up_weak(self, fixed: npt.NDArray[np.bool_]) -> None:
        """Poor tracklets found nobody where they can be somebody: groups of nothing else are shared out.

        Half-hidden people look like each other, whoever they are, and would make people of their own.
        """
        weak = {
            a for a, rows in self._chains.items() if self._weight[rows].max() < _OWN_PERSON and not fixed[rows].any()
        }
        for a in sorted(weak, key=lambda a: (self._weight[self._chains[a]].max(), a)):
            for row in list(self._chains[a]):
                to = self._best(row, self._alike(row), weak)[1]
                if to is not None:
                    self._move(row, to)

    def times(self, time: FloatArray) -> npt.NDArray[np.float64]:
        """float64 (n,): what the times between successive rows, float32 (n, n), say for each row's place."""
        self._time = time
        found = np.zeros(len(self.label))
        for chain in self._chains.values():
            for row in chain:
                found[row] = self._added([other for other in chain if other != row], row)
        return found

    def join(self) -> int:
        """Join chains, the likeliest first, until none is likely enough; how often."""
        gains = {pair: gain for pair in self._candidate_pairs() if (gain := self._gain(*pair)) >= self._least}
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

    def _gain(self, a: int, b: int) -> float:
        one, other = self._chains[a], self._chains[b]
        pairs = np.ix_(one, other)
        mean = self._looks[pairs].sum(dtype=np.float64) / (self._weight[one].sum() * self._weight[other].sum())
        looks = float(np.log(mean))
        if self._excluded[pairs].any() and (looks < self._least or not self._are_there_in_turns(one, other)):
            return -np.inf
        times = self._times(self._with(one, other)) - self._times(one) - self._times(other)
        return looks + times / min(len(one), len(other))

    def _are_there_in_turns(self, one: Chain, other: Chain) -> bool:
        """Whether what contradicts that two chains are one person may be the tracker's mistake."""
        given = self._given
        return not given.said[np.ix_(one, other)].any() and take_turns(
            one, other, given.start, given.end, given.excluded
        )

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
