"""Rules looked at while somebody is in view, and again when it is decided who it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from reidstream.alerts.lists import Entry, WatchLists
from reidstream.alerts.raised import RAISED, WITHDRAWN, Alerts, Finding, Where
from reidstream.alerts.rules import Rule, Who
from reidstream.alerts.schema import looked
from reidstream.alerts.sightings import Sighting
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import crops, embeddings, left_out, recordings, stays, tracklets
from reidstream.identities.in_view import InView, photos_shown, seen_of
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import events_after
from reidstream.identities.schema import members, outbox, people
from reidstream.types import FloatArray, LeftOutReason

# Nobody is called unknown by the first glance: until so many crops, or so many seconds, nothing speaks for anybody.
_CROPS, _SECONDS = 3, 1.5
_SWEEP_EVERY = 60.0
_FORGOTTEN = 60.0
"""Seconds of media time after which a track that is not heard of any more is forgotten."""
_WHY = {
    LeftOutReason.TOO_SHORT: "in view too briefly to be kept",
    LeftOutReason.NO_CROP: "no picture of it was good enough",
    LeftOutReason.GUESSED: "mostly guessed: nobody was found there in most frames",
    LeftOutReason.THING: "a thing that never moved",
    LeftOutReason.NO_PERSON: "no person, by its pictures",
}
_NOT_LISTED = "somebody else, or not sure enough, when all of the visit was looked at"
_KNOWN = "somebody known, or not sure enough, when all of the visit was looked at"
_LOST = "what was seen was lost before it could be stored"


@dataclass(frozen=True, slots=True)
class Recognised:
    """Who somebody may be. people: person → probability. surely: the same as far as somebody may be told that it is one
    of them. photos: entry of a list → probability."""

    people: Mapping[str, float]
    surely: Mapping[str, float]
    photos: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Track:
    """What is known of a track that goes on. looked: by what its crops were when it was last asked who it is.

    said: rules of which something was said of it, or would have been but for the cooldown. alert: whether it was.
    media: when it was last seen.
    """

    source: str
    media: float = 0.0
    looked: tuple[int, float] = (0, 0.0)
    recognised: Recognised | None = None
    said: set[str] = field(default_factory=set)
    alert: bool = False


class Watch:
    """Raises alerts of a gallery that is open for writing. Safe to use from several threads.

    identities: gives who decides; exclusive: held while it is asked. clocks: seconds by which cameras' clocks are
    ahead. clock: Unix seconds. days: after how many alerts are deleted.
    """

    def __init__(
        self,
        gallery: Gallery,
        identities: Callable[[], OnlineIdentities],
        *,
        exclusive: AbstractContextManager[Any] | None = None,
        clocks: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.time,
        days: float | None = None,
    ) -> None:
        self._gallery, self._identities = gallery, identities
        self._exclusive = exclusive or nullcontext()
        self._clocks = dict(clocks or {})
        self._clock, self._days = clock, days
        self.lists = WatchLists(gallery, clock)
        self.alerts = Alerts(gallery, clock)
        self._lock = threading.RLock()
        self._tracks: dict[tuple[str, int], _Track] = {}
        # What ``in_view`` says of each source: never changed, but replaced.
        self._views: dict[str, dict[int, tuple[str | None, float, bool]]] = {}
        # Stored tracks that have not been looked at yet, by content and number.
        self._unlooked: set[tuple[str, int]] = set()
        self._rules: list[Rule] = []
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._swept = -np.inf
        with gallery.read() as connection:
            self._seq = int(connection.execute(select(func.max(outbox.c.seq))).scalar() or 0)
            self._kept_seq = connection.execute(select(looked.c.seq)).scalar()
        if self._kept_seq is not None and any(rule.active for rule in self.lists.rules()):
            # Whoever looked before this was killed, or ended, may not have come to everybody.
            self._seq = self._kept_seq
        self.reload()
        self.settle()

    def reload(self) -> None:
        """Take over lists and rules as they are now."""
        with self._lock:
            self._rules = [rule for rule in self.lists.rules() if rule.active]
            self._read_entries()
            self._keep_seq()

    def wants(self, source: str) -> bool:
        """Whether a rule may hold at a source."""
        return any(rule.about(source) for rule in self._rules)

    @property
    def watching(self) -> bool:
        """Whether there is any rule that holds."""
        return bool(self._rules)

    def in_view(self, source: str) -> Mapping[int, tuple[str | None, float, bool]]:
        """Track → who it most likely is, how probable that is, and whether there is an alert about it; of the tracks
        of a source that are open. Waits for nobody."""
        return self._views.get(source, {})

    def saw(self, sightings: Iterable[Sighting]) -> list[str]:
        """Look at what is in view; ids of the alerts that were raised."""
        raised = []
        with self._lock:
            self._sweep()
            for sighting in sightings:
                raised += self._look(sighting)
                self._show(sighting)
        return raised

    def _forget(self, sighting: Sighting) -> None:
        """Tracks of whose end nobody told: of what a source read before, or in which nobody was interested any more."""
        gone = [
            key
            for key, track in self._tracks.items()
            if track.source == sighting.source
            and (key[0] != sighting.content or sighting.media - track.media > _FORGOTTEN)
        ]
        for key in gone:
            del self._tracks[key]
            left = self._views.get(sighting.source, {})
            self._views[sighting.source] = {number: said for number, said in left.items() if number != key[1]}

    def _show(self, sighting: Sighting) -> None:
        """What ``in_view`` says of a track from now on."""
        view = dict(self._views.get(sighting.source, {}))
        track = self._tracks.get((sighting.content, sighting.track))
        if track is None or track.recognised is None:
            view.pop(sighting.track, None)
        else:
            known = track.recognised.people
            likeliest = max(known, key=known.__getitem__, default=None)
            sure = known[likeliest] if likeliest is not None else 0.0
            view[sighting.track] = (likeliest, sure, track.alert)
        self._views[sighting.source] = view

    def _look(self, sighting: Sighting) -> list[str]:
        key = sighting.content, sighting.track
        if key not in self._tracks:
            self._forget(sighting)
            with self._gallery.read() as connection:
                # Who looked before this was killed, or ended, may have said something of it.
                own = self.alerts.of_track(connection, *key)
            there = any(row.state != WITHDRAWN for row in own)
            self._tracks[key] = _Track(sighting.source, said=_said(own), alert=there)
        track = self._tracks[key]
        track.media = sighting.media
        crops_now = len(sighting.quality), float(sighting.quality.sum())
        if crops_now != track.looked:
            view = InView(
                *(sighting.source, sighting.start_wall, sighting.wall, sighting.vectors, sighting.quality),
            )
            track.recognised, track.looked = self._recognise(view), crops_now
        assert track.recognised is not None
        raised = []
        for rule in self._rules:
            if rule.id in track.said or not rule.covers(sighting.source, sighting.wall):
                continue
            hasty = len(sighting.quality) < _CROPS and sighting.seconds < _SECONDS
            if rule.settings.who is Who.UNKNOWN and hasty:
                continue
            finding = self._holds(rule, track.recognised, sighting.zones, sighting.seconds)
            if finding is None:
                continue
            track.said.add(rule.id)
            where = Where(
                *(sighting.source, sighting.content, sighting.track, sighting.start_media, sighting.media),
                sighting.wall,
                frame=sighting.frame,
                crop=sighting.crop,
                box=sighting.frame_box,
            )
            alert = self.alerts.raise_(rule, where, finding)
            if alert is not None:
                track.alert = True
                raised.append(alert)
        if sighting.ended:
            # At the very end: who is looked at again because something failed has said what they said.
            del self._tracks[key]
        return raised

    def _recognise(self, view: InView, *, timed: bool = True) -> Recognised:
        """Who somebody may be, of everybody known and every photo on a list. timed: they are not stored yet, so that
        whoever was seen elsewhere in that time is somebody else."""
        photos = [entry for held in self._entries.values() for entry in held if entry.vector is not None]
        identities = self._identities()
        with self._exclusive:
            decider = identities.decider
            seen = seen_of(decider, view, self._clocks.get(view.source, 0.0))
            decision = decider.decide(seen, timed=timed)
            vectors = np.stack([entry.vector for entry in photos if entry.vector is not None]) if photos else None
            # When a photo was taken nobody says; it is no younger than its place on the list.
            taken = np.array([entry.created for entry in photos], np.float64)
            shown = photos_shown(decider, vectors, taken, seen, decision) if vectors is not None else []
        photo_of = dict(zip([e.id for e in photos], shown, strict=True))
        return Recognised(dict(decision.candidates), dict(decision.cautious), photo_of)

    def _holds(self, rule: Rule, recognised: Recognised, zones: Mapping[str, float], in_view: float) -> Finding | None:
        """Whether a rule holds for somebody. zones: seconds in each, in_view: seconds in all."""
        wanted = rule.settings
        seconds = in_view if wanted.zone is None else zones.get(wanted.zone)
        if seconds is None or seconds < wanted.dwell:
            return None
        finding = self._who(rule, recognised)
        if finding.probability < rule.needed:
            return None
        return Finding(finding.probability, finding.person, finding.entry, wanted.zone, seconds)

    def _who(self, rule: Rule, recognised: Recognised) -> Finding:
        """How probable it is that somebody is whom a rule is about, and who they are then."""
        if rule.settings.who is Who.ANYBODY:
            return Finding(1.0)
        held = self._entries.get(rule.list or "", ())
        photos = {entry.id: recognised.photos.get(entry.id, 0.0) for entry in held if entry.vector is not None}
        if rule.settings.who is Who.UNKNOWN:
            known = {entry.person for entry in held if entry.person} if rule.list else self._named()
            likely = sum(p for person, p in recognised.people.items() if person in known)
            return Finding(max(0.0, 1.0 - max(min(likely, 1.0), max(photos.values(), default=0.0))))
        by_person = {entry.person: entry.id for entry in held if entry.person is not None}
        listed = {person: p for person, p in recognised.surely.items() if person in by_person}
        likely = min(sum(listed.values()), 1.0)
        best = max(photos, key=photos.__getitem__, default=None)
        if best is not None and photos[best] > likely:
            return Finding(photos[best], None, best)
        if not listed:
            return Finding(0.0)
        person = max(listed, key=listed.__getitem__)
        return Finding(likely, person, by_person[person])

    # -- when it is decided who it was

    def settle(self) -> None:
        """Look again at whoever was stored, or not worth storing, since this was last asked.

        Whoever could not be looked at is looked at the next time; the others are all the same.
        """
        with self._lock:
            self._note_stored()
            if self._rules:
                self._read_entries()
            with self._gallery.read() as connection:
                waiting = {(row.content, int(row.track)) for row in self.alerts.unsettled(connection)}
            failure: Exception | None = None
            for content, track in sorted(waiting | self._unlooked):
                try:
                    self._settle(content, track, self._rules)
                    self._unlooked.discard((content, track))
                except Exception as error:  # noqa: BLE001 - of whatever kind, it is raised when the others are done
                    failure = error
            if failure is not None:
                raise failure
            self._keep_seq()

    def _keep_seq(self) -> None:
        """Note how far it was looked at, for whoever looks after this."""
        seq = self._seq if self._rules else None
        if seq == self._kept_seq or (self._unlooked and self._kept_seq is not None):
            return
        with self._gallery.write() as connection:
            connection.execute(delete(looked))
            if seq is not None:
                connection.execute(insert(looked).values(seq=seq))
        self._kept_seq = seq

    def _note_stored(self) -> None:
        """Take note of tracks with tracklets that were given a person since this was last asked."""
        while events := events_after(self._gallery, self._seq):
            if self._rules:
                stored = [e.payload.get("tracklet") for e in events if e.kind == "TrackletStored"]
                self._unlooked |= self._tracks_of([id for id in stored if id is not None])
            self._seq = events[-1].seq

    def _tracks_of(self, ids: Sequence[str]) -> set[tuple[str, int]]:
        found = set()
        with self._gallery.read() as connection:
            for some in in_chunks(ids):
                query = select(tracklets.c.content, tracklets.c.track_id).where(tracklets.c.id.in_(some))
                found |= {(row.content, _number(row.track_id)) for row in connection.execute(query)}
        return found

    def _settle(self, content: str, track: int, rules: Sequence[Rule]) -> None:
        with self._gallery.read() as connection:
            parts = self._parts(connection, content, track)
            own = self.alerts.of_track(connection, content, track)
            if not parts:
                why = self._why_nothing(connection, content, track)
                parts_wait = why is None
            else:
                why, parts_wait = None, any(part.person is None for part in parts)
        if parts_wait:
            return
        waiting = {row.rule: row for row in own if row.state == RAISED}
        if why is not None:
            for row in waiting.values():
                self.alerts.withdraw(row.id, why)
            return
        recognised = [self._as_decided(part) for part in parts]
        said = _said(own)
        for rule in rules:
            if not any(rule.covers(part.source, wall) for part in parts for wall in (part.start_wall, part.end_wall)):
                continue
            found = [
                (part, finding)
                for part, who in zip(parts, recognised, strict=True)
                if (finding := self._holds(rule, who, part.zones, part.seconds)) is not None
            ]
            alert = waiting.pop(rule.id, None)
            if found:
                part, finding = max(found, key=lambda one: one[1].probability)
                if alert is not None:
                    self.alerts.confirm(alert.id, part.id, finding.person or part.person, finding.probability)
                elif rule.id not in said:
                    self._late(rule, part, finding, track)
            elif alert is not None:
                reason = _KNOWN if rule.settings.who is Who.UNKNOWN else _NOT_LISTED
                self.alerts.withdraw(alert.id, reason, parts[0].id)
        for row in waiting.values():
            # Of a rule that holds no more: what it raised stays.
            self.alerts.confirm(row.id, parts[0].id, row.person or parts[0].person, row.probability)

    def _late(self, rule: Rule, part: _Part, finding: Finding, track: int) -> None:
        """What was not sure enough while somebody was in view, and is now."""
        where = Where(
            *(part.source, part.content, track, part.start_media, part.end_media, part.end_wall),
            tracklet=part.id,
            crop=part.crop,
        )
        found = Finding(
            finding.probability, finding.person or part.person, finding.entry, finding.zone, finding.seconds
        )
        self.alerts.raise_(rule, where, found)

    def _as_decided(self, part: _Part) -> Recognised:
        """Who a stored tracklet was decided to be, and whether photos show them."""
        if part.candidate is not None:
            probable = {part.candidate: part.chance}
        else:
            probable = {part.person or "": part.probability}
        if not any(entry.vector is not None for held in self._entries.values() for entry in held):
            return Recognised(probable, probable)
        view = InView(part.source, part.start_wall, part.end_wall, part.vector[None], np.ones(1, np.float32))
        return Recognised(probable, probable, self._recognise(view, timed=False).photos)

    def _parts(self, connection: Connection, content: str, track: int) -> list[_Part]:
        """What is stored of a track, with whom it was given; not yet given: no person."""
        other = members.alias()
        query = (
            select(
                tracklets,
                *(members.c.person, members.c.probability, members.c.chance, other.c.person.label("may_be")),
                *(embeddings.c.vector, crops.c.jpeg),
            )
            .outerjoin(members, members.c.tracklet == tracklets.c.id)
            .outerjoin(other, other.c.tracklet == members.c.candidate)
            .join(embeddings, embeddings.c.seq == tracklets.c.seq)
            .outerjoin(crops, crops.c.seq == tracklets.c.seq)
            .where(tracklets.c.content == content, tracklets.c.track_id == _stored_number(track))
            .order_by(tracklets.c.part)
        )
        found = []
        for row in connection.execute(query):
            lengths: dict[str, float] = {}
            for stay in connection.execute(select(stays).where(stays.c.seq == row.seq)):
                lengths[stay.zone] = max(lengths.get(stay.zone, 0.0), stay.end_media - stay.start_media)
            found.append(
                _Part(
                    *(row.id, row.source, row.content, row.start_media, row.end_media, row.start_wall, row.end_wall),
                    *(row.person, row.probability or 0.0, row.may_be, row.chance or 0.0, lengths),
                    np.frombuffer(row.vector, "<f4").astype(np.float32),
                    row.jpeg,
                )
            )
        return found

    def _why_nothing(self, connection: Connection, content: str, track: int) -> str | None:
        """Why a track was not stored, in words; None: it may still be."""
        query = select(left_out.c.why).where(
            left_out.c.content == content, left_out.c.track_id == _stored_number(track)
        )
        row = connection.execute(query).first()
        if row is not None:
            return _WHY[LeftOutReason(row.why)]
        c = recordings.c
        row = connection.execute(select(c.state, c.live, c.reader).where(c.content == content)).one_or_none()
        if row is None:
            return None if (content, track) in self._tracks else _LOST
        # What a worker has left unfinished another one reads from its beginning.
        again = row.state == State.STOPPED.value and row.reader is not None and not row.live
        return None if row.state == State.RUNNING.value or again else _LOST

    def _named(self) -> set[str]:
        """People with a name."""
        with self._gallery.read() as connection:
            return set(connection.execute(select(people.c.id).where(people.c.name != "")).scalars())

    def _read_entries(self) -> None:
        self._entries = {one.id: one.entries for one in self.lists.all()}

    def _sweep(self) -> None:
        """What has run out goes: photos, lists that have ended, old alerts."""
        if self._clock() - self._swept < _SWEEP_EVERY:
            return
        self._swept = self._clock()
        self.lists.sweep()
        if self._days is not None:
            self.alerts.trim(self._days)
        self.reload()


@dataclass(frozen=True, slots=True)
class _Part:
    """A stored tracklet. person, probability: whose it is; may_be, chance: whose it may be instead."""

    id: str
    source: str
    content: str
    start_media: float
    end_media: float
    start_wall: float
    end_wall: float
    person: str | None
    probability: float
    candidate: str | None
    chance: float
    zones: Mapping[str, float]
    vector: FloatArray
    crop: bytes | None

    @property
    def seconds(self) -> float:
        return self.end_media - self.start_media


def _said(own: Sequence[Any]) -> set[str]:
    """Rules of which something was said of a track, by the rows of its alerts: what was lost and withdrawn for that is
    said anew when it is read again."""
    return {row.rule for row in own if row.reason != _LOST}


def _stored_number(track: int) -> int:
    return int(np.uint64(track).view(np.int64))


def _number(stored: int) -> int:
    return int(np.int64(stored).view(np.uint64))
