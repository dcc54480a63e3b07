"""Deciding all tracklets at once: average linkage over likelihood ratios, put right by the time between visits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.config.identities import IdentityConfig
from reidstream.identities.calibration import (
    BEST_CANDIDATE_ODDS,
    GENERAL,
    Calibration,
    Defaults,
    calibrated,
    clarity_of,
    least_log_ratio,
    probabilities,
)
from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable, groups_of, inferred_cameras
from reidstream.identities.evidence import Evidence
from reidstream.identities.refining import refined
from reidstream.identities.similarity import candidates, pair_similarity, within_similarity
from reidstream.identities.travel import TravelTimes, continuations
from reidstream.types import FloatArray, IntArray

# Neighbours per tracklet that are compared closely. A person has few tracklets among their most similar ones that are
# not their own; more neighbours cost time and change nothing (measured up to 100,000 tracklets).
_NEIGHBOURS = 40
# In small galleries all others are.
_ALL = 600
# Larger galleries are not refined: all pairs of their tracklets do not fit into memory.
_REFINED = 3000
# What a pair that is not among each other's neighbours says: unlike, but unlooked-at.
_UNLIKE = -4.0
# Numbers become Python's own in blocks, since as such they take six times the memory.
_PAIRS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who.

    group: int64 (n,), equal for tracklets of one person; numbered from 0 in the order of first appearance.
    probability: float32 (n,), how sure it is that the tracklet belongs to its group; 1 for a group of its own.
    calibration: how similarities were read. cameras: what was taken to be true of the cameras.
    """

    group: IntArray
    probability: FloatArray
    calibration: Calibration
    cameras: Cameras

    @property
    def people(self) -> int:
        return int(self.group.max(initial=-1)) + 1


def resolve(
    evidence: Evidence,
    config: IdentityConfig,
    links: HumanLinks | None = None,
    cameras: Cameras | None = None,
    defaults: Defaults = GENERAL,
) -> Resolution:
    """Group all tracklets into people.

    links: what people decided, as rows; it always holds. cameras: what is known of them; None: as the configuration
    says. The result is the same for the same evidence.
    """
    links = links or HumanLinks()
    n = len(evidence)
    i, j = candidates(evidence.vectors, n if n <= _ALL else _NEIGHBOURS)
    similarity = pair_similarity(evidence, i, j)
    if cameras is None:
        cameras = believed_cameras(evidence, config, i, j, similarity, defaults)
    table = TimeTable(evidence.camera, evidence.start, evidence.end, cameras, config.overlap)
    calibration = calibration_of(evidence, table, links, defaults)
    if n == 0:
        return Resolution(np.zeros(0, np.int64), np.zeros(0, np.float32), calibration, cameras)
    clarity = clarity_of(evidence.strength)
    ratio = calibration.log_ratio(similarity, clarity[i] * clarity[j])
    certain = [*map(tuple, links.same.tolist()), *continued(evidence)]
    least = least_log_ratio(config.false_merges)
    begun = groups_of(n, certain)
    following = continuations(evidence)
    linkage = _Linkage(clarity, table, begun, links)
    linkage.add_pairs(i, j, ratio)
    linkage.add_pairs(*following, pairs=0.0)
    linkage.run(least)
    group = linkage.groups()
    if n > _REFINED:
        return Resolution(group, _probabilities(group, i, j, ratio, clarity), calibration, cameras)
    looks = np.full((n, n), _UNLIKE, np.float32)
    looks[i, j] = looks[j, i] = ratio
    excluded = _certainly_two(n, table, begun, links)
    fixed = np.bincount(begun, minlength=n)[begun] > 1
    times = TravelTimes(evidence, cameras)
    group = refined(group, looks, clarity, excluded, fixed, evidence.start, following, times, least)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[place].astype(np.int64)
    # Nobody is asked how much they resemble a person that they cannot be.
    impossible = np.zeros((n, int(group.max()) + 1), bool)
    row, other = np.nonzero(excluded)
    impossible[row, group[other]] = True
    open_i, open_j = ~impossible[i, group[j]], ~impossible[j, group[i]]
    rows, others = np.concatenate([i[open_i], j[open_j]]), np.concatenate([j[open_i], i[open_j]])
    likely = np.concatenate([ratio[open_i], ratio[open_j]])
    return Resolution(group, _memberships(group, rows, others, likely, clarity), calibration, cameras)


