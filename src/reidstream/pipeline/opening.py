"""Where the parts meet: configuration → engine → gallery, opened so that what cannot work fails before it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reidstream.alerts.frames import FrameShelf
from reidstream.alerts.lists import WatchLists
from reidstream.allocator import give_back_free_memory
from reidstream.config import Config, SourceConfig
from reidstream.engines import Engine
from reidstream.errors import ConfigError, GalleryNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State as RecordingState
from reidstream.pipeline.known import (
    beginnings_of_others,
    content_of,
    given_fingerprint,
    index_of,
    known_recordings,
    same_recording,
    settings_fingerprint,
    why_held,
)
from reidstream.pipeline.run import GalleryRun
from reidstream.pipeline.store import Checkpoints, TrackletStore
from reidstream.pipeline.summary import RunSummary, SourceState, SourceSummary
from reidstream.pipeline.watching import Watcher
from reidstream.regions import Zones

if TYPE_CHECKING:
    from reidstream.clips import Shelf
    from reidstream.engines.local import Observer
    from reidstream.inference import Detector, Embedder
    from reidstream.rendering import Renderer
    from reidstream.sources import Frame
    from reidstream.types import EmbeddingSpace, Observed

EngineName = Literal["local", "deepstream"]


def build_gallery(
    sources: Sequence[SourceConfig | str | Path],
    config: Config | None = None,
    gallery: str | Path = "gallery",
    *,
    engine: EngineName = "local",
    replace: bool = False,
    detector: Detector | None = None,
    embedder: Embedder | None = None,
) -> RunSummary:
    """Bring videos, folders and cameras into a gallery; the gallery is made when it does not exist.

    sources: addresses or SourceConfig; with none, those of the configuration. Content that the gallery has already
    is skipped. detector, embedder: objects of your own instead of the configured models (see ``open_run``).
    Raises ConfigError, ModelError, GalleryError or EngineError; a source that fails is in the summary.
    """
    opened = open_run(
        sources, config or Config(), gallery, engine=engine, replace=replace, detector=detector, embedder=embedder
    )
    with opened as run:
        return run.run()


@contextmanager
def open_run(
    sources: Sequence[SourceConfig | str | Path],
    config: Config,
    gallery: str | Path,
    *,
    engine: EngineName = "local",
    render: Path | None = None,
    record: Path | None = None,
    replace: bool = False,
    max_seconds: float | None = None,
    store: TrackletStore | None = None,
    shelf: Shelf | None = None,
    decided: Callable[[bool], Gallery] | None = None,
    checkpoints: Checkpoints | None = None,
    detector: Detector | None = None,
    embedder: Embedder | None = None,
    observer: Observer | None = None,
    watcher: Watcher | None = None,
    frames: FrameShelf | None = None,
) -> Iterator[GalleryRun]:
    """A run with everything it needs opened, models first, so that what cannot work fails before anything is written.

    sources: addresses or SourceConfig; with none, those of the configuration. render: draw video with people's
    numbers and names to this file, one per source: of recordings at the end of the run, of cameras while it goes on,
    when only the tracks' numbers are known. record: record the events to this file. store, shelf: of the process that
    owns the gallery, which is then opened for reading only; decided, checkpoints: see GalleryRun.

    detector, embedder: objects of your own (``reidstream.inference`` has the protocols) instead of the configured
    models, on the local engine. A gallery tells detectors apart by their class; one that comes with several weights
    says which by an attribute ``fingerprint``, text. Embedders are told apart by their space.

    observer: called with every frame that was tracked and what was observed in it, on the source's own thread, which
    waits for it; on the local engine. watcher, frames: see GalleryRun; who observes fills the frames.
    """
    from reidstream.gallery.index import process as index_process
    from reidstream.models import name_for_others, resolve_model
    from reidstream.sources import expand_configs, redacted, source_ids
    from reidstream.sources.address import Kind, kind_of, local_path

    chosen = [_remembering(source, config, engine) for source in _chosen(sources) or expand_configs(config.sources)]
    if config.clips.keep and "://" in str(gallery):
        raise ConfigError(
            "clips (clips.keep) are files in a gallery's folder; a gallery on a server keeps none: leave them off"
        )
    if not chosen:
        raise ConfigError("nothing to read: name a video, folder or camera, or a configuration with [[sources]]")
    if engine != "local" and (detector is not None or embedder is not None):
        raise ConfigError(f"a detector or embedder of your own needs the local engine; got engine={engine!r}")
    if engine != "local" and observer is not None:
        raise ConfigError(f"an observer of frames needs the local engine; got engine={engine!r}")
    if engine != "local" and any(source.detections or source.tracks for source in chosen):
        raise ConfigError(f"detections or tracks of your own need the local engine; got engine={engine!r}")
    looks = resolve_model(config.embedding.model, "reid").sha256 if embedder is None else embedder.space.fingerprint
    settings = settings_fingerprint(config, engine, detector=detector)
    formerly = {settings: settings_fingerprint(config, engine, detector=detector, former_model=looks)}
    named = list(zip(source_ids(chosen), chosen, strict=True))
    summaries = [SourceSummary(source_id, redacted(source.uri)) for source_id, source in named]
    known = {} if replace else known_recordings(gallery)
    given = {source_id: given_fingerprint(source) for source_id, source in named}
    own: dict[str, str] = {}
    for source_id, source in named:
        if source.max_fps is not None or source.ignore or given[source_id]:
            special = (config, engine, source.max_fps, detector, source.ignore, given[source_id])
            own[source_id] = settings_fingerprint(*special)
            formerly[own[source_id]] = settings_fingerprint(*special, former_model=looks)
    grown: dict[str, str] = {}
    contents = {
        source_id: content_of(source, source_id) if known or len(named) > 1 else None for source_id, source in named
    }
    beginnings = beginnings_of_others(contents)
    for summary, (source_id, _) in zip(summaries, named, strict=True):
        started = contents[source_id]
        if source_id in beginnings:
            summary.state, summary.note = SourceState.SKIPPED, f"it is the beginning of {beginnings[source_id]}"
            continue
        recording = None if started is None else same_recording(started, known)
        if started is None or recording is None:
            continue
        more = started.length > recording.length
        if (
            recording.state == RecordingState.COMPLETE
            and recording.settings in (wanted := own.get(source_id, settings), formerly[wanted])
            and not more
        ):
            summary.state, summary.note = SourceState.SKIPPED, why_held(recording, source_id)
        elif recording.content != started.content:
            grown[source_id] = recording.content
    left = [pair for pair, summary in zip(named, summaries, strict=True) if summary.state is not SourceState.SKIPPED]
    with ExitStack() as stack:
        stack.callback(give_back_free_memory)
        if left and store is None and "://" not in str(gallery) and index_of(gallery, config) == "chroma":
            # It gets ready while the models are opened.
            index_process.start()
        if store is None and engine == "local" and observer is None and left and _is_watched(gallery):
            # Alerts have the picture of their moment.
            frames = FrameShelf()
            observer = frames.observe
        film = None if render is None else stack.enter_context(_film(render, engine, named))
        made = _engine(engine, config, left, gallery, film, detector, embedder, observer)
        model = name_for_others(config.embedding.model) if embedder is None else ""
        opened = stack.enter_context(_stored(gallery, config, made.space, model, store))
        yield GalleryRun(
            made,
            opened,
            config,
            settings=settings,
            own_settings=own,
            former_settings=formerly,
            sources=summaries,
            replace=replace,
            record=record,
            max_seconds=max_seconds,
            grown=grown,
            # Who brings people of their own has decided who is one, in pictures that we may know nothing about.
            believed=[name for name, source in named if detector is not None or source.detections or source.tracks],
            zones={source_id: Zones(source.zones) for source_id, source in named},
            film=film,
            shelf=shelf,
            decided=decided,
            checkpoints=checkpoints,
            files={name: local_path(source.uri) for name, source in named if kind_of(source.uri) is Kind.FILE},
            films=[(name, source) for name, source in named if _recorded(source) and name not in beginnings],
            watcher=watcher,
            frames=frames,
        )


@contextmanager
def open_replay(
    events: Path,
    config: Config,
    gallery: str | Path,
    *,
    replace: bool = False,
    store: TrackletStore | None = None,
    decided: Callable[[bool], Gallery] | None = None,
    watcher: Watcher | None = None,
) -> Iterator[GalleryRun]:
    """A run that takes its events from a recording instead of sources and models. store, decided, watcher: see
    ``open_run``."""
    from reidstream.engines.replay import ReplayEngine

    engine = ReplayEngine(events)
    settings = settings_fingerprint(config, "replay")
    formerly = {settings: settings_fingerprint(config, "replay", former_model=engine.space.fingerprint)}
    with _stored(gallery, config, engine.space, "", store) as opened:
        yield GalleryRun(
            engine,
            opened,
            config,
            settings=settings,
            former_settings=formerly,
            replace=replace,
            decided=decided,
            watcher=watcher,
        )


@contextmanager
def _stored(
    gallery: str | Path, config: Config, space: EmbeddingSpace, model: str, store: TrackletStore | None
) -> Iterator[TrackletStore]:
    """Where tracklets of a space are stored: the gallery, made if there is none, or the store of who owns it."""
    if store is not None:
        with Gallery.open(gallery, space=space):
            # Its vectors are of the same space: what another process stores may be put in.
            pass
        yield store
        return
    opening = Gallery.open(
        gallery, write=True, create=True, space=space, model=model, config=config.gallery, keep_empty=False
    )
    with opening as opened:
        yield opened


def _is_watched(gallery: str | Path) -> bool:
    """Whether a gallery that is there has rules of alerts that hold."""
    try:
        with Gallery.open(gallery) as opened:
            return any(rule.active for rule in WatchLists(opened).rules())
    except GalleryNotFound:
        return False


def _chosen(sources: Sequence[SourceConfig | str | Path]) -> list[SourceConfig]:
    """What is to be read, folders and patterns resolved; sources that are described already stay as they are."""
    from reidstream.sources import expand_sources

    if any(isinstance(source, SourceConfig) for source in sources):
        given = [s if isinstance(s, SourceConfig) else expand_sources([str(s)]) for s in sources]
        return [config for some in given for config in ([some] if isinstance(some, SourceConfig) else some)]
    return expand_sources([str(source) for source in sources])


def _recorded(source: SourceConfig) -> bool:
    from reidstream.sources.address import Kind, kind_of

    return kind_of(source.uri) in (Kind.FILE, Kind.FOLDER)


def _remembering(source: SourceConfig, config: Config, engine: EngineName) -> SourceConfig:
    """The source with the memory for its packets that clips need, or with none. Raises ConfigError."""
    clips = config.clips
    if not clips.keep or _recorded(source):
        return source.model_copy(update={"ring_seconds": None, "ring_mib": None})
    if engine != "local":
        raise ConfigError(
            "clips of cameras (clips.keep) need the local engine, which hands their packets on; with DeepStream "
            "recordings alone have clips"
        )
    bounds = {"ring_seconds": source.ring_seconds or clips.ring_seconds, "ring_mib": source.ring_mib or clips.ring_mib}
    return source.model_copy(update=bounds)


def _film(path: Path, engine: EngineName, sources: Sequence[tuple[str, SourceConfig]]) -> Renderer:
    """What draws the video of each source. Raises ConfigError."""
    from reidstream.rendering import Renderer

    if engine != "local" and not all(_recorded(source) for _, source in sources):
        raise ConfigError(
            "drawing cameras (--render) needs the local engine's frames; DeepStream has its own OSD. Recordings are "
            "drawn with either engine"
        )
    return Renderer(path, [name for name, _ in sources])


def _engine(
    name: EngineName,
    config: Config,
    sources: Sequence[tuple[str, SourceConfig]],
    gallery: str | Path,
    film: Renderer | None,
    detector: Detector | None,
    embedder: Embedder | None,
    observer: Observer | None,
) -> Engine:
    if name == "deepstream":
        from reidstream.engines.deepstream.running.engine import DeepStreamEngine

        # The files that NVIDIA's elements are run from stay beside the gallery, for whoever wants to know.
        beside = None if "://" in str(gallery) or config.deepstream.folder else Path(f"{gallery}.deepstream")
        watched = config.deepstream.watch
        return DeepStreamEngine(config, sources, beside, Path(watched) if watched else None)
    from reidstream.engines.local import open_local_engine

    live = {source_id for source_id, source in sources if not _recorded(source)}
    if live and config.clips.keep:
        # Clips are cut where the packets of cameras are, which is the process that reads them.
        config = config.model_copy(update={"local": config.local.model_copy(update={"processes": 1})})
    if film is None or not live:
        return open_local_engine(config, sources, observer=observer, detector=detector, embedder=embedder)

    def draw_live(frame: Frame, observed: Observed) -> None:
        if observer is not None:
            observer(frame, observed)
        if frame.source in live:
            film.draw(frame, observed)

    return open_local_engine(config, sources, observer=draw_live, detector=detector, embedder=embedder)
