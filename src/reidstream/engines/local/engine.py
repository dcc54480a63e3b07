"""Many sources side by side, each a chain of threads: decode → detect → track and embed → events."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.detecting import Detecting, Gathered, Separately, Submitted
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.source_reader import Item, Observer, Shared, SourceReader, ready
from reidstream.engines.local.tracking_group import TrackingGroup
from reidstream.errors import EngineError, ReIDStreamError
from reidstream.gpu.decoding import open_gpu
from reidstream.gpu.driver import Gpu
from reidstream.inference import (
    DETECTED_TOGETHER,
    BoxEmbedder,
    Detector,
    Embedder,
    StartingDetector,
    open_detector,
    open_embedder,
)
from reidstream.models import resolve_model
from reidstream.runtime import see_only
from reidstream.types import EmbeddingSpace, Event

logger = logging.getLogger(__name__)

# Events that may wait for the reader; each is a frame's arrays, so this is memory for a second or so of video.
_EVENTS_WAITING = 64


class LocalEngine:
    """PyAV and ONNX Runtime; see Engine for the contract.

    Every source has a thread that reads and, on the processor, one that tracks; on a GPU one thread tracks them all, a
    frame of each in one step. People are looked for on threads that all sources share. Frames of one source stay in
    order, and on the processor what is detected together depends on frame numbers alone, so a file gives the same
    events in every run. On a GPU whatever waits, of all sources, is run together in batches of one size, in which no
    row depends on its neighbours. The models are opened and warm here, so a wrong model fails before any source is
    touched.

    sources: (source id, configuration) pairs. observer: called with each frame and its Observed on the source's own
    thread, for drawing. detector, embedder: used instead of the configured models; this is how a model of another
    family comes in. gpu: where video is decoded, unless the configuration says so. Raises ModelError or DeviceError.
    """

    def __init__(
        self,
        config: Config,
        sources: Sequence[tuple[str, SourceConfig]],
        observer: Observer | None = None,
        detector: Detector | None = None,
        embedder: Embedder | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        self._config = config
        self._sources = list(sources)
        self._observer = observer
        device = config.local.device
        self._status = EngineStatus()
        before = time.perf_counter()
        see_only(device, config.local.gpus)
        # Its memory is where video is decoded to.
        self._gpu = open_gpu() if gpu is None and device == "cuda" and config.local.decode == "auto" else gpu
        # Nobody looks for people where every source comes with boxes.
        given = bool(self._sources) and all(source.detections or source.tracks for _, source in self._sources)
        self._detector = detector
        if detector is None and not given:
            self._detector = open_detector(
                resolve_model(config.detector.model, "detector"), config.detector, device, gpu=self._gpu
            )
        self._embedder = embedder or open_embedder(
            resolve_model(config.embedding.model, "reid"), config.embedding, device, gpu=self._gpu
        )
        if device == "cuda":
            self._status.spend("warm-up", time.perf_counter() - before)
        self._readers: list[SourceReader] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._failure: BaseException | None = None

    @property
    def space(self) -> EmbeddingSpace:
        return self._embedder.space

    @property
    def status(self) -> EngineStatus:
        return self._status

    def events(self) -> Iterator[Event]:
        out: Channel[Event] = Channel(_EVENTS_WAITING)
        detecting = self._opened()
        remaining = len(self._sources)
        if remaining == 0:
            out.close()

        def ended() -> None:
            nonlocal remaining
            with self._lock:
                remaining -= 1
                last = remaining == 0
            if last:
                out.close()

        shared = Shared(
            self._config,
            detecting,
            self._embedder,
            out,
            self._status,
            self._observer,
            self._gpu,
            failed=self._fail,
            ended=ended,
        )
        groups = self._grouped(shared)
        try:
            for group in groups:
                group.start()
            for reader in self._readers:
                reader.start()
            if self._stopped:
                self.stop()
            yield from out
            if self._failure is not None:
                if isinstance(self._failure, ReIDStreamError):
                    raise self._failure
                raise EngineError(f"the local engine failed: {self._failure}") from self._failure
        finally:
            # Also when the reader of the events gives up in the middle.
            self.stop()
            out.abandon()
            for reader in self._readers:
                reader.join()
            for group in groups:
                group.join()
            if detecting is not None:
                detecting.close()
            # They know this engine: in a circle, models and frames would stay until the garbage collector comes by.
            self._readers = []

    def skip(self, source: str) -> None:
        for reader in self._readers:
            if reader.id == source:
                reader.stop()

    def stop(self) -> None:
        self._stopped = True
        for reader in list(self._readers):
            reader.stop()

    def _grouped(self, shared: Shared) -> list[TrackingGroup]:
        """Open the sources' readers, and group them by the thread that tracks them."""
        together = self._gpu is not None and self._observer is None and isinstance(self._embedder, BoxEmbedder)
        groups = [self._sources] if together and self._sources else [[source] for source in self._sources]
        tracking = []
        for group in groups:
            inbox: Inbox[Item] = Inbox([source_id for source_id, _ in group], self._config.local.queue, ready)
            readers = [SourceReader(source_id, source, shared, inbox) for source_id, source in group]
            self._readers += readers
            tracking.append(TrackingGroup(readers, inbox, shared))
        return tracking

    def _opened(self) -> Detecting | None:
        """Who looks for people."""
        if self._detector is None:
            return None
        if isinstance(self._detector, StartingDetector):
            return Submitted(self._detector, self._status)
        if self._gpu is not None and len(self._sources) > 1:
            # Those that run and those that are prepared meanwhile.
            return Gathered(self._detector, DETECTED_TOGETHER, self._status)
        threads = self._config.local.threads
        if not threads:
            # On a GPU most of them wait for it: enough for one batch that runs and one that is filled meanwhile.
            threads = 2 * DETECTED_TOGETHER if self._config.local.device == "cuda" else os.cpu_count() or 1
        return Separately(self._detector, threads, self._status)

    def _fail(self, error: BaseException) -> None:
        """A model or the tracker failed: the whole run cannot go on, but what was seen is still finished."""
        with self._lock:
            first = self._failure is None
            if first:
                self._failure = error
        if first:
            logger.debug("the engine stops because of an error", exc_info=error)
            self.stop()
