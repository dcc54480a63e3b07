"""A camera's own packets as fragmented MP4: what browsers are given can be played from wherever they join."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from reidstream.config.live import LiveConfig
from reidstream.server.desk import Desk
from reidstream.server.live.fragments import Fragment, Fragmenter, codec_of
from reidstream.server.live.hub import Hub
from reidstream.server.live.picture import LivePicture, View
from reidstream.server.live.publisher import Publisher
from reidstream.sources.packet_tap import PacketTap, remember_tap
from tests.server.test_live import LIVE, Studio, frame, observed, owner_of, token
from tests.sources.conftest import gstreamer_python, server

__all__ = ["gstreamer_python", "server"]

MOVING = frozenset({View.MOVING})
GROUP = 10
"""Frames from one key frame to the next."""


def filmed(path: Path, frames: int = 45, codec: str = "libx264", size: tuple[int, int] = (64, 48)) -> Path:
    """Pictures that grow brighter, each by five: which is which can be told after decoding."""
    options = {"preset": "ultrafast", "tune": "zerolatency"} if codec == "libx264" else {}
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", GROUP
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def packets(path: Path) -> Iterator[tuple[Any, Any]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            yield packet, stream


def fragments(path: Path, source: str = "a") -> list[Fragment]:
    found: list[Fragment] = []
    cut = Fragmenter(source, found.append, clock=lambda: 1000.0 + len(found))
    for packet, stream in packets(path):
        cut.take(packet, stream)
    return found


def brightness(parts: Sequence[Fragment]) -> list[int]:
    """The pictures of a film, as a browser would decode it."""
    with av.open(io.BytesIO(b"".join(part.data for part in parts))) as container:
        return [round(float(shown.to_ndarray(format="rgb24").mean())) for shown in container.decode(video=0)]


def header_of(message: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack(">I", message[:4])
    return json.loads(message[4 : 4 + length]), message[4 + length :]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> list[Fragment]:
    return fragments(filmed(tmp_path_factory.mktemp("film") / "film.ts"))


def test_whoever_joins_at_a_key_frame_sees_what_the_camera_sent(film: list[Fragment], tmp_path: Path) -> None:
    begin, *parts = film
    assert begin.beginning
    assert begin.codec.startswith("avc1.")
    with av.open(str(filmed(tmp_path / "again.ts"))) as container:
        sent = [round(float(shown.to_ndarray(format="rgb24").mean())) for shown in container.decode(video=0)]
    # The last packet waits for the next one, which says how long it is shown.
    assert len(parts) == len(sent) - 1
    assert brightness(film) == sent[:-1]
    keys = [place for place, part in enumerate(parts) if part.key]
    assert keys == list(range(0, len(parts), GROUP))
    for place in keys[1:]:
        assert brightness([begin, *parts[place:]]) == sent[place:-1]
    times = [part.media for part in parts]
    assert np.allclose(np.diff(times), 1 / 25, atol=1e-3)
    assert [part.wall for part in parts] == sorted(part.wall for part in parts)


def test_a_film_that_lost_something_begins_anew_with_a_key_frame(tmp_path: Path) -> None:
    found: list[Fragment] = []
    cut = Fragmenter("a", found.append)
    for number, (packet, stream) in enumerate(packets(filmed(tmp_path / "film.ts"))):
        if number == 13:
            cut.restart()
        cut.take(packet, stream)
    beginnings = [place for place, part in enumerate(found) if part.beginning]
    assert len(beginnings) == 2
    assert len({found[place].generation for place in beginnings}) == 2
    assert brightness(found[beginnings[1] :])[0] == pytest.approx(5 * 2 * GROUP, abs=2)


def test_another_connection_or_size_is_another_film(tmp_path: Path) -> None:
    found: list[Fragment] = []
    cut = Fragmenter("a", found.append)
    for name, size in (("one", (64, 48)), ("two", (96, 64))):
        for packet, stream in packets(filmed(tmp_path / f"{name}.ts", 12, size=size)):
            cut.take(packet, stream)
    assert sum(part.beginning for part in found) == 2


def test_times_that_stand_still_do_not_break_it(film: list[Fragment], tmp_path: Path) -> None:
    found: list[Fragment] = []
    cut = Fragmenter("a", found.append)
    for packet, stream in packets(filmed(tmp_path / "film.ts")):
        if packet.pts is not None:
            packet.dts = packet.pts = packet.pts - packet.pts % 10_000
        cut.take(packet, stream)
    assert len(brightness(found)) == len(film) - 1


def test_why_there_is_no_film_is_said_once_and_in_words(tmp_path: Path) -> None:
    (said,) = fragments(filmed(tmp_path / "film.ts", codec="mpeg4"))
    assert "MPEG-4 part 2" in said.refused
    header, body = header_of(said.message())
    assert (header["part"], header["words"], body) == ("none", said.refused, b"")


@pytest.mark.parametrize(
    ("extradata", "name"),
    [
        (bytes.fromhex("0164001fffe1"), "avc1.64001f"),
        (bytes.fromhex("00000001 09f0 000001 67 42c00d abcd"), "avc1.42c00d"),
        (b"", None),
        (bytes.fromhex("000001674d"), None),
    ],
)
def test_a_codecs_name_is_read_from_either_kind_of_parameters(extradata: bytes, name: str | None) -> None:
    assert codec_of(extradata) == name


# -- in the camera's process


def test_a_cameras_packets_are_taken_only_while_somebody_looks(film: list[Fragment], tmp_path: Path) -> None:
    here, there = Pipe()
    tap = PacketTap()
    remember_tap("a", tap)
    publisher = Publisher(here, LiveConfig(), encode=lambda _picture, _width: b"jpeg")
    publisher.start()
    publisher.observe(frame(0), observed(0))
    assert tap.taker is None
    publisher.want({"a": MOVING})
    publisher.observe(frame(1), observed(1))
    boxes = there.recv()
    # Boxes go beside it, and no picture is encoded for them.
    assert (boxes.view, boxes.jpeg, len(boxes.tracks)) == (View.MOVING, b"", 1)
    for packet, stream in packets(filmed(tmp_path / "film.ts")):
        tap.take(packet, stream)
    assert brightness([there.recv() for _ in film]) == brightness(film)
    publisher.want({"a": frozenset({View.LARGE})})
    assert tap.taker is None
    publisher.close()
    here.close()
    there.close()


def test_what_has_no_packets_says_so() -> None:
    here, there = Pipe()
    publisher = Publisher(here, LiveConfig(), encode=lambda _picture, _width: b"jpeg")
    publisher.want({"video": MOVING})
    publisher.start()
    publisher.observe(frame(0, "video"), observed(0, source="video"))
    assert "pictures of it only" in there.recv().refused
    publisher.close()
    here.close()
    there.close()


def test_a_server_that_does_not_listen_costs_a_film_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidstream.server.live.publisher._MOST_BYTES", 4000)
    here, there = Pipe()
    tap = PacketTap()
    remember_tap("a", tap)
    publisher = Publisher(here, LiveConfig())
    publisher.want({"a": MOVING})
    publisher._film("a")
    # Nobody sends: the threads were not begun.
    for packet, stream in packets(filmed(tmp_path / "film.ts")):
        tap.take(packet, stream)
    waiting = list(publisher._fragments)
    assert sum(len(part.data) for part in waiting) <= 4000
    assert waiting[0].beginning
    assert brightness(waiting)
    here.close()
    there.close()


# -- in the server


def looked(film: Sequence[Fragment], *viewers: Any) -> list[Any]:
    """What each viewer does with a hub to which this film comes; their answers."""

    async def look() -> list[Any]:
        hub = Hub(lambda _wanted: None)
        return [await viewer(hub, film) for viewer in viewers]

    return asyncio.run(look())


async def taken(viewer: Any) -> list[tuple[Any, int]]:
    found = []
    while (one := await viewer.next(0.01)) is not None:
        found.append(one)
    return found


def test_who_joins_later_has_the_beginning_and_everything_since_the_last_key_frame(film: list[Fragment]) -> None:
    async def late(hub: Hub, film: Sequence[Fragment]) -> None:
        with hub.viewer() as first, hub.viewer() as second:
            await asyncio.to_thread(hub.look, first, frozenset({("a", View.MOVING)}))
            for part in film[:36]:
                hub.publish(part)
            await asyncio.to_thread(hub.look, second, frozenset({("a", View.MOVING)}))
            for part in film[36:]:
                hub.publish(part)
            assert [part for part, _ in await taken(first)] == list(film)
            assert [part for part, _ in await taken(second)] == [film[0], *film[1 + 3 * GROUP :]]
        await asyncio.to_thread(hub.settle)
        assert not hub._films

    looked(film, late)


def test_who_lags_is_left_behind_until_the_next_key_frame(
    film: list[Fragment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidstream.server.live.hub._MOST_WAITING", sum(len(part.data) for part in film[:16]))

    async def slow(hub: Hub, film: Sequence[Fragment]) -> None:
        with hub.viewer() as viewer:
            await asyncio.to_thread(hub.look, viewer, frozenset({("a", View.MOVING)}))
            for part in film:
                hub.publish(part)
            got = await taken(viewer)
            parts = [part for part, _ in got]
            assert len(parts) < len(film)
            assert parts[0].beginning
            assert parts[1].key
            assert brightness(parts)[-1] == brightness(film)[-1]
            assert sum(lost for _, lost in got) == len(film) - len(parts)

    looked(film, slow)


def test_parts_of_a_film_that_nobody_saw_begin_are_not_shown(film: list[Fragment]) -> None:
    async def joined(hub: Hub, film: Sequence[Fragment]) -> None:
        with hub.viewer() as viewer:
            await asyncio.to_thread(hub.look, viewer, frozenset({("a", View.MOVING)}))
            for part in film[5:]:
                hub.publish(part)
            assert await taken(viewer) == []
            hub.publish(film[0])
            hub.forget("a")
            assert [part for part, _ in await taken(viewer)] == [film[0]]
        await asyncio.to_thread(hub.settle)

    looked(film, joined)


def test_a_film_goes_to_whoever_may_see_its_camera(studio: Studio, desk: Desk, film: list[Fragment]) -> None:
    client = TestClient(studio.app, base_url="http://localhost", headers=token(desk, ["b"]))
    with owner_of(studio.app).websocket_connect(LIVE) as all_of_it, client.websocket_connect(LIVE) as some:
        for socket in (all_of_it, some):
            socket.receive_json()
        some.send_json({"tiles": [], "moving": "a"})
        all_of_it.send_json({"tiles": [], "moving": "a"})
        studio.wait_for(a=MOVING)
        for part in film[:3]:
            studio.cameras.live.publish(part)
        got = [header_of(all_of_it.receive_bytes()) for _ in film[:3]]
        assert [header["part"] for header, _ in got] == ["beginning", "fragment", "fragment"]
        assert got[0][0]["codec"] == film[0].codec
        assert [body for _, body in got] == [part.data for part in film[:3]]
        # Nothing of it came before what they may see.
        some.send_json({"tiles": [], "moving": "b"})
        studio.wait_for(a=MOVING, b=MOVING)
        studio.cameras.live.publish(LivePicture("b", View.MOVING, 1.0, 7, (64, 48), (), b""))
        header, body = header_of(some.receive_bytes())
        assert (header["camera"], header["frame"], body) == ("b", 7, b"")


@pytest.fixture
def studio(desk: Desk) -> Studio:
    return Studio(desk)


@pytest.mark.gstreamer
def test_a_real_cameras_film_can_be_played(server: Any) -> None:
    """From a real RTSP server, through a source and its tap."""
    from reidstream.config import SourceConfig
    from reidstream.sources.live import LiveSource
    from reidstream.sources.packet_tap import tap_of

    found: list[Fragment] = []
    enough = threading.Event()

    def put(part: Fragment) -> None:
        found.append(part)
        if len(found) > 30:
            enough.set()

    with LiveSource(SourceConfig(uri=server.url), "camera") as source:
        source.started()
        tap = tap_of("camera")
        assert tap is not None
        tap.taker = Fragmenter("camera", put).take
        assert enough.wait(60)
        tap.taker = None
    assert found[0].beginning
    assert found[1].key
    assert len(brightness(found[:31])) == 30
