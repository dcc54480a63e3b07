"""A camera's own packets as fragmented MP4, for Media Source Extensions in browsers: nothing is decoded or encoded.

ISO/IEC 14496-12: a beginning (``ftyp``, ``moov`` without samples), then one fragment (``moof``, ``mdat``) for each
picture. Whoever joins later needs the beginning and the fragments from a key frame on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reidstream.server.live.picture import View, framed

_FLAGS = "empty_moov+default_base_moof+frag_every_frame"
_CODECS = {"h264": "H.264", "hevc": "H.265", "mjpeg": "Motion JPEG", "mpeg4": "MPEG-4 part 2", "av1": "AV1"}
"""What cameras send, as people call it."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a camera's film, for browsers.

    generation: of which beginning it is; a new one wants a new decoder. codec: RFC 6381, as ``isTypeSupported`` asks
    for it. beginning: this is one. key: decoding can begin here. wall: when its picture arrived, Unix seconds; media:
    when it is shown in the film, seconds. refused: why there is no film, in words.
    """

    source: str
    generation: int
    codec: str
    data: bytes
    beginning: bool = False
    key: bool = False
    wall: float = 0.0
    media: float = 0.0
    refused: str = ""

    def message(self, lost: int = 0) -> bytes:
        """As it goes to a browser, like ``LivePicture.message``. lost: fragments that this browser was too slow for."""
        part = "none" if self.refused else "beginning" if self.beginning else "fragment"
        header = {
            "camera": self.source,
            "view": View.MOVING.value,
            "part": part,
            "codec": self.codec,
            "wall": self.wall,
            "media": self.media,
            "words": self.refused,
            "lost": lost,
        }
        return framed(header, self.data)


class _Sink:
    """A file that is written only: FFmpeg is told that it cannot be sought in."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What has been written since this was last asked."""
        found, self._written = b"".join(self._written), []
        return found


class Fragmenter:
    """``take`` packets on the reading thread; fragments go to ``put``, which must not wait.

    A fragment leaves when the next packet has come, which says how long its picture is shown. A connection that is made
    anew, a picture of another size, or ``restart`` begins a film anew with the next key frame.
    """

    def __init__(self, source: str, put: Callable[[Fragment], None], clock: Callable[[], float] = time.time) -> None:
        self._source, self._put, self._clock = source, put, clock
        self._generation = time.time_ns() // 1000
        self._film: _Film | None = None
        self._refused = ""
        self._again = False

    def restart(self) -> None:
        """Begin anew with the next key frame: something of the film was lost. From any thread."""
        self._again = True

    def take(self, packet: Any, stream: Any) -> None:
        if not packet.size or packet.is_corrupt:
            return
        if self._again or (self._film is not None and not self._film.goes_on(stream)):
            self._film, self._again = None, False
        try:
            if self._film is None and not self._begin(packet, stream):
                return
            assert self._film is not None
            for fragment in self._film.take(packet, self._clock()):
                self._put(fragment)
        except (OSError, ValueError) as error:
            # FFmpeg's errors are one or the other. Reading must not end because it cannot be shown so.
            self._film = None
            self._refuse(f"the camera's packets cannot be shown as they are ({getattr(error, 'strerror', error)})")

    def _begin(self, packet: Any, stream: Any) -> bool:
        """Begin a film with this packet, if one can begin there."""
        name = stream.codec_context.name
        if name != "h264":
            self._refuse(f"the camera sends {_CODECS.get(name, name)}, which browsers do not all play")
            return False
        codec = codec_of(bytes(stream.codec_context.extradata or b""))
        if not packet.is_keyframe or codec is None or (packet.pts is None and packet.dts is None):
            return False
        self._generation += 1
        self._film, self._refused = _Film(self._source, self._generation, codec, stream), ""
        self._put(Fragment(self._source, self._generation, codec, self._film.beginning, beginning=True))
        return True

    def _refuse(self, words: str) -> None:
        if words != self._refused:
            self._refused = words
            self._put(Fragment(self._source, 0, "", b"", refused=words))


class _Film:
    """One beginning and what follows. Raises what FFmpeg raises."""

    def __init__(self, source: str, generation: int, codec: str, stream: Any) -> None:
        import av

        self._source, self._generation, self._codec, self._from = source, generation, codec, stream
        self._size = stream.codec_context.width, stream.codec_context.height
        self._sink = _Sink()
        # Without a rate of its own a camera's time base is kept, so that times stay exact.
        self._container = av.open(self._sink, "w", format="mp4", options={"movflags": _FLAGS})
        self._stream = self._container.add_stream_from_template(stream)
        self._container.start_encoding()
        self.beginning = self._sink.taken()
        self._first: int | None = None
        self._last = -1
        # Of the packet that FFmpeg still holds.
        self._held: tuple[bool, float, float] | None = None

    def goes_on(self, stream: Any) -> bool:
        """Whether packets of a stream belong to this film."""
        return stream is self._from and self._size == (stream.codec_context.width, stream.codec_context.height)

    def take(self, packet: Any, wall: float) -> list[Fragment]:
        """Fragments that are complete with this packet."""
        import av

        copied = av.Packet(bytes(packet))
        decoded = packet.dts if packet.dts is not None else packet.pts
        if decoded is None:
            decoded = (self._first or 0) + self._last + 1
        if self._first is None:
            self._first = decoded
        # Cameras' times may stand still or go back; a film's must not.
        copied.dts = max(decoded - self._first, self._last + 1)
        shown = packet.pts if packet.pts is not None else decoded
        copied.pts = max(shown - self._first, copied.dts)
        self._last = copied.dts
        base = packet.time_base or self._from.time_base
        copied.time_base, copied.is_keyframe, copied.stream = base, bool(packet.is_keyframe), self._stream
        media = float(Fraction(copied.pts) * base)
        self._container.mux(copied)
        data = self._sink.taken()
        found = []
        if data and self._held is not None:
            key, arrived, at = self._held
            found = [Fragment(self._source, self._generation, self._codec, data, key=key, wall=arrived, media=at)]
        self._held = bool(packet.is_keyframe), wall, media
        return found


def codec_of(extradata: bytes) -> str | None:
    """H.264's name by profile, constraints and level (RFC 6381), out of a stream's extradata: ISO/IEC 14496-15's
    ``avcC``, or start codes with a sequence parameter set; None: it is neither."""
    if len(extradata) >= 4 and extradata[0] == 1:
        return f"avc1.{extradata[1:4].hex()}"
    begin = 0
    while (begin := extradata.find(b"\0\0\1", begin)) >= 0:
        unit = extradata[begin + 3 : begin + 7]
        if len(unit) == 4 and unit[0] & 0x1F == 7:
            return f"avc1.{unit[1:4].hex()}"
        begin += 3
    return None
