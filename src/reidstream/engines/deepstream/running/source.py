"""One source of a run: its address, and when a live one that broke off is opened again or given up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from reidstream.config import SourceConfig
from reidstream.config.secrets import filled_in
from reidstream.engines.deepstream.running.handover import StreamOver
from reidstream.engines.deepstream.running.source_events import SourceEvents
from reidstream.errors import SourceNotFound
from reidstream.sources import open_source, redacted
from reidstream.sources.address import Kind, device_path, kind_of, local_path
from reidstream.sources.clock import Thinning
from reidstream.types import SourceStarted

_BACK = 1.0
"""Seconds by which time stamps go back when a connection was made anew, and not for the order in which frames came."""
_SLOW = 3
"""How many time-outs a live source gets in which nothing comes, where its element looks after it too, or where it has
just been opened: connecting and a first key frame take longer than the next frame does."""


@dataclass(slots=True)
class Source:
    """One source: its events, and what was said of its end before its last frame came through.

    index: of its present opening, never used twice, so that late frames of one are not taken for another's.
    live: it has no end of its own; what looks like one is a break. watched: nvurisrcbin looks after it, too.
    waits: for a pad of the mux. unwanted: it was removed. broken: what broke it off, while it is out of the pipeline
    and waits to be opened again. Times are monotonic seconds: due for that; first_opened and opened of its first and
    its present opening; heard of the last frame of this opening, and last of any, thinned out or not.
    """

    index: int
    id: str
    config: SourceConfig
    events: SourceEvents
    live: bool
    watched: bool
    thinning: Thinning
    cut_off: int = 0
    over: StreamOver | None = None
    dropped: int = 0
    waits: bool = False
    unwanted: bool = False
    broken: str | None = None
    due: float = 0.0
    first_opened: float | None = None
    opened: float | None = None
    heard: float | None = None
    last: float | None = None
    _address: str = field(init=False)
    _stamp: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._address = redacted(self.config.uri)

    def begins(self, now: float) -> None:
        """It is being opened, for the first time or again."""
        self.opened, self.heard = now, None
        if self.first_opened is None:
            self.first_opened = now

    def keeps(self, seconds: float) -> bool:
        """Whether a frame that has come is processed; called for each, on NVIDIA's thread. seconds: its time stamp."""
        self.heard = self.last = time.monotonic()
        if seconds < self._stamp - _BACK:
            # Behind a break stamps begin anywhere: nothing would be due until they were where they had been.
            self.thinning = Thinning(self.config.max_fps)
        self._stamp = seconds
        return self.thinning.keeps(seconds)

    def breaks(self, problem: str, now: float) -> None:
        """It is out of the pipeline, and due again after its time-out."""
        self.broken, self.due, self.over = problem, now + self.config.timeout, None
        self.opened = self.heard = None

    def silence(self, now: float) -> str | None:
        """Why a live source that is open counts as broken although nothing was said of it; None when it does not.

        nvurisrcbin watches what comes over rtsp:// before it is decoded, and connects again by itself; what it cannot
        cure, and every other kind of camera, is looked after here.
        """
        if not self.live or self.opened is None:
            return None
        watched = self.watched and self.config.reconnect
        patience = self.config.timeout * (_SLOW if watched or self.heard is None else 1)
        silent = now - (self.opened if self.heard is None else self.heard)
        return f"no frame for {silent:.0f} seconds" if silent > patience else None

    def given_up(self, problem: str, said: bool, now: float) -> str | None:
        """Why a live source ends for good with this break; None when it is to be opened again.

        ``reconnect_limit`` decides, counted from the last frame. A camera that has not given one yet and says why
        (said), and has no limit, is tried for its time-out only, as on the local engine.
        """
        limit, reason = self.config.reconnect_limit, f"{self._address}: {problem}"
        if not self.config.reconnect:
            return reason
        first = self.last is None
        if limit is None and first and said:
            limit = self.config.timeout
        began = self.first_opened if self.last is None else self.last
        since = 0.0 if began is None else now - began
        if limit is None or since + self.config.timeout < limit:
            return None
        return reason if first else f"{reason}; no connection for {limit:g} seconds"


def file_facts(source_id: str, config: SourceConfig) -> SourceStarted:
    """What the local sources say of a file: its fingerprint, times and rate, the same on both engines."""
    if kind_of(config.uri) is Kind.FOLDER:
        raise SourceNotFound(
            f"{redacted(config.uri)}: DeepStream reads no folders of images; make a video of it, or use --engine local"
        )
    with open_source(config, source_id) as source:
        return source.started()


def looked_after(config: SourceConfig) -> bool:
    """Whether nvurisrcbin watches a source and connects it again by itself: RTSP without TLS only, in any spelling,
    which ``gst_uri`` makes that of nvurisrcbin."""
    return config.uri.lower().startswith("rtsp://")


def gst_uri(config: SourceConfig) -> str:
    """A source's address as nvurisrcbin wants it.

    It compares schemes letter by letter: an address in capitals would be neither watched nor connected again. For TLS
    the transport is part of GStreamer's scheme (rtspst is RTSP with TLS over TCP), since nvurisrcbin sets none there.
    """
    kind = kind_of(config.uri)
    if kind is Kind.WEBCAM:
        return f"v4l2://{device_path(config.uri)}"
    if kind is Kind.FILE:
        return local_path(config.uri).resolve().as_uri()
    scheme, rest = filled_in(config.uri).split("://", 1)
    scheme = scheme.lower()
    if scheme == "rtsps" and config.rtsp_transport == "tcp":
        scheme = "rtspst"
    return f"{scheme}://{rest}"
