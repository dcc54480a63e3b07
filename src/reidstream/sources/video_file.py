"""Video files, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources.address import redacted
from reidstream.sources.clock import MediaClock, Thinning
from reidstream.sources.container_end import missing_bytes
from reidstream.sources.dating import LAST_WRITTEN, Dated, dated, recorded_length
from reidstream.sources.decoding import ON_PROCESSOR, Decoding, Pictures, spread
from reidstream.sources.fingerprint import file_beginning, file_fingerprint
from reidstream.sources.frame import Frame, Picture
from reidstream.sources.stored import StoredSource, reason
from reidstream.types import SourceStarted

logger = logging.getLogger(__name__)

_THREADS = 4
"""Decoding threads at most: each holds a frame of its own, and more of them gain nothing beside detection."""
_READ_ERRORS = 100
"""Errors in a row without a readable packet between after which a file is given up."""


class VideoFileSource(StoredSource):
    """Frames of a video file, in order of presentation. See ``Source`` for the contract."""

    def __init__(self, config: SourceConfig, source_id: str, decoding: Decoding = ON_PROCESSOR) -> None:
        super().__init__(config, source_id)
        self._decoding = decoding
        self._container: Any = None
        self._clock: MediaClock[Any] = MediaClock(0)

    @property
    def mended(self) -> int:
        return self._clock.mended

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _read(self) -> Generator[Frame, None, None]:
        cut_off = self._checked_file()
        stream = self._opened(cut_off)
        fps = float(stream.guessed_rate or stream.average_rate or 0)
        self._clock = MediaClock(fps)
        thinning = Thinning(self._config.max_fps)
        pictures = Pictures(self._decoding)
        start = 0.0
        index = 0
        for decoded, time in self._timed(stream):
            if thinning.keeps(time):
                picture: Picture = pictures.of(decoded)
                if self._info is None:
                    begun, beginning, length = self._looked_at()
                    start = begun.begun
                    self._info = SourceStarted(
                        source=self._id,
                        uri=redacted(self._config.uri),
                        content=file_fingerprint(self._path),
                        size=picture.size,
                        fps=min(fps, self._config.max_fps or fps),
                        wall_time=start + time,
                        frames=_frame_count(stream, fps),
                        dated=begun.by,
                        beginning=beginning,
                        length=length,
                    )
                picture = self._fitted(picture, self._info.size)
                yield Frame(self._id, index, time, start + time, picture)
            index += 1
        if index == 0:
            raise SourceBroken(f"{self._path}: no frame of its video could be decoded{_cut_off(cut_off)}")
        if cut_off:
            raise SourceBroken(f"{self._path}: ends early after {index} frames{_cut_off(cut_off)}")

    def _checked_file(self) -> int:
        """Look at the file before FFmpeg does; how many bytes of it are missing at its end."""
        try:
            if not self._path.exists():
                raise SourceNotFound(f"{self._path}: no such file")
            if not self._path.is_file():
                raise SourceNotFound(f"{self._path}: not a regular file; expected a video file or a folder of images")
            if self._path.stat().st_size == 0:
                raise SourceBroken(f"{self._path}: the file is empty")
            return missing_bytes(self._path)
        except OSError as error:
            raise SourceBroken(f"{self._path}: {reason(error)}") from None

    def _opened(self, cut_off: int) -> Any:
        import av

        try:
            # "file:" keeps FFmpeg from taking a colon in the name for a protocol.
            self._container = av.open(
                f"file:{self._path}", metadata_errors="replace", hwaccel=self._decoding.hardware()
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceBroken(
                f"{self._path}: not a video that can be read ({reason(error)}){_cut_off(cut_off)}"
            ) from None
        # What FFmpeg generates for missing presentation times is wrong for AVI with B-frames.
        self._container.flags &= ~av.container.Flags.gen_pts.value
        stream = self._picked(self._container)
        spread(stream, min(_THREADS, os.cpu_count() or 1))
        return stream

    def _looked_at(self) -> tuple[Dated, str, int]:
        """When the recording began, what it begins with, and its bytes; read beside what is being decoded."""
        import av

        with av.open(f"file:{self._path}", metadata_errors="replace") as container:
            stream = self._picked(container)
            tags = (container.metadata, stream.metadata)
            packets = (bytes(packet) for packet in container.demux(stream) if packet.size)
            try:
                beginning, length = file_beginning(self._path, packets)
            except av.error.FFmpegError:
                beginning, length = "", 0
            found = dated(self._path, tags, None)
        if found.by == LAST_WRITTEN:
            with av.open(f"file:{self._path}", metadata_errors="replace") as container:
                found = dated(self._path, (), recorded_length(container, self._picked(container)))
        return found, beginning, length

    def _timed(self, stream: Any) -> Iterator[tuple[Any, float]]:
        """Decoded frames with their media times."""
        clock, broken = self._clock, None
        try:
            for decoded in self._decoded(stream):
                # AVI stores only decoding times; on frames that come out of the decoder in order they serve as well.
                stamp = decoded.dts if decoded.pts is None else decoded.pts
                yield from clock.take(decoded, stamp, decoded.time_base)
        except SourceBroken as error:
            broken = error
        yield from clock.finish()
        if broken is not None:
            raise broken

    def _picked(self, container: Any) -> Any:
        """The largest video stream."""
        import av

        pictures = [s for s in container.streams.video if s.codec_context is not None]
        streams = [s for s in pictures if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            found = ", ".join(s.type for s in container.streams) or "none"
            raise SourceBroken(f"{self._path}: holds no video stream (streams found: {found})")
        return max(streams, key=lambda s: s.width * s.height)

    def _decoded(self, stream: Any) -> Iterator[Any]:
        import av

        # A packet cut short by the end of the file would take the frames still in the decoder with it.
        discard_partial = self._container.format.name != "mpegts"
        for packet in self._packets(stream):
            if packet.is_corrupt and discard_partial:
                self._skipped += 1
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self._skipped += 1
                logger.debug("%s: left out a damaged packet (%s)", self._id, reason(error))
                continue
            yield from frames

    def _packets(self, stream: Any) -> Iterator[Any]:
        import av

        errors = 0
        while True:
            try:
                for packet in self._container.demux(stream):
                    errors = 0
                    yield packet
                return
            except av.error.FFmpegError as error:
                # Reading may go on behind a damaged place; demux starts again where it stopped.
                errors += 1
                self._skipped += 1
                if errors >= _READ_ERRORS:
                    raise SourceBroken(f"{self._path}: cannot be read any further ({reason(error)})") from None


def _frame_count(stream: Any, fps: float) -> int | None:
    """What the container says, unless it counts something else, like the fields of interlaced video."""
    if not stream.frames or not stream.duration or not fps:
        return None
    expected = float(stream.duration * stream.time_base) * fps
    return int(stream.frames) if abs(stream.frames - expected) <= 0.1 * expected + 2 else None


def _cut_off(missing: int) -> str:
    return f"; the file is cut off, at least {missing:,} bytes are missing at its end" if missing else ""
