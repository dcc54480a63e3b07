"""Giving each tracklet a person as it is stored: somebody known, or somebody new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.gallery.schema import tracklets as tracklet_table
from reidstream.identities.calibration import (
    Calibration,
    Strangers,
    clarity_of,
    nearest_strangers,
    shares,
    shrunk,
)
from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable, read_topology
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.lasting import PROOF, diluted, lasting_over
from reidstream.identities.nearest import NearestMeans
from reidstream.identities.outbox import append_events, undecided_between
from reidstream.identities.people import (
    assign,
    create_person,
    has_people,
    human_links,
    leave_undecided,
    person_of_tracklets,
    prepare,
)
from reidstream.identities.remembered import Known, Sample, Seen
from reidstream.identities.resolving import compared, needed_odds, strangers_of
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.identities.waiting import Waiting
from reidstream.types import FloatArray, Tracklet

# People whose mean is nearest are looked at closely; the right one is among them practically always.
_SHORTLIST = 24
# A person is remembered by so many tracklets; the newest replace the oldest.
_REMEMBERED = 12
# The best candidate must hold this share of all candidates' likelihood: the margin to the second best.
_SHARE = 0.6
# Tracklets that are given people in one transaction.
_AT_ONCE = 200
# What calibration and cameras are concluded from again whenever the gallery has grown by this factor.
_GROWTH = 1.5
_FIRST_CALIBRATION = 16
# So many of the newest tracklets are enough for that; all of a large gallery would halt the run for minutes.
_CONCLUDED_FROM = 600
# How clear somebody is who is asked for with a photo: one crop of fair quality.
_QUERY_STRENGTH = 0.7


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a tracklet is. candidates: (person id, probability), the most likely first."""

    verdict: Verdict[str]
    candidates: list[tuple[str, float]] = field(default_factory=list)

    @property
    def nobody(self) -> float:
        """The probability that it is nobody known."""
        return max(0.0, 1.0 - sum(probability for _, probability in self.candidates))


@dataclass(frozen=True, slots=True)
class Answer:
    """Who somebody is. candidates: (person id, probability), most likely first."""

    candidates: list[tuple[str, float]]

    @property
    def nobody(self) -> float:
        """The probability that it is nobody known."""
        return max(0.0, 1.0 - sum(probability for _, probability in self.candidates))


