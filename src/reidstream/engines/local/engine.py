"""Many sources side by side, each a chain of threads: decode → detect → track and embed → events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reidstream.channel import Channel
from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.detecting import Detecting
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.models import open_models
from reidstream.engines.local.source_reader import Item, Observer, Shared, SourceReader, ready
from reidstream.engines.local.sources_engine import SourcesEngine
from reidstream.engines.local.tracking_group import Reader, TrackingGroup
from reidstream.gpu.driver import Gpu
from reidstream.inference import AheadEmbedder, BoxEmbedder, Detector, Embedder
from reidstream.types import EmbeddingSpace, Event


class LocalEngine(SourcesEngine):
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
        super().__init__(len(sources), EngineStatus())
        self._config = config
        self._sources = list(sources)
        self._observer = observer
        given = [source for _, source in self._sources]
        self._models = open_models(config, given, self._status, detector, embedder, gpu)
        self._detecting: Detecting | None = None

    @property
    def space(self) -> EmbeddingSpace:
        return self._models.embedder.space

    def _opened(
        self, out: Channel[Event], failed: Callable[[BaseException], None], ended: Callable[[], None]
    ) -> tuple[Sequence[Reader], Sequence[TrackingGroup]]:
        models, config = self._models, self._config
        self._detecting = models.detecting(config, len(self._sources), self._status)
        embeds_ahead = models.gpu is not None and isinstance(models.embedder, AheadEmbedder)
        shared = Shared(
            config,
            self._detecting,
            models.embedder,
            out,
            self._status,
            self._observer,
            models.gpu,
            failed=failed,
            ended=ended,
            ahead=embeds_ahead and len(self._sources) > 1,
            alone=embeds_ahead and len(self._sources) == 1,
        )
        together = models.gpu is not None and self._observer is None and isinstance(models.embedder, BoxEmbedder)
        groups = [self._sources] if together and self._sources else [[source] for source in self._sources]
        readers: list[SourceReader] = []
        tracking = []
        for group in groups:
            inbox: Inbox[Item] = Inbox([source_id for source_id, _ in group], config.local.queue, ready)
            own = [SourceReader(source_id, source, shared, inbox) for source_id, source in group]
            readers += own
            tracking.append(TrackingGroup(own, inbox, shared))
        return readers, tracking

    def _close(self) -> None:
        if self._detecting is not None:
            self._detecting.close()
            self._detecting = None
