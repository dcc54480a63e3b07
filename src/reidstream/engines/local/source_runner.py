"""One source on its way through the local engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.sampling import CropSampler, FrameCrops, StartedSamples
from reidstream.errors import SourceError
from reidstream.foreign_text import storable
from reidstream.gpu.decoding import OnGpu
from reidstream.gpu.driver import Gpu
from reidstream.inference import BoxEmbedder, Detector, Embedder
from reidstream.regions import IgnoredRegions
from reidstream.sources import Source, open_source
from reidstream.sources.decoding import ON_PROCESSOR
from reidstream.sources.frame import Frame
from reidstream.sources.source import wrong_stamps
from reidstream.tracking import Tracker, Tracks
from reidstream.tracking.given import GivenBoxes, GivenTracks, given_boxes
from reidstream.tracking.scores import ScoreScale
from reidstream.types import (
    Detections,
    EndReason,
    Event,
    FloatArray,
    IntArray,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
)

Observer = Callable[[Frame, Observed], None]

# Detections of a frame, the best, that a GPU embeds before anybody asks.
_AHEAD = 16
# Frames of a file that may wait for vectors that a GPU is busy with.
_UNFINISHED = 8


@dataclass(frozen=True, slots=True)
class _Read:
    """A frame that was read, and its place in the batch that is being detected, if it is."""

    frame: Frame
    found: Future[list[_Found]] | None
    place: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What the detector found in a frame. kept: bool, which of its detections count; crops: of those that do."""

    kept: npt.NDArray[np.bool_]
    crops: FrameCrops


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame that is tracked, and the samples whose vectors are on their way."""

    frame: Frame
    tracks: Tracks
    samples: StartedSamples | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sources of one engine have in common.

    detector: None when every source comes with boxes of its own. failed: told of an error that the whole engine cannot
    survive. ended: told when a source is through. gpu: where video is decoded, None for the processor.
    alone: there is one source only.
    """

    config: Config
    detector: Detector | None
    embedder: Embedder
    pool: ThreadPoolExecutor
    out: Channel[Event]
    status: EngineStatus
    observer: Observer | None
    gpu: Gpu | None
    alone: bool
    failed: Callable[[BaseException], None]
    ended: Callable[[], None]


