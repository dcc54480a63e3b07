"""Deciding all tracklets at once.

Two groups of tracklets A and B are joined for what their pairs say together and what is expected before looking:

    odds(A, B) = prior odds * mean of ratio(i, j) over i in A, j in B, each weighted by both looks' clarity

(see ``calibration`` for the likelihood ratio and the prior; that one track goes on from another is a factor of its
pair's, see ``continuing``). The mean is that of ratios, not of their logarithms: a person is seen from several sides,
each of A's tracklets is one that B may be seen from, and a look is likely as the mixture of these makes it. The
likeliest two are joined first, and then the next, while each join is likelier right than wrong and the expected share
of wrong ones among all joins so far, the mean of 1 - 1 / (1 + exp(-log-odds)), stays within the accepted risk. So much
is needed of every later move, too, by which the time between visits puts the grouping right. Of all memberships, too,
no more than the risk may be expected wrong (``memberships``). What stays alone although it is likelier somebody of
these people than nobody is undecided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reidstream.config.identities import IdentityConfig
from reidstream.identities.calibration import Calibration, Fitted, Pairs, clarity_of, fitted, read_as
from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable, groups_of, inferred_cameras
from reidstream.identities.continuing import continuations, left_over
from reidstream.identities.evidence import Evidence
from reidstream.identities.how_many import Likeliest, how_many
from reidstream.identities.lasting import PROOF, lasting
from reidstream.identities.linkage import UNLIKE, Linkage
from reidstream.identities.memberships import Likeness, memberships, without_doubtful
from reidstream.identities.refining import Given, refined
from reidstream.identities.similarity import candidates, likeness, sampled_strangers
from reidstream.identities.strangers import Strangers
from reidstream.identities.travel import TravelTimes
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.types import FloatArray, IntArray

# Neighbours per tracklet that are compared closely. A person has few tracklets among their most similar ones that are
# not their own; more neighbours cost time and change nothing (measured up to 100,000 tracklets).
_NEIGHBOURS = 40
# In small galleries all others are.
_ALL = 600
# Larger galleries are not refined: all pairs of their tracklets do not fit into memory.
_REFINED = 3000
# A continuation that adds no more to the log-odds is none.
_WORTH = 0.01


@dataclass(frozen=True, slots=True)
class Known:
    """What a gallery was found to be like.

    strangers: of the tracklets in question. odds: the log-odds that a join needs.
    """

    calibration: Calibration
    strangers: Strangers
    odds: float


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who.

    group: int64 (n,), equal for tracklets of one person; numbered from 0 in the order of first appearance.
    probability: float32 (n,), how sure it is that the tracklet belongs to its group; of a tracklet that is alone, that
    it is none of the others. likeliest: int64 (n,), for a tracklet that is undecided the group that it may belong to,
    which holds decided tracklets only; -1 for all that are decided. chance: float32 (n,), how likely that is.
    calibration: how similarities were read. odds: the log-odds that a join needs; infinite where there is nobody.
    cameras: what was taken to be true of the cameras. estimated: how many people there are, whether or not they could
    be recognised (see ``how_many``); in larger galleries groups, and of what is undecided as many as are likely nobody
    of these.
    """

    group: IntArray
    probability: FloatArray
    likeliest: IntArray
    chance: FloatArray
    calibration: Calibration
    odds: float
    cameras: Cameras
    estimated: float

    @property
    def people(self) -> int:
        """How many groups are somebody: those that are not undecided."""
        return len(np.unique(self.group[self.likeliest < 0]))

    def verdicts(self) -> list[Verdict[int]]:
        """The verdict on each tracklet; people are numbers of groups.

        Who shares a group is decided. Who is undecided has a group alone, too, which is nobody's until then.
        """
        size = np.bincount(self.group)
        found = []
        for group, sure, candidate, chance in zip(
            self.group.tolist(),
            self.probability.tolist(),
            self.likeliest.tolist(),
            self.chance.tolist(),
            strict=True,
        ):
            if candidate >= 0:
                found.append(Verdict(Outcome.UNDECIDED, candidate, chance))
            elif size[group] > 1:
                found.append(Verdict(Outcome.DECIDED, group, sure))
            else:
                found.append(Verdict(Outcome.NOBODY, None, sure))
        return found


