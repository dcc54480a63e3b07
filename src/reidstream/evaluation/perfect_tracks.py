"""An engine that knows the truth: real frames and real embeddings on labelled boxes and identities.

What a gallery loses with it, identities lose; what it loses beyond that with a real engine, detection and tracking do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.sampling import CropSampler, FrameCrops
from reidstream.inference import Embedder
from reidstream.sources import open_source
from reidstream.tracking import Tracks
from reidstream.types import (
    Detections,
    EmbeddingSpace,
    EndReason,
    Event,
    FloatArray,
    IntArray,
    Observed,
    SourceEnded,
    TrackEnded,
)

# Each leave-and-return of a person is a track of its own: person * this + number of the visit.
VISITS = 1000


@dataclass(frozen=True, slots=True)
class LabelledBoxes:
    """The truth of one camera: frames int64 (n,) from 0, persons int64 (n,), boxes float32 (n, 4) xyxy pixels,
    visible float32 (n,) in 0..1."""

    frames: IntArray
    persons: IntArray
    boxes: FloatArray
    visible: FloatArray


class PerfectTracks:
    """Gives each labelled person one track per visit; see Engine for the contract. Sources run one after another.

    A visit ends when the person is not labelled, or less than ``min_visible`` visible, for the tracker's time-out.
    """

    def __init__(
        self,
        config: Config,
        sources: Sequence[tuple[str, SourceConfig, LabelledBoxes]],
        embedder: Embedder,
        min_visible: float = 0.25,
    ) -> None:
        self._config = config
        self._sources = list(sources)
        self._embedder = embedder
        self._min_visible = min_visible
        self._status = EngineStatus()
        self._stopped = False

    @property
    def space(self) -> EmbeddingSpace:
        return self._embedder.space

    @property
    def status(self) -> EngineStatus:
        return self._status

    def stop(self) -> None:
        self._stopped = True

    def events(self) -> Iterator[Event]:
        for source_id, source, truth in self._sources:
            yield from self._source(source_id, source, truth)

    def _source(self, source_id: str, config: SourceConfig, truth: LabelledBoxes) -> Iterator[Event]:
        visits: dict[int, int] = {}
        last_seen: dict[int, float] = {}
        frames = 0
        with open_source(config, source_id) as source:
            started = source.started()
            yield started
            sampler = CropSampler(self._config.embedding, started.size)
            limit = np.array([*started.size, *started.size], np.float32)
            for frame in source:
                if self._stopped:
                    break
                rows = np.flatnonzero((truth.frames == frame.index) & (truth.visible >= self._min_visible))
                ended = [p for p, seen in last_seen.items() if frame.media_time - seen > self._config.tracker.timeout]
                for person in ended:
                    del last_seen[person]
                    yield self._end(source_id, sampler, _track(person, visits[person]), EndReason.LOST)
                for person in truth.persons[rows].tolist():
                    if person not in last_seen:
                        visits[person] = visits.get(person, -1) + 1
                    last_seen[person] = frame.media_time
                boxes = np.clip(truth.boxes[rows], 0, limit)
                tracks = Tracks(
                    _ids([_track(p, visits[p]) for p in truth.persons[rows].tolist()]),
                    boxes,
                    np.ones(len(rows), np.float32),
                    np.arange(len(rows)),
                )
                crops = FrameCrops(frame.picture, Detections(boxes, tracks.confidences), self._embedder)
                samples = sampler.sample(crops, tracks, frame.media_time)
                frames += 1
                yield Observed(
                    source_id,
                    frame.index,
                    frame.media_time,
                    frame.wall_time,
                    tracks.track_ids,
                    boxes,
                    tracks.confidences,
                    None if samples is None else samples.finished(),
                )
        for person in last_seen:
            yield self._end(source_id, sampler, _track(person, visits[person]), EndReason.SOURCE_ENDED)
        yield SourceEnded(source_id, frames, time.time(), stopped=self._stopped)

    def _end(self, source_id: str, sampler: CropSampler, track_id: int, reason: EndReason) -> TrackEnded:
        sampler.forget(track_id)
        return TrackEnded(source_id, track_id, reason)


def person_of(track_id: int) -> int:
    """The person whose visit a perfect track is."""
    return track_id // VISITS


def _track(person: int, visit: int) -> int:
    return person * VISITS + visit


def _ids(tracks: list[int]) -> npt.NDArray[np.uint64]:
    return np.array(tracks, np.uint64)