class SourceRunner:
    """Reads, detects, tracks and embeds one source; whatever happens to it, it ends with SourceEnded."""

    def __init__(self, source_id: str, config: SourceConfig, shared: Shared) -> None:
        self._id = source_id
        self._config = config
        self._given = given_boxes(config)
        self._shared = shared
        self._frames: Channel[SourceStarted | _Read] = Channel(shared.config.local.queue)
        self._stopping = threading.Event()
        self._source: Source | None = None
        self._ignored = IgnoredRegions(config.ignore)
        self._on_gpu = None if shared.gpu is None else OnGpu(shared.gpu)
        self._error: str | None = None
        self._reader = threading.Thread(target=self._read, name=f"read {source_id}", daemon=True)
        self._tracker = threading.Thread(target=self._track, name=f"track {source_id}", daemon=True)

    @property
    def id(self) -> str:
        """The source's id."""
        return self._id

    def start(self) -> None:
        self._shared.status.frames[self._id] = 0
        self._shared.status.dropped[self._id] = 0
        self._tracker.start()
        self._reader.start()

    def stop(self) -> None:
        """Read no more; what was read is finished."""
        self._stopping.set()
        source = self._source
        if source is not None:
            source.close()

    def join(self) -> None:
        # A thread that was never started (a failure between two starts) cannot be joined.
        for thread in (self._reader, self._tracker):
            if thread.ident is not None:
                thread.join()

    def _read(self) -> None:
        try:
            self._read_all()
        except SourceError as error:
            self._error = str(error)
        except Exception as error:  # noqa: BLE001 - a source must not take the others down, whatever it does
            self._error = f"reading failed: {type(error).__name__}: {error}"
        finally:
            if self._source is not None:
                self._source.close()
                self._warn(self._source)
            self._frames.close()

    def _read_all(self) -> None:
        with open_source(self._config, self._id, self._on_gpu or ON_PROCESSOR) as source:
            self._source = source
            if self._stopping.is_set():
                return
            started = source.started()
            if not self._frames.put(started):
                return
            batch: list[Frame] = []
            frames = iter(source)
            while not self._stopping.is_set():
                before = time.perf_counter()
                frame = next(frames, None)
                if not started.live:
                    # A camera decodes on a thread of its own; what passes here is waiting for its next frame.
                    self._shared.status.spend("decode", time.perf_counter() - before)
                self._shared.status.dropped[self._id] = source.dropped
                if frame is None:
                    break
                if self._given is None and frame.index % self._shared.config.detector.every:
                    self._submit(batch)
                    batch = []
                    self._frames.put(_Read(frame, None, 0))
                    continue
                batch.append(frame)
                if len(batch) >= self._shared.config.detector.batch:
                    self._submit(batch)
                    batch = []
            self._submit(batch)

    def _warn(self, source: Source) -> None:
        if source.skipped:
            self._shared.status.warn(f"{self._id}: {source.skipped} damaged frames were left out")
        if source.fitted:
            self._shared.status.warn(f"{self._id}: {source.fitted} frames had another picture size and were fitted")
        if source.mended:
            self._shared.status.warn(wrong_stamps(self._id, source.mended))
        if self._on_gpu is not None and self._on_gpu.on_processor:
            what = self._on_gpu.on_processor
            self._shared.status.warn(f"{self._id}: decoded on the processor, since the GPU does not decode it ({what})")

    def _submit(self, batch: list[Frame]) -> None:
        if not batch:
            return
        found = self._shared.pool.submit(self._detect, batch)
        for place, frame in enumerate(batch):
            if not self._frames.put(_Read(frame, found, place)):
                self._stopping.set()

    def _detect(self, batch: list[Frame]) -> list[_Found]:
        if self._given is not None:
            found = [self._given.detections(frame.index, frame.picture.size) for frame in batch]
        else:
            assert self._shared.detector is not None
            before = time.perf_counter()
            found = self._shared.detector.detect([frame.picture for frame in batch])
            self._shared.status.spend("detect", time.perf_counter() - before)
        return [self._counting(*pair) for pair in zip(batch, found, strict=True)]

    def _counting(self, frame: Frame, detections: Detections) -> _Found:
        """Leave out what does not count, and begin with what the tracker will ask for where that costs nothing."""
        kept: npt.NDArray[np.bool_] = np.ones(len(detections), bool)
        if len(detections):
            if self._given is not None:
                # What others found may lie outside of the picture.
                kept &= (detections.boxes[:, 2:] > detections.boxes[:, :2]).all(axis=1)
            if self._ignored:
                kept &= ~self._ignored.hold(detections.boxes, frame.picture.size)
        crops = FrameCrops(frame.picture, detections[kept], self._shared.embedder)
        tracker = self._shared.config.tracker
        ahead = self._shared.gpu is not None and isinstance(self._shared.embedder, BoxEmbedder)
        if ahead and self._shared.alone and tracker.appearance and self._given is None:
            # A tracker that has to wait for vectors of one frame before it sees the next keeps a GPU idle, unless
            # others keep it busy: one 1080p stream on an H200 went from 185 to 252 frames/s, fourteen from 655 to 468.
            crops.start(np.flatnonzero(crops.detections.scores >= tracker.low)[:_AHEAD])
        return _Found(kept, crops)

    def _track(self) -> None:
        stage = _Tracking(self._id, self._shared, self._given)
        frames = read = 0
        try:
            for item in self._frames:
                if isinstance(item, SourceStarted):
                    stage.begin(item)
                    continue
                stage.frame(item.frame, None if item.found is None else item.found.result()[item.place])
                frames += 1
                read = item.frame.index + 1
                self._shared.status.frames[self._id] = frames
        except (Exception, CancelledError) as error:  # noqa: BLE001 - reported to the engine, which stops
            self._error = self._error or f"{type(error).__name__}: {error}"
            self._shared.failed(error)
            self._stopping.set()
            self._frames.abandon()
        finally:
            stopped = self._stopping.is_set()
            stage.end(EndReason.SHUTDOWN if stopped else EndReason.SOURCE_ENDED)
            whole = not stopped and self._error is None and self._config.max_fps is None
            if self._given is not None and whole and (beyond := self._given.beyond(read)):
                file = self._config.tracks or self._config.detections
                self._shared.status.warn(f"{self._id}: {beyond} boxes of {file} lie behind the last frame, {read}")
            dropped = self._shared.status.dropped[self._id]
            error_text = None if self._error is None else storable(self._error)
            self._shared.out.put(SourceEnded(self._id, frames, time.time(), error_text, stopped, dropped))
            self._shared.ended()


