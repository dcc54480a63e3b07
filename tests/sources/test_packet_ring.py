"""What a camera's ring remembers of its packets, and what is cut out of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from reidstream.clips.cutting import cut_ring
from reidstream.clips.span import Span
from reidstream.errors import SourceBroken
from reidstream.sources import packet_ring
from reidstream.sources.packet_ring import PacketRing, RingBounds, StoredPacket, remember_ring, ring_of, until
from tests.sources.conftest import index_shown, picture

FPS = 25
WIDE = RingBounds(60.0, 2**30)


def encoded(
    path: Path, frames: int = 100, codec: str = "libx264", size: tuple[int, int] = (160, 96), b: int = 2
) -> Path:
    """A video whose pictures say their number, a key frame every ten, with pictures that are shown out of order."""
    with av.open(str(path), "w") as container:
        options = {"g": "10", "bf": str(b), "sc_threshold": "0", "x264-params": "open-gop=0"}
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, *size), format="bgr24")))
        container.mux(stream.encode())
    return path


def delivered(ring: PacketRing, path: Path, change: Callable[[Any], None] = lambda packet: None) -> None:
    """What a reading thread does with a camera's packets. Media time begins at 5 s with the first picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        first = None
        for packet in container.demux(stream):
            if packet.size:
                frames = packet.decode()
                change(packet)
                ring.take(packet, stream)
                for frame in frames:
                    stamp = float(frame.pts * frame.time_base)
                    first = stamp if first is None else first
                    ring.align(stamp, 5.0 + stamp - first)


