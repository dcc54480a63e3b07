"""Who somebody is of all who are remembered, by looks, times and places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.config.identities import IdentityConfig
from reidstream.expected_looks import ANY, ExpectedLooks
from reidstream.identities.calibration import Calibration, clarity_of, shares, strangers_among
from reidstream.identities.constraints import Cameras, TimeTable, read_topology
from reidstream.identities.lasting import PROOF, diluted, lasting_over
from reidstream.identities.remembered import Known as KnownPerson
from reidstream.identities.remembered import Memory, Sample, Seen
from reidstream.identities.resolving import Known
from reidstream.identities.strangers import Nearest, Strangers
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.types import FloatArray

# People whose mean is nearest are looked at closely; the right one is among them practically always.
_SHORTLIST = 24
# Of these so many may be the same person, when it is decided again who somebody is.
_PLAUSIBLE = 8
# The best candidate must hold this share of all candidates' likelihood: the margin to the second best.
_SHARE = 0.6
# Who is in view may never have been here, and somebody who resembles them is looked for among all who are known, again
# with each crop: so much more (log-odds) speaks for nobody than of a stored tracklet. Chosen on hard synthetic scenes
# (benchmarks.alert_evidence, seeds 101, 102 and 103).
_UNSEEN = 1.5
# How clear somebody is who is asked for with a photo: one crop of fair quality.
QUERY_STRENGTH = 0.7


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a tracklet is. candidates: (person id, probability), the most likely first.

    cautious: the same of whoever is still in view, as far as somebody may be told of it.
    """

    verdict: Verdict[str]
    candidates: list[tuple[str, float]] = field(default_factory=list)
    cautious: list[tuple[str, float]] = field(default_factory=list)

    @property
    def nobody(self) -> float:
        """The probability that it is nobody known."""
        return max(0.0, 1.0 - sum(probability for _, probability in self.candidates))


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is concluded from the tracklets that were stored last; see ``OnlineIdentities.conclude``.

    odds: the log-odds that a join needs. strangers: by tracklet. cameras: of the sources called ``names``.
    """

    calibration: Calibration
    odds: float
    strangers: dict[str, Nearest]
    names: list[str]
    cameras: Cameras


class Decider:
    """What is remembered, and how it is read. sample: what strangers are learnt from. expected: of the space."""

    def __init__(self, size: int, config: IdentityConfig, expected: ExpectedLooks = ANY) -> None:
        self._config = config
        self.memory = Memory(size)
        self.sample = Sample(size)
        self.names: list[str] = []
        self._calibration = Calibration.of(expected)
        self._odds = 0.0
        self._cameras = Cameras.independent(0)

    def remember(self, person: str, seen: Seen) -> None:
        """Somebody seen is this person."""
        strangers = seen.strangers or self._usual
        self.memory.remember(person, seen, strangers)
        self.sample.put(seen.id, seen.vector, strangers)

    def adopt(self, concluded: Conclusion) -> None:
        """Decide by these conclusions from now on."""
        count = len(self.memory.owner)
        order = [self.camera(name) for name in concluded.names]
        self._calibration = concluded.calibration.grown(count)
        self._odds = concluded.odds
        # Of those who were stored before, more others are known now.
        learnt = {tracklet: own.among(len(concluded.strangers), count) for tracklet, own in concluded.strangers.items()}
        for person in {self.memory.owner[t] for t in learnt if t in self.memory.owner}:
            row = self.memory.row(person)
            assert row is not None
            known = self.memory.people[row]
            known.strangers = [learnt.get(t, own) for t, own in zip(known.tracklets, known.strangers, strict=True)]
        self.sample.learn(learnt)
        ours = Cameras.independent(len(self.names))
        ours.together[np.ix_(order, order)] = concluded.cameras.together
        ours.travel[np.ix_(order, order)] = concluded.cameras.travel
        self._cameras = ours

    def decide(self, seen: Seen, *, timed: bool) -> Decision:
        """Who somebody seen is. timed: whether it is known when they were seen."""
        memory = self.memory
        shortlist = memory.nearest.to(seen.vector, _SHORTLIST) if len(memory) else []
        if timed and shortlist:
            shortlist = self._possible(shortlist, seen)
        if not shortlist:
            return Decision(Verdict(Outcome.NOBODY, None, 1.0))
        read, proof = self._ratios(shortlist, seen, timed)
        odds = self._calibration.prior + read
        shared = shares(odds)
        order = np.argsort(-odds, kind="stable")
        ranked = [(memory.people[shortlist[k]].id, float(shared[k])) for k in order.tolist()]
        surely = shares(odds - _UNSEEN)
        cautious = [(memory.people[shortlist[k]].id, float(surely[k])) for k in order.tolist()]
        likeliest, own = ranked[0]
        if self._calibration.prior + proof[order[0]] >= self._odds:
            # A stored membership is likelier than not, and as likely as a join must be, whoever else it may be.
            needed = max(_SHARE * float(shared.sum()), 1.0 / (1.0 + float(np.exp(-max(self._odds, 0.0)))))
            own = self._own_share(shared[order], [shortlist[k] for k in order.tolist()], needed)
            if own >= needed:
                return Decision(Verdict(Outcome.DECIDED, likeliest, min(own, 1.0)), ranked, cautious)
        nobody = max(0.0, 1.0 - float(shared.sum()))
        if nobody < 0.5:
            return Decision(Verdict(Outcome.UNDECIDED, likeliest, own), ranked, cautious)
        return Decision(Verdict(Outcome.NOBODY, None, nobody), ranked, cautious)

    def plausible(self, seen: Seen) -> list[tuple[str, float]]:
        """People whom looks do not exclude for somebody seen, and how probable each would be if there were no other."""
        people = self.memory.nearest.to(seen.vector, _PLAUSIBLE) if len(self.memory) else []
        if not people:
            return []
        odds = self._calibration.prior + self._ratios(people, seen, True)[0]
        chance = 1.0 / (1.0 + np.exp(-odds))
        return [(self.memory.people[k].id, float(c)) for k, c in zip(people, chance.tolist(), strict=True)]

    def alone(self, person: str, seen: Seen) -> float:
        """How probable it is that somebody seen at no known time is this known person, if there were no other."""
        row = self.memory.row(person)
        if row is None:
            return 0.0
        return float(shares(self._calibration.prior + self._ratios([row], seen, False)[0])[0])

    def odds_of(
        self,
        similarity: npt.NDArray[np.float64],
        strangers: list[Nearest],
        seen: Seen,
        gaps: npt.NDArray[np.float64],
    ) -> list[float]:
        """Log-odds that somebody seen is each of some others, of whom one fair crop each is known.

        similarity: float64 (k,). strangers: of those others. gaps: float64 (k,), seconds between both at least.
        Looks of another day are no proof, whatever they are.
        """
        clarity = np.full(len(similarity), float(clarity_of(QUERY_STRENGTH)) * seen.clarity)
        ratio = self._log_ratio(similarity, strangers, seen.strangers, clarity)
        kept = lasting_over(gaps, self._config.clothes)
        read = self._calibration.prior + diluted(ratio, kept)
        found = np.where(kept < PROOF, np.minimum(read, -1e-6), read)
        return [float(odds) for odds in found]

    def known(self, strangers: Strangers) -> Known:
        """How tracklets with these strangers are read."""
        return Known(self._calibration, strangers, self._odds)

    def cameras_of(self, names: Sequence[str]) -> Cameras:
        """What is taken to be true of some cameras."""
        order = [self.camera(name) for name in names]
        known, place = self._known_cameras(), np.ix_(order, order)
        return Cameras(known.together[place], known.travel[place])

    def same(self, person: str, others: Sequence[str]) -> list[float]:
        """How probable it is that a known person and each of some others are one, if there were no third.

        0 where somebody decided that they are two, or when and where they were seen excludes it.
        """
        memory = self.memory
        unknown = [0.0] * len(others)
        row = memory.row(person)
        rows = [there for other in others if (there := memory.row(other)) is not None]
        if row is None or not rows:
            return unknown
        known = memory.people[row]
        looks = np.concatenate(known.prototypes)
        vector, clarity = memory.nearest.means[row], max(known.clarity)
        whole = Seen(-1, 0.0, 0.0, vector, looks, clarity, _mean(known.strangers))
        found = {}
        for other, odds in zip(rows, self._calibration.prior + self._ratios(rows, whole, False)[0], strict=True):
            excluded = bool(self.excluded(self._times([row]), self._times([other])).any())
            apart = memory.are_apart(row, other)
            found[memory.people[other].id] = 0.0 if excluded or apart else float(shares(odds[None])[0])
        return [found.get(other, 0.0) for other in others]

    def _ratios(
        self, people: list[int], seen: Seen, timed: bool
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Logarithm of the mean likelihood ratio of what is remembered of each of these people, float64 (k,), and the
        same as far as it is proof: of another day nothing is. timed: whether it is known when the one seen was seen."""
        known = [self.memory.people[k] for k in people]
        alike = np.concatenate([held for person in known for held in person.prototypes]) @ seen.prototypes.T
        counts = np.array([len(held) for person in known for held in person.prototypes])
        similarity = np.maximum.reduceat(alike.max(axis=1), np.cumsum(counts) - counts)
        similarity = (similarity + np.stack([v for person in known for v in person.vectors]) @ seen.vector) / 2
        clarity = np.array([c for person in known for c in person.clarity])
        own = [s for person in known for s in person.strangers]
        ratio = self._log_ratio(similarity, own, seen.strangers, clarity * seen.clarity)
        tracklets = np.array([len(person.clarity) for person in known])
        begins = np.cumsum(tracklets) - tracklets

        def pooled(log_ratios: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            mean = np.add.reduceat(np.exp(log_ratios) * clarity, begins) / np.add.reduceat(clarity, begins)
            found: npt.NDArray[np.float64] = np.log(mean)
            return found

        if not timed:
            return pooled(ratio), pooled(ratio)
        kept = lasting_over(self._gaps(known, seen), self._config.clothes)
        read = diluted(ratio, kept)
        return pooled(read), pooled(np.where(kept < PROOF, np.minimum(read, -self._calibration.prior - 1e-6), read))

    @staticmethod
    def _gaps(known: list[KnownPerson], seen: Seen) -> npt.NDArray[np.float64]:
        """Seconds between somebody seen and each tracklet that is remembered of these people, float64 (m,)."""
        starts = np.array([start for person in known for start in person.starts[-len(person.clarity) :]])
        ends = np.array([end for person in known for end in person.ends[-len(person.clarity) :]])
        gaps: npt.NDArray[np.float64] = np.maximum(np.maximum(starts, seen.start) - np.minimum(ends, seen.end), 0.0)
        return gaps

    def _log_ratio(
        self,
        similarity: npt.NDArray[np.floating],
        strangers: list[Nearest],
        own: Nearest | None,
        clarity: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Log-likelihood ratios float64 (m,) of tracklets with these strangers against one with its own."""
        m = len(strangers)
        known = Strangers.of([*strangers, own or self._usual])
        return self._calibration.read(similarity, known, np.arange(m), np.full(m, m), clarity)

    @property
    def _usual(self) -> Nearest:
        """The strangers of a tracklet of which nothing was learnt."""
        return Nearest(self._calibration.usual, self._calibration.usual_spread, 0.0)

    def strangers_of(self, vector: FloatArray) -> Nearest:
        """What a vector resembles of other people, from the sample."""
        (found,) = self.strangers_of_all(vector[None])
        return found

    def strangers_of_all(self, vectors: FloatArray) -> list[Nearest]:
        """The same for several vectors float32 (k, d)."""
        if not len(self.sample):
            return [self._usual] * len(vectors)
        similarity = (vectors @ self.sample.vectors.T).astype(np.float64)
        strangers, clarity = self.sample.strangers, self._calibration_clarity()
        found = strangers_among(similarity, strangers, self._calibration, clarity).each()
        return [own.among(len(self.sample), len(self.memory.owner)) for own in found]

    @staticmethod
    def _calibration_clarity() -> float:
        """The product of clarities that goes with a pair of which nothing is known."""
        return float(clarity_of(QUERY_STRENGTH)) ** 2

    def _own_share(self, shares: npt.NDArray[np.float64], people: list[int], needed: float) -> float:
        """The share of the best candidate and of those who are the same person as the best; both best first.

        Only as many are compared with the best as it takes to know whether it is as much as is needed.
        """
        own, open_share = float(shares[0]), float(shares[1:].sum())
        for share, person in zip(shares[1:].tolist(), people[1:], strict=True):
            if own >= needed or own + open_share < needed:
                break
            open_share -= share
            if not self._two(people[0], person):
                own += share
        return own

    def _two(self, a: int, b: int) -> bool:
        """Whether two known people are certainly, or more likely than not, two.

        Else they are one who was taken for two, and do not rival each other: if they did, everybody who was once
        taken for two would be somebody new with each visit.
        """
        memory = self.memory
        if memory.are_apart(a, b):
            return True
        alike = np.array([memory.nearest.means[a] @ memory.nearest.means[b]])
        own, theirs = (_mean(memory.people[person].strangers) for person in (a, b))
        if self._log_ratio(alike, [theirs], own, np.ones(1)).item() < 0:
            return True
        return bool(self.excluded(self._times([a]), self._times([b])).any())

    def _possible(self, people: list[int], seen: Seen) -> list[int]:
        """Of these people those who can be the one seen, because of when and where they were seen before."""
        clash = self.excluded(([seen.camera], [seen.start], [seen.end]), self._times(people))[0]
        counts = np.array([len(self.memory.people[k].starts) for k in people])
        impossible = np.logical_or.reduceat(clash, np.cumsum(counts) - counts)
        return [k for k, never in zip(people, impossible.tolist(), strict=True) if not never]

    def _times(self, people: list[int]) -> tuple[list[int], list[float], list[float]]:
        """Cameras, starts and ends of all that these people were seen in."""
        known = [self.memory.people[k] for k in people]
        return (
            [camera for person in known for camera in person.cameras],
            [start for person in known for start in person.starts],
            [end for person in known for end in person.ends],
        )

    def excluded(
        self, one: tuple[list[int], list[float], list[float]], other: tuple[list[int], list[float], list[float]]
    ) -> npt.NDArray[np.bool_]:
        """bool (a, b): whether visits given by cameras, starts and ends are certainly of two people."""
        cameras, starts, ends = np.array([*one[0], *other[0]]), np.array([*one[1], *other[1]]), [*one[2], *other[2]]
        table = TimeTable(cameras, starts, np.array(ends), self._known_cameras(), self._config.overlap)
        n = len(one[0])
        return table.excluded(np.arange(n), np.arange(n, len(cameras)))

    def camera(self, source: str) -> int:
        if source not in self.names:
            self.names.append(source)
        return self.names.index(source)

    def _known_cameras(self) -> Cameras:
        """The cameras' relations, as large as there are cameras now."""
        count = len(self.names)
        if len(self._cameras.together) < count:
            if self._config.topology is not None:
                self._cameras = read_topology(Path(self._config.topology), self.names)
            elif self._config.cameras == "separate":
                self._cameras = Cameras.separate(count)
            else:
                self._cameras = Cameras.independent(count)
        return self._cameras


def _mean(strangers: Sequence[Nearest]) -> Nearest:
    """The strangers of somebody of whom several tracklets are known."""
    return Nearest(*np.array(strangers, np.float64).mean(axis=0).tolist())
