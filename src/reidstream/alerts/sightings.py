"""What is known of somebody while they are in view: events of an engine become sightings of open tracks.

A sighting holds everything that is known of the track by then, so that a newer one takes the place of one that nobody
has looked at yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from reidstream.config import TrackletConfig
from reidstream.regions import Zones
from reidstream.types import Event, FloatArray, Observed, SourceEnded, SourceStarted, TrackEnded

EVERY = 0.5
"""Seconds of media time between two sightings of a track of which nothing but its time is new."""
_KEPT = 8
"""Crops of a track, the best ones."""
_OUT = 1.0
"""Seconds that somebody is out of a zone before they have left it: boxes tremble."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A camera's picture, JPEG, and where whom stood in it: by track, x1, y1, x2, y2 in parts of the picture."""

    jpeg: bytes
    boxes: Mapping[int, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody who is in view.

    source, content, track: whose. start_media, start_wall: when the track began; media, wall: now; seconds.
    box: x1, y1, x2, y2 in parts of the picture. vectors: float32 (m, d), unit length, of its best crops so far;
    quality: float32 (m,), 0..1. crop: the best one, JPEG. zones: for how many seconds it is in which. frame: the
    camera's picture, JPEG, if there is one, and frame_box: where it is in that. ended: the track is over.
    start_frame: its first frame.
    """

    source: str
    content: str
    track: int
    start_media: float
    start_wall: float
    media: float
    wall: float
    box: tuple[float, float, float, float]
    vectors: FloatArray
    quality: FloatArray
    crop: bytes | None = field(default=None, repr=False)
    zones: Mapping[str, float] = field(default_factory=dict)
    frame: bytes | None = field(default=None, repr=False)
    frame_box: tuple[float, float, float, float] | None = None
    ended: bool = False
    start_frame: int = 0

    @property
    def seconds(self) -> float:
        """How long it is in view."""
        return self.media - self.start_media


@dataclass(slots=True)
class _Open:
    """A track that goes on. zones: since when it is in which, and when it was last, media time. moment: the newest
    picture that shows it."""

    start_media: float
    start_wall: float
    start_frame: int
    observations: int = 0
    media: float = 0.0
    wall: float = 0.0
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    quality: list[float] = field(default_factory=list)
    vectors: list[FloatArray] = field(default_factory=list)
    crops: list[bytes | None] = field(default_factory=list)
    zones: dict[str, tuple[float, float]] = field(default_factory=dict)
    moment: Moment | None = None
    told: float = -np.inf
    fresh: bool = False

    def sample(self, quality: float, vector: FloatArray, crop: bytes | None) -> None:
        """Take a crop, if it is one of the best."""
        if len(self.quality) == _KEPT:
            worst = int(np.argmin(self.quality))
            if self.quality[worst] >= quality:
                return
            for values in (self.quality, self.vectors, self.crops):
                del values[worst]
        self.quality.append(quality)
        self.vectors.append(vector)
        self.crops.append(crop)
        self.fresh = True


@dataclass(slots=True)
class _Source:
    content: str
    size: tuple[int, int]
    zones: Zones | None
    tracks: dict[int, _Open] = field(default_factory=dict)


class OpenTracks:
    """Sightings out of events. zones: of sources, by id. frame: gives the picture at a frame of a source, if any."""

    def __init__(
        self,
        config: TrackletConfig,
        zones: Mapping[str, Zones] | None = None,
        frame: Callable[[str, int], Moment | None] = lambda _source, _frame: None,
    ) -> None:
        self._config, self._zones, self._frame = config, dict(zones or {}), frame
        self._sources: dict[str, _Source] = {}

    def take(self, event: Event, wanted: bool) -> list[Sighting]:
        """What is new of the tracks of the event's source. wanted: whether anybody asks; else nothing is collected."""
        if isinstance(event, SourceStarted):
            self._sources[event.source] = _Source(event.content, event.size, self._zones.get(event.source))
            return []
        source = self._sources.get(event.source)
        if source is None:
            return []
        if isinstance(event, SourceEnded):
            ended = [self._sighting(event.source, source, track, one, True) for track, one in source.tracks.items()]
            del self._sources[event.source]
            return [one for one in ended if one is not None]
        if isinstance(event, TrackEnded):
            gone = source.tracks.pop(event.track_id, None)
            found = None if gone is None else self._sighting(event.source, source, event.track_id, gone, True)
            return [] if found is None else [found]
        if not wanted:
            # Who comes into view meanwhile is new to whoever asks later.
            source.tracks.clear()
            return []
        return self._observe(event, source)

    def _observe(self, event: Observed, source: _Source) -> list[Sighting]:
        ids = event.track_ids.tolist()
        width, height = source.size
        boxes = np.clip(event.boxes / np.array([width, height, width, height], np.float32), 0, 1).tolist()
        for track, box in zip(ids, boxes, strict=True):
            one = source.tracks.get(track)
            if one is None:
                one = source.tracks[track] = _Open(event.media_time, event.wall_time, event.frame)
            one.observations += 1
            one.media, one.wall = event.media_time, event.wall_time
            one.box = (box[0], box[1], box[2], box[3])
        if source.zones and ids:
            for name, inside in source.zones.holding(event.boxes, source.size).items():
                for track, there in zip(ids, inside.tolist(), strict=True):
                    self._stand(source.tracks[track], name, there, event.media_time)
        if event.samples is not None:
            samples = event.samples
            for k, row in enumerate(samples.rows.tolist()):
                if samples.quality[k] >= self._config.min_quality:
                    crop = samples.crops[k] if samples.crops else None
                    source.tracks[ids[row]].sample(float(samples.quality[k]), samples.embeddings[k], crop)
        moment = self._frame(event.source, event.frame)
        found = []
        for track in ids:
            one = source.tracks[track]
            if moment is not None and track in moment.boxes:
                one.moment = moment
            if one.fresh or event.media_time - one.told >= EVERY:
                sighting = self._sighting(event.source, source, track, one, False)
                if sighting is not None:
                    one.told, one.fresh = event.media_time, False
                    found.append(sighting)
        return found

    @staticmethod
    def _stand(one: _Open, name: str, there: bool, now: float) -> None:
        since, last = one.zones.get(name, (now, now))
        if there:
            one.zones[name] = (since, now)
        elif name in one.zones and now - last >= _OUT:
            del one.zones[name]

    def _sighting(self, name: str, source: _Source, track: int, one: _Open, ended: bool) -> Sighting | None:
        """None for a track that would not be stored yet, or of which there is no crop."""
        short = one.observations < self._config.min_observations
        if short or one.media - one.start_media < self._config.min_seconds or not one.vectors:
            return None
        best = int(np.argmax(one.quality))
        return Sighting(
            *(name, source.content, track, one.start_media, one.start_wall, one.media, one.wall, one.box),
            np.stack(one.vectors),
            np.array(one.quality, np.float32),
            one.crops[best],
            {zone: last - since for zone, (since, last) in one.zones.items()},
            None if one.moment is None else one.moment.jpeg,
            None if one.moment is None else one.moment.boxes[track],
            ended,
            one.start_frame,
        )
