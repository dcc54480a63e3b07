"""The models of the local engine, opened and warm, and who looks for people with them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from reidstream.config import Config, SourceConfig
from reidstream.engines import EngineStatus
from reidstream.engines.local.detecting import Detecting, Gathered, Separately, Submitted
from reidstream.gpu.decoding import open_gpu
from reidstream.gpu.driver import Gpu
from reidstream.inference import (
    DETECTED_TOGETHER,
    Detector,
    Embedder,
    StartingDetector,
    open_detector,
    open_embedder,
)
from reidstream.models import resolve_model
from reidstream.runtime import see_only


@dataclass(frozen=True, slots=True)
class Models:
    """detector: None where every source comes with boxes of its own. gpu: where video is decoded, None for the
    processor."""

    detector: Detector | None
    embedder: Embedder
    gpu: Gpu | None

    def detecting(self, config: Config, sources: int, status: EngineStatus) -> Detecting | None:
        """Who looks for people in so many sources."""
        if self.detector is None:
            return None
        if isinstance(self.detector, StartingDetector):
            return Submitted(self.detector, status)
        if self.gpu is not None and sources > 1:
            # Those that run and those that are prepared meanwhile.
            return Gathered(self.detector, DETECTED_TOGETHER, status)
        threads = config.local.threads
        if not threads:
            # On a GPU most of them wait for it: enough for one batch that runs and one that is filled meanwhile.
            threads = 2 * DETECTED_TOGETHER if config.local.device == "cuda" else os.cpu_count() or 1
        return Separately(self.detector, threads, status)


def open_models(
    config: Config,
    sources: Sequence[SourceConfig],
    status: EngineStatus,
    detector: Detector | None = None,
    embedder: Embedder | None = None,
    gpu: Gpu | None = None,
) -> Models:
    """The models for these sources, warm: what is wrong with them is raised before a source is touched.

    detector, embedder: used instead of the configured ones. gpu: where video is decoded, unless the configuration says
    so. Raises ModelError or DeviceError.
    """
    device = config.local.device
    before = time.perf_counter()
    see_only(device, config.local.gpus)
    if gpu is None and device == "cuda" and config.local.decode == "auto":
        # Its memory is where video is decoded to.
        gpu = open_gpu()
    # Nobody looks for people where every source comes with boxes.
    given = bool(sources) and all(source.detections or source.tracks for source in sources)
    if detector is None and not given:
        model = resolve_model(config.detector.model, "detector")
        detector = open_detector(model, config.detector, device, gpu=gpu, many=len(sources) > 1)
    embedder = embedder or open_embedder(
        resolve_model(config.embedding.model, "reid"), config.embedding, device, gpu=gpu, half=config.local.half
    )
    if device == "cuda":
        status.spend("warm-up", time.perf_counter() - before)
    return Models(detector, embedder, gpu)
