"""Cutting clips beside a run, so that neither frames nor the gallery wait for them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from reidstream.channel import Channel
from reidstream.clips.cutting import SUFFIXES, cut_file, cut_ring
from reidstream.clips.shelf import PARTIAL, Clip, Shelf
from reidstream.clips.span import Span, span_of
from reidstream.config.clips import ClipConfig
from reidstream.errors import ReIDStreamError, SourceBroken
from reidstream.files import OWNER_ONLY, new_file
from reidstream.sources.packet_ring import PacketRing, ring_of
from reidstream.types import SourceStarted, Tracklet

_WAITING = 1000
"""Visits that may wait for their clip; the video file of a thousand visits is read slower than its clips are cut."""
_SWEEP_EVERY = 100
"""Clips after which it is seen to it that they are not too many."""
_DAY = 86_400.0
Warn = Callable[[str], None]


class ClipKeeper:
    """A thread that keeps a clip of every visit that was stored; a context manager.

    A clip that cannot be cut or written is counted by ``warn`` and costs nothing else. A full disk ends the keeping of
    clips for the rest of the run. wait: seconds since the beginning of a visit after which it is stored at the latest,
    if it is one of somebody who only stood or sat there.
    """

    def __init__(self, shelf: Shelf, config: ClipConfig, warn: Warn, wait: float = 0.0) -> None:
        self._shelf = shelf
        self._config = config
        self._warn = warn
        self._wait = wait
        self._from: dict[str, PacketRing | Path] = {}
        # What must not be shown any more: seconds of each content at which somebody is seen who was erased before.
        self._forbidden: dict[str, list[tuple[float, float]]] = {}
        self._waiting: Channel[Tracklet] = Channel(_WAITING)
        self._full = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self.kept = 0

    def begin_source(self, started: SourceStarted, path: Path | None) -> None:
        """Take note of where the packets of a source are: in its file, or in memory."""
        if path is not None:
            self._from[started.content] = path
        elif started.live and (ring := ring_of(started.content)) is not None:
            self._from[started.content] = ring
            wanted = self._wait + self._config.margin
            if ring.bounds.seconds < wanted:
                self._warn(
                    f"{started.source}: clips.ring_seconds is {ring.bounds.seconds:g}, but somebody who only stood or "
                    f"sat there for a short time is stored up to {wanted:g} seconds after the beginning of their clip "
                    f"(tracklets.still_seconds): such visits may be without one"
                )

    def take(self, stored: Sequence[Tracklet]) -> None:
        """Keep clips of tracklets that have been given to the gallery; waits only when very many are waiting."""
        for tracklet in stored:
            self._waiting.put(tracklet)

    def __enter__(self) -> Self:
        self._sweep()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting.close()
        self._thread.join()

    def _run(self) -> None:
        for number, tracklet in enumerate(self._waiting, start=1):
            if self._full:
                continue
            try:
                self._keep(tracklet)
                if number % _SWEEP_EVERY == 0:
                    self._sweep()
            except (ReIDStreamError, OSError) as error:
                self._fail(error)
        if not self._full:
            try:
                self._sweep()
            except (ReIDStreamError, OSError) as error:
                self._fail(error)

    def _fail(self, error: ReIDStreamError | OSError) -> None:
        if isinstance(error, SourceBroken):
            self._warn(f"no clip: {error}")
            return
        # The disk is full, or the gallery cannot be written, which the run itself will meet.
        self._full = True
        reason = getattr(error, "strerror", None) or str(error)
        self._warn(f"no more clips are kept in this run: {reason} ({self._shelf.folder}); visits are stored as before")

    def _keep(self, tracklet: Tracklet) -> None:
        place = self._from.get(tracklet.content)
        if place is None:
            self._warn(f"no clip: {tracklet.source} delivers pictures and no packets, or is a folder of images")
            return
        wanted = span_of(tracklet, self._config)
        clip = Clip(tracklet.id, tracklet.content, f"{tracklet.id}{SUFFIXES[0]}", wanted.start, wanted.end, time.time())
        if not self._shelf.begin(clip):
            self._heed(tracklet)
            return
        partial = self._shelf.folder / f".{tracklet.id}.{os.getpid()}{PARTIAL}"
        try:
            shown = self._cut(place, wanted, partial)
            written = partial.with_name(partial.name + shown.suffix)
            done = replace(clip, file=f"{tracklet.id}{shown.suffix}", start_media=shown.start, end_media=shown.end)
            if self._is_forbidden(done):
                raise SourceBroken("somebody is seen at the same time who was erased from this gallery")
            self.kept += self._shelf.finish(done, written)
        except BaseException:
            for left in self._shelf.folder.glob(f"{partial.name}*"):
                left.unlink(missing_ok=True)
            self._shelf.drop([tracklet.id])
            raise

    def _cut(self, place: PacketRing | Path, wanted: Span, partial: Path) -> Span:
        for suffix in SUFFIXES:
            # Made first, for its owner alone; whoever writes to it leaves it so.
            new_file(partial.with_name(partial.name + suffix), OWNER_ONLY)
        shown = cut_file(place, wanted, partial) if isinstance(place, Path) else cut_ring(place, wanted, partial)
        for suffix in SUFFIXES:
            if suffix != shown.suffix:
                partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        return shown

    def _heed(self, tracklet: Tracklet) -> None:
        """A visit that the gallery does not take in: it was erased before, and no clip may show it."""
        if self._shelf.holds(tracklet.id):
            return
        self._forbidden.setdefault(tracklet.content, []).append((tracklet.start_media, tracklet.end_media))
        self._shelf.drop_showing(tracklet.content, tracklet.start_media, tracklet.end_media)

    def _is_forbidden(self, clip: Clip) -> bool:
        return any(
            clip.start_media <= end and clip.end_media >= start for start, end in self._forbidden.get(clip.content, ())
        )

    def _sweep(self) -> None:
        days = self._config.days
        self._shelf.sweep(None if days is None else time.time() - days * _DAY, self._config.gib * 2**30)