class _Tracking:
    """The part of a source's chain that has state: tracker and sampler."""

    def __init__(self, source_id: str, shared: Shared, given: GivenBoxes | None = None) -> None:
        self._id = source_id
        self._shared = shared
        self._given = given
        self._tracker: Tracker | GivenTracks | None = None
        self._sampler: CropSampler | None = None
        self._scores = ScoreScale()
        self._unfinished: deque[_Seen] = deque()
        self._most_unfinished = 0

    def begin(self, started: SourceStarted) -> None:
        if self._given is not None and self._given.ids is not None:
            self._tracker = GivenTracks(self._given, started.size)
        else:
            self._tracker = Tracker(self._shared.config.tracker, started.size)
        self._sampler = CropSampler(self._shared.config.embedding, started.size)
        # Nobody waits for a file's events, but a camera's are wanted at once.
        self._most_unfinished = 0 if started.live else _UNFINISHED
        self._shared.out.put(started)

    def frame(self, frame: Frame, found: _Found | None) -> None:
        tracker, sampler, status = self._tracker, self._sampler, self._shared.status
        assert tracker is not None and sampler is not None
        detections = None if found is None else self._on_scale(found.crops.detections)
        kept = np.zeros(0, bool) if found is None else found.kept
        crops = FrameCrops(frame.picture, Detections.empty(), self._shared.embedder) if found is None else found.crops
        before = time.perf_counter()
        embedding = 0.0

        def embed(rows: IntArray) -> FloatArray:
            nonlocal embedding
            start = time.perf_counter()
            vectors = crops.embed(rows)
            embedding += time.perf_counter() - start
            return vectors

        use_appearance = self._shared.config.tracker.appearance and detections is not None
        if isinstance(tracker, GivenTracks):
            tracks: Tracks = tracker.update(frame.index, kept)
        else:
            tracks = tracker.update(detections, frame.media_time, embed if use_appearance else None)
        tracked = time.perf_counter()
        samples = sampler.sample(crops, tracks, frame.media_time)
        status.spend("track", tracked - before - embedding)
        for track_id, _ in tracks.ended:
            sampler.forget(track_id)
        self._unfinished.append(_Seen(frame, tracks, samples))
        self._finish(self._most_unfinished)
        status.spend("embed", time.perf_counter() - tracked + embedding)

    def _on_scale(self, detections: Detections) -> Detections:
        return self._scores.moved(detections) if self._shared.config.tracker.follow_scores else detections

    def end(self, reason: EndReason) -> None:
        try:
            self._finish(0)
        except Exception as error:  # noqa: BLE001 - the device is gone; the source still has to end
            self._shared.failed(error)
            while self._unfinished:
                seen = self._unfinished.popleft()
                self._send(seen, None)
        if self._tracker is not None:
            self._end_tracks(self._tracker.finish(reason))

    def _finish(self, most: int) -> None:
        """Send the events of the frames that came first, until at most so many wait for their vectors."""
        while len(self._unfinished) > most or (self._unfinished and self._unfinished[0].samples is None):
            seen = self._unfinished[0]
            samples = None if seen.samples is None else seen.samples.finished()
            self._unfinished.popleft()
            self._send(seen, samples)

    def _send(self, seen: _Seen, samples: Samples | None) -> None:
        frame, tracks = seen.frame, seen.tracks
        observed = Observed(
            frame.source,
            frame.index,
            frame.media_time,
            frame.wall_time,
            tracks.track_ids,
            tracks.boxes,
            tracks.confidences,
            samples,
        )
        if self._shared.observer is not None:
            before = time.perf_counter()
            self._shared.observer(frame, observed)
            self._shared.status.spend("draw", time.perf_counter() - before)
        self._shared.out.put(observed)
        self._end_tracks(tracks.ended)

    def _end_tracks(self, ended: list[tuple[int, EndReason]]) -> None:
        for track_id, reason in ended:
            self._shared.out.put(TrackEnded(self._id, track_id, reason))
