"""Giving each tracklet a person as it is stored: somebody known, or somebody new."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.gallery.schema import tracklets as tracklet_table
from reidstream.identities.calibration import Calibration, defaults_of, least_log_ratio, probabilities
from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable, read_topology
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.nearest import NearestMeans
from reidstream.identities.outbox import tell
from reidstream.identities.people import (
    assign,
    create_person,
    has_people,
    human_links,
    person_of_tracklets,
    prepare,
)
from reidstream.identities.resolving import believed_cameras, calibration_of
from reidstream.identities.schema import members
from reidstream.identities.similarity import candidates, pair_similarity
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
_CONCLUDED_FROM = 3000


@dataclass(slots=True)
class Decision:
    """person: index of the known person, None for somebody new. probability: how sure the membership is.
    candidates: (person index, probability), the most likely first."""

    person: int | None
    probability: float
    candidates: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who somebody is. candidates: (person id, probability), most likely first."""

    candidates: list[tuple[str, float]]

    @property
    def nobody(self) -> float:
        """The probability that it is nobody known."""
        return max(0.0, 1.0 - sum(probability for _, probability in self.candidates))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One tracklet as it counts here. start, end: wall seconds. vector: float32 (d,). prototypes: float32 (p, d)."""

    camera: int
    start: float
    end: float
    vector: FloatArray
    prototypes: FloatArray
    trust: float


@dataclass(slots=True)
class _Known:
    """What is remembered of one person."""

    id: str
    total: FloatArray
    prototypes: list[FloatArray] = field(default_factory=list)
    trust: list[float] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


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
        self._defaults = defaults = defaults_of(gallery.space.fingerprint)
        self._people: list[_Known] = []
        self._row: dict[str, int] = {}
        self._apart: set[tuple[int, int]] = set()
        self._nearest = NearestMeans(gallery.space.size)
        self._names: list[str] = []
        self._count = 0
        self._next_calibration = _FIRST_CALIBRATION
        self._calibration = Calibration(defaults.same, defaults.different, defaults.spread)
        self._cameras = Cameras.independent(0)
        self._load()

    @property
    def people(self) -> int:
        """How many are known."""
        return len(self._people)

    @property
    def calibration(self) -> Calibration:
        """How similarities are read now."""
        return self._calibration

    def catch_up(self, most: int | None = None) -> int:
        """Give a person to every stored tracklet that has none, in the order of storing; how many that were.

        most: stop after one batch of this many, for whoever must not wait for all.
        """
        given = 0
        while (most is None or not given) and (waiting := self._unassigned(most or _AT_ONCE)):
            with self._gallery.write() as connection:
                self._assign(connection, [self._gallery.tracklet(i) for i in waiting])
            given += len(waiting)
            # After the transaction: storing would wait for as long as this takes.
            if self._count >= self._next_calibration:
                self._conclude()
        return given

    def decide(self, tracklet: Tracklet) -> Decision:
        """Who a tracklet is, without storing anything."""
        seen = self._seen(tracklet)
        return self._decide(seen.prototypes, seen.trust, seen)

    def recognise(self, prototypes: FloatArray) -> list[tuple[str, float]]:
        """Person ids and probabilities for vectors of somebody seen at no known time; most likely first.

        What is missing to 1 is the probability that it is nobody known.
        """
        return self.answer(prototypes).candidates

    def answer(self, prototypes: FloatArray) -> Answer:
        """Who somebody is who was seen at no known time: float32 (p, d), unit length."""
        decision = self._decide(prototypes, 1.0, None)
        return Answer([(self._people[k].id, p) for k, p in decision.candidates])

    def _unassigned(self, most: int) -> list[str]:
        c = tracklet_table.c
        query = select(c.id).where(c.id.not_in(select(members.c.tracklet))).order_by(c.seq).limit(most)
        with self._gallery.read() as connection:
            return [row.id for row in connection.execute(query)]

    def _newest(self) -> list[str]:
        """Ids of the tracklets that conclusions are drawn from, in the order of storing."""
        query = select(tracklet_table.c.id).order_by(tracklet_table.c.seq.desc()).limit(_CONCLUDED_FROM)
        with self._gallery.read() as connection:
            return [row.id for row in connection.execute(query)][::-1]

    def _assign(self, connection: Connection, batch: list[Tracklet]) -> None:
        events: list[tuple[str, dict[str, Any]]] = []
        rows = []
        for tracklet in batch:
            decision = self.decide(tracklet)
            told = {"tracklet": tracklet.id, "source": tracklet.source, "start": tracklet.start_wall}
            events.append(("TrackletStored", {**told, "end": tracklet.end_wall}))
            if decision.person is None:
                person = create_person(connection, tracklet.id)
                self._add_person(person)
                events.append(("IdentityCreated", {**told, "person": person}))
            else:
                person = self._people[decision.person].id
                probability = round(decision.probability, 4)
                events.append(("IdentitySeenAgain", {**told, "person": person, "probability": probability}))
            rows.append((tracklet.id, person, decision.probability))
            self._remember(self._row[person], self._seen(tracklet))
            self._count += 1
        assign(connection, rows)
        tell(connection, events)

    def _decide(self, prototypes: FloatArray, trust: float, seen: _Seen | None) -> Decision:
        if not self._people:
            return Decision(None, 1.0)
        shortlist = self._nearest.to(prototypes.mean(axis=0), _SHORTLIST)
        if seen is not None:
            shortlist = self._possible(shortlist, seen)
        if not shortlist:
            return Decision(None, 1.0)
        ratios = self._ratios(shortlist, prototypes, trust)
        shares = probabilities(ratios)
        order = np.argsort(-ratios, kind="stable")
        ranked = [(shortlist[k], float(shares[k])) for k in order.tolist()]
        best = int(order[0])
        enough = ratios[best] >= least_log_ratio(self._config.false_merges)
        clear = shares[best] / shares.sum() >= _SHARE
        own = float(shares[best])
        if enough and not clear:
            own = self._own_share(shares[order], [shortlist[k] for k in order.tolist()])
            clear = own / shares.sum() >= _SHARE
        if enough and clear:
            return Decision(shortlist[best], own, ranked)
        return Decision(None, 1.0 - float(shares.max()) if clear else 0.5, ranked)

    def _ratios(self, people: list[int], prototypes: FloatArray, trust: float) -> npt.NDArray[np.float64]:
        """Mean log-likelihood ratio of what is remembered of each of these people, float64 (k,)."""
        known = [self._people[k] for k in people]
        alike = np.concatenate([held for person in known for held in person.prototypes]) @ prototypes.T
        counts = np.array([len(held) for person in known for held in person.prototypes])
        similarity = np.maximum.reduceat(alike.max(axis=1), np.cumsum(counts) - counts)
        weights = np.minimum(np.array([t for person in known for t in person.trust]), trust)
        tracklets = np.array([len(person.trust) for person in known])
        sums = np.add.reduceat(self._calibration.log_ratio(similarity) * weights, np.cumsum(tracklets) - tracklets)
        ratios: npt.NDArray[np.float64] = sums / tracklets
        return ratios

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
        if self._calibration.log_ratio(self._nearest.means[a] @ self._nearest.means[b]) < 0:
            return True
        return bool(self._excluded(self._times([a]), self._times([b])).any())

    def _possible(self, people: list[int], seen: _Seen) -> list[int]:
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
        self._people.append(_Known(person, np.zeros(self._gallery.space.size, np.float32)))

    def _remember(self, k: int, seen: _Seen) -> None:
        person = self._people[k]
        person.total = person.total + seen.vector
        self._nearest.put(k, person.total / max(float(np.linalg.norm(person.total)), 1e-6))
        person.cameras.append(seen.camera)
        person.starts.append(seen.start)
        person.ends.append(seen.end)
        person.prototypes.append(seen.prototypes)
        person.trust.append(seen.trust)
        if len(person.prototypes) > _REMEMBERED:
            del person.prototypes[0], person.trust[0]

    def _seen(self, tracklet: Tracklet) -> _Seen:
        return _Seen(
            self._camera(tracklet.source),
            tracklet.start_wall,
            tracklet.end_wall,
            tracklet.embedding,
            tracklet.prototypes,
            float(np.clip(tracklet.purity, 0.1, 1.0)),
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
        for row, tracklet in enumerate(evidence.ids):
            if tracklet not in held:
                continue
            person = held[tracklet][0]
            if person not in self._row:
                self._add_person(person)
            seen = _Seen(
                int(evidence.camera[row]),
                float(evidence.start[row]),
                float(evidence.end[row]),
                evidence.vectors[row],
                evidence.prototypes[evidence.first[row] : evidence.first[row + 1]],
                float(evidence.purity[row]),
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
        if not self._gallery.writable:
            # Whoever only asks has seen somebody at no known time, so that cameras exclude nobody.
            cameras = Cameras.independent(len(evidence.cameras))
        elif self._config.topology is not None:
            cameras = read_topology(Path(self._config.topology), evidence.cameras)
        else:
            i, j = candidates(evidence.vectors, 10)
            alike = pair_similarity(evidence, i, j)
            cameras = believed_cameras(evidence, self._config, i, j, alike, self._defaults)
        table = TimeTable(evidence.camera, evidence.start, evidence.end, cameras, self._config.overlap)
        self._calibration = calibration_of(evidence, table, HumanLinks(), self._defaults)
        count = len(self._names)
        ours = Cameras.independent(count)
        ours.together[np.ix_(order, order)] = cameras.together
        ours.travel[np.ix_(order, order)] = cameras.travel
        self._cameras = ours
