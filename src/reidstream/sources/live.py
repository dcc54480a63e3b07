"""RTSP cameras and webcams: read by a thread of their own, connected again when they break off."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceError, SourceNotFound
from reidstream.sources.address import Kind, device_path, kind_of, redacted
from reidstream.sources.clock import LiveClock, Thinning
from reidstream.sources.connection import Arrival, Connection, ConnectionLost, ConnectionRefused
from reidstream.sources.decoding import ON_PROCESSOR, Decoding
from reidstream.sources.fingerprint import live_fingerprint
from reidstream.sources.frame import FittedPicture, Frame
from reidstream.sources.packet_ring import PacketRing, RingBounds, remember_ring
from reidstream.sources.packet_tap import PacketTap, remember_tap
from reidstream.types import SourceStarted

logger = logging.getLogger(__name__)

BUFFER = 8
"""Frames that wait for the consumer; beyond that the oldest is dropped and counted."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds between attempts to connect: the first delay, doubled after each failure up to the longest."""


def connect(config: SourceConfig, decoding: Decoding = ON_PROCESSOR) -> Connection:
    """A new connection to a camera. Raises ConnectionLost or ConnectionRefused with a reason for people."""
    if kind_of(config.uri) is Kind.RTSP:
        from reidstream.sources.rtsp import RtspConnection

        return RtspConnection(config, decoding)
    from reidstream.sources.webcam import WebcamConnection

    return WebcamConnection(device_path(config.uri))


class LiveSource:
    """Frames of a camera as they arrive. See ``Source`` for the contract.

    Until the first frame has come, attempts to connect go on for ``timeout`` seconds (or ``reconnect_limit``, when
    set), except when the camera answers that it will never deliver (wrong password, no such stream). Later, a broken or
    frozen connection is made again for as long as the configuration says. Media time goes on with the clock of this
    machine across gaps; between them it follows the camera's time stamps.
    """

    def __init__(self, config: SourceConfig, source_id: str, decoding: Decoding = ON_PROCESSOR) -> None:
        self._config = config
        self._decoding = decoding
        self._id = source_id
        self._address = redacted(config.uri)
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._buffer: deque[Frame] = deque()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._error: SourceError | None = None
        self._info: SourceStarted | None = None
        self._clock = LiveClock(config.timeout)
        self._thinning = Thinning(config.max_fps)
        self._index = 0
        self._skipped = 0
        self._fitted = 0
        self._dropped = 0
        self._reconnects = 0
        self._broken_at: float | None = None
        self._tap: PacketTap | None = None
        if kind_of(config.uri) is Kind.RTSP:
            self._tap = PacketTap()
            remember_tap(source_id, self._tap)
        self._ring: PacketRing | None = None
        if config.ring_seconds is not None and config.ring_mib is not None:
            self._ring = PacketRing(RingBounds(config.ring_seconds, int(config.ring_mib * 2**20)))

    @property
    def id(self) -> str:
        return self._id

    @property
    def skipped(self) -> int:
        return self._skipped

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def fitted(self) -> int:
        return self._fitted

    @property
    def mended(self) -> int:
        return self._clock.mended

    @property
    def reconnects(self) -> int:
        return self._reconnects

    def started(self) -> SourceStarted:
        with self._changed:
            self._start_reading()
            self._changed.wait_for(lambda: self._info is not None or self._ended or self._closed.is_set())
            if self._info is not None:
                return self._info
            raise self._error or SourceBroken(f"{self._address}: closed before its first frame")

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        with self._changed:
            self._start_reading()
            self._changed.wait_for(lambda: self._buffer or self._ended or self._closed.is_set())
            if self._closed.is_set():
                raise StopIteration
            if self._buffer:
                return self._buffer.popleft()
            error, self._error = self._error, None
            if error is not None:
                raise error
            raise StopIteration

    def close(self) -> None:
        # The reading thread may still wait inside FFmpeg; it ends by itself within the configured time-out.
        self._closed.set()
        with self._changed:
            self._buffer.clear()
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start_reading(self) -> None:
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._run, name=f"read {self._id}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        error: SourceError | None = None
        try:
            self._keep_reading()
        except SourceError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - whoever waits for a frame must not wait for ever
            error = SourceBroken(f"{self._address}: reading failed ({redacted(str(failure))})")
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def _keep_reading(self) -> None:
        delay, broken_since = FIRST_DELAY, time.monotonic()
        while not self._closed.is_set():
            before = self._index
            try:
                self._read_connection()
                problem = "the stream ended"
            except ConnectionRefused as refusal:
                if self._info is None:
                    raise SourceNotFound(f"{self._address}: {refusal}") from None
                problem = str(refusal)
            except ConnectionLost as loss:
                problem = str(loss)
            if self._closed.is_set():
                return
            if self._index > before:
                delay, broken_since = FIRST_DELAY, time.monotonic()
            self._check_limit(problem, time.monotonic() - broken_since + delay)
            if self._info is not None:
                self._broken_at = self._broken_at or time.monotonic()
            logger.warning("%s: %s; connecting again in %.1f s", self._id, problem, delay)
            self._closed.wait(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    def _check_limit(self, problem: str, broken: float) -> None:
        """Raise when there will be no further attempt. ``broken``: seconds without a frame before the next one."""
        limit = self._config.reconnect_limit
        if self._info is None:
            if broken > (limit or self._config.timeout):
                raise SourceNotFound(f"{self._address}: {problem}")
        elif not self._config.reconnect:
            raise SourceBroken(f"{self._address}: {problem}; reconnecting is switched off")
        elif limit is not None and broken > limit:
            raise SourceBroken(f"{self._address}: {problem}; no connection for {limit:g} seconds")

    def _read_connection(self) -> None:
        with connect(self._config, self._decoding) as connection:
            self._clock.restart()
            if self._tap is not None:
                connection.record(self._tap)
            if self._ring is not None:
                self._ring.restart()
                connection.record(self._ring)
            for arrival in connection.arrivals(self._closed):
                self._skipped += connection.take_skipped()
                self._deliver(arrival, connection.fps)

    def _deliver(self, arrival: Arrival, fps: float) -> None:
        if self._broken_at is not None:
            logger.warning("%s: is back after %.0f s", self._id, time.monotonic() - self._broken_at)
            self._broken_at = None
            self._reconnects += 1
        media_time = self._clock.media_time(arrival.stamp, time.monotonic())
        if self._ring is not None:
            self._ring.align(arrival.stamp, media_time)
        index = self._index
        self._index += 1
        if not self._thinning.keeps(media_time):
            return
        picture = arrival.picture
        if self._info is not None and picture.size != self._info.size:
            picture = FittedPicture(picture, self._info.size)
            self._fitted += 1
        frame = Frame(self._id, index, media_time, time.time(), picture)
        with self._changed:
            if self._info is None:
                self._info = SourceStarted(
                    source=self._id,
                    uri=self._address,
                    content=live_fingerprint(),
                    size=arrival.picture.size,
                    fps=min(fps, self._config.max_fps or fps),
                    wall_time=frame.wall_time,
                    live=True,
                )
                if self._ring is not None:
                    remember_ring(self._info.content, self._ring)
            if len(self._buffer) == BUFFER:
                self._buffer.popleft()
                self._dropped += 1
            self._buffer.append(frame)
            self._changed.notify_all()
