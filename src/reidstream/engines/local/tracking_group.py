"""Tracking the frames of several sources together, and taking the crops that are worth embedding."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from reidstream.config import SourceConfig
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.sampling import (
    CropSamplers,
    FrameCrops,
    StartedSamples,
    TrackedFrame,
    settle_together,
    start_ahead,
    start_together,
)
from reidstream.engines.local.source_reader import Item, Read, Shared
from reidstream.errors import DeviceError, EngineError, ModelError, SourceError
from reidstream.foreign_text import storable
from reidstream.inference.network import Answer
from reidstream.sources.frame import Frame
from reidstream.tracking import Together, Tracker, Tracks, foreseen
from reidstream.tracking.given import GivenBoxes, GivenTracks
from reidstream.tracking.scores import ScoreScale, moved_together
from reidstream.types import (
    Detections,
    EndReason,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
)

# Frames of a file that may wait for vectors that a GPU is busy with.
_UNFINISHED = 8
# Threads that make JPEGs of crops, where one thread tracks several sources.
_ENCODERS = 2
# How many frames behind the one that is tracked is foreseen what will be wanted: a busy GPU takes as long as two of
# them for it. Of retail02's frames 7 % then want what nobody foresaw, so the nearest one is foreseen once more.
_FORESEEN = 3
# Seconds that a step waits for frames of the sources that have none yet, where vectors come from another device: a step
# of fourteen frames costs as much as four of one.
_GATHERED = 0.002
# Steps that may wait for vectors at the same time, each of other sources.
_STEPS = 2


class Reader(Protocol):
    """Reads one source into an inbox, which it closes at the end; see ``SourceReader``.

    error: why it ended, None as long as nothing went wrong. given: boxes that the source comes with.
    """

    error: str | None
    given: GivenBoxes | None

    @property
    def id(self) -> str: ...

    @property
    def config(self) -> SourceConfig: ...

    @property
    def stopped(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def fail(self, error: BaseException) -> None: ...

    def join(self) -> None: ...


class TrackingGroup:
    """One thread that tracks some sources: whatever is ready of them, a frame of each, in one step.

    What is decided for a source does not depend on which others are ready at the same time. On the processor every
    source has a group of its own, since its embeddings are computed in that thread; where another device computes
    them, one thread with large steps is worth many that wait for each other.
    """

    def __init__(self, readers: Sequence[Reader], inbox: Inbox[Item], shared: Shared) -> None:
        self._inbox = inbox
        self._shared = shared
        # Choosing crops and sending events takes as long as tracking; a thread of its own does it for all sources.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sample") if len(readers) > 1 else None
        many = len(readers) > 1 or shared.ahead
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode") if many else None
        self._samplers = CropSamplers(shared.config.embedding, self._encoders)
        self._sources = {reader.id: _Tracking(reader, shared, self._samplers) for reader in readers}
        self._room = threading.Semaphore(_UNFINISHED)
        self._ahead = shared.ahead and shared.config.tracker.appearance
        self._follow = shared.config.tracker.follow_scores
        self._thread = threading.Thread(target=self._run, name=f"track {readers[0].id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._track()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for the sources for ever
            self._fail(list(self._sources), error)
        for pool in (self._pool, self._encoders):
            if pool is not None:
                pool.shutdown()

    def _track(self) -> None:
        steps: deque[_Step] = deque()
        while self._sources:
            if steps and steps[0].ready:
                self._decide(steps.popleft())
                continue
            busy = {source for step in steps for source in step.sources}
            idle = [source for source in self._sources if source not in busy] if len(steps) < _STEPS else []
            taken, through = self._inbox.take(idle, wait=not steps, patience=_GATHERED if self._ahead else 0.0)
            for source in through:
                self._end(self._sources.pop(source))
            if taken:
                step = self._begun(taken)
                if step is not None:
                    steps.append(step)
            elif steps:
                self._decide(steps.popleft())

    def _begun(self, taken: dict[str, Item]) -> _Step | None:
        """Begin to track these frames; None when there is nothing to wait for."""
        frames: dict[str, _Frame] = {}
        for source, item in taken.items():
            try:
                frame = self._sources[source].take(item)
            except (Exception, CancelledError) as error:  # noqa: BLE001 - reported to the engine, which stops
                self._fail([source], error)
                continue
            if frame is not None:
                frames[source] = frame
        if not frames:
            return None
        try:
            step = _Step(frames, self._shared)
            self._foresee(frames)
            return step
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(frames, error)
            return None

    def _foresee(self, frames: dict[str, _Frame]) -> None:
        """Have embedded what will probably be wanted of the frames that come after these, as the device takes longer
        for it than tracking does: a source that waits for every frame's vectors gets through a hundred a second."""
        if not self._ahead:
            return
        coming: list[tuple[Tracker, FrameCrops, Detections, float]] = []
        for source, items in self._inbox.coming(frames, _FORESEEN).items():
            tracker, scores = frames[source].tracker, frames[source].scores
            # Those in between were foreseen when they were the furthest.
            for item in items if len(items) < _FORESEEN else (items[0], items[-1]):
                crops = item.crops if isinstance(item, Read) else None
                if isinstance(item, Read) and crops is not None and isinstance(tracker, Tracker):
                    found = scores.as_now(crops.detections) if self._follow else crops.detections
                    coming.append((tracker, crops, found, item.frame.media_time))
        if coming:
            trackers, crops_of_each, found_in_each, times = zip(*coming, strict=True)
            rows = foreseen(trackers, found_in_each, times)
            start_ahead(
                [(crops, row) for crops, some in zip(crops_of_each, rows, strict=True) for row in some.tolist()]
            )

    def _decide(self, step: _Step) -> None:
        try:
            tracks = step.decided()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(step.sources, error)
            return
        self._shared.status.spend("track", step.tracking)
        self._shared.status.spend("embed", step.waited)
        seen = [
            (tracking, step.frames[source], found)
            for source, found in tracks.items()
            if (tracking := self._sources.get(source)) is not None
        ]
        if self._pool is None:
            self._sample(seen)
        elif seen:
            self._room.acquire()
            self._pool.submit(self._sample, seen).add_done_callback(lambda _: self._room.release())

    def _sample(self, seen: list[tuple[_Tracking, _Frame, Tracks]]) -> None:
        before = time.perf_counter()
        try:
            samples = self._samplers.sample(
                [TrackedFrame(one.id, frame.crops, tracks, frame.frame.media_time) for one, frame, tracks in seen]
            )
            settle_together([frame.crops for _, frame, _ in seen])
        except Exception as error:  # noqa: BLE001 - as above
            for tracking, _, _ in seen:
                tracking.fail(error)
            _tell(self._shared, error)
            return
        for (tracking, frame, tracks), found in zip(seen, samples, strict=True):
            try:
                if isinstance(found, Exception):
                    self._give_up(tracking, found)
                    found = None
                tracking.seen(frame, tracks, found)
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(tracking, error)
        self._shared.status.spend("embed", time.perf_counter() - before)

    def _give_up(self, tracking: _Tracking, error: Exception) -> None:
        """Something is wrong with the crops of one source, which ends; the others go on, unless the device is gone."""
        tracking.fail(error)
        if isinstance(error, DeviceError | EngineError | ModelError):
            self._shared.failed(error)

    def _end(self, tracking: _Tracking) -> None:
        if self._pool is not None:
            self._pool.submit(tracking.end)
        else:
            tracking.end()

    def _fail(self, sources: Iterable[str], error: BaseException) -> None:
        for source in list(sources):
            if (tracking := self._sources.pop(source, None)) is not None:
                tracking.fail(error)
                self._end(tracking)
        _tell(self._shared, error)