def shown(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [index_shown(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


@pytest.fixture
def packets_of(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    yield lambda name="camera.ts", **how: encoded(tmp_path / name, **how)


@pytest.mark.parametrize("name", ["camera.ts", "camera.mp4"])
def test_a_clip_begins_with_the_key_frame_before_and_keeps_every_picture(
    tmp_path: Path, packets_of: Callable[..., Path], name: str
) -> None:
    ring = PacketRing(WIDE)
    delivered(ring, packets_of(name))
    cut = cut_ring(ring, Span(5 + 34 / FPS, 5 + 57 / FPS), tmp_path / "clip")
    assert cut.suffix == ".mp4"
    found = shown(tmp_path / "clip.mp4")
    # Nothing is encoded anew, nothing is missing in between, and what refers to later pictures has them.
    assert found[0] == 30
    assert found == list(range(30, found[-1] + 1))
    assert 57 <= found[-1] <= 60
    assert cut.start == pytest.approx(5 + 30 / FPS, abs=0.001)
    assert cut.end == pytest.approx(5 + found[-1] / FPS, abs=0.001)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(FPS, rel=0.05)


def test_cameras_that_give_no_times_have_clips_as_well(tmp_path: Path, packets_of: Callable[..., Path]) -> None:
    def without_times(packet: Any) -> None:
        packet.pts = packet.dts = None

    ring = PacketRing(WIDE)
    delivered(ring, packets_of(b=0), without_times)
    cut_ring(ring, Span(6.0, 7.0), tmp_path / "clip")
    found = shown(tmp_path / "clip.mp4")
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] % 10 == 0
    assert found[0] <= 26
    assert found[-1] >= 48


def test_a_ring_stays_within_its_seconds_and_its_bytes(packets_of: Callable[..., Path]) -> None:
    video = packets_of()
    for bounds in (RingBounds(1.0, 2**30), RingBounds(60.0, 4_000)):
        ring = PacketRing(bounds)
        delivered(ring, video)
        first = ring.cut(0.0, 100.0)
        assert first is not None
        held = first[1]
        assert held[0].key
        assert sum(len(packet.data) for packet in held) <= bounds.size
        # The last second is there, and less than one more group of pictures.
        span = held[-1].decoded - held[0].decoded
        assert span <= bounds.seconds + 10 / FPS + 0.2
        assert bounds.seconds > 2 or span >= bounds.seconds - 0.1
    with pytest.raises(SourceBroken, match="ring_seconds"):
        cut_ring(ring, Span(5.0, 5.2), Path("nowhere"))


def test_a_group_that_is_larger_than_the_ring_is_not_kept_and_the_next_one_is(packets_of: Callable[..., Path]) -> None:
    ring = PacketRing(RingBounds(60.0, 500))
    delivered(ring, packets_of())
    assert sum(len(packet.data) for packet in (ring.cut(0.0, 100.0) or (None, []))[1]) <= 500


def test_what_comes_after_a_lost_connection_follows_nothing(tmp_path: Path, packets_of: Callable[..., Path]) -> None:
    ring = PacketRing(WIDE)
    delivered(ring, packets_of("one.ts", frames=30))
    ring.restart()
    delivered(ring, packets_of("two.ts", frames=50, size=(320, 192)))
    cut_ring(ring, Span(5.0, 6.9), tmp_path / "clip")
    # One connection, one way of coding: the longer of the two.
    assert shown(tmp_path / "clip.mp4") == list(range(shown(tmp_path / "clip.mp4")[-1] + 1))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].width == 320


def test_a_picture_that_changes_its_size_begins_a_new_stretch(tmp_path: Path, packets_of: Callable[..., Path]) -> None:
    ring = PacketRing(WIDE)
    delivered(ring, packets_of("one.ts", frames=30))
    delivered(ring, packets_of("two.ts", frames=20, size=(320, 192)))
    cut_ring(ring, Span(5.0, 6.0), tmp_path / "clip")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(160, 96)}


def test_nothing_begins_with_a_picture_that_needs_others(packets_of: Callable[..., Path]) -> None:
    ring = PacketRing(WIDE)
    seen = 0

    def late(packet: Any) -> None:
        nonlocal seen
        seen += 1
        packet.is_keyframe = packet.is_keyframe and seen > 1

    delivered(ring, packets_of(), late)
    found = ring.cut(0.0, 100.0)
    assert found is not None
    assert found[1][0].key
    assert found[1][0].shown == pytest.approx(5 + 10 / FPS, abs=0.001)


def test_a_ring_is_known_as_long_as_somebody_holds_it() -> None:
    ring = PacketRing(WIDE)
    remember_ring("content of a camera", ring)
    assert ring_of("content of a camera") is ring
    del ring
    gc.collect()
    assert ring_of("content of a camera") is None


@dataclass
class Made:
    """A packet of ten bytes as PyAV would give it, in ticks of a second."""

    pts: int | None
    key: bool = True
    dts: int | None = None
    is_corrupt: bool = False
    data: bytes = b"0123456789"

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def is_keyframe(self) -> bool:
        return self.key

    def __bytes__(self) -> bytes:
        return self.data


class MadeStream:
    time_base = Fraction(1)

    def __init__(self, width: int = 640) -> None:
        self.codec_context = SimpleNamespace(width=width, height=480)


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_ring, "_header", lambda *_: b"")


def filled(bounds: RingBounds, packets: Iterable[Made], stream: MadeStream | None = None) -> PacketRing:
    """A ring whose media time is the camera's own."""
    ring = PacketRing(bounds)
    for packet in packets:
        ring.take(packet, stream or MadeStream())
        ring.align(0.0, 0.0)
    return ring


def held(ring: PacketRing, start: float = -1e9, end: float = 1e9) -> list[float]:
    return [packet.shown for packet in (ring.cut(start, end) or (None, []))[1]]


@pytest.mark.usefixtures("headless")
def test_what_came_broken_or_empty_is_not_remembered() -> None:
    packets = [Made(0), Made(1, is_corrupt=True), Made(2, data=b""), Made(3)]
    assert held(filled(WIDE, packets)) == [0, 3]


