"""A run: events of an engine → tracklets → gallery → identities, and what became of each source."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reidstream.alerts import Watch
from reidstream.alerts.frames import FrameShelf
from reidstream.alerts.lists import watches
from reidstream.alerts.sightings import OpenTracks
from reidstream.config import Config, SourceConfig
from reidstream.engines import Engine
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import Begin
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import count_people
from reidstream.identities.settling import settle
from reidstream.pipeline.second_look import second_look
from reidstream.pipeline.store import Checkpoints, TrackletStore
from reidstream.pipeline.summary import RunSummary, SourceState, SourceSummary
from reidstream.pipeline.watching import Watcher
from reidstream.pipeline.writer import GalleryWriter
from reidstream.regions import Zones
from reidstream.tracklets import TrackletCollector, longest_wait
from reidstream.types import Event, Observed, SourceEnded, SourceStarted, Tracklet

if TYPE_CHECKING:
    from reidstream.clips import ClipKeeper, Shelf
    from reidstream.engines.recording import Recorder
    from reidstream.rendering import Renderer


class GalleryRun:
    """Events of an engine into a gallery that is open for writing. ``run`` once; ``stop`` from anywhere.

    gallery: a gallery, or a store that another process decides in: then nobody is given a person here.
    settings: fingerprint of everything that decides what the tracklets look like (see `settings_fingerprint`).
    own_settings: the same for sources, by id, that are read with settings of their own. former_settings: how earlier
    versions wrote such a fingerprint, by how it is written now.
    record: file to record the events to.
    replace: make anew what the gallery holds of a recording that was read with other settings; else that is refused.
    max_seconds: stop after this much wall time.
    grown: sources, by id, of which the gallery holds a shorter version, and the content under which it does.
    zones: of sources, by id, in which stays are noted.
    files: video files by source id, out of which clips of visits are cut. shelf: where these go, of the process that
    owns the gallery; else it is the gallery's own.
    decided: for a store: called at the end with whether the rest of something that was stopped will be read later;
    waits until its owner has decided who everybody is, and gives the gallery, open for reading.
    believed: sources whose people were found by what is not ours: a detector object, boxes or tracks from a file.
    watcher: for a store: who hears of whoever is in view; a gallery of one's own has one when it has rules of alerts.
    frames: keeps pictures of moments for them, where the engine's frames can be observed.
    film: where videos with people's numbers are drawn when everybody is known; films: the recordings that are.
    checkpoints: keeps, every ``workers.checkpoint_seconds``, what the open tracks of live sources have come to.
    """

    def __init__(
        self,
        engine: Engine,
        gallery: TrackletStore,
        config: Config,
        *,
        settings: str,
        own_settings: Mapping[str, str] | None = None,
        former_settings: Mapping[str, str] | None = None,
        sources: Sequence[SourceSummary] = (),
        replace: bool = False,
        record: Path | None = None,
        max_seconds: float | None = None,
        grown: Mapping[str, str] | None = None,
        zones: Mapping[str, Zones] | None = None,
        film: Renderer | None = None,
        films: Sequence[tuple[str, SourceConfig]] = (),
        files: Mapping[str, Path] | None = None,
        shelf: Shelf | None = None,
        believed: Collection[str] = (),
        decided: Callable[[bool], Gallery] | None = None,
        watcher: Watcher | None = None,
        frames: FrameShelf | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._engine = engine
        self._watcher, self._frames = watcher, frames
        self._open_tracks: OpenTracks | None = None
        self._checkpoints = checkpoints
        # Live source → when its open tracks were kept last, on the monotonic clock.
        self._kept: dict[str, float] = {}
        self._believed = believed
        self._decided = decided
        self._gallery = gallery
        self._config = config
        self._settings = settings
        self._own_settings = dict(own_settings or {})
        self._former_settings = dict(former_settings or {})
        self._replace = replace
        self._record = record
        self._max_seconds = max_seconds
        self._grown = dict(grown or {})
        self._zones = {source: found for source, found in (zones or {}).items() if found}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._film = film
        self._films = list(films)
        self._files = dict(files or {})
        self._shelf = shelf
        self._clips: ClipKeeper | None = None
        # Source → the last frame that was looked at.
        self._reached: dict[str, int] = {}
        self._unwanted: set[str] = set()
        # Nobody is decided on by what is being taken out.
        self._deciding = threading.Lock()
        # Content → the source that it is read as.
        self._begun: dict[str, str] = {}
        self.summary = RunSummary({source.source: source for source in sources})

    def stop(self) -> None:
        """End cleanly: what was seen so far is finished and stored. Safe from a signal handler."""
        self.summary.stopped = True
        self._engine.stop()

    def skip(self, source: str) -> None:
        """Read no more of one source; what was seen of it is finished and stored. Safe from any thread."""
        self._engine.skip(source)

    def run(self) -> RunSummary:
        """Run to the end of all sources.

        Sources that fail are reported in the summary. Raises GalleryError when the gallery cannot be written and
        EngineError when the engine fails; what was committed until then stays.
        """
        began = time.monotonic()
        look = second_look(self._engine.space)
        collector = TrackletCollector(self._config.tracklets, self._config.embedding.per_track, look, self._believed)
        self.summary.counts = collector.counts
        with ExitStack() as stack:
            stack.enter_context(self._time_limit())
            record = self._recorder(stack)
            identities = None
            if isinstance(self._gallery, Gallery):
                identities = OnlineIdentities(self._gallery, self._config.identities)
                identities.catch_up()
            watch = self._watch(self._gallery, identities)
            self._clips = self._clip_keeper(stack)

            def stored(batch: Sequence[Tracklet]) -> None:
                if identities is not None:
                    with self._deciding:
                        identities.catch_up()
                if watch is not None:
                    watch.settle()
                if self._clips is not None:
                    self._clips.take(batch)

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
                writer.add(self._with_stays(collector.finish()), collector.left_out())
        if watch is not None:
            # What was not worth storing is known as well by now.
            watch.settle()
        self.summary.stored = writer.stored
        self.summary.people = identities.people if identities is not None else 0
        self.summary.clips = self._clips.kept if self._clips is not None else 0
        if isinstance(self._gallery, Gallery):
            self.summary.kept_out = self._gallery.kept_out
        self.summary.open_tracks = 0
        if isinstance(self._gallery, Gallery) and self._config.identities.resolve and not self._goes_on:
            self.summary.resolved = settle(self._gallery, self._config.identities)
        whole = self._gallery if isinstance(self._gallery, Gallery) else None
        if self._decided is not None:
            whole = self._decided(self._goes_on)
        if whole is not None:
            self.summary.people, self.summary.undecided = count_people(whole)
        self.summary.seconds = time.monotonic() - began
        self.summary.stage_seconds = {**self._engine.status.stage_seconds, "store": writer.busy_seconds}
        self.summary.warnings = dict(self._engine.status.warnings)
        if whole is not None and self._film is not None:
            self._draw(whole, self._film)
        return self.summary

    def _watch(self, gallery: TrackletStore, identities: OnlineIdentities | None) -> Watch | None:
        """Who looks at a gallery's own rules, if it has any; whoever hears of open tracks is made ready."""
        watch = None
        if isinstance(gallery, Gallery) and identities is not None and watches(gallery):
            watch = Watch(
                gallery,
                lambda: identities,
                exclusive=self._deciding,
                clocks=self._config.identities.clocks,
                days=self._config.alerts.days,
            )
            self._watcher = watch if watch.watching else None
        if self._watcher is not None:
            if self._frames is not None:
                self._frames.wanted = self._watcher.wants
            at = self._frames.at if self._frames is not None else lambda _source, _frame: None
            self._open_tracks = OpenTracks(self._config.tracklets, self._zones, at)
        return watch

    def _draw(self, gallery: Gallery, film: Renderer) -> None:
        """Draw the recordings, now that everybody in them is known."""
        from reidstream.pipeline.drawing import drawn_as_far_as_possible

        stopped = self.summary.stopped
        began = time.monotonic()

        def goes(name: str, frame: int) -> bool:
            self.summary.drawing = (name, frame)
            # What a run that was stopped did not come to shows nobody.
            reached = self.summary.sources[name].state is not SourceState.STOPPED or frame <= self._reached.get(
                name, -1
            )
            return reached and (stopped or not self.summary.stopped)

        for problem in drawn_as_far_as_possible(gallery, self._films, film, goes).values():
            self.summary.warnings[f"drawn only as far as it could be read: {problem}"] = 1
        self.summary.drawing = None
        self.summary.stage_seconds["draw"] = time.monotonic() - began

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
            formerly = self._former_settings.get(settings, "")
            with self._deciding:
                begin = self._gallery.begin_source(event, settings, replace=self._replace, formerly=formerly)
            self._sizes[event.source] = event.size
            if begin.wanted:
                self._begun[event.content] = event.source
                if self._clips is not None:
                    self._clips.begin_source(event, self._files.get(event.source))
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
            self._reached[event.source] = event.frame
            source.processed += 1
            source.seen_wall = event.wall_time
            source.dropped = self._engine.status.dropped.get(event.source, 0)
            source.reconnects = self._engine.status.reconnects.get(event.source)
            source.latency = max(0.0, time.time() - event.wall_time) if source.live else None
        if self._open_tracks is not None and self._watcher is not None:
            seen = self._open_tracks.take(event, self._watcher.wants(event.source))
            if seen:
                self._watcher.saw(seen)
        finished = self._with_stays(collector.take(event))
        self.summary.tracklets += len(finished)
        source.tracklets += len(finished)
        self.summary.open_tracks = collector.open_tracks
        writer.add(finished, collector.left_out())
        if self._checkpoints is not None and isinstance(event, Observed) and source.live:
            self._keep_open_tracks(self._checkpoints, event.source, collector, writer)
        if isinstance(event, SourceEnded):
            source.frames, source.dropped, source.error = event.frames, event.dropped, event.error
            whole = SourceState.STOPPED if event.stopped else SourceState.COMPLETE
            source.state = SourceState.FAILED if event.error else whole
            if source.state is SourceState.COMPLETE and not source.tracklets:
                source.note = "nobody was found in it"
            writer.end_source(event)

    def _keep_open_tracks(
        self, store: Checkpoints, source: str, collector: TrackletCollector, writer: GalleryWriter
    ) -> None:
        now = time.monotonic()
        if now - self._kept.setdefault(source, now) >= self._config.workers.checkpoint_seconds:
            self._kept[source] = now
            writer.checkpoint(store, source, self._with_stays(collector.unfinished(source)))

    def _with_stays(self, tracklets: list[Tracklet]) -> list[Tracklet]:
        """The tracklets with their stays in the zones of their cameras."""
        if not self._zones:
            return tracklets
        return [
            dataclasses.replace(t, stays=self._zones[t.source].stays(t, self._sizes[t.source]))
            if t.source in self._zones
            else t
            for t in tracklets
        ]

    def _why_unwanted(self, begin: Begin, started: SourceStarted) -> str:
        """Why a source is not wanted."""
        if begin is Begin.ELSEWHERE:
            return f"same content as {self._begun.get(started.content, 'another source of the gallery')}"
        return "it is in the gallery already"

    def _clip_keeper(self, stack: ExitStack) -> ClipKeeper | None:
        if not self._config.clips.keep:
            return None
        from reidstream.clips import ClipKeeper, ClipShelf

        shelf = self._shelf
        if shelf is None and isinstance(self._gallery, Gallery):
            shelf = ClipShelf(self._gallery)
        if shelf is None:
            return None
        return stack.enter_context(
            ClipKeeper(
                shelf, self._config.clips, self._engine.status.warn, longest_wait(self._config.tracklets.still_seconds)
            )
        )

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
