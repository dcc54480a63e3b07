"""Where a stream's packets become pictures: on the processor, or on whatever an engine brings."""

from __future__ import annotations

from typing import Any, Protocol

from reidstream.sources.frame import Picture
from reidstream.sources.picture import Orientation, VideoPicture


class Decoding(Protocol):
    """How one source is decoded. Used by the thread that reads it."""

    def hardware(self) -> Any:
        """What ``av.open`` takes as ``hwaccel``: new for each call, None to decode on the processor."""

    def picture(self, frame: Any, orientation: Orientation) -> Picture:
        """A decoded ``av.VideoFrame``, wherever its pixels are."""


class OnProcessor:
    """FFmpeg's own decoders."""

    def hardware(self) -> None:
        return None

    def picture(self, frame: Any, orientation: Orientation) -> Picture:
        return VideoPicture(frame, orientation)


ON_PROCESSOR = OnProcessor()


def spread(stream: Any, threads: int) -> None:
    """Decode on so many threads of the processor; hardware wants one, since each would hold surfaces of its own."""
    context = stream.codec_context
    stream.thread_type = "NONE" if context.is_hwaccel else "AUTO"
    context.thread_count = 1 if context.is_hwaccel else threads


class Pictures:
    """The frames of one stream as pictures, all turned as the stream's display matrix says.

    PyAV ties a frame whose side data was read to itself: it then lives until the garbage collector comes by, which at
    1080p is half a gigabyte. So side data is read for the first frame, and again when a frame differs in size or angle.
    """

    def __init__(self, decoding: Decoding = ON_PROCESSOR) -> None:
        self._decoding = decoding
        self._seen: tuple[int, int, int] | None = None
        self._orientation = Orientation()

    def of(self, frame: Any) -> Picture:
        """The next ``av.VideoFrame`` of the stream."""
        shape = frame.width, frame.height, frame.rotation
        if shape != self._seen:
            self._seen, self._orientation = shape, Orientation.of(frame)
        return self._decoding.picture(frame, self._orientation)