class OnlineIdentities:
    """The people of a gallery, ready to recognise the next tracklet or somebody who is asked for.

    Decisions depend on the order in which tracklets were stored and on nothing else. ``catch_up`` gives a person to
    every tracklet that has none yet, which also repairs what a killed run left undone; it needs a gallery that is open
    for writing. All else works on any gallery.
    """

    def __init__(self, gallery: Gallery, config: IdentityConfig) -> None:
        if gallery.writable:
            prepare(gallery)
        self._gallery = gallery
        self._config = config
        self._waiting = Waiting(gallery)
        self._people: list[Known] = []
        self._row: dict[str, int] = {}
        self._apart: set[tuple[int, int]] = set()
        self._nearest = NearestMeans(gallery.space.size)
        self._names: list[str] = []
        self._count = 0
        self._next_calibration = _FIRST_CALIBRATION
        self._calibration = Calibration()
        self._odds = 0.0
        # What strangers are learnt from: the vectors of tracklets that were stored last, and their own strangers.
        self._sample = Sample(gallery.space.size)
        self._cameras = Cameras.independent(0)
        self._load()

    @property
    def people(self) -> int:
        """How many are known."""
        return len(self._people)

    def catch_up(self, most: int | None = None) -> int:
        """Give a person to every stored tracklet that has none, in the order of storing; how many that were.

        most: stop after one batch of this many, for whoever must not wait for all.
        """
        given = 0
        while (most is None or not given) and (waiting := self._waiting.first(most or _AT_ONCE)):
            with self._gallery.write() as connection:
                self._assign(connection, [self._gallery.tracklet(i) for i in waiting])
            given += len(waiting)
            # After the transaction: storing would wait for as long as this takes.
            if self._count >= self._next_calibration:
                self._conclude()
        return given

    def decide(self, tracklet: Tracklet) -> Decision:
        """Who a tracklet is, without storing anything."""
        return self._decide(self._seen(tracklet), timed=True)

    def recognise(self, prototypes: FloatArray) -> list[tuple[str, float]]:
        """Person ids and probabilities for vectors of somebody seen at no known time; most likely first.

        What is missing to 1 is the probability that it is nobody known.
        """
        return self.answer(prototypes).candidates

    def answer(self, prototypes: FloatArray) -> Answer:
        """Who somebody is who was seen at no known time: float32 (p, d), unit length."""
        mean = prototypes.mean(axis=0)
        vector = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
        seen = Seen(-1, 0.0, 0.0, vector, prototypes, float(clarity_of(_QUERY_STRENGTH)), self._strangers_of(vector))
        decision = self._decide(seen, timed=False)
        return Answer(decision.candidates)

    def same(self, person: str, others: Sequence[str]) -> list[float]:
        """How probable it is that a known person and each of some others are one, if there were no third.

        0 where somebody decided that they are two, or when and where they were seen excludes it.
        """
        unknown = [0.0] * len(others)
        row = self._row.get(person)
        rows = [self._row[other] for other in others if other in self._row]
        if row is None or not rows:
            return unknown
        known = self._people[row]
        mean, spread = np.mean(known.strangers, axis=0)
        looks = np.concatenate(known.prototypes)
        vector, clarity = self._nearest.means[row], max(known.clarity)
        whole = Seen(-1, 0.0, 0.0, vector, looks, clarity, (float(mean), float(spread)))
        found = {}
        for other, odds in zip(rows, self._calibration.prior + self._ratios(rows, whole, False)[0], strict=True):
            excluded = bool(self._excluded(self._times([row]), self._times([other])).any())
            apart = (min(row, other), max(row, other)) in self._apart
            found[self._people[other].id] = 0.0 if excluded or apart else float(shares(odds[None])[0])
        return [found.get(other, 0.0) for other in others]

    def _newest(self) -> list[str]:
        """Ids of the tracklets that conclusions are drawn from, in the order of storing."""
        query = select(tracklet_table.c.id).order_by(tracklet_table.c.seq.desc()).limit(_CONCLUDED_FROM)
        with self._gallery.read() as connection:
            return [row.id for row in connection.execute(query)][::-1]

    def _assign(self, connection: Connection, batch: list[Tracklet]) -> None:
        events: list[tuple[str, dict[str, Any]]] = []
        rows, doubts = [], []
        for tracklet in batch:
            seen = self._seen(tracklet)
            decision = self._decide(seen, timed=True)
            seen_event = {"tracklet": tracklet.id, "source": tracklet.source, "start": tracklet.start_wall}
            verdict = decision.verdict
            place = len(events)
            if verdict.outcome is Outcome.DECIDED and verdict.person is not None:
                person = verdict.person
                sure = verdict.probability
                probability = round(sure, 4)
                events.append(("IdentitySeenAgain", {**seen_event, "person": person, "probability": probability}))
            else:
                # Who is undecided is held as somebody new until it is decided.
                person, sure = create_person(connection, tracklet.id), decision.nobody
                self._add_person(person)
                may = {}
                if verdict.candidate is not None:
                    doubts.append((tracklet.id, self._people[self._row[verdict.candidate]].tracklets[-1], verdict))
                    may = undecided_between(verdict.candidate, verdict.probability)
                events.append(("IdentityCreated", {**seen_event, "person": person, **may}))
            events.insert(place, ("TrackletStored", {**seen_event, "end": tracklet.end_wall, "person": person}))
            rows.append((tracklet.id, person, sure))
            self._remember(self._row[person], seen)
            self._count += 1
        assign(connection, rows)
        leave_undecided(connection, [(tracklet, other, verdict.probability) for tracklet, other, verdict in doubts])
        append_events(connection, events)

    def _decide(self, seen: Seen, timed: bool) -> Decision:
        shortlist = self._nearest.to(seen.vector, _SHORTLIST) if self._people else []
        if timed and shortlist:
            shortlist = self._possible(shortlist, seen)
        if not shortlist:
            return Decision(Verdict(Outcome.NOBODY, None, 1.0))
        read, proof = self._ratios(shortlist, seen, timed)
        odds = self._calibration.prior + read
        shared = shares(odds)
        order = np.argsort(-odds, kind="stable")
        ranked = [(self._people[shortlist[k]].id, float(shared[k])) for k in order.tolist()]
        enough = self._calibration.prior + proof[order[0]] >= self._odds
        likeliest, own = ranked[0]
        clear = own / shared.sum() >= _SHARE
        if enough and not clear:
            own = self._own_share(shared[order], [shortlist[k] for k in order.tolist()])
            clear = own / shared.sum() >= _SHARE
        if enough and clear:
            return Decision(Verdict(Outcome.DECIDED, likeliest, min(own, 1.0)), ranked)
        nobody = max(0.0, 1.0 - float(shared.sum()))
        if nobody < 0.5:
            return Decision(Verdict(Outcome.UNDECIDED, likeliest, own), ranked)
        return Decision(Verdict(Outcome.NOBODY, None, nobody), ranked)

    def _ratios(
        self, people: list[int], seen: Seen, timed: bool
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Logarithm of the mean likelihood ratio of what is remembered of each of these people, float64 (k,), and the
        same as far as it is proof: of another day nothing is. timed: whether it is known when the one seen was seen."""
        known = [self._people[k] for k in people]
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
    def _gaps(known: list[Known], seen: Seen) -> npt.NDArray[np.float64]:
        """Seconds between somebody seen and each tracklet that is remembered of these people, float64 (m,)."""
        starts = np.array([start for person in known for start in person.starts[-len(person.clarity) :]])
        ends = np.array([end for person in known for end in person.ends[-len(person.clarity) :]])
        gaps: npt.NDArray[np.float64] = np.maximum(np.maximum(starts, seen.start) - np.minimum(ends, seen.end), 0.0)
        return gaps

    def _log_ratio(
        self,
        similarity: npt.NDArray[np.floating],
        strangers: list[tuple[float, float]],
        own: tuple[float, float] | None,
        clarity: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Log-likelihood ratios float64 (m,) of tracklets with these strangers against one with its own."""
        usual = own or (self._calibration.usual, self._calibration.usual_spread)
        mean, spread = np.array([*strangers, usual], np.float64).T
        m = len(strangers)
        z, growth = Strangers(mean, spread).standing(similarity, np.arange(m), np.full(m, m))
        return self._calibration.log_ratio(similarity, z, growth, clarity)

    def _strangers_of(self, vector: FloatArray) -> tuple[float, float]:
        """Mean and spread of what a vector resembles of other people, from the sample."""
        usual = self._calibration.usual, self._calibration.usual_spread
        if not len(self._sample):
            return usual
        similarity = self._sample.vectors @ vector
        clarity = np.full(len(self._sample), self._calibration_clarity())
        pair = np.log(self._calibration.share) - np.log1p(-self._calibration.share)
        mean, spread = usual
        # Once as if everybody were somebody else, then without those who are likely the same person.
        weight = np.ones(len(self._sample))
        for _ in range(2):
            found = nearest_strangers(similarity[None].astype(np.float64), weight[None])
            own, *_ = shrunk(*found, usual=usual)
            mean, spread = float(own.mean[0]), float(own.spread[0])
            ratio = self._log_ratio(similarity, self._sample.strangers, (mean, spread), clarity)
            weight = 1.0 - 1.0 / (1.0 + np.exp(-(pair + ratio)))
        return mean, spread

    @staticmethod
    def _calibration_clarity() -> float:
        """The product of clarities that goes with a pair of which nothing is known."""
        return float(clarity_of(_QUERY_STRENGTH)) ** 2

    def _own_share(self, shares: npt.NDArray[np.float64], people: list[int]) -> float:
        """The share of the best candidate and of those who are the same person as the best; both best first.

        Only as many are compared with the best as it takes to know whether it is clearly ahead.
        """
        needed = _SHARE * float(shares.sum())
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
        if (min(a, b), max(a, b)) in self._apart:
            return True
        alike = np.array([self._nearest.means[a] @ self._nearest.means[b]])
        mean, spread = np.mean(self._people[b].strangers, axis=0)
        theirs = [(float(mean), float(spread))]
        own, spread = np.mean(self._people[a].strangers, axis=0)
        if self._log_ratio(alike, theirs, (float(own), float(spread)), np.ones(1)).item() < 0:
            return True
        return bool(self._excluded(self._times([a]), self._times([b])).any())

    def _possible(self, people: list[int], seen: Seen) -> list[int]:
        """Of these people those who can be the one seen, because of when and where they were seen before."""
        clash = self._excluded(([seen.camera], [seen.start], [seen.end]), self._times(people))[0]
        counts = np.array([len(self._people[k].starts) for k in people])
        impossible = np.logical_or.reduceat(clash, np.cumsum(counts) - counts)
        return [k for k, never in zip(people, impossible.tolist(), strict=True) if not never]

    def _times(self, people: list[int]) -> tuple[list[int], list[float], list[float]]:
        """Cameras, starts and ends of all that these people were seen in."""
        known = [self._people[k] for k in people]
        return (
            [camera for person in known for camera in person.cameras],
            [start for person in known for start in person.starts],
            [end for person in known for end in person.ends],
        )

    def _excluded(
        self, one: tuple[list[int], list[float], list[float]], other: tuple[list[int], list[float], list[float]]
    ) -> npt.NDArray[np.bool_]:
        """bool (a, b): whether visits given by cameras, starts and ends are certainly of two people."""
        cameras, starts, ends = np.array([*one[0], *other[0]]), np.array([*one[1], *other[1]]), [*one[2], *other[2]]
        table = TimeTable(cameras, starts, np.array(ends), self._known_cameras(), self._config.overlap)
        n = len(one[0])
        return table.excluded(np.arange(n), np.arange(n, len(cameras)))

    def _add_person(self, person: str) -> None:
        self._row[person] = len(self._people)
        self._people.append(Known(person, np.zeros(self._gallery.space.size, np.float32)))

    def _remember(self, k: int, seen: Seen) -> None:
        person = self._people[k]
        person.total = person.total + seen.vector
        self._nearest.put(k, person.total / max(float(np.linalg.norm(person.total)), 1e-6))
        person.cameras.append(seen.camera)
        person.starts.append(seen.start)
        person.ends.append(seen.end)
        person.tracklets.append(seen.id)
        person.vectors.append(seen.vector)
        person.prototypes.append(seen.prototypes)
        person.clarity.append(seen.clarity)
        strangers = seen.strangers or (self._calibration.usual, self._calibration.usual_spread)
        person.strangers.append(strangers)
        self._sample.put(seen.id, seen.vector, strangers)
        if len(person.prototypes) > _REMEMBERED:
            del person.tracklets[0], person.vectors[0], person.prototypes[0], person.clarity[0], person.strangers[0]

    def _seen(self, tracklet: Tracklet) -> Seen:
        return Seen(
            self._camera(tracklet.source),
            tracklet.start_wall,
            tracklet.end_wall,
            tracklet.embedding,
            tracklet.prototypes,
            float(clarity_of(np.clip(tracklet.purity, 0.1, 1.0) * tracklet.embeddings_used * tracklet.quality)),
            self._strangers_of(tracklet.embedding),
            tracklet.id,
        )

    def _camera(self, source: str) -> int:
        if source not in self._names:
            self._names.append(source)
        return self._names.index(source)

    def _known_cameras(self) -> Cameras:
        """The cameras' relations, as large as there are cameras now."""
        count = len(self._names)
        if len(self._cameras.together) < count:
            if self._config.topology is not None:
                self._cameras = read_topology(Path(self._config.topology), self._names)
            elif self._config.cameras == "separate":
                self._cameras = Cameras.separate(count)
            else:
                self._cameras = Cameras.independent(count)
        return self._cameras

    def _load(self) -> None:
        evidence = evidence_of(self._gallery)
        self._names = list(evidence.cameras)
        held = {}
        links = HumanLinks()
        if has_people(self._gallery):
            with self._gallery.read() as connection:
                held = person_of_tracklets(connection, evidence.ids)
                links = human_links(connection, {tracklet: row for row, tracklet in enumerate(evidence.ids)})
        clarity = clarity_of(evidence.strength)
        strangers = strangers_of(evidence, self._config)
        for row, tracklet in enumerate(evidence.ids):
            if tracklet not in held:
                continue
            person = held[tracklet][0]
            if person not in self._row:
                self._add_person(person)
            seen = Seen(
                int(evidence.camera[row]),
                float(evidence.start[row]),
                float(evidence.end[row]),
                evidence.vectors[row],
                evidence.prototypes[evidence.first[row] : evidence.first[row + 1]],
                float(clarity[row]),
                (float(strangers.mean[row]), float(strangers.spread[row])),
                tracklet,
            )
            self._remember(self._row[person], seen)
            self._count += 1
        for a, b in links.different.tolist():
            pair = [self._row[held[evidence.ids[row]][0]] for row in (a, b) if evidence.ids[row] in held]
            if len(pair) == 2:
                self._apart.add((min(pair), max(pair)))
        if self._count >= _FIRST_CALIBRATION:
            self._conclude(evidence)

    def _conclude(self, evidence: Evidence | None = None) -> None:
        """Calibrate, and find out about the cameras, from what the gallery has stored last."""
        if evidence is None or len(evidence) > _CONCLUDED_FROM:
            evidence = evidence_of(self._gallery, self._newest())
        self._next_calibration = max(int(self._count * _GROWTH), _FIRST_CALIBRATION)
        order = [self._camera(name) for name in evidence.cameras]
        cameras: Cameras | None = None
        if not self._gallery.writable:
            # Whoever only asks has seen somebody at no known time, so that cameras exclude nobody.
            cameras = Cameras.independent(len(evidence.cameras))
        elif self._config.topology is not None:
            cameras = read_topology(Path(self._config.topology), evidence.cameras)
        pairs, read, cameras = compared(evidence, self._config, HumanLinks(), cameras)
        self._calibration = read.calibration.grown(self._count)
        self._odds = needed_odds(evidence, pairs, read, cameras, self._config)
        # Of those who were stored before, more others are known now.
        strangers = zip(read.strangers.mean.tolist(), read.strangers.spread.tolist(), strict=True)
        learnt = dict(zip(evidence.ids, strangers, strict=True))
        for person in self._people:
            person.strangers = [learnt.get(t, own) for t, own in zip(person.tracklets, person.strangers, strict=True)]
        self._sample.learn(learnt)
        count = len(self._names)
        ours = Cameras.independent(count)
        ours.together[np.ix_(order, order)] = cameras.together
        ours.travel[np.ix_(order, order)] = cameras.travel
        self._cameras = ours