def _tell(shared: Shared, error: BaseException) -> None:
    """An error that only a source has is no matter of the engine."""
    if not isinstance(error, SourceError):
        shared.failed(error)


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame with what was found in it.

    tracker, scores: the source's. detections: None where nobody looked. kept: bool, which of what was found counts.
    """

    frame: Frame
    tracker: Tracker | GivenTracks
    scores: ScoreScale
    crops: FrameCrops
    detections: Detections | None
    kept: npt.NDArray[np.bool_]


class _Step:
    """A frame of each of several sources that is being tracked, perhaps waiting for embeddings.

    frames: by source. tracking, waited: seconds that tracking took, and that were spent with embeddings.
    """

    def __init__(self, frames: dict[str, _Frame], shared: Shared) -> None:
        self.frames = frames
        self.waited = 0.0
        self._follow = shared.config.tracker.follow_scores
        before = time.perf_counter()
        own = {source: frame for source, frame in frames.items() if isinstance(frame.tracker, Tracker)}
        self._own = list(own)
        self._together = None
        if own:
            self._together = Together(
                [frame.tracker for frame in own.values() if isinstance(frame.tracker, Tracker)],
                self._moved(list(own.values())),
                [frame.frame.media_time for frame in own.values()],
                appearance=shared.config.tracker.appearance,
            )
        self.tracking = time.perf_counter() - before
        before = time.perf_counter()
        wanted = [] if self._together is None else self._together.wanted
        looked = [n for n, rows in enumerate(wanted) if len(rows)]
        self._answers: list[Answer | None] = [None] * len(wanted)
        for n, answer in zip(
            looked, start_together([(own[self._own[n]].crops, wanted[n]) for n in looked]), strict=True
        ):
            self._answers[n] = answer
        self.waited += time.perf_counter() - before

    @property
    def sources(self) -> list[str]:
        return list(self.frames)

    @property
    def ready(self) -> bool:
        """Whether ``decided`` has not to wait."""
        return all(answer is None or answer.ready() for answer in self._answers)

    def _moved(self, frames: Sequence[_Frame]) -> list[Detections | None]:
        """What was found in each frame, with scores on the tracker's scale."""
        moved = [frame.detections for frame in frames]
        looked = [n for n, found in enumerate(moved) if found is not None]
        if looked and self._follow:
            found = [found for found in moved if found is not None]
            for n, one in zip(looked, moved_together([frames[n].scores for n in looked], found), strict=True):
                moved[n] = one
        return moved

    def decided(self) -> dict[str, Tracks]:
        """The tracks of each source, once the embeddings are there. Raises what embedding raises."""
        before = time.perf_counter()
        embeddings = [None if answer is None else answer() for answer in self._answers]
        now = time.perf_counter()
        self.waited += now - before
        tracks: dict[str, Tracks] = {}
        if self._together is not None:
            tracks = dict(zip(self._own, self._together.decide(embeddings), strict=True))
        for source, frame in self.frames.items():
            if isinstance(frame.tracker, GivenTracks):
                tracks[source] = frame.tracker.update(frame.frame.index, frame.kept)
        self.tracking += time.perf_counter() - now
        return tracks


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame that is tracked, and the samples whose vectors are on their way."""

    frame: Frame
    tracks: Tracks
    samples: StartedSamples | None


class _Tracking:
    """What one source's tracking remembers from frame to frame, and its way to events."""

    def __init__(self, reader: Reader, shared: Shared, samplers: CropSamplers) -> None:
        self.id = reader.id
        self._reader = reader
        self._samplers = samplers
        self._shared = shared
        self._tracker: Tracker | GivenTracks | None = None
        self._scores = ScoreScale()
        self._unfinished: deque[_Seen] = deque()
        self._most_unfinished = 0
        self._frames = self._read = 0

    def take(self, item: Item) -> _Frame | None:
        """The frame that is to be tracked, None if it is none. Raises what went wrong with detecting."""
        if isinstance(item, SourceStarted):
            self._begin(item)
            return None
        return self._frame(item)

    def seen(self, frame: _Frame, tracks: Tracks, samples: StartedSamples | None) -> None:
        """Send what is finished."""
        for track_id, _ in tracks.ended:
            self._samplers.forget(self.id, track_id)
        self._unfinished.append(_Seen(frame.frame, tracks, samples))
        self._finish(self._most_unfinished)
        self._frames += 1
        self._read = frame.frame.index + 1
        self._shared.status.frames[self.id] = self._frames

    def fail(self, error: BaseException) -> None:
        """Take no more frames because of an error."""
        self._reader.fail(error)

    def end(self) -> None:
        """There are no more frames: end the tracks, then the source."""
        reader = self._reader
        stopped = reader.stopped
        self._end_all(EndReason.SHUTDOWN if stopped else EndReason.SOURCE_ENDED)
        whole = not stopped and reader.error is None and reader.config.max_fps is None
        if reader.given is not None and whole and (beyond := reader.given.beyond(self._read)):
            file = reader.config.tracks or reader.config.detections
            self._shared.status.warn(f"{self.id}: {beyond} boxes of {file} lie behind the last frame, {self._read}")
        dropped = self._shared.status.dropped[self.id]
        error = None if reader.error is None else storable(reader.error)
        self._shared.out.put(SourceEnded(self.id, self._frames, time.time(), error, stopped, dropped))
        self._shared.ended()

    def _begin(self, started: SourceStarted) -> None:
        given = self._reader.given
        if given is not None and given.ids is not None:
            self._tracker = GivenTracks(given, started.size)
        else:
            self._tracker = Tracker(self._shared.config.tracker, started.size)
        self._samplers.begin(self.id, started.size)
        # Nobody waits for a file's events, but a camera's are wanted at once.
        self._most_unfinished = 0 if started.live else _UNFINISHED
        self._shared.out.put(started)

    def _frame(self, item: Read) -> _Frame:
        assert self._tracker is not None
        if item.found is None:
            crops = FrameCrops(item.frame.picture, Detections.empty(), self._shared.embedder)
            return _Frame(item.frame, self._tracker, self._scores, crops, None, np.zeros(0, bool))
        found = item.found.result()[item.place]
        return _Frame(item.frame, self._tracker, self._scores, found.crops, found.crops.detections, found.kept)

    def _end_all(self, reason: EndReason) -> None:
        try:
            self._finish(0)
        except Exception as error:  # noqa: BLE001 - the device is gone; the source still has to end
            self._reader.fail(error)
            _tell(self._shared, error)
            while self._unfinished:
                self._send(self._unfinished.popleft(), None)
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
            self._shared.out.put(TrackEnded(self.id, track_id, reason))
