"""RTSP cameras, read by FFmpeg through PyAV."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from reidstream.config import SourceConfig
from reidstream.config.secrets import filled_in
from reidstream.sources.address import redacted
from reidstream.sources.certificates import over_tls, trusted_file, why_not_trusted
from reidstream.sources.connection import Arrival, ConnectionLost, ConnectionRefused
from reidstream.sources.decoding import ON_PROCESSOR, Decoding, Pictures, spread
from reidstream.sources.packet_tap import PacketTaker

_THREADS = 2
"""Decoding threads of a live source: each more adds a frame of delay."""


class RtspConnection:
    """A Connection to an RTSP camera."""

    def __init__(self, config: SourceConfig, decoding: Decoding = ON_PROCESSOR) -> None:
        import av

        self._timeout = config.timeout
        self._skipped = 0
        # Only the video is asked for; the socket's own time-out (in microseconds) also covers writing.
        options = {
            "rtsp_transport": config.rtsp_transport,
            "allowed_media_types": "video",
            "timeout": str(int(config.timeout * 1e6)),
        }
        trusted = trusted_file(config)
        if trusted is not None:
            # FFmpeg checks nothing unless it is told to, and would send the password to anybody.
            options |= {"tls_verify": "1", "ca_file": str(trusted)}
        begin = time.monotonic()
        try:
            address = filled_in(config.uri)
            self._container = av.open(
                address,
                options=options,
                timeout=config.timeout,
                metadata_errors="replace",
                hwaccel=decoding.hardware(),
            )
        except av.error.FFmpegError as error:
            if time.monotonic() - begin >= config.timeout:
                # FFmpeg reports an interrupted answer as invalid data.
                raise ConnectionLost(f"no answer for {config.timeout:g} seconds") from None
            failure = _failure(error, config)
            if isinstance(failure, ConnectionLost) and over_tls(config) and (why := why_not_trusted(config)):
                failure = ConnectionRefused(why)
            raise failure from None
        try:
            if not self._container.streams.video:
                raise ConnectionRefused("it delivers no video stream")
            self._stream = self._container.streams.video[0]
            spread(self._stream, _THREADS)
        except BaseException:
            self._container.close()
            raise
        self._config = config
        self._decoding = decoding
        self._takers: list[PacketTaker] = []

    @property
    def fps(self) -> float:
        return float(self._stream.guessed_rate or self._stream.average_rate or 0)

    def take_skipped(self) -> int:
        skipped, self._skipped = self._skipped, 0
        return skipped

    def record(self, taker: PacketTaker) -> None:
        self._takers.append(taker)

    def arrivals(self, closed: threading.Event) -> Iterator[Arrival]:
        import av

        pictures = Pictures(self._decoding)
        last = time.monotonic()
        try:
            for packet in self._container.demux():
                if closed.is_set():
                    return
                if packet.stream_index == self._stream.index:
                    for taker in self._takers:
                        taker.take(packet, self._stream)
                    try:
                        frames = packet.decode()
                    except av.error.FFmpegError:
                        self._skipped += 1
                        frames = []
                    if frames:
                        last = time.monotonic()
                    for frame in frames:
                        stamp = float(frame.pts * frame.time_base) if frame.pts is not None else None
                        yield Arrival(pictures.of(frame), stamp)
                if time.monotonic() - last > self._timeout:
                    raise ConnectionLost(f"no frame for {self._timeout:g} seconds")
        except av.error.FFmpegError as error:
            raise _failure(error, self._config) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()


def _failure(error: Any, config: SourceConfig) -> ConnectionLost | ConnectionRefused:
    import av

    # Never str(error): it quotes the address with its password.
    reason = redacted(error.strerror or type(error).__name__)
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return ConnectionLost(f"no answer for {config.timeout:g} seconds")
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return ConnectionRefused("the user name or password is wrong, or missing")
    if isinstance(error, av.error.HTTPNotFoundError):
        return ConnectionRefused("the camera has no such stream; check the path behind the host")
    return ConnectionLost(reason)
