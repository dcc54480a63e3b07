"""The local engine: PyAV, ONNX Runtime and our own tracker, on any machine."""

from __future__ import annotations

from collections.abc import Sequence

from reidstream.config import Config, SourceConfig
from reidstream.engines import Engine
from reidstream.engines.local.engine import LocalEngine
from reidstream.engines.local.processes import LocalProcesses, beside_service, gpu_decodes, processes_for
from reidstream.engines.local.source_reader import Observer
from reidstream.inference import Detector, Embedder

__all__ = ["LocalEngine", "LocalProcesses", "Observer", "open_local_engine"]


def open_local_engine(
    config: Config,
    sources: Sequence[tuple[str, SourceConfig]],
    observer: Observer | None = None,
    detector: Detector | None = None,
    embedder: Embedder | None = None,
) -> Engine:
    """The local engine in one process or in several (local.processes); see LocalEngine for the arguments.

    What is called with frames, or is given instead of a model, lives in this process, and so does the engine then.
    """
    config = beside_service(config, sources)
    processes = processes_for(config, sources)
    # Another GPU than the first is chosen in a process of its own, where nobody has used one yet. On a GPU one process
    # reads several sources and runs the models, and others track.
    first = config.local.device == "cpu" or (
        config.local.gpus == (0,) and (len(sources) < 2 or not gpu_decodes(config))
    )
    here = processes == 1 and first
    if here or observer is not None or detector is not None or embedder is not None:
        return LocalEngine(config, sources, observer, detector, embedder)
    return LocalProcesses(config, sources, processes)