def resolve(
    evidence: Evidence, config: IdentityConfig, links: HumanLinks | None = None, cameras: Cameras | None = None
) -> Resolution:
    """Group all tracklets into people.

    links: what people decided, as rows; it always holds. cameras: what is known of them; None: as the configuration
    says. The result is the same for the same evidence.
    """
    links = links or HumanLinks()
    pairs, read, cameras = compared(evidence, config, links, cameras)
    return _grouped(evidence, config, links, pairs, read, cameras, None)


def resolve_again(
    evidence: Evidence, config: IdentityConfig, links: HumanLinks, cameras: Cameras, known: Known
) -> Resolution:
    """Group some tracklets of a gallery of which is known already how similarities are read and what a join needs."""
    pairs, read, cameras = compared(evidence, config, links, cameras, known)
    return _grouped(evidence, config, links, pairs, read, cameras, known.odds)


def _grouped(
    evidence: Evidence,
    config: IdentityConfig,
    links: HumanLinks,
    pairs: Pairs,
    read: Fitted,
    cameras: Cameras,
    needed: float | None,
) -> Resolution:
    """needed: the log-odds that a join needs; None: what the accepted risk asks for."""
    n = len(evidence)
    calibration = read.calibration
    if n == 0:
        none, few = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return Resolution(none, few, none, few, calibration, float("inf"), cameras, 0.0)
    table = _timetable(evidence, cameras, config)
    i, j, ratio = pairs.i, pairs.j, proof(pairs, read)
    clarity = clarity_of(evidence.strength)
    begun = groups_of(n, [*map(tuple, links.same.tolist()), *continued(evidence)])
    going_on = continuations(evidence, i, j, read.ratio)
    otherwise = replace(calibration, share=calibration.share * left_over(going_on, pairs, read.ratio))
    prior = otherwise.prior
    following = going_on.earlier, going_on.later, going_on.worth(evidence, prior)
    linkage = Linkage(clarity, table, begun, links)
    linkage.add_pairs(*_going_on(i, j, ratio, following, n))
    odds = linkage.run(prior, config.false_merges, needed)
    group, times = linkage.groups(), np.zeros(n)
    fixed = np.bincount(begun, minlength=n)[begun] > 1
    excluded: npt.NDArray[np.bool_] | None = None
    if n <= _REFINED:
        looks = np.full((n, n), UNLIKE, np.float32)
        looks[i, j] = looks[j, i] = ratio
        said = _said_to_be_two(n, begun, links)
        excluded = _certainly_two(n, table, begun) | said
        given = Given(evidence.start, evidence.end, fixed, excluded, said)
        travel, least = TravelTimes(evidence, cameras), odds - prior
        group, times = refined(group, looks, clarity, given, following, travel, least)
        alike = read.ratio
        # Of some it was found not to be so.
        excluded[group[:, None] == group[None, :]] = False
    else:
        i, j, alike = _going_on(i, j, read.ratio, following, n)
    found = Likeness(np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([alike, alike]), clarity)
    before = group
    group = without_doubtful(group, found, times, prior, max(odds, 0.0), config.false_merges, fixed)
    left = np.where(group != before, before, -1)
    group, left = _numbered(group, left)
    if excluded is not None:
        # Nobody is asked how much they resemble a person that they cannot be.
        impossible = np.zeros((n, int(group.max()) + 1), bool)
        row, other = np.nonzero(excluded)
        impossible[row, group[other]] = True
        found = found.some(~impossible[found.rows, group[found.others]])
    sure, likeliest, chance = memberships(group, found, prior, otherwise.anybody, fixed, times, left)
    estimated = len(np.unique(group[likeliest < 0])) + float(sure[likeliest >= 0].sum())
    if needed is None and excluded is not None:
        weighed = _going_on(pairs.i, pairs.j, read.ratio, following, n)
        estimated = how_many(Likeliest(group, begun, *weighed, clarity, excluded))
    return Resolution(group, sure, likeliest, chance, calibration, odds, cameras, estimated)


