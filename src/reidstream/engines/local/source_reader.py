"""Reading one source, and having people looked for in its frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.detecting import Detecting
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.sampling import FrameCrops, start_ahead
from reidstream.errors import SourceError
from reidstream.gpu.decoding import OnGpu
from reidstream.gpu.driver import Gpu
from reidstream.inference import Embedder
from reidstream.regions import IgnoredRegions
from reidstream.sources import Source, open_source
from reidstream.sources.decoding import ON_PROCESSOR
from reidstream.sources.frame import Frame
from reidstream.sources.source import wrong_stamps
from reidstream.tracking.given import GivenBoxes, given_boxes
from reidstream.types import Detections, Event, Observed, SourceStarted

Observer = Callable[[Frame, Observed], None]

# Detections of a frame, the best, that a GPU embeds before anybody asks, where it has but one source to look at.
_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Read:
    """A frame that was read, and its place in the batch that is being detected, if it is."""

    frame: Frame
    found: Future[list[Found]] | None
    place: int

    @property
    def ready(self) -> bool:
        return self.found is None or self.found.done()

    @property
    def crops(self) -> FrameCrops | None:
        """Of what was found, None where nobody has looked or that failed."""
        if self.found is None or not self.found.done() or self.found.cancelled() or self.found.exception() is not None:
            return None
        return self.found.result()[self.place].crops


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector found in a frame. kept: bool, which of its detections count; crops: of those that do."""

    kept: npt.NDArray[np.bool_]
    crops: FrameCrops


Item = SourceStarted | Read
"""What a source is read into: its start, then its frames."""


def ready(item: Item) -> bool:
    """Whether it can be tracked without waiting for the detector."""
    return isinstance(item, SourceStarted) or item.ready


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sources of one engine have in common.

    detecting: None when every source comes with boxes of its own. failed: told of an error that the whole engine cannot
    survive. ended: told when a source is through. gpu: where video is decoded, None for the processor. ahead: whether
    another device embeds for several sources, for which it pays to begin with what is foreseen. alone: whether it
    embeds for one, and has time for all that is found.
    """

    config: Config
    detecting: Detecting | None
    embedder: Embedder
    out: Channel[Event]
    status: EngineStatus
    observer: Observer | None
    gpu: Gpu | None
    failed: Callable[[BaseException], None]
    ended: Callable[[], None]
    ahead: bool = False
    alone: bool = False


class SourceReader:
    """Reads one source into an inbox and has people looked for; whatever happens to it, the inbox is closed at its end.

    error: why it ended, None as long as nothing went wrong. given: boxes that the source comes with.
    """

    def __init__(self, source_id: str, config: SourceConfig, shared: Shared, inbox: Inbox[Item]) -> None:
        self._id = source_id
        self._config = config
        self.given: GivenBoxes | None = given_boxes(config)
        self.error: str | None = None
        self._shared = shared
        self._inbox = inbox
        self._stopping = threading.Event()
        self._source: Source | None = None
        self._ignored = IgnoredRegions(config.ignore)
        self._on_gpu = None if shared.gpu is None else OnGpu(shared.gpu)
        self._reader = threading.Thread(target=self._read, name=f"read {source_id}", daemon=True)

    @property
    def id(self) -> str:
        """The source's id."""
        return self._id

    @property
    def config(self) -> SourceConfig:
        return self._config

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        """Read no more; what was read is finished."""
        self._stopping.set()
        source = self._source
        if source is not None:
            source.close()

    def fail(self, error: BaseException) -> None:
        """What was read cannot be tracked: read no more, and forget it."""
        self.error = self.error or f"{type(error).__name__}: {error}"
        self._stopping.set()
        self._inbox.abandon(self._id)

    def join(self) -> None:
        # A thread that was never started (a failure between two starts) cannot be joined.
        if self._reader.ident is not None:
            self._reader.join()

    def _read(self) -> None:
        try:
            self._read_all()
        except SourceError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - a source must not take the others down, whatever it does
            self.error = f"reading failed: {type(error).__name__}: {error}"
        finally:
            if self._source is not None:
                self._source.close()
                self._warn(self._source)
            self._inbox.close(self._id)

    def _read_all(self) -> None:
        with open_source(self._config, self._id, self._on_gpu or ON_PROCESSOR) as source:
            self._source = source
            if self._stopping.is_set():
                return
            started = source.started()
            if not self._inbox.put(self._id, started):
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
                self._shared.status.reconnects[self._id] = source.reconnects
                if frame is None:
                    break
                if self.given is None and frame.index % self._shared.config.detector.every:
                    self._submit(batch)
                    batch = []
                    self._inbox.put(self._id, Read(frame, None, 0))
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
        found = self._detected(batch)
        # Before the frames, as there may not be room for all of them until some are taken.
        found.add_done_callback(self._look_again)
        for place, frame in enumerate(batch):
            if not self._inbox.put(self._id, Read(frame, found, place)):
                self._stopping.set()

    def _look_again(self, _: Future[list[Found]]) -> None:
        self._inbox.look_again()

    def _detected(self, batch: list[Frame]) -> Future[list[Found]]:
        def counting(found: list[Detections]) -> list[Found]:
            return [self._counting(*pair) for pair in zip(batch, found, strict=True)]

        if self.given is None:
            assert self._shared.detecting is not None
            return self._shared.detecting.start([frame.picture for frame in batch], counting)
        known: Future[list[Found]] = Future()
        known.set_result(counting([self.given.detections(frame.index, frame.picture.size) for frame in batch]))
        return known

    def _counting(self, frame: Frame, detections: Detections) -> Found:
        """Leave out what does not count, and begin with what the tracker may ask for where the device has time."""
        kept: npt.NDArray[np.bool_] = np.ones(len(detections), bool)
        if len(detections) and (self.given is not None or self._ignored):
            if self.given is not None:
                # What others found may lie outside of the picture.
                kept &= (detections.boxes[:, 2:] > detections.boxes[:, :2]).all(axis=1)
            if self._ignored:
                kept &= ~self._ignored.hold(detections.boxes, frame.picture.size)
            detections = detections[kept]
        crops = FrameCrops(frame.picture, detections, self._shared.embedder)
        if self._shared.alone and self.given is None and self._shared.config.tracker.appearance:
            low = self._shared.config.tracker.low
            start_ahead([(crops, row) for row in np.flatnonzero(detections.scores >= low)[:_AHEAD].tolist()])
        return Found(kept, crops)
