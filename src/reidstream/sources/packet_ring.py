"""The last packets of a camera, as they came: what a clip of the past can be cut from without encoding anything."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any
from weakref import WeakValueDictionary

# FFmpeg's own container. Unlike MP4 and Matroska it leaves packets and parameters as they are, start codes included.
_CONTAINER = "nut"


@dataclass(frozen=True, slots=True)
class RingBounds:
    """How much of a camera is remembered: seconds, and bytes; what comes first."""

    seconds: float
    size: int


@dataclass(slots=True)
class StoredPacket:
    """A packet, out of the hands of FFmpeg. pts, dts: in ticks of its stretch, None where the camera gave none.

    shown, decoded: when it is, in seconds of the source's media time, as far as its own time says.
    """

    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    shown: float = 0.0
    decoded: float = 0.0


@dataclass(slots=True)
class Stretch:
    """Packets that one decoder takes one after the other.

    header: a file of FFmpeg's own kind with a single packet, which says how they are coded. time_base: seconds of a
    tick.
    """

    header: bytes
    time_base: Fraction
    size: tuple[int, int]
    packets: deque[StoredPacket] = field(default_factory=deque)
    offset: float | None = None
    """Media time less the camera's own; None until the first picture has come out of the decoder."""


class PacketRing:
    """The packets of one live source; filled by its reading thread, cut from any other.

    A stretch begins with a key frame, and a new one where the connection is made anew or the picture changes its size,
    because no decoder could go on there.
    """

    def __init__(self, bounds: RingBounds) -> None:
        self.bounds = bounds
        self._lock = threading.Lock()
        self._stretches: deque[Stretch] = deque()
        self._size = 0
        self._begun = False
        self._now = 0.0
        self.failure = ""
        """Why nothing is remembered, when the packets are of a kind that cannot be."""

    def restart(self) -> None:
        """What comes next follows nothing: the connection is a new one."""
        self._begun = False

    def take(self, packet: Any, stream: Any) -> None:
        """Remember a packet of a stream, of PyAV, as long as it stays within the bounds."""
        if not packet.size or packet.is_corrupt or self.failure:
            return
        size = (stream.codec_context.width, stream.codec_context.height)
        key = bool(packet.is_keyframe)
        with self._lock:
            last = self._stretches[-1] if self._stretches else None
            if not self._begun or last is None or last.size != size:
                if not key:
                    return
                try:
                    header = _header(packet, stream)
                except (OSError, ValueError) as error:
                    # FFmpeg's errors are one or the other. A camera must not end because it cannot be remembered.
                    self.failure = str(getattr(error, "strerror", None) or error)
                    return
                self._stretches.append(Stretch(header, stream.time_base, size))
                self._begun = True
            stretch = self._stretches[-1]
            stored = StoredPacket(bytes(packet), packet.pts, packet.dts, key)
            self._place(stored, stretch)
            stretch.packets.append(stored)
            self._size += len(stored.data)
            self._forget()

    def align(self, stamp: float | None, media_time: float) -> None:
        """A picture with this time stamp of the camera (seconds) has this media time."""
        with self._lock:
            self._now = media_time
            if stamp is None or not self._stretches or not self._begun:
                return
            stretch = self._stretches[-1]
            first = stretch.offset is None
            stretch.offset = media_time - stamp
            if first:
                for packet in stretch.packets:
                    self._place(packet, stretch)

    def cut(self, start: float, end: float) -> tuple[Stretch, list[StoredPacket]] | None:
        """The packets that show these seconds of media time, from the last key frame before them.

        None when nothing of that time is remembered. Where it falls into several stretches, those of the longest.
        """
        with self._lock:
            found = [(stretch, _within(list(stretch.packets), start, end)) for stretch in self._stretches]
        best = max(found, key=lambda pair: len(pair[1]), default=None)
        return best if best is not None and best[1] else None

    def _place(self, packet: StoredPacket, stretch: Stretch) -> None:
        """Work out when a packet is shown and decoded; one without times is taken to be shown now."""
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None or stretch.offset is None:
            packet.shown = packet.decoded = self._now
            return
        decoded = packet.dts if packet.dts is not None else shown
        packet.shown = float(shown * stretch.time_base) + stretch.offset
        packet.decoded = float(decoded * stretch.time_base) + stretch.offset

    def _forget(self) -> None:
        """Drop whole groups of pictures from the oldest on, as long as that leaves something within the bounds."""
        newest = self._stretches[-1].packets[-1].decoded
        while self._size > self.bounds.size or newest - self._oldest() > self.bounds.seconds:
            packets = self._stretches[0].packets
            self._size -= len(packets.popleft().data)
            while packets and not packets[0].key:
                self._size -= len(packets.popleft().data)
            if not packets:
                self._stretches.popleft()
            if not self._stretches:
                # A single group that is larger than all there may be: what follows must wait for the next key frame.
                self._begun = False
                return

    def _oldest(self) -> float:
        """The first moment that would remain if the first group went."""
        packets = self._stretches[0].packets
        for packet in islice(packets, 1, None):
            if packet.key:
                return packet.decoded
        return self._stretches[1].packets[0].decoded if len(self._stretches) > 1 else packets[-1].decoded


def _within(packets: Sequence[StoredPacket], start: float, end: float) -> list[StoredPacket]:
    """From the last key frame that is shown before ``start`` to the last packet that is decoded before ``end``.

    Packets lie in the order of decoding, and none is shown before it is decoded.
    """
    if not packets or packets[0].decoded > end or packets[-1].shown < start:
        return []
    keys = [place for place, packet in enumerate(packets) if packet.key]
    begin = max((place for place in keys if packets[place].shown <= start), default=keys[0])
    return list(until(packets[begin:], end))


def until(packets: Iterable[StoredPacket], end: float) -> Iterator[StoredPacket]:
    """Packets in the order of decoding, up to ``end`` and without a gap before the last picture that is shown."""
    latest = float("-inf")
    for packet in packets:
        # Behind a picture that others refer to come those that are shown before it.
        if packet.decoded > end and packet.shown >= latest:
            return
        latest = max(latest, packet.shown)
        yield packet


def _header(packet: Any, stream: Any) -> bytes:
    import av

    place = io.BytesIO()
    with av.open(place, "w", format=_CONTAINER) as container:
        copied = container.add_stream_from_template(stream)
        single = av.Packet(bytes(packet))
        single.pts = single.dts = 0
        single.time_base = stream.time_base
        single.is_keyframe = True
        single.stream = copied
        container.mux(single)
    return place.getvalue()


_RINGS: WeakValueDictionary[str, PacketRing] = WeakValueDictionary()


def remember_ring(content: str, ring: PacketRing) -> None:
    """Make a live source's ring known by its content, which no other has, for as long as somebody holds it."""
    _RINGS[content] = ring


def ring_of(content: str) -> PacketRing | None:
    """The ring of a live source that is read in this process, by its content."""
    return _RINGS.get(content)