def _numbered(group: IntArray, left: IntArray) -> tuple[IntArray, IntArray]:
    """Groups numbered by first appearance, and the numbers of the groups that some rows left; -1 where they have none.

    left: int64 (n,), labels of groups; -1 for who left none.
    """
    names, first, place = np.unique(group, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    there = np.minimum(np.searchsorted(names, left), len(names) - 1)
    return number[place].astype(np.int64), np.where((left >= 0) & (names[there] == left), number[there], -1)


def strangers_of(evidence: Evidence, config: IdentityConfig) -> Strangers:
    """Each tracklet's strangers; those of a small gallery without whom are likely the same person."""
    if len(evidence) > _ALL:
        return _large(evidence, config, HumanLinks(), Cameras.independent(len(evidence.cameras)))[0]
    return compared(evidence, config, HumanLinks(), Cameras.independent(len(evidence.cameras)))[1].strangers


def needed_odds(evidence: Evidence, pairs: Pairs, read: Fitted, cameras: Cameras, config: IdentityConfig) -> float:
    """The log-odds that joins need here so that no more than the accepted risk of them is wrong."""
    table = _timetable(evidence, cameras, config)
    linkage = Linkage(clarity_of(evidence.strength), table, groups_of(len(evidence), continued(evidence)), HumanLinks())
    linkage.add_pairs(pairs.i, pairs.j, proof(pairs, read))
    return linkage.run(read.calibration.prior, config.false_merges)


def proof(pairs: Pairs, read: Fitted) -> npt.NDArray[np.float64]:
    """float64 (m,): the pairs' log ratios as far as they may join: those of another day are no more than even."""
    even = np.minimum(read.ratio, -read.calibration.prior)
    found: npt.NDArray[np.float64] = np.where(pairs.kept < PROOF, even - 1e-6, read.ratio)
    return found


def compared(
    evidence: Evidence,
    config: IdentityConfig,
    links: HumanLinks,
    cameras: Cameras | None,
    taught: Known | None = None,
) -> tuple[Pairs, Fitted, Cameras]:
    """The pairs of tracklets worth comparing, how they are read, and what is taken to be true of the cameras.

    taught: how they are read, where that is known; None: as the tracklets themselves say.
    """
    n = len(evidence)
    i, j = candidates(evidence.vectors, n if n <= _ALL else _NEIGHBOURS)
    similarity = likeness(evidence, i, j)
    clarity = clarity_of(evidence.strength)
    both = clarity[i] * clarity[j]
    known = None if n <= _ALL or taught is not None else _large(evidence, config, links, cameras)
    label = groups_of(n, [*map(tuple, links.same.tolist()), *continued(evidence)])
    certain = label[i] == label[j]
    apart = _cannot_link(n, label, links, i, j)

    def read(believed: Cameras) -> tuple[Pairs, Fitted]:
        table = _timetable(evidence, believed, config)
        # What people say is not known for free: they were asked where it was doubtful.
        clash = table.excluded_pairs(i, j) & ~certain
        free = n * (n - 1) / 2 - float(clash.sum())
        # Parts of one split track touch each other at the seam.
        clash &= evidence.track[i] != evidence.track[j]
        kept = lasting(evidence.start, evidence.end, i, j, config.clothes)
        pairs = Pairs(i, j, similarity, both, ~clash & ~certain & ~apart, certain | apart, free, n, kept)
        if taught is not None:
            return pairs, read_as(pairs, taught.calibration, taught.strangers)
        return pairs, fitted(pairs, known, evidence.expected)

    count = len(evidence.cameras)
    if cameras is None and config.cameras == "separate":
        cameras = Cameras.separate(count)
    independent = Cameras.independent(count)
    pairs, found = read(cameras or independent)
    if cameras is not None:
        return pairs, found, cameras
    if config.cameras == "independent" or count < 2:
        return pairs, found, independent
    across = evidence.camera[i] != evidence.camera[j]
    table = _timetable(evidence, independent, config)
    shares = mutual_shares(i[across], j[across], found.ratio[across] + found.calibration.prior, n)
    believed = inferred_cameras(table, np.stack([i[across], j[across]], axis=1), shares, count)
    if believed.together.any():
        return pairs, found, believed
    return *read(believed), believed


def _large(
    evidence: Evidence, config: IdentityConfig, links: HumanLinks, cameras: Cameras | None
) -> tuple[Strangers, float, float]:
    """The strangers of a large gallery's tracklets, the gallery's mean and spread: of some tracklets all pairs are
    compared, which says what strangers are like there; the others' strangers are looked for among these."""
    columns = np.linspace(0, len(evidence) - 1, _ALL).astype(np.int64)
    place = np.full(len(evidence), -1)
    place[columns] = np.arange(len(columns))

    def inside(pairs: IntArray) -> IntArray:
        there: IntArray = place[pairs]
        return there[(there >= 0).all(axis=1)]

    said = HumanLinks(inside(links.same), inside(links.different))
    _, read, _ = compared(evidence.some(columns), config, said, cameras)
    found = sampled_strangers(evidence, columns, read.strangers, read.calibration)
    return found, read.calibration.usual, read.calibration.usual_spread


def mutual_shares(i: IntArray, j: IntArray, odds: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """float64 (m,): how likely each pair of n rows is one person when each row shares itself among all its pairs.

    odds: float64 (m,), log-odds of each pair for itself.
    """
    weights = np.exp(odds)
    total = 1.0 + np.bincount(i, weights, n) + np.bincount(j, weights, n)
    shares: npt.NDArray[np.float64] = np.minimum(weights / total[i], weights / total[j])
    return shares


def _timetable(evidence: Evidence, cameras: Cameras, config: IdentityConfig) -> TimeTable:
    camera, start, end = evidence.camera, evidence.start, evidence.end
    return TimeTable(camera, start, end, cameras, config.overlap, evidence.doubled)


def _certainly_two(n: int, table: TimeTable, begun: IntArray) -> npt.NDArray[np.bool_]:
    """bool (n, n): rows that are two people by when and where they were seen. begun: int64 (n,), groups of what is
    certainly one person."""
    everyone = np.arange(n)
    rows = [table.excluded(everyone[a : a + 256], everyone) for a in range(0, n, 256)]
    excluded: npt.NDArray[np.bool_] = np.concatenate(rows)
    # Whatever the times say: nobody is somebody else than themselves, or than who they were labelled to be.
    excluded[begun[:, None] == begun[None, :]] = False
    return excluded


def _said_to_be_two(n: int, begun: IntArray, links: HumanLinks) -> npt.NDArray[np.bool_]:
    """bool (n, n): rows that are two people because somebody said so; see ``_certainly_two``."""
    said = np.zeros((n, n), bool)
    for a, b in links.different.tolist():
        one, other = np.flatnonzero(begun == begun[a]), np.flatnonzero(begun == begun[b])
        said[np.ix_(one, other)] = said[np.ix_(other, one)] = True
    said[begun[:, None] == begun[None, :]] = False
    return said


def _cannot_link(n: int, label: IntArray, links: HumanLinks, i: IntArray, j: IntArray) -> npt.NDArray[np.bool_]:
    """bool (m,): pairs of two people by review. label: int64 (n,), groups that are certainly one person."""
    if not len(links.different):
        return np.zeros(len(i), bool)
    sides = np.sort(label[links.different], axis=1)
    keys = np.unique(sides[:, 0] * n + sides[:, 1])
    low, high = np.minimum(label[i], label[j]), np.maximum(label[i], label[j])
    return np.isin(low * n + high, keys)


def continued(evidence: Evidence) -> list[tuple[int, int]]:
    """Pieces of one very long track that was stored while it went on: certainly one person."""
    order = np.lexsort((evidence.start, evidence.track))
    same = (evidence.track[order[1:]] == evidence.track[order[:-1]]) & (
        (evidence.part[order[1:]] == 0) & (evidence.part[order[:-1]] == 0)
    )
    rows = np.flatnonzero(same)
    return list(zip(order[rows].tolist(), order[rows + 1].tolist(), strict=True))


def _going_on(
    i: IntArray, j: IntArray, ratio: npt.NDArray[np.float64], following: tuple[IntArray, IntArray, FloatArray], n: int
) -> tuple[IntArray, IntArray, npt.NDArray[np.float64]]:
    """Pairs i < j and their log ratios with what continuations add to them; these are put in where they are missing."""
    earlier, later, worth = following
    key = np.minimum(earlier, later) * n + np.maximum(earlier, later)
    keys = i * n + j
    place = np.minimum(np.searchsorted(keys, key), max(len(keys) - 1, 0))
    there = keys[place] == key if len(keys) else np.zeros(len(key), bool)
    found = ratio.copy()
    np.add.at(found, place[there], worth[there])
    # Who is not worth anything is as unlike as who was not compared.
    more = ~there & (worth > _WORTH)
    return (
        np.concatenate([i, key[more] // n]),
        np.concatenate([j, key[more] % n]),
        np.concatenate([found, UNLIKE + worth[more]]),
    )