def _certainly_two(n: int, table: TimeTable, begun: IntArray, links: HumanLinks) -> npt.NDArray[np.bool_]:
    """bool (n, n): rows that are two people. begun: int64 (n,), groups of what is certainly one person."""
    everyone = np.arange(n)
    rows = [table.excluded(everyone[a : a + 256], everyone) for a in range(0, n, 256)]
    excluded: npt.NDArray[np.bool_] = np.concatenate(rows)
    for a, b in links.different.tolist():
        one, other = np.flatnonzero(begun == begun[a]), np.flatnonzero(begun == begun[b])
        excluded[np.ix_(one, other)] = True
        excluded[np.ix_(other, one)] = True
    # Whatever the times say: nobody is somebody else than themselves, or than who they were labelled to be.
    excluded[begun[:, None] == begun[None, :]] = False
    return excluded


def believed_cameras(
    evidence: Evidence, config: IdentityConfig, i: IntArray, j: IntArray, similarity: FloatArray, defaults: Defaults
) -> Cameras:
    """What the configuration says of the cameras, or what the look-alike pairs (i, j) say themselves."""
    count = len(evidence.cameras)
    if config.cameras == "separate":
        return Cameras.separate(count)
    independent = Cameras.independent(count)
    if config.cameras == "independent" or count < 2:
        return independent
    across = evidence.camera[i] != evidence.camera[j]
    i, j = i[across], j[across]
    # The gallery's own calibration needs to know the cameras, so that the model's usual values have to do.
    ratio = Calibration(defaults.same, defaults.different, defaults.spread).log_ratio(similarity[across])
    table = TimeTable(evidence.camera, evidence.start, evidence.end, independent, config.overlap)
    return inferred_cameras(table, np.stack([i, j], axis=1), mutual_shares(i, j, ratio, len(evidence)), count)


