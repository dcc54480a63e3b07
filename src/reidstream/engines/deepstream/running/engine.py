"""The DeepStream engine: configuration in, events out."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from reidstream.config import Config, SourceConfig
from reidstream.config.deepstream import PropertyValue
from reidstream.engines import EngineStatus
from reidstream.engines.deepstream.files.nvinfer_config import RenderedConfigs, render_configs
from reidstream.engines.deepstream.files.nvtracker_config import shadow_frames
from reidstream.engines.deepstream.metadata import BatchReader, FrameArrays, Layout, open_bindings, open_cutter
from reidstream.engines.deepstream.running.alive import AliveFile
from reidstream.engines.deepstream.running.bus import BusWatch
from reidstream.engines.deepstream.running.camera_list import CameraList, camera_key
from reidstream.engines.deepstream.running.causes import likely_causes
from reidstream.engines.deepstream.running.handover import Handover, PipelineOver, StreamOver, TracksOver
from reidstream.engines.deepstream.running.mux_pads import MuxPads
from reidstream.engines.deepstream.running.pipeline import Pipeline, check_mux, source_properties
from reidstream.engines.deepstream.running.probe import Probe
from reidstream.engines.deepstream.running.sampling import BestSamples
from reidstream.engines.deepstream.running.source import Source, file_facts, gst_uri, looked_after
from reidstream.engines.deepstream.running.source_events import SourceEvents
from reidstream.engines.deepstream.running.tls import trusting
from reidstream.errors import ConfigError, EngineError, ReIDStreamError, SourceError
from reidstream.inference import open_embedder
from reidstream.regions import IgnoredRegions
from reidstream.sources import redacted, source_ids
from reidstream.sources.address import Kind, kind_of, local_path
from reidstream.sources.certificates import trusted_file, why_not_trusted
from reidstream.sources.clock import Thinning
from reidstream.sources.connection import ConnectionRefused
from reidstream.sources.container_end import missing_bytes
from reidstream.sources.fingerprint import live_fingerprint
from reidstream.sources.source import wrong_stamps
from reidstream.types import EmbeddingSpace, Event, SourceStarted

logger = logging.getLogger(__name__)

_TICK = 0.25
"""Seconds between two looks at what time alone decides."""
_GRACE = 3.0
"""Seconds without a frame after which a stream that was said to have ended has ended."""
_CROP_QUALITY = 90


class DeepStreamEngine:
    """NVIDIA DeepStream 8.0; see Engine for the contract.

    sources: (source id, configuration) pairs. folder: where NVIDIA's configuration files are written; none: what
    ``deepstream.folder`` says, else a temporary folder. camera_list: a TOML file whose changes add and remove
    sources while running. Raises ConfigError, ModelError and MissingDependency before any source is touched.
    """

    def __init__(
        self,
        config: Config,
        sources: Sequence[tuple[str, SourceConfig]],
        folder: Path | None = None,
        camera_list: Path | None = None,
    ) -> None:
        deepstream = config.deepstream
        config = config.model_copy(update={"sources": tuple(source for _, source in sources)})
        self._config = config
        if folder is None and deepstream.folder is not None:
            folder = Path(deepstream.folder)
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="reidstream-deepstream-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._rendered = render_configs(config, folder)
        check_mux(self._rendered.elements)
        self._space = open_embedder(self._rendered.reid, config.embedding).space
        self._status = EngineStatus(warnings=dict.fromkeys(self._rendered.warnings, 1))
        self._given = list(sources)
        self._camera_list = CameraList(camera_list) if camera_list is not None else None
        self._sources: dict[int, Source] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._indices = 0
        self._to_open = 0
        self._pads = MuxPads(self._rendered.batch)
        self._waiting: deque[Source] = deque()
        self._finishing = False
        self._alive = AliveFile(self._rendered.folder)
        self._handover = Handover(deepstream.queue, self._is_live, self._count_dropped)
        mux_size = None if deepstream.mux.new_mux else self._rendered.mux_size
        layout = Layout(
            mux_size=mux_size,
            detector_id=self._rendered.pgie_id,
            person_classes=frozenset({self._rendered.person_class_id}),
            embedder_id=self._rendered.sgie_id,
            layer=self._rendered.layer if self._rendered.sgie_id is not None else None,
        )
        self._sampling = sampling = BestSamples(
            config.embedding.per_track,
            timeout=config.tracker.timeout,
            min_size=_smallest(config),
            mux_size=mux_size,
            sparse=self._rendered.sgie_id is not None and deepstream.sgie.network_type == 1,
        )
        self._pipeline = Pipeline(self._rendered.elements, deepstream.mux.new_mux, self._pads)
        # Behind the elements, which have loaded the libraries that have to be read with.
        bindings = open_bindings(deepstream.metadata, self._pipeline.gst.Buffer.new)
        self._cutter = open_cutter(bindings, deepstream.gpu_id, _CROP_QUALITY) if deepstream.crops else None
        self._reader = BatchReader(
            layout, bindings, sampling=sampling, cut=self._cutter, keeps=self._keeps, source=self._pads.source
        )
        self._probe = Probe(self._pipeline.gst, self._reader, self._handover, self._pads)
        self._probe.attach(self._pipeline.last_pad)
        self._bus = BusWatch(self._pipeline, self._handover, self._pads, self._warn)
        # On a thread: nvinfer may build engines for minutes, during which Ctrl-C must be heard.
        self._starting = threading.Thread(target=self._start, name="start", daemon=True)

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def status(self) -> EngineStatus:
        return self._status

    @property
    def configs(self) -> RenderedConfigs:
        """The files that NVIDIA's elements are run from."""
        return self._rendered

    @property
    def counts(self) -> Counter[str]:
        """What the metadata held; see BatchReader."""
        return Counter(self._reader.counts)

    @property
    def probed(self) -> tuple[int, float]:
        """How many batches the probe has read, and in how many seconds of the streaming thread."""
        return self._probe.batches, self._probe.seconds

    def add_source(self, source_id: str, config: SourceConfig) -> None:
        """Add a source while the engine runs. Raises ConfigError when the id is in use."""
        with self._lock:
            if any(source.id == source_id and not source.events.ended for source in self._sources.values()):
                raise ConfigError(f"there is a source {source_id!r} already")
            # It keeps the run from being over when all others end before the main loop comes to it.
            self._to_open += 1
        self._bus.soon(lambda: self._open_added(source_id, config))

    def remove_source(self, source_id: str) -> None:
        """Take a source out while the engine runs; its tracks end. Raises ConfigError when there is none."""
        with self._lock:
            found = next((source for source in self._sources.values() if source.id == source_id), None)
            if found is None:
                raise ConfigError(f"there is no source {source_id!r}")
            # From here on it is not opened again, and its index stays.
            found.unwanted, index = True, found.index
        # Behind its last frame; one that is not in the pipeline now, since it waits for something, has none.
        running = index in self._pipeline.sources
        self._handover.put_note(StreamOver(index, in_order=not running, stopped=True))
        self._bus.soon(lambda: self._pipeline.remove_source(index))

    def skip(self, source: str) -> None:
        # It may have come to its end by itself in the meantime.
        with suppress(ConfigError):
            self.remove_source(source)

    def stop(self) -> None:
        self._stopping.set()

    def events(self) -> Iterator[Event]:
        try:
            for source_id, config in self._given:
                self._open(source_id, config)
            if self._pipeline.sources and not self._stopping.is_set():
                self._bus.start()
                self._bus.every(_TICK, self._pipeline.look_after)
                if self._camera_list is not None:
                    self._bus.every(2.0, self._follow_camera_list)
                self._starting.start()
                yield from self._run()
            yield from self._end_all(stopped=self._stopping.is_set())
        finally:
            # Also when the reader of the events gives up in the middle.
            self._shut_down()

    def _start(self) -> None:
        try:
            if not self._pipeline.start():
                self._bus.refused()
        except Exception as error:
            # Nobody looks after this thread: what breaks it has to end the run.
            logger.debug("starting the pipeline failed", exc_info=error)
            failure = EngineError(f"the DeepStream pipeline does not start: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._handover.put_note(PipelineOver(failure))

    def _run(self) -> Iterator[Event]:
        """Events until the pipeline is over, every source has ended, or the engine is stopped."""
        looked = time.monotonic()
        while not self._stopping.is_set():
            item = self._handover.take(_TICK)
            if isinstance(item, FrameArrays):
                yield from self._frame(item)
            elif isinstance(item, TracksOver):
                source = self._source(item.source_index)
                if source is not None:
                    yield from source.events.terminated(item.object_ids)
            elif isinstance(item, StreamOver):
                yield from self._stream_over(item)
            elif isinstance(item, PipelineOver):
                if item.error is not None:
                    yield from self._end_all(stopped=False, error=str(item.error))
                    raise item.error
                return
            if item is None or time.monotonic() - looked > _TICK:
                looked = time.monotonic()
                yield from self._time_passes()
                if self._camera_list is None and self._all_ended():
                    return
        # What the probe had read when the stop came is finished; nothing waits for room any more.
        self._handover.release()
        while (item := self._handover.take(0)) is not None:
            if isinstance(item, FrameArrays):
                yield from self._frame(item)

    def _frame(self, arrays: FrameArrays) -> Iterator[Event]:
        source = self._source(arrays.source_index)
        if source is None or source.events.ended:
            return
        self._status.frames[source.id] = self._status.frames.get(source.id, 0) + 1
        self._status.stage_seconds["probe"] = self._probe.seconds
        yield from source.events.frame(arrays)
        self._check_embeddings()

    def _stream_over(self, note: StreamOver) -> Iterator[Event]:
        source = self._source(note.source_index)
        if source is None or source.events.ended or (source.broken is not None and not note.stopped):
            return
        if source.over is None or (source.over.error is None and note.error is not None):
            source.over = note
        if note.in_order:
            yield from self._end(source)

    def _time_passes(self) -> Iterator[Event]:
        for pad in self._pads.overdue():
            if (index := self._pads.deleted(pad)) is not None:
                self._handover.put_note(StreamOver(index, in_order=True))
        if self._waiting and self._pads.free:
            self._bus.soon(self._connect_waiting)
        now = time.monotonic()
        self._alive.sign(now)
        for source in self._known():
            if source.broken is not None:
                self._open_again(source, now)
            elif source.over is not None and source.events.silent_for > _GRACE and not len(self._handover):
                yield from self._end(source)
            elif not len(self._handover) and (problem := source.silence(now)) is not None:
                yield from self._break_off(source, problem, said=False)
            else:
                yield from source.events.stalled()

    def _break_off(self, source: Source, problem: str, said: bool) -> Iterator[Event]:
        """A live source gives nothing any more: it is taken out, and opened again later unless it is given up."""
        if said and source.last is None:
            problem = why_not_trusted(source.config) or problem
        now = time.monotonic()
        given_up = source.given_up(problem, said, now)
        if given_up is not None:
            yield from self._end_source(source, given_up, stopped=False)
            return
        yield from source.events.broken_off()
        self._warn(f"{source.id}: {problem}; it is opened again after {source.config.timeout:g} s")
        logger.warning("%s: %s; opening it again in %g s", source.id, problem, source.config.timeout)
        source.breaks(problem, now)
        index = source.index
        self._bus.soon(lambda: self._pipeline.remove_source(index))

    def _open_again(self, source: Source, now: float) -> None:
        """Under an index of its own: what may still come from before is nobody's then."""
        with self._lock:
            if now < source.due or source.unwanted:
                return
            before, source.index, self._indices = source.index, self._indices, self._indices + 1
            del self._sources[before]
            self._sources[source.index] = source
            source.broken = None
        self._sampling.forget(before)
        self._bus.soon(lambda: self._connect(source))

    def _end(self, source: Source) -> Iterator[Event]:
        over = source.over
        error, stopped = (over.error, over.stopped) if over is not None else (None, False)
        if source.live and over is not None and not stopped and not self._finishing:
            yield from self._break_off(source, error or "the camera has ended its stream", said=True)
            return
        if error is None and not stopped and source.cut_off:
            error = f"{redacted(source.config.uri)}: ends early, {source.cut_off:,} bytes are missing at its end"
        if error is None and not stopped and source.events.frames == 0:
            error = f"{redacted(source.config.uri)}: ended without a frame"
        yield from self._end_source(source, error, stopped)

    def _end_source(self, source: Source, error: str | None, stopped: bool) -> Iterator[Event]:
        events = source.events
        if events.ended:
            return
        yield from events.end(error, stopped, source.dropped)
        if events.fitted:
            self._warn(f"{source.id}: {events.fitted} frames had another picture size and were fitted")
        if events.mended:
            self._warn(wrong_stamps(source.id, events.mended))
        index = source.index
        with self._lock:
            self._sources.pop(index, None)
        if self._camera_list is not None and source.live and not stopped:
            self._camera_list.ended(source.config)
        self._sampling.forget(index)
        if not self._finishing:
            # Its pad is free for another one then.
            self._bus.soon(lambda: self._pipeline.remove_source(index))

    def _end_all(self, stopped: bool, error: str | None = None) -> Iterator[Event]:
        self._finishing = True
        for source in self._known():
            if source.over is not None or error is not None or stopped:
                over = source.over
                why = over.error if over is not None and over.error else error
                yield from self._end_source(source, why, stopped or bool(over and over.stopped))
            else:
                yield from self._end(source)

    def _check_embeddings(self) -> None:
        """Stops a run that would only make an empty gallery."""
        counts, patience = self._reader.counts, self._config.deepstream.patience
        if counts["embeddings"] == 0 and counts["no embedding"] >= patience:
            raise EngineError(
                f"{counts['no embedding']} people were tracked and large enough, but not one carried an embedding "
                f"(patience is {patience} person-frames, deepstream.patience). {likely_causes(self._rendered)}"
            )

    def _open_added(self, source_id: str, config: SourceConfig) -> None:
        try:
            self._open(source_id, config)
        finally:
            with self._lock:
                self._to_open -= 1

    def _open(self, source_id: str, config: SourceConfig) -> None:
        """Put a source into the pipeline. One that cannot be read ends at once, the others go on."""
        with self._lock:
            index, self._indices = self._indices, self._indices + 1
        self._status.frames.setdefault(source_id, 0)
        self._status.dropped.setdefault(source_id, 0)
        started = SourceStarted(
            source_id, redacted(config.uri), live_fingerprint(), (0, 0), 0.0, time.time(), live=True
        )
        error, live, cut_off = None, False, 0
        try:
            live = kind_of(config.uri) in (Kind.RTSP, Kind.WEBCAM)
            if not live:
                started = file_facts(source_id, config)
                cut_off = missing_bytes(local_path(config.uri))
            trusted_file(config)
        except (SourceError, OSError) as problem:
            error = str(problem)
        except ConnectionRefused as problem:
            error = f"{redacted(config.uri)}: {problem}"
        deepstream = self._config.deepstream
        shadow = shadow_frames(self._config) if deepstream.tracker.config is None else 0
        source = Source(
            index,
            source_id,
            config,
            SourceEvents(started, self._config.tracker.timeout, shadow, IgnoredRegions(config.ignore)),
            live,
            looked_after(config),
            Thinning(config.max_fps),
            cut_off,
        )
        with self._lock:
            self._sources[index] = source
        if error is not None:
            source.over = StreamOver(index, in_order=True, error=error)
            self._handover.put_note(source.over)
            return
        self._connect(source)

    def _connect(self, source: Source) -> None:
        """Put a source on a free pad of the mux; while there is none, it waits until another has ended."""
        index, config, deepstream = source.index, source.config, self._config.deepstream
        if self._source(index) is not source or source.unwanted:
            return
        pad = self._pads.give(index)
        if pad is None:
            if not source.waits:
                source.waits = True
                self._warn_of_waiting(source)
            with self._lock:
                self._waiting.append(source)
            return
        source.waits = False
        reconnect = config.timeout if config.reconnect else None
        try:
            uri = gst_uri(config)
            properties: dict[str, PropertyValue] = source_properties(uri, config.rtsp_transport, reconnect)
            self._pipeline.add_source(
                index,
                pad,
                uri,
                properties | dict(deepstream.source.properties),
                lambda: source.begins(time.monotonic()),
                source.events.linked,
                trusting(config),
            )
        except ReIDStreamError as problem:
            if self._starting.ident is None:
                raise
            # While others run, what is wrong with a new source is its own affair.
            self._handover.put_note(StreamOver(index, in_order=True, error=str(problem)))
            self._pads.leaves(index)
            self._pads.deleted(pad)

    def _warn_of_waiting(self, source: Source) -> None:
        # While a pad is on its way out, as when one camera takes another's place, it is a matter of moments.
        if len(self._pipeline.sources) >= self._rendered.batch:
            self._warn(
                f"there are more sources than the mux has places ({self._rendered.batch}, deepstream.mux.batch): "
                f"{source.id} waits until another has ended"
            )

    def _connect_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for source in waiting:
            self._connect(source)

    def _follow_camera_list(self) -> None:
        """Opens what is new on the list, takes out what has gone from it, and takes up cameras again that ended."""
        assert self._camera_list is not None
        with self._lock:
            alive = [source for source in self._sources.values() if not source.events.ended]
        running = {camera_key(source.config): source.id for source in alive if not source.unwanted}
        steps = self._camera_list.steps(running)
        for key in steps.gone:
            logger.info("camera %s is off the list", running[key])
            self.skip(running[key])
        taken = {source.id for source in alive}
        for config in steps.new:
            name = source_ids([config])[0]
            number = 2
            while name in taken:
                name, number = f"{source_ids([config])[0]}-{number}", number + 1
            taken.add(name)
            logger.info("camera %s is opened, as the list says", name)
            self._open(name, config)

    def _shut_down(self) -> None:
        self._alive.remove()
        self._handover.release()
        if not self._pipeline.stop():
            self._warn("NVIDIA's elements did not stop in time and were left behind")
        elif self._starting.is_alive():
            self._starting.join(5)
        self._bus.stop()
        self._probe.detach()
        if self._cutter is not None:
            self._cutter.close()

    def _source(self, index: int) -> Source | None:
        with self._lock:
            return self._sources.get(index)

    def _known(self) -> list[Source]:
        with self._lock:
            return list(self._sources.values())

    def _all_ended(self) -> bool:
        with self._lock:
            return not self._to_open and all(source.events.ended for source in self._sources.values())

    def _is_live(self, index: int) -> bool:
        # What is still on its way from a source that has ended is thrown away and must not wait for room.
        source = self._source(index)
        return source is None or source.live

    def _keeps(self, index: int, seconds: float) -> bool:
        source = self._source(index)
        return source is not None and source.keeps(seconds)

    def _count_dropped(self, index: int) -> None:
        source = self._source(index)
        if source is not None:
            source.dropped += 1
            self._status.dropped[source.id] = source.dropped

    def _warn(self, text: str) -> None:
        self._status.warn(text)


def _smallest(config: Config) -> tuple[int, int]:
    sgie = config.deepstream.sgie
    return sgie.min_width, sgie.min_height or config.embedding.min_height
