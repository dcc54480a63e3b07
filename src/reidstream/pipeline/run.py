"""Where the parts meet: configuration → engine → tracklets → gallery."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reidstream.config import Config, SourceConfig
from reidstream.config.sources import Polygon
from reidstream.engines import Engine
from reidstream.errors import ConfigError, GalleryNotFound, SourceError
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import Begin
from reidstream.gallery.recordings import State as RecordingState
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.proposal import Proposal, settle
from reidstream.pipeline.store import TrackletStore
from reidstream.pipeline.writer import GalleryWriter
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.collector import CollectorCounts
from reidstream.types import Event, Observed, SourceEnded, SourceStarted

if TYPE_CHECKING:
    from reidstream.engines.recording import Recorder
    from reidstream.gallery.recordings import Recording
    from reidstream.inference import Detector, Embedder

EngineName = Literal["local", "deepstream"]


class SourceState(StrEnum):
    """How far a run has come with a source."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The run was stopped before its end."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """The gallery has all of it already."""


@dataclass(slots=True)
class SourceSummary:
    """What became of one source.

    error: why it failed. note: why it was skipped, or that nobody was found in it. expected: frames it will have, None
    when unknown. frames: how far it was read; processed: of them looked at, which are fewer where a rate is thinned.
    tracklets: finished. seen_wall: Unix seconds at which its last frame came, None before the first.
    begun: when it was recorded, Unix seconds; dated: what says so. grown: the gallery held a shorter version of it, and
    only what is new in it was added.
    """

    source: str
    uri: str = ""
    state: SourceState = SourceState.WAITING
    error: str | None = None
    frames: int = 0
    expected: int | None = None
    dropped: int = 0
    live: bool = False
    note: str | None = None
    processed: int = 0
    tracklets: int = 0
    seen_wall: float | None = None
    begun: float | None = None
    dated: str = ""
    grown: bool = False


@dataclass(slots=True)
class RunSummary:
    """What a run did, and while it goes on, has done so far.

    seconds: wall time. tracklets: finished; stored: of them new in the gallery. people: identities in the
    gallery. kept_out: not stored because they had been erased before. resolved: what deciding everybody anew at the
    end came to, None when that was not done. open_tracks: people in view now.
    counts: see CollectorCounts. stage_seconds: busy time per stage over all threads.
    """

    sources: dict[str, SourceSummary] = field(default_factory=dict)
    seconds: float = 0.0
    tracklets: int = 0
    stored: int = 0
    kept_out: int = 0
    people: int = 0
    resolved: Proposal | None = None
    open_tracks: int = 0
    counts: CollectorCounts = field(default_factory=CollectorCounts)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    @property
    def frames(self) -> int:
        """Frames read, over all sources."""
        return sum(source.frames for source in self.sources.values())

    @property
    def processed(self) -> int:
        """Frames looked at, over all sources."""
        return sum(source.processed for source in self.sources.values())

    @property
    def failed(self) -> list[SourceSummary]:
        """The sources that ended with an error."""
        return [source for source in self.sources.values() if source.state is SourceState.FAILED]


