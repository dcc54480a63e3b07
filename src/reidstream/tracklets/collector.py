"""Events in, finished tracklets out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from reidstream.config import TrackletConfig
from reidstream.tracklets.held import HeldCrops, best_crop, more_crops
from reidstream.tracklets.observations import ObservationLog, TrackPath
from reidstream.tracklets.places import Stay, StillPlaces
from reidstream.tracklets.pooling import pool, seam
from reidstream.tracklets.second_look import SecondLook
from reidstream.tracklets.spread import spread
from reidstream.tracklets.stillness import is_thing
from reidstream.types import (
    EndReason,
    Event,
    FloatArray,
    IntArray,
    LeftOut,
    LeftOutReason,
    Observed,
    SourceEnded,
    SourceStarted,
    TrackEnded,
    Tracklet,
)

# The path of a tracklet is kept with at most this many points, so that a day-long track stays small.
_PATH_POINTS = 2048

# Least part of the frames in which the detector found anybody that has to show this track. What is predicted for the
# rest is a place where nobody was found: two people as one box, a box between two, or somebody hidden.
_DETECTED = 0.5


@dataclass(slots=True)
class _OpenTrack:
    start_media: float
    samples: HeldCrops = field(default_factory=HeldCrops)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A finished tracklet of somebody who stayed at one place, and may be found to be a thing; until: media seconds."""

    tracklet: Tracklet
    left_out: LeftOut
    stay: Stay
    until: float


@dataclass(slots=True)
class _OpenSource:
    started: SourceStarted
    places: StillPlaces
    log: ObservationLog = field(default_factory=ObservationLog)
    tracks: dict[int, _OpenTrack] = field(default_factory=dict)
    waiting: list[_Waiting] = field(default_factory=list)
    oldest: float = float("inf")


@dataclass(slots=True)
class CollectorCounts:
    """What became of the tracks: finished tracklets, and tracks that were split because they held more than one person.

    Not stored, and counted for the first reason that holds: tracks (or parts of one that was split) that were too
    short; without a usable crop; guessed: predicted rather than detected; still: of a thing that never moved;
    no_person: of something whose pictures are not those of a person.
    """

    tracklets: int = 0
    too_short: int = 0
    without_embedding: int = 0
    guessed: int = 0
    still: int = 0
    no_person: int = 0
    split: int = 0


_COUNTED = {
    LeftOutReason.TOO_SHORT: "too_short",
    LeftOutReason.NO_CROP: "without_embedding",
    LeftOutReason.GUESSED: "guessed",
    LeftOutReason.THING: "still",
    LeftOutReason.NO_PERSON: "no_person",
}