@pytest.mark.usefixtures("headless")
def test_the_bounds_are_kept_to_the_byte_and_to_the_second() -> None:
    many = [Made(n) for n in range(10)]
    assert held(filled(RingBounds(1000.0, 30), many)) == [7, 8, 9]
    # Three seconds without the oldest group are not enough to let it go.
    assert held(filled(RingBounds(3.0, 1000), many)) == [5, 6, 7, 8, 9]
    # Groups of pictures go as a whole.
    groups = [Made(n, key=n % 3 == 0) for n in range(9)]
    assert held(filled(RingBounds(1000.0, 70), groups)) == [3, 4, 5, 6, 7, 8]
    assert held(filled(RingBounds(1000.0, 90), groups)) == list(range(9))


@pytest.mark.usefixtures("headless")
def test_after_a_group_that_was_too_large_nothing_begins_but_with_a_key_frame() -> None:
    ring = filled(RingBounds(1000.0, 20), [Made(0), Made(1, key=False), Made(2, key=False), Made(3, key=False)])
    assert held(ring) == []
    ring.take(Made(4), MadeStream())
    ring.align(0.0, 0.0)
    assert held(ring) == [4]


@pytest.mark.usefixtures("headless")
def test_a_cut_reaches_to_what_is_shown_at_its_very_ends() -> None:
    ring = filled(WIDE, [Made(n, key=n % 4 == 0) for n in range(10, 30)])
    assert held(ring, 16, 18) == [16, 17, 18]
    assert held(ring, 17.5, 17.9) == [16, 17]
    # It begins with the first key frame that there is.
    assert held(ring, 0, 12) == [12]
    assert held(ring, 0, 11.9) == []
    assert held(ring, 29, 99) == [28, 29]
    assert held(ring, 29.1, 99) == []


@pytest.mark.usefixtures("headless")
def test_where_several_connections_fall_into_a_cut_it_is_the_longest() -> None:
    ring = filled(WIDE, [Made(n) for n in range(5)])
    ring.restart()
    for n in range(5, 8):
        ring.take(Made(n), MadeStream())
    # The camera counts from another moment on.
    ring.align(5.0, 105.0)
    assert held(ring) == [0, 1, 2, 3, 4]
    assert held(ring, 3, 1e9) == [105, 106, 107]


@pytest.mark.usefixtures("headless")
def test_a_picture_of_a_new_connection_says_nothing_of_the_times_before() -> None:
    ring = filled(WIDE, [Made(n) for n in range(3)])
    ring.restart()
    ring.align(0.0, 500.0)
    assert held(ring) == [0, 1, 2]
    ring.align(None, 600.0)
    assert held(ring) == [0, 1, 2]
    # Nor of a connection that was lost before its first picture came out of the decoder.
    ring = PacketRing(WIDE)
    for n in range(3):
        ring.take(Made(7 + n), MadeStream())
    ring.restart()
    ring.align(0.0, 500.0)
    assert held(ring) == [0, 0, 0]


def test_a_camera_whose_packets_cannot_be_kept_goes_on_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(packet_ring, "_header", refuse)
    ring = filled(WIDE, [Made(0)])
    assert ring.failure == "Invalid argument"
    monkeypatch.setattr(packet_ring, "_header", lambda *_: b"")
    ring.take(Made(1), MadeStream())
    assert held(ring) == []


def test_up_to_an_end_nothing_is_missing_that_is_shown_before_what_was_taken() -> None:
    def packet(decoded: float, shown: float) -> StoredPacket:
        return StoredPacket(b"", None, None, False, shown, decoded)

    # Decoded in this order: a picture, one far ahead of it, and those between that refer to both.
    some = [packet(0, 1), packet(1, 4), packet(2, 2), packet(3, 3), packet(4, 7), packet(5, 5), packet(6, 6)]
    assert list(until(some, 1)) == some[:4]
    assert list(until(some, 0)) == some[:1]
    assert list(until(some, 4)) == some
    assert list(until(some, -1)) == []