class GalleryRun:
    """Events of an engine into a gallery that is open for writing. ``run`` once; ``stop`` from anywhere.

    gallery: a gallery, or a store that another process decides in: then nobody is given a person here.
    settings: fingerprint of everything that decides what the tracklets look like (see `settings_fingerprint`).
    own_settings: the same for sources, by id, that are read with settings of their own.
    record: file to record the events to.
    replace: make anew what the gallery holds of a recording that was read with other settings; else that is refused.
    max_seconds: stop after this much wall time.
    grown: sources, by id, of which the gallery holds a shorter version, and the content under which it does.
    """

    def __init__(
        self,
        engine: Engine,
        gallery: TrackletStore,
        config: Config,
        *,
        settings: str,
        own_settings: Mapping[str, str] | None = None,
        sources: Sequence[SourceSummary] = (),
        replace: bool = False,
        record: Path | None = None,
        max_seconds: float | None = None,
        grown: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._gallery = gallery
        self._config = config
        self._settings = settings
        self._own_settings = dict(own_settings or {})
        self._replace = replace
        self._record = record
        self._max_seconds = max_seconds
        self._grown = dict(grown or {})
        self._unwanted: set[str] = set()
        # Content → the source that it is read as.
        self._begun: dict[str, str] = {}
        self.summary = RunSummary({source.source: source for source in sources})

    def stop(self) -> None:
        """End cleanly: what was seen so far is finished and stored. Safe from a signal handler."""
        self.summary.stopped = True
        self._engine.stop()

    def run(self) -> RunSummary:
        """Run to the end of all sources.

        Sources that fail are reported in the summary. Raises GalleryError when the gallery cannot be written and
        EngineError when the engine fails; what was committed until then stays.
        """
        began = time.monotonic()
        collector = TrackletCollector(self._config.tracklets, self._config.embedding.per_track)
        self.summary.counts = collector.counts
        with ExitStack() as stack:
            stack.enter_context(self._time_limit())
            record = self._recorder(stack)
            identities = None
            if isinstance(self._gallery, Gallery):
                identities = OnlineIdentities(self._gallery, self._config.identities)
                identities.catch_up()
            stored = identities.catch_up if identities is not None else lambda: None
            writer = stack.enter_context(GalleryWriter(self._gallery, self._engine.stop, stored))
            try:
                for event in self._engine.events():
                    if record is not None:
                        record.write(event)
                    self._take(event, collector, writer)
                    self.summary.seconds = time.monotonic() - began
                    self.summary.stored = writer.stored
                    self.summary.people = identities.people if identities is not None else 0
            finally:
                # An engine that broke off without ending its sources must not cost what was seen.
                writer.add(collector.finish())
        self.summary.stored = writer.stored
        self.summary.people = identities.people if identities is not None else 0
        if isinstance(self._gallery, Gallery):
            self.summary.kept_out = self._gallery.kept_out
        self.summary.open_tracks = 0
        if isinstance(self._gallery, Gallery) and self._config.identities.resolve and not self._goes_on:
            self.summary.resolved = settle(self._gallery, self._config.identities)
            if self.summary.resolved is not None:
                self.summary.people = self.summary.resolved.people
        self.summary.seconds = time.monotonic() - began
        self.summary.stage_seconds = {**self._engine.status.stage_seconds, "store": writer.busy_seconds}
        self.summary.warnings = dict(self._engine.status.warnings)
        return self.summary

    @property
    def _goes_on(self) -> bool:
        """Whether the rest of something that was stopped will be read by the next run."""
        return any(source.state is SourceState.STOPPED and not source.live for source in self.summary.sources.values())

    def _take(self, event: Event, collector: TrackletCollector, writer: GalleryWriter) -> None:
        source = self.summary.sources.setdefault(event.source, SourceSummary(event.source))
        if isinstance(event, SourceStarted):
            source.uri, source.expected, source.live = event.uri, event.frames, event.live
            source.begun, source.dated = event.wall_time, event.dated
            if event.source in self._grown:
                event = dataclasses.replace(event, content=self._grown[event.source])
                source.grown = True
            settings = self._own_settings.get(event.source, self._settings)
            begin = self._gallery.begin_source(event, settings, replace=self._replace)
            if begin.wanted:
                self._begun[event.content] = event.source
            else:
                source.note = self._why_unwanted(begin, event)
                self._unwanted.add(event.source)
                self._engine.skip(event.source)
            source.state = SourceState.RUNNING
        if event.source in self._unwanted:
            if isinstance(event, SourceEnded):
                source.state = SourceState.SKIPPED
            return
        if isinstance(event, Observed):
            source.frames = event.frame + 1
            source.processed += 1
            source.seen_wall = event.wall_time
            source.dropped = self._engine.status.dropped.get(event.source, 0)
        finished = collector.take(event)
        self.summary.tracklets += len(finished)
        source.tracklets += len(finished)
        self.summary.open_tracks = collector.open_tracks
        writer.add(finished)
        if isinstance(event, SourceEnded):
            source.frames, source.dropped, source.error = event.frames, event.dropped, event.error
            whole = SourceState.STOPPED if event.stopped else SourceState.COMPLETE
            source.state = SourceState.FAILED if event.error else whole
            if source.state is SourceState.COMPLETE and not source.tracklets:
                source.note = "nobody was found in it"
            writer.end_source(event)

    def _why_unwanted(self, begin: Begin, started: SourceStarted) -> str:
        """Why a source is not wanted."""
        if begin is Begin.ELSEWHERE:
            return f"same content as {self._begun.get(started.content, 'another source of the gallery')}"
        return "it is in the gallery already"

    def _recorder(self, stack: ExitStack) -> Recorder | None:
        if self._record is None:
            return None
        from reidstream.engines.recording import Recorder

        return stack.enter_context(Recorder(self._record, self._engine.space))

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        if self._max_seconds is None:
            yield
            return
        timer = threading.Timer(self._max_seconds, self.stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


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
    detector: Detector | None = None,
    embedder: Embedder | None = None,
) -> Iterator[GalleryRun]:
    """A run with everything it needs opened, models first, so that what cannot work fails before anything is written.

    sources: addresses or SourceConfig; with none, those of the configuration. render: draw annotated video to this
    file, one per source. record: record the events to this file. store: of the process that owns the gallery, which is
    then opened for reading only.

    detector, embedder: objects of your own (``reidstream.inference`` has the protocols) instead of the configured
    models, on the local engine. A gallery tells detectors apart by their class; one that comes with several weights
    says which by an attribute ``fingerprint``, text. Embedders are told apart by their space.
    """
    from reidstream.gallery.index import process as index_process
    from reidstream.models import resolve_model
    from reidstream.sources import expand_configs, redacted, source_ids

    chosen = _chosen(sources) or expand_configs(config.sources)
    if not chosen:
        raise ConfigError("nothing to read: name a video, folder or camera, or a configuration with [[sources]]")
    if engine != "local" and (detector is not None or embedder is not None):
        raise ConfigError(f"a detector or embedder of your own needs the local engine; got engine={engine!r}")
    looks = resolve_model(config.embedding.model, "reid").sha256 if embedder is None else embedder.space.fingerprint
    settings = settings_fingerprint(config, engine, looks, detector=detector)
    named = list(zip(source_ids(chosen), chosen, strict=True))
    summaries = [SourceSummary(source_id, redacted(source.uri)) for source_id, source in named]
    known = {} if replace else _known(gallery)
    own = {
        source_id: settings_fingerprint(config, engine, looks, source.max_fps, detector, source.ignore)
        for source_id, source in named
        if source.max_fps is not None or source.ignore
    }
    grown: dict[str, str] = {}
    contents = {
        source_id: _content(source, source_id) if known or len(named) > 1 else None for source_id, source in named
    }
    beginnings = _beginnings_of_others(contents)
    for summary, (source_id, _) in zip(summaries, named, strict=True):
        started = contents[source_id]
        if source_id in beginnings:
            summary.state, summary.note = SourceState.SKIPPED, f"it is the beginning of {beginnings[source_id]}"
            continue
        recording = None if started is None else _same(started, known)
        if started is None or recording is None:
            continue
        more = started.length > recording.length
        if (
            recording.state == RecordingState.COMPLETE
            and recording.settings == own.get(source_id, settings)
            and not more
        ):
            summary.state, summary.note = SourceState.SKIPPED, _held(recording, source_id)
        elif recording.content != started.content:
            grown[source_id] = recording.content
    left = [pair for pair, summary in zip(named, summaries, strict=True) if summary.state is not SourceState.SKIPPED]
    with ExitStack() as stack:
        if left and store is None and config.gallery.index == "chroma" and "://" not in str(gallery):
            # It gets ready while the models are opened.
            index_process.start()
        made = _engine(engine, config, left, gallery, render, stack, detector, embedder)
        model = config.embedding.model if embedder is None else ""
        # A file is known by its full path, so that a search from another folder finds it.
        model = str(Path(model).resolve()) if Path(model).is_file() else model
        opened: TrackletStore
        if store is not None:
            with Gallery.open(gallery, space=made.space):
                # Its vectors are of the same space: what another process stores may be put in.
                opened = store
        else:
            opening = Gallery.open(
                gallery,
                write=True,
                create=True,
                space=made.space,
                model=model,
                config=config.gallery,
                keep_empty=False,
            )
            opened = stack.enter_context(opening)
        yield GalleryRun(
            made,
            opened,
            config,
            settings=settings,
            own_settings=own,
            sources=summaries,
            replace=replace,
            record=record,
            max_seconds=max_seconds,
            grown=grown,
        )


@contextmanager
def open_replay(events: Path, config: Config, gallery: str | Path, *, replace: bool = False) -> Iterator[GalleryRun]:
    """A run that takes its events from a recording instead of sources and models."""
    from reidstream.engines.replay import ReplayEngine

    engine = ReplayEngine(events)
    with Gallery.open(
        gallery, write=True, create=True, space=engine.space, config=config.gallery, keep_empty=False
    ) as opened:
        settings = settings_fingerprint(config, "replay", engine.space.fingerprint)
        yield GalleryRun(engine, opened, config, settings=settings, replace=replace)


def settings_fingerprint(
    config: Config,
    engine: str,
    model: str,
    max_fps: float | None = None,
    detector: Detector | None = None,
    ignore: Sequence[Polygon] = (),
) -> str:
    """What decides how tracklets come out, as 16 hex digits: engine, detection, tracking, sampling, pooling, models.

    model: names the embedding model, by its checksum or its space. max_fps: the frame rate that a source is thinned to,
    if it is. detector: one that is used instead of the configured model. ignore: regions of a source that do not count.
    """
    sections = ("detector", "tracker", "embedding", "tracklets", *(["deepstream"] if engine == "deepstream" else []))
    parts = {name: getattr(config, name).model_dump(mode="json") for name in sections}
    # How many frames are detected together changes nothing but speed.
    parts["detector"].pop("batch")
    parts["embedding"].pop("batch")
    named: list[object] = [engine, parts, model, *([] if max_fps is None else [max_fps])]
    if detector is not None:
        kind = type(detector)
        named.append({"detector": getattr(detector, "fingerprint", f"{kind.__module__}.{kind.__qualname__}")})
    if ignore:
        named.append({"ignore": ignore})
    text = json.dumps(named, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _chosen(sources: Sequence[SourceConfig | str | Path]) -> list[SourceConfig]:
    """What is to be read, folders and patterns resolved; sources that are described already stay as they are."""
    from reidstream.sources import expand_sources

    if any(isinstance(source, SourceConfig) for source in sources):
        given = [s if isinstance(s, SourceConfig) else expand_sources([str(s)]) for s in sources]
        return [config for some in given for config in ([some] if isinstance(some, SourceConfig) else some)]
    return expand_sources([str(source) for source in sources])


def _held(recording: Recording, source: str) -> str:
    """Why a recording need not be read again."""
    return "it is in the gallery already" if recording.source == source else f"same content as {recording.source}"


def _known(gallery: str | Path) -> dict[str, Recording]:
    """The gallery's recordings by content; none when there is no gallery yet."""
    try:
        with Gallery.open(gallery) as opened:
            return {recording.content: recording for recording in opened.sources()}
    except GalleryNotFound:
        return {}


def _content(source: SourceConfig, source_id: str) -> SourceStarted | None:
    """What a file or folder is; None for cameras and for what cannot be read, which the engine meets and reports."""
    from reidstream.sources import open_source
    from reidstream.sources.address import Kind, kind_of

    if kind_of(source.uri) not in (Kind.FILE, Kind.FOLDER):
        return None
    try:
        with open_source(source, source_id) as opened:
            return opened.started()
    except SourceError:
        return None


def _beginnings_of_others(contents: dict[str, SourceStarted | None]) -> dict[str, str]:
    """The sources that hold only the beginning of what another source of the same run holds, and which: the longest."""
    from reidstream.sources.fingerprint import grown

    of: dict[str, str] = {}
    known = sorted(((c.length, name, c) for name, c in contents.items() if c is not None and c.beginning), reverse=True)
    for number, (length, name, started) in enumerate(known):
        for longer, other, content in known[:number]:
            if longer > length and grown((started.beginning, length), (content.beginning, longer)):
                of[name] = other
                break
    return of


def _same(started: SourceStarted, known: dict[str, Recording]) -> Recording | None:
    """What the gallery has of the same recording: all of it, or the longest shorter version that was read."""
    from reidstream.sources.fingerprint import grown

    if started.content in known:
        return known[started.content]
    longer = (started.beginning, started.length)
    shorter = [recording for recording in known.values() if grown((recording.beginning, recording.length), longer)]
    return max(shorter, key=lambda recording: recording.length, default=None)


def _engine(
    name: EngineName,
    config: Config,
    sources: Sequence[tuple[str, SourceConfig]],
    gallery: str | Path,
    render: Path | None,
    stack: ExitStack,
    detector: Detector | None,
    embedder: Embedder | None,
) -> Engine:
    if name == "deepstream":
        if render is not None:
            raise ConfigError("drawing video (--render) needs the local engine's frames; DeepStream has its own OSD")
        from reidstream.engines.deepstream.running.engine import DeepStreamEngine

        # The files that NVIDIA's elements are run from stay beside the gallery, for whoever wants to know.
        beside = None if "://" in str(gallery) or config.deepstream.folder else Path(f"{gallery}.deepstream")
        watched = config.deepstream.watch
        return DeepStreamEngine(config, sources, beside, Path(watched) if watched else None)
    from reidstream.engines.local import open_local_engine

    if render is None:
        return open_local_engine(config, sources, detector=detector, embedder=embedder)
    from reidstream.rendering import Renderer

    renderer = stack.enter_context(Renderer(render, [source_id for source_id, _ in sources]))
    return open_local_engine(config, sources, observer=renderer.draw, detector=detector, embedder=embedder)