def mutual_shares(i: IntArray, j: IntArray, ratio: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """float64 (m,): how likely each pair of n rows is one person when each row shares itself among all its pairs."""
    weights = BEST_CANDIDATE_ODDS * np.exp(ratio)
    total = 1.0 + np.bincount(i, weights, n) + np.bincount(j, weights, n)
    shares: npt.NDArray[np.float64] = np.minimum(weights / total[i], weights / total[j])
    return shares


def calibration_of(evidence: Evidence, table: TimeTable, links: HumanLinks, defaults: Defaults) -> Calibration:
    """The calibration that a gallery's own certain pairs give; what people said of a pair goes before its times."""
    a, b = seen_together(evidence, table)
    label = groups_of(len(evidence), map(tuple, links.same.tolist()))
    two = label[a] != label[b]
    negatives = pair_similarity(evidence, a[two], b[two])
    # Duplicates show one person at one moment and say nothing about how alike somebody is who returns.
    i, j = links.same[:, 0], links.same[:, 1]
    together = np.minimum(evidence.end[i], evidence.end[j]) > np.maximum(evidence.start[i], evidence.start[j])
    apart = ~(together & (evidence.camera[i] == evidence.camera[j]))
    labelled = pair_similarity(evidence, i[apart], j[apart])
    return calibrated(negatives, within_similarity(evidence), labelled, defaults)


def seen_together(evidence: Evidence, table: TimeTable, most: int = 20_000) -> tuple[IntArray, IntArray]:
    """Pairs of tracklets of one camera that were seen at the same time: certainly two people."""
    pairs_a, pairs_b = [], []
    for camera in range(len(evidence.cameras)):
        rows = np.flatnonzero(evidence.camera == camera)
        rows = rows[np.argsort(evidence.start[rows], kind="stable")]
        # Sorted by start, the tracklets that begin during a tracklet's life follow it directly.
        last = np.searchsorted(evidence.start[rows], evidence.end[rows], side="right")
        for k, row in enumerate(rows.tolist()):
            following = rows[k + 1 : last[k]]
            if len(following):
                clash = following[table.excluded([row], following)[0]]
                # Parts of one split track touch each other at the seam.
                clash = clash[evidence.track[clash] != evidence.track[row]]
                pairs_a.append(np.full(len(clash), row))
                pairs_b.append(clash)
    if not pairs_a:
        none = np.zeros(0, np.int64)
        return none, none
    a, b = np.concatenate(pairs_a), np.concatenate(pairs_b)
    if len(a) > most:
        chosen = np.linspace(0, len(a) - 1, most).astype(np.int64)
        a, b = a[chosen], b[chosen]
    return a, b


def continued(evidence: Evidence) -> list[tuple[int, int]]:
    """Pieces of one very long track that was stored while it went on: certainly one person."""
    order = np.lexsort((evidence.start, evidence.track))
    same = (evidence.track[order[1:]] == evidence.track[order[:-1]]) & (
        (evidence.part[order[1:]] == 0) & (evidence.part[order[:-1]] == 0)
    )
    rows = np.flatnonzero(same)
    return list(zip(order[rows].tolist(), order[rows + 1].tolist(), strict=True))


class _Linkage:
    """Groups that grow by joining the two whose members are, on a weighted average, most likely one person."""

    def __init__(self, weight: npt.NDArray[np.float64], table: TimeTable, start: IntArray, links: HumanLinks) -> None:
        """weight: float64 (n,), how much what is said of each row counts. start: int64 (n,), groups to begin with."""
        self._table = table
        self._label = start
        self._members: dict[int, list[int]] = {}
        self._weight = weight
        self._heard: list[float] = np.bincount(start, weight).tolist()
        for row, group in enumerate(start.tolist()):
            self._members.setdefault(group, []).append(row)
        self._near: dict[int, dict[int, list[float]]] = {group: {} for group in self._members}
        self._apart: dict[int, set[int]] = {}
        for a, b in links.different.tolist():
            first, second = int(start[a]), int(start[b])
            if first != second:
                self._apart.setdefault(first, set()).add(second)
                self._apart.setdefault(second, set()).add(first)

    def add_pairs(self, i: IntArray, j: IntArray, ratio: npt.NDArray[np.floating], pairs: float = 1.0) -> None:
        """Sum the ratios of pairs between groups: [sum, weight] per neighbour.

        pairs: what each weighs in the average, times both its rows' weights; 0 for what is said beside its looks.
        """
        for begin in range(0, len(i), _PAIRS_AT_ONCE):
            some = slice(begin, begin + _PAIRS_AT_ONCE)
            a, b, heard = self._label[i[some]], self._label[j[some]], self._weight[i[some]] * self._weight[j[some]]
            said = ratio[some] * heard
            for first, second, value, weight in zip(*(x[a != b].tolist() for x in (a, b, said, heard)), strict=True):
                entry = self._near[first].get(second)
                if entry is None:
                    entry = self._near[first][second] = self._near[second][first] = [0.0, 0.0]
                entry[0] += value
                entry[1] += pairs * weight

    def run(self, least: float) -> None:
        """Join until no two groups reach the least average log-likelihood ratio."""
        heap = [
            (-average, a, b)
            for a, near in self._near.items()
            for b in near
            if a < b and (average := self._average(a, b)) >= least
        ]
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
            self._join(a, b)
            size = self._heard[a]
            for c, (total, looked_at) in self._near[a].items():
                pairs = size * self._heard[c]
                average = (total + _UNLIKE * (pairs - looked_at)) / pairs
                if average >= least:
                    heapq.heappush(heap, (-average, a, c) if a < c else (-average, c, a))

    def groups(self) -> IntArray:
        """int64 (n,), numbered by first appearance."""
        group = np.empty(len(self._label), np.int64)
        for number, members in enumerate(sorted(self._members.values(), key=min)):
            group[members] = number
        return group

    def _average(self, a: int, b: int) -> float:
        total, looked_at = self._near[a][b]
        pairs = self._heard[a] * self._heard[b]
        return (total + _UNLIKE * (pairs - looked_at)) / pairs

    def _excluded(self, a: int, b: int) -> bool:
        if b in self._apart.get(a, ()):
            return True
        return bool(self._table.excluded(self._members[a], self._members[b]).any())

    def _join(self, a: int, b: int) -> None:
        self._members[a] += self._members.pop(b)
        self._heard[a] += self._heard[b]
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


def _probabilities(
    group: IntArray, i: IntArray, j: IntArray, ratio: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> FloatArray:
    """How sure each tracklet's membership is, from pairs of rows of which each resembles the other."""
    rows, others = np.concatenate([i, j]), np.concatenate([j, i])
    return _memberships(group, rows, others, np.concatenate([ratio, ratio]), weight)


def _memberships(
    group: IntArray,
    rows: IntArray,
    others: IntArray,
    ratio: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
) -> FloatArray:
    """How sure each tracklet's membership is, float32 (n,), against the other groups that it resembles.

    rows, others: int64 (m,); how much rows[k] resembles others[k] is ratio[k]. weight: float64 (n,), how much each
    tracklet's word counts among its group's.
    """
    n = len(group)
    keys = rows * (int(group.max()) + 1) + group[others]
    unique, where = np.unique(keys, return_inverse=True)
    heard = weight[others]
    mean = np.bincount(where, ratio * heard) / np.bincount(where, heard)
    owner, candidate = unique // (int(group.max()) + 1), unique % (int(group.max()) + 1)
    sure = np.ones(n, np.float32)
    for row, begin, end in _runs(owner):
        own = candidate[begin:end] == group[row]
        if own.any():
            sure[row] = probabilities(mean[begin:end])[own][0]
    return sure


def _runs(sorted_values: IntArray) -> list[tuple[int, int, int]]:
    """(value, begin, end) of each run of equal values."""
    if len(sorted_values) == 0:
        return []
    edges = np.flatnonzero(np.diff(sorted_values)) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(sorted_values)]])
    return list(zip(sorted_values[begins].tolist(), begins.tolist(), ends.tolist(), strict=True))
