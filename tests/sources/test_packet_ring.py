"""What a camera's ring remembers of its packets, and what is cut out of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from reidstream.clips.cutting import cut_ring
from reidstream.clips.span import Span
from reidstream.errors import SourceBroken
from reidstream.sources.packet_ring import PacketRing, RingBounds, remember_ring, ring_of
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
