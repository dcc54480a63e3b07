"""Giving each tracklet a person as it is stored: somebody known, or somebody new."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, or_, select

from reidstream.config.identities import IdentityConfig
from reidstream.expected_looks import expected_named
from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import tracklets as tracklet_table
from reidstream.identities.applying import Applying, Part
from reidstream.identities.calibration import clarity_of
from reidstream.identities.changes import changes_after, newest_event
from reidstream.identities.constraints import Cameras, HumanLinks, read_topology
from reidstream.identities.deciding import QUERY_STRENGTH, Conclusion, Decider, Decision
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.operations import REVISITED
from reidstream.identities.outbox import append_events, undecided_between, zones_said
from reidstream.identities.people import (
    NewPeople,
    assign,
    has_people,
    leave_undecided,
    person_of_tracklets,
    prepare,
)
from reidstream.identities.remembered import Seen
from reidstream.identities.resolving import compared, needed_odds, strangers_of
from reidstream.identities.revisiting import Recent, decided, recent
from reidstream.identities.schema import links, members
from reidstream.identities.strangers import Nearest
from reidstream.identities.verdicts import Outcome
from reidstream.identities.waiting import Waiting
from reidstream.types import FloatArray, Tracklet

# Tracklets that are given people in one transaction.
_AT_ONCE = 200
# What calibration and cameras are concluded from again whenever the gallery has grown by this factor.
_GROWTH = 1.5
_FIRST_CALIBRATION = 16
# So many of the newest tracklets are enough for that; all of a large gallery would halt the run for minutes.
_CONCLUDED_FROM = 600
# The newest so many are decided again whenever there are as many more.
_REVISITED = 128
# Every so often as many of the older ones are, in turn, however long ago that was.
_FORMER = 4
# Tracklets whose strangers are learnt in one go.
_LEARNT_AT_ONCE = 64


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

    Decisions depend on the order in which tracklets were stored and on what people decided meanwhile. ``catch_up``
    gives a person to every tracklet that has none yet, which also repairs what a killed run left undone; it needs a
    gallery that is open for writing. All else works on any gallery. What others change is taken over by ``follow``,
    which reads those anew whom it names.

    decider: what is remembered, and how it is read.
    """

    def __init__(self, gallery: Gallery, config: IdentityConfig) -> None:
        if gallery.writable:
            prepare(gallery)
        self._gallery = gallery
        self._config = config
        self._waiting = Waiting(gallery)
        self.decider = Decider(gallery.space.size, config, expected_named(gallery.calibration))
        self._memory = self.decider.memory
        self._seq = 0
        self._unannounced = gallery.unannounced.number
        # Tracklets of which it is not known what was written: the transaction failed.
        self._unsure: set[str] = set()
        self._next_calibration = _FIRST_CALIBRATION
        self._calibrated = False
        self._load()
        self.looked()

    @property
    def people(self) -> int:
        """How many are known."""
        return len(self._memory)

    def catch_up(self, most: int | None = None) -> int:
        """Give a person to every stored tracklet that has none, in the order of storing; how many that were.

        most: stop after one batch of this many, for whoever must not wait for all.
        """
        given = 0
        self.follow()
        while (most is None or not given) and (waiting := self._waiting.first(min(most or _AT_ONCE, self._room))):
            batch = self._gallery.some_tracklets(waiting)
            self._unsure = {*waiting}
            with self._gallery.write() as connection:
                self._assign(connection, batch)
                self._seq = newest_event(connection)
            self._unsure = set()
            given += len(waiting)
            # After the transaction: storing would wait for as long as this takes.
            if most is None and self.outgrown:
                self.adopt(self.conclude())
            if most is None and self.due:
                self.look_again()
        return given

    @property
    def due(self) -> bool:
        """Whether the newest decisions should be made again: every so many tracklets, and by new conclusions."""
        return self._calibrated and self._next_look <= len(self._memory.owner)

    @property
    def _room(self) -> int:
        """How many tracklets are given people before anything is concluded or decided again: always as many, however
        many wait, so that a replay decides the same. While conclusions are drawn beside, nobody waits for them."""
        count = len(self._memory.owner)
        room = _REVISITED - count % _REVISITED
        return room if self.outgrown else min(room, self._next_calibration - count)

    def look_again(self) -> None:
        """Make the newest decisions again, and now and then some older ones, with everybody whom they may concern."""
        for some in self.turns():
            looked_at = self.looked_at(some)
            self.revise(looked_at, decided(looked_at, self._config))
        self.looked()

    def turns(self) -> list[list[str]]:
        """What is decided again now, one after the other: ids in the order of storing."""
        count = len(self._memory.owner)
        look, older = count // _REVISITED, count - _REVISITED
        turns = [self._newest(_REVISITED)]
        if older > 0 and look % _FORMER == 0:
            first = look // _FORMER * _REVISITED % older
            turns.append(self._newest(_REVISITED, max(older - first, 0)))
        return turns

    def looked_at(self, some: Sequence[str]) -> Recent:
        """Some tracklets with everybody whom they may be (see ``revisiting``), read for being decided again."""
        return recent(self._gallery, self.decider, some, self._config.clocks)

    def revise(self, looked_at: Recent, parts: Sequence[Part]) -> None:
        """Take over what was found when some were decided again, but for what changed meanwhile."""
        if parts:
            applying = Applying(self._gallery, "reidstream", looked_at.before, REVISITED)
            applying.apply(parts)
            applying.close({}, "")
            self.follow()

    def looked(self) -> None:
        """The next look is due when there are as many more tracklets again."""
        self._next_look = (len(self._memory.owner) // _REVISITED + 1) * _REVISITED

    def follow(self, told: Collection[str] | None = None, gone: Collection[str] = ()) -> None:
        """Take over what was decided since, reading those anew whom it changed.

        told: people whom an import or an erasure changed without events that name them. gone: tracklets that were
        erased. What runs removed or rewrote is taken over as well.
        """
        if not self._seq and not has_people(self._gallery):
            return
        unseen = self._gallery.unannounced.after(self._unannounced)
        self._unannounced = unseen.number
        is_told = told is not None or bool(gone)
        with self._gallery.read() as connection:
            changes = changes_after(connection, self._seq, told=is_told, fewer=bool(unseen.gone))
        gone = {*gone, *unseen.gone}
        self._seq = changes.seq
        unsure, self._unsure = self._unsure, set()
        persons = changes.people | set(told or ())
        owners = (
            self._memory.owner.get(tracklet) for tracklet in (*changes.tracklets, *gone, *unsure, *unseen.changed)
        )
        persons |= {owner for owner in owners if owner is not None}
        self.decider.sample.remove(set(gone))
        if not (changes.named and unseen.whole):
            # An import, or whole people erased, by another process: everybody is read anew.
            persons |= {person.id for person in self._memory.people}
            with self._gallery.read() as connection:
                persons |= set(connection.execute(select(members.c.person).distinct()).scalars())
        touched = {*changes.tracklets, *unsure, *(t for p in persons for t in self._memory.tracklets_of(p))} - {*gone}
        if persons:
            self._read(persons, unseen.changed)
        # An undoing may have taken a tracklet's person away.
        self._waiting.include([tracklet for tracklet in touched if tracklet not in self._memory.owner])

    @property
    def outgrown(self) -> bool:
        """Whether so much was stored since the last conclusions that they should be drawn anew."""
        return len(self._memory.owner) >= self._next_calibration

    def decide(self, tracklet: Tracklet) -> Decision:
        """Who a tracklet is, without storing anything."""
        return self.decider.decide(self._seen(tracklet), timed=True)

    def recognise(self, prototypes: FloatArray) -> list[tuple[str, float]]:
        """Person ids and probabilities for vectors of somebody seen at no known time; most likely first.

        What is missing to 1 is the probability that it is nobody known.
        """
        return self.answer(prototypes).candidates

    def answer(self, prototypes: FloatArray) -> Answer:
        """Who somebody is who was seen at no known time: float32 (p, d), unit length."""
        mean = prototypes.mean(axis=0)
        vector = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
        clarity, strangers = float(clarity_of(QUERY_STRENGTH)), self.decider.strangers_of(vector)
        seen = Seen(-1, 0.0, 0.0, vector, prototypes, clarity, strangers)
        decision = self.decider.decide(seen, timed=False)
        return Answer(decision.candidates)

    def same(self, person: str, others: Sequence[str]) -> list[float]:
        """How probable it is that a known person and each of some others are one; see ``Decider.same``."""
        return self.decider.same(person, others)

    def _newest(self, most: int, but: int = 0) -> list[str]:
        """Ids of the newest tracklets that have a person but for so many, in the order of storing.

        Those that wait for theirs do not count: what is concluded must not depend on how many there are.
        """
        decided = select(members.c.tracklet).where(members.c.tracklet == tracklet_table.c.id).exists()
        # In the order of storing, from the last: no more are looked at than are wanted.
        query = select(tracklet_table.c.id).where(decided).order_by(tracklet_table.c.seq.desc())
        query = query.limit(most).offset(max(but, 0))
        with self._gallery.read() as connection:
            return [row.id for row in connection.execute(query)][::-1]

    def _assign(self, connection: Connection, batch: list[Tracklet]) -> None:
        memory = self._memory
        events: list[tuple[str, dict[str, Any]]] = []
        rows, doubts, created = [], [], NewPeople(connection, [tracklet.id for tracklet in batch])
        for tracklet in batch:
            seen = self._seen(tracklet)
            decision = self.decider.decide(seen, timed=True)
            seen_event = {"tracklet": tracklet.id, "source": tracklet.source, "start": tracklet.start_wall}
            zones = zones_said(stay.zone for stay in tracklet.stays)
            verdict = decision.verdict
            place = len(events)
            if verdict.outcome is Outcome.DECIDED and verdict.person is not None:
                person = verdict.person
                sure = verdict.probability
                probability = round(sure, 4)
                events.append(("IdentitySeenAgain", {**seen_event, "person": person, "probability": probability}))
            else:
                # Who is undecided is held as somebody new until it is decided.
                person, sure = created.add(tracklet.id), decision.nobody
                may = {}
                if verdict.candidate is not None and (row := memory.row(verdict.candidate)) is not None:
                    doubts.append((tracklet.id, memory.people[row].tracklets[-1], verdict))
                    may = undecided_between(verdict.candidate, verdict.probability)
                events.append(("IdentityCreated", {**seen_event, "person": person, **may}))
            events.insert(
                place, ("TrackletStored", {**seen_event, "end": tracklet.end_wall, **zones, "person": person})
            )
            rows.append((tracklet.id, person, sure))
            self.decider.remember(person, seen)
        created.write()
        assign(connection, rows)
        leave_undecided(connection, [(tracklet, other, verdict.probability) for tracklet, other, verdict in doubts])
        append_events(connection, events)
        self._recall(connection, [tracklet.id for tracklet in batch])

    def _recall(self, connection: Connection, tracklets: Sequence[str]) -> None:
        """Of some tracklets that people had decided about before they lost their person: from whom they are apart."""
        for some in in_chunks(tracklets):
            query = select(links.c.a, links.c.b).where(or_(links.c.a.in_(some), links.c.b.in_(some)))
            for row in connection.execute(query.where(links.c.kind == "different")):
                self._apart(row.a, row.b)

    def _apart(self, a: str, b: str) -> None:
        one, other = self._memory.owner.get(a), self._memory.owner.get(b)
        if one is not None and other is not None and one != other:
            self._memory.tell_apart(one, other)

    def _seen(self, tracklet: Tracklet) -> Seen:
        ahead = self._config.clocks.get(tracklet.source, 0.0)
        return Seen(
            self.decider.camera(tracklet.source),
            tracklet.start_wall - ahead,
            tracklet.end_wall - ahead,
            tracklet.embedding,
            tracklet.prototypes,
            float(clarity_of(np.clip(tracklet.purity, 0.1, 1.0) * tracklet.embeddings_used * tracklet.quality)),
            self.decider.strangers_of(tracklet.embedding),
            tracklet.id,
        )

    def _load(self) -> None:
        """Read everybody, and conclude."""
        held: dict[str, tuple[str, float]] = {}
        if has_people(self._gallery):
            # Before all else: what is decided meanwhile is read again by the next ``follow``.
            with self._gallery.read() as connection:
                self._seq = newest_event(connection)
        evidence = evidence_of(self._gallery, None, self._config.clocks)
        self.decider.names = list(evidence.cameras)
        if has_people(self._gallery):
            with self._gallery.read() as connection:
                held = person_of_tracklets(connection, evidence.ids)
        found = strangers_of(evidence, self._config)
        strangers = dict(zip(evidence.ids, found.each(), strict=True))
        self._take(evidence, {tracklet: person for tracklet, (person, _) in held.items()}, strangers)
        for row, tracklet in enumerate(evidence.ids):
            if tracklet in held:
                self.decider.sample.put(tracklet, evidence.vectors[row], strangers[tracklet])
        if held:
            self._tell_apart()
        if len(held) >= _FIRST_CALIBRATION:
            self.adopt(self.conclude(evidence))

    def _read(self, persons: Collection[str], changed: Collection[str] = ()) -> None:
        """Read some people anew, those who are gone among them. changed: tracklets that look differently now."""
        known: dict[str, Nearest] = {}
        for person in persons:
            if (row := self._memory.row(person)) is not None:
                held = self._memory.people[row]
                known.update(zip(held.tracklets, held.strangers, strict=True))
            self._memory.forget(person)
        for tracklet in changed:
            known.pop(tracklet, None)
        owner: dict[str, str] = {}
        stored: list[tuple[int, str]] = []
        with self._gallery.read() as connection:
            query = select(members.c.tracklet, members.c.person, tracklet_table.c.seq).join(
                tracklet_table, tracklet_table.c.id == members.c.tracklet
            )
            for some in in_chunks(sorted(persons)):
                for tracklet, person, seq in connection.execute(query.where(members.c.person.in_(some))):
                    owner[tracklet] = person
                    stored.append((seq, tracklet))
        ids = [tracklet for _, tracklet in sorted(stored)]
        for some in in_chunks(ids):
            evidence = evidence_of(self._gallery, some, self._config.clocks)
            new = [row for row, tracklet in enumerate(evidence.ids) if tracklet not in known]
            for begin in range(0, len(new), _LEARNT_AT_ONCE):
                rows = new[begin : begin + _LEARNT_AT_ONCE]
                learnt = self.decider.strangers_of_all(evidence.vectors[rows])
                known.update(zip([evidence.ids[row] for row in rows], learnt, strict=True))
            self._take(evidence, owner, known)
        if ids:
            self._tell_apart(ids)

    def _take(self, evidence: Evidence, owner: dict[str, str], strangers: dict[str, Nearest]) -> None:
        """Remember those tracklets of the evidence that have a person."""
        clarity = clarity_of(evidence.strength)
        camera = [self.decider.camera(name) for name in evidence.cameras]
        seen = (
            (
                owner[tracklet],
                Seen(
                    camera[int(evidence.camera[row])],
                    float(evidence.start[row]),
                    float(evidence.end[row]),
                    evidence.vectors[row],
                    evidence.prototypes[evidence.first[row] : evidence.first[row + 1]],
                    float(clarity[row]),
                    id=tracklet,
                ),
                strangers[tracklet],
            )
            for row, tracklet in enumerate(evidence.ids)
            if tracklet in owner
        )
        self._memory.remember_all(seen)

    def _tell_apart(self, tracklets: Sequence[str] | None = None) -> None:
        """Read who was said to be two people; of these tracklets, or of all."""
        query = select(links.c.a, links.c.b).where(links.c.kind == "different")
        with self._gallery.read() as connection:
            if tracklets is None:
                rows = list(connection.execute(query))
            else:
                rows = []
                for some in in_chunks(tracklets):
                    for end in (links.c.a, links.c.b):
                        rows += connection.execute(query.where(end.in_(some)))
        for row in rows:
            self._apart(row.a, row.b)

    def conclude(self, evidence: Evidence | None = None) -> Conclusion:
        """Calibrate, and find out about the cameras, from what the gallery has stored last. Changes nothing here."""
        if evidence is None or len(evidence) > _CONCLUDED_FROM:
            evidence = evidence_of(self._gallery, self._newest(_CONCLUDED_FROM), self._config.clocks)
        cameras: Cameras | None = None
        if not self._gallery.writable:
            # Whoever only asks has seen somebody at no known time, so that cameras exclude nobody.
            cameras = Cameras.independent(len(evidence.cameras))
        elif self._config.topology is not None:
            cameras = read_topology(Path(self._config.topology), evidence.cameras)
        pairs, read, cameras = compared(evidence, self._config, HumanLinks(), cameras)
        odds = needed_odds(evidence, pairs, read, cameras, self._config)
        strangers = dict(zip(evidence.ids, read.strangers.each(), strict=True))
        return Conclusion(read.calibration, odds, strangers, evidence.cameras, cameras)

    def adopt(self, concluded: Conclusion) -> None:
        """Decide by these conclusions from now on; what was decided by others is looked at again."""
        self._next_calibration = max(int(len(self._memory.owner) * _GROWTH), _FIRST_CALIBRATION)
        self._calibrated = True
        self._next_look = 0
        self.decider.adopt(concluded)