class TrackletCollector:
    """Collects what is observed of each track and pools it when the track ends.

    The events of one source must come in order; different sources may be interleaved in any way without a change
    in the result. ``kept``: embedded crops pooled per tracklet, at most. second_look: tells people from things where
    the embedding space is one that it knows; believed: sources of which it is not asked, as somebody else says who is a
    person there.
    """

    def __init__(
        self,
        config: TrackletConfig,
        kept: int = 8,
        second_look: SecondLook | None = None,
        believed: Collection[str] = (),
    ) -> None:
        self._config = config
        self._believed = frozenset(believed)
        self._second_look = second_look if config.second_look else None
        self._kept = kept
        self._sources: dict[str, _OpenSource] = {}
        self._left_out: list[LeftOut] = []
        self.counts = CollectorCounts()

    @property
    def open_tracks(self) -> int:
        """Tracks that have not ended yet."""
        return sum(len(source.tracks) for source in self._sources.values())

    def take(self, event: Event) -> list[Tracklet]:
        """The tracklets that are finished by this event, usually none.

        Raises ValueError for an event of a source that has not started.
        """
        if isinstance(event, SourceStarted):
            finished = self._finish_all(event.source, EndReason.SOURCE_ENDED)
            self._sources[event.source] = _OpenSource(event, StillPlaces(self._config.still_seconds))
            return finished
        if isinstance(event, SourceEnded):
            reason = EndReason.SHUTDOWN if event.stopped else EndReason.SOURCE_ENDED
            finished = self._finish_all(event.source, reason)
            self._sources.pop(event.source, None)
            return finished
        source = self._sources.get(event.source)
        if source is None:
            raise ValueError(f"{type(event).__name__} of source {event.source!r}, which has not started")
        if isinstance(event, TrackEnded):
            return self._finish(source, event.track_id, event.reason)
        self._observe(source, event)
        return self._released(source, event.media_time) + self._cut_long(source, event)

    def left_out(self) -> list[LeftOut]:
        """What was not worth storing since this was last asked, in the order in which it ended."""
        found, self._left_out = self._left_out, []
        return found

    def finish(self) -> list[Tracklet]:
        """End every open track, for an event stream that broke off."""
        return [t for name in list(self._sources) for t in self._finish_all(name, EndReason.SHUTDOWN)]

    def unfinished(self, name: str) -> list[Tracklet]:
        """What the open tracks of a source would be if they ended now (``shutdown``); nothing changes by asking.

        What would not be worth storing is not among them.
        """
        source = self._sources.get(name)
        if source is None:
            return []
        found = [one.tracklet for one in source.waiting if not one.stay.thing]
        for track_id, track in source.tracks.items():
            path, looked = self._path(source, track_id, track)
            if self._why_not_as_a_whole(track, path) is not None:
                continue
            # Parts of a track that stays whole would be pooled out of its own lists.
            parts = self._parts(track.samples.copy(), path)
            for number, (samples, piece) in enumerate(parts):
                if self._why_not(source, samples, piece, looked, over=False)[0] is None:
                    of = (source.started, track_id, EndReason.SHUTDOWN, number, len(parts))
                    found.append(self._tracklet(*of, samples, piece))
        return found

    def _look_at_open_tracks(self, source: _OpenSource) -> None:
        """Find out which of those that wait are things by what stands at their places now."""
        for track_id, track in source.tracks.items():
            if track.samples.times:
                path, _ = self._path(source, track_id, track)
                for stay in source.places.known_by(path, track.samples):
                    stay.thing = True

    def _observe(self, source: _OpenSource, event: Observed) -> None:
        source.log.append(event)
        ids = event.track_ids.tolist()
        for track_id in ids:
            track = source.tracks.get(track_id)
            if track is None:
                track = source.tracks[track_id] = _OpenTrack(event.media_time)
                source.oldest = min(source.oldest, event.media_time)
        if event.samples is not None:
            self._sample(source, event, ids)

    def _sample(self, source: _OpenSource, event: Observed, ids: list[int]) -> None:
        samples = event.samples
        assert samples is not None
        for k, row in enumerate(samples.rows.tolist()):
            track = source.tracks[ids[row]]
            held = track.samples
            held.frames.append(event.frame)
            held.times.append(event.media_time)
            held.quality.append(float(samples.quality[k]))
            held.embeddings.append(samples.embeddings[k])
            held.boxes.append(event.boxes[row])
            held.crops.append(samples.crops[k] if samples.crops else None)
            if len(held.times) > 6 * self._kept:
                held.keep(spread(np.array(held.times), np.array(held.quality), 3 * self._kept).tolist())

    def _cut_long(self, source: _OpenSource, event: Observed) -> list[Tracklet]:
        if event.media_time - source.oldest <= self._config.max_seconds:
            return []
        finished = []
        for track_id, track in list(source.tracks.items()):
            if event.media_time - track.start_media > self._config.max_seconds:
                finished += self._finish(source, track_id, EndReason.CONTINUES)
        source.oldest = min((t.start_media for t in source.tracks.values()), default=float("inf"))
        return finished

    def _finish_all(self, name: str, reason: EndReason) -> list[Tracklet]:
        source = self._sources.get(name)
        if source is None:
            return []
        finished = [t for track_id in list(source.tracks) for t in self._finish(source, track_id, reason)]
        return self._released(source, float("inf")) + finished

    def _released(self, source: _OpenSource, now: float) -> list[Tracklet]:
        """The tracklets that have waited long enough and are still of people."""
        if not source.waiting or source.waiting[0].until > now:
            return []
        self._look_at_open_tracks(source)
        over = [one for one in source.waiting if one.until <= now]
        source.waiting = [one for one in source.waiting if one.until > now]
        people = [one.tracklet for one in over if not one.stay.thing]
        for one in over:
            if one.stay.thing:
                self._note(one.left_out)
        self.counts.tracklets += len(people)
        return people

    def _finish(self, source: _OpenSource, track_id: int, reason: EndReason) -> list[Tracklet]:
        track = source.tracks.pop(track_id, None)
        if track is None:
            # It ended before it was confirmed, or was cut as too long and not seen again since.
            return []
        path, looked = self._path(source, track_id, track)
        source.log.forget_before(min((t.start_media for t in source.tracks.values()), default=float("inf")))
        if (whole := self._why_not_as_a_whole(track, path)) is not None:
            self._note(_left_out(source.started, track_id, 0, whole, path, track.samples))
            return []
        parts = self._parts(track.samples, path)
        self.counts.split += len(parts) > 1
        finished = []
        for number, (samples, piece) in enumerate(parts):
            why, stay = self._why_not(source, samples, piece, looked)
            out = _left_out(source.started, track_id, number, why or LeftOutReason.THING, piece, samples)
            if why is not None:
                self._note(out)
                continue
            tracklet = self._tracklet(source.started, track_id, reason, number, len(parts), samples, piece)
            if stay is not None and stay.waits:
                until = float(piece.media[-1]) + source.places.patience
                source.waiting.append(_Waiting(tracklet, out, stay, until))
            else:
                finished.append(tracklet)
        self.counts.tracklets += len(finished)
        return finished

    def _path(self, source: _OpenSource, track_id: int, track: _OpenTrack) -> tuple[TrackPath, IntArray]:
        """Where a track was, and the frames since its beginning in which anybody was detected."""
        path = source.log.path(track_id, track.start_media).to_last_detection()
        return path, source.log.detected(track.start_media)

    def _why_not_as_a_whole(self, track: _OpenTrack, path: TrackPath) -> LeftOutReason | None:
        """Why nothing of a track is worth storing; None when its parts have to be looked at."""
        seconds = path.media[-1] - path.media[0]
        if len(path) < self._config.min_observations or seconds < self._config.min_seconds:
            return LeftOutReason.TOO_SHORT
        return None if track.samples.times else LeftOutReason.NO_CROP

    def _why_not(
        self, source: _OpenSource, samples: HeldCrops, path: TrackPath, looked: IntArray, over: bool = True
    ) -> tuple[LeftOutReason | None, Stay | None]:
        """Why a part of a track is not worth storing; None when it is. And its stay, if it never left its place.

        over: whether the track is, and what was at its place can be remembered.
        """
        if max(samples.quality) < self._config.min_quality:
            return LeftOutReason.NO_CROP, None
        found = int((path.confidences >= 0).sum())
        first, last = np.searchsorted(looked, [path.frames[0], path.frames[-1] + 1]).tolist()
        if found < _DETECTED * (last - first):
            return LeftOutReason.GUESSED, None
        long = path.media[-1] - path.media[0] >= self._config.still_seconds
        thing = long and is_thing(path, samples.times, samples.boxes, samples.crops)
        stay = source.places.stay(path, samples, remembers=over)
        if thing or (stay is not None and stay.thing):
            return LeftOutReason.THING, stay
        look = None if source.started.source in self._believed else self._second_look
        if look is not None and look.says_thing(np.stack(samples.embeddings), np.stack(samples.boxes)):
            return LeftOutReason.NO_PERSON, stay
        return None, stay

    def _note(self, left_out: LeftOut) -> None:
        name = _COUNTED[left_out.why]
        setattr(self.counts, name, getattr(self.counts, name) + 1)
        self._left_out.append(left_out)

    def _parts(self, samples: HeldCrops, path: TrackPath) -> list[tuple[HeldCrops, TrackPath]]:
        """The track as one part, or as several when its embeddings fall into groups in time."""
        cut = None
        if self._config.split:
            cut = seam(np.stack(samples.embeddings), np.array(samples.quality, np.float32))
        if cut is None:
            return [(samples, path)]
        middle = (samples.times[cut - 1] + samples.times[cut]) / 2
        before, after = HeldCrops(), HeldCrops()
        for side, rows in ((before, range(cut)), (after, range(cut, len(samples.times)))):
            for name in ("frames", "times", "quality", "embeddings", "boxes", "crops"):
                setattr(side, name, [getattr(samples, name)[i] for i in rows])
        earlier, later = path.split(middle)
        return self._parts(before, earlier) + self._parts(after, later)

    def _tracklet(
        self,
        started: SourceStarted,
        track_id: int,
        reason: EndReason,
        part: int,
        parts: int,
        samples: HeldCrops,
        path: TrackPath,
    ) -> Tracklet:
        seen = len(samples.times)
        samples.keep(spread(np.array(samples.times), np.array(samples.quality), self._kept).tolist())
        quality = np.array(samples.quality, np.float32)
        pooled = pool(np.stack(samples.embeddings), quality, self._config.prototypes)
        best = best_crop(samples, pooled)
        start = int(path.frames[0])
        thinned = path.thinned(_PATH_POINTS)
        return Tracklet(
            id=tracklet_id(started.content, track_id, start, part),
            source=started.source,
            content=started.content,
            track_id=track_id,
            part=part,
            parts=parts,
            start_frame=start,
            end_frame=int(path.frames[-1]),
            start_media=float(path.media[0]),
            end_media=float(path.media[-1]),
            start_wall=float(path.wall[0]),
            end_wall=float(path.wall[-1]),
            reason=reason,
            observations=len(path),
            confidence=path.confidence,
            embedding=pooled.embedding,
            prototypes=pooled.prototypes,
            prototype_weights=pooled.weights,
            embeddings_used=int(pooled.used.sum()),
            embeddings_seen=seen,
            purity=pooled.purity,
            quality=pooled.quality,
            frames=thinned.frames,
            boxes=thinned.boxes,
            crop=samples.crops[best],
            crop_frame=samples.frames[best],
            crop_box=_box(samples.boxes[best]),
            more_crops=more_crops(samples, pooled, best, self._config.crops - 1),
        )


def _left_out(
    started: SourceStarted, track_id: int, part: int, why: LeftOutReason, path: TrackPath, samples: HeldCrops
) -> LeftOut:
    start = int(path.frames[0])
    return LeftOut(
        id=tracklet_id(started.content, track_id, start, part),
        source=started.source,
        content=started.content,
        track_id=track_id,
        part=part,
        why=why,
        start_frame=start,
        end_frame=int(path.frames[-1]),
        start_media=float(path.media[0]),
        end_media=float(path.media[-1]),
        start_wall=float(path.wall[0]),
        end_wall=float(path.wall[-1]),
        observations=len(path),
        confidence=path.confidence,
        quality=max(samples.quality, default=None),
        box=_box(np.median(path.boxes, axis=0).astype(np.float32)),
    )


def tracklet_id(content: str, track_id: int, start_frame: int, part: int) -> str:
    """32 hex digits that are the same whenever the same part of the same track of the same content is finished."""
    text = f"{content}\0{track_id}\0{start_frame}\0{part}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _box(values: FloatArray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = values.tolist()
    return x1, y1, x2, y2
