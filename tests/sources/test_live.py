from __future__ import annotations

import itertools
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources import Source, open_source
from reidstream.sources.connection import ConnectionLost, ConnectionRefused
from reidstream.sources.live import BUFFER
from reidstream.sources.webcam import WebcamConnection
from tests.rtsp import PASSWORD, Server


def camera(url: str, **settings: Any) -> Source:
    return open_source(SourceConfig(uri=url, **settings), "cam")


def elapsed_until_threads_end(seconds: float) -> bool:
    """Whether the reading threads have gone within the time."""
    deadline = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread.name == "read cam":
            thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.name == "read cam" for thread in threading.enumerate())


@pytest.mark.gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_camera_delivers_frames_as_they_arrive(server: Server, transport: str) -> None:
    began = time.time()
    with camera(server.url, rtsp_transport=transport, timeout=5) as source:
        info = source.started()
        assert (info.size, info.live, info.frames) == ((160, 96), True, None)
        assert info.uri == f"rtsp://cam:***@127.0.0.1:{server.port}/live"
        frames = list(itertools.islice(source, 30))
    indices = np.diff([frame.index for frame in frames])
    # A busy machine may drop some, but then they are counted.
    assert (indices > 0).all()
    assert (indices - 1).sum() <= source.dropped
    steps = np.diff([frame.media_time for frame in frames])
    assert (steps > 0).all()
    assert np.median(steps / indices) == pytest.approx(1 / 25, rel=0.05)
    assert began <= frames[-1].wall_time <= time.time()
    assert frames[0].picture.bgr().max() > 200
    assert elapsed_until_threads_end(6)
    with camera(server.url, timeout=5) as again:
        assert again.started().content != info.content


@pytest.mark.gstreamer
def test_killed_server_is_connected_again_and_time_goes_on(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with camera(server.url, timeout=5) as source:
        before = list(itertools.islice(source, 10))
        server.kill()
        killed = time.monotonic()
        waiting = threading.Timer(1.0, server.start)
        waiting.start()
        after: list[Any] = []
        while len(after) < 10:
            frame = next(source)
            if frame.wall_time - before[-1].wall_time > 0.9:
                after.append(frame)
        waiting.join()
    gap = after[0].media_time - before[-1].media_time
    assert gap == pytest.approx(after[0].wall_time - before[-1].wall_time, abs=0.5)
    assert 0.9 < gap < time.monotonic() - killed + 1
    assert after[0].index > before[-1].index
    assert "connecting again in 0.5 s" in caplog.text
    assert re.search(r": is back after \d+ s", caplog.text)
    assert PASSWORD not in caplog.text


@pytest.mark.gstreamer
def test_frozen_server_is_noticed_and_left(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with camera(server.url, timeout=1) as source:
        next(source)
        server.freeze()
        last = time.time()
        threading.Timer(2.5, server.thaw).start()
        frame = next(frame for frame in source if frame.wall_time > last + 2)
    assert "no answer for 1 seconds" in caplog.text
    assert frame.media_time > 2


@pytest.mark.gstreamer
def test_closing_a_frozen_source_returns_at_once(server: Server) -> None:
    source = camera(server.url, timeout=3)
    next(source)
    server.freeze()
    ended: list[float] = []

    def consume() -> None:
        for _ in source:
            pass
        ended.append(time.monotonic())

    consumer = threading.Thread(target=consume)
    consumer.start()
    consumer.join(0.5)
    closed = time.monotonic()
    source.close()
    consumer.join(5)
    assert ended
    assert ended[0] - closed < 0.5
    assert elapsed_until_threads_end(8)


@pytest.mark.gstreamer
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"reconnect_limit": 2}, "no connection for 2 seconds"),
        ({"reconnect": False}, "reconnecting is switched off"),
    ],
)
@pytest.mark.setting("sources.reconnect", "sources.reconnect_limit")
def test_lost_camera_ends_with_what_was_received(server: Server, settings: dict[str, Any], expected: str) -> None:
    with camera(server.url, timeout=5, **settings) as source:
        next(source)
        server.kill()
        with pytest.raises(SourceBroken, match=expected) as caught:
            list(source)
        assert list(source) == []
    assert PASSWORD not in str(caught.value)


@pytest.mark.gstreamer
def test_slow_consumer_loses_the_oldest_frames_and_they_are_counted(server: Server) -> None:
    with camera(server.url, timeout=5) as source:
        first = next(source)
        deadline = time.monotonic() + 20
        while source.dropped < 5 and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        frames = list(itertools.islice(source, BUFFER))
        assert source.dropped >= 5
    assert frames[0].index - first.index - 1 >= 5


@pytest.mark.gstreamer
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [("cam:letme1n@", "name or password is wrong"), ("", "name or password is wrong"), (None, "no such stream")],
)
def test_refusing_camera_is_reported_at_once_without_the_password(
    server: Server,
    wrong: str | None,
    expected: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.url.replace("/live", "/none") if wrong is None else server.url.replace(f"cam:{PASSWORD}@", wrong)
    with camera(url, timeout=20) as source, pytest.raises(SourceNotFound, match=expected) as caught:
        source.started()
    assert "connecting again" not in caplog.text
    shown = str(caught.value) + repr(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert "letme1n" not in shown
    assert PASSWORD not in shown


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.setting("sources.timeout")
def test_nothing_listening_is_reported_when_the_time_out_is_over(caplog: pytest.LogCaptureFixture) -> None:
    again = []
    for timeout in (0.1, 1.6):
        caplog.clear()
        with camera(f"rtsp://u:{PASSWORD}@127.0.0.1:{free_port()}/live", timeout=timeout) as source:
            with pytest.raises(SourceNotFound, match="Connection refused") as caught:
                source.started()
            with pytest.raises(SourceNotFound):
                next(source)
        again.append(caplog.text.count("connecting again"))
        assert PASSWORD not in str(caught.value) + caplog.text
    assert again[0] == 0 < again[1]


def test_host_that_accepts_and_stays_silent_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"rtsp://u:{PASSWORD}@127.0.0.1:{listening.getsockname()[1]}/live"
        with (
            camera(url, timeout=0.5) as source,
            pytest.raises(SourceNotFound, match="no answer") as error,
        ):
            source.started()
    assert PASSWORD not in str(error.value) + caplog.text


def test_closing_while_waiting_for_the_first_frame(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        source = camera(f"rtsp://127.0.0.1:{listening.getsockname()[1]}/live", timeout=2)
        threading.Timer(0.2, source.close).start()
        with pytest.raises(SourceBroken, match="closed before its first frame"):
            source.started()
        assert list(source) == []
    assert elapsed_until_threads_end(6)


def test_missing_webcam_is_a_clear_error() -> None:
    with camera("/dev/video987", timeout=0.2) as source, pytest.raises(SourceNotFound, match="/dev/video987"):
        source.started()


def test_webcam_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    # Tests may run as root, who is refused nothing.
    monkeypatch.setattr("reidstream.sources.webcam.os.access", lambda path, mode: False)
    with pytest.raises(ConnectionRefused, match="group 'video'"):
        WebcamConnection(tmp_path / "video0")


def test_device_that_is_no_webcam_is_lost_not_a_crash(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConnectionLost, match="cannot be opened as a webcam"):
        WebcamConnection(Path("/dev/null"))


def test_webcam_delivers_pictures_until_it_is_gone(make_clip: Callable[..., Path], shown: Callable[[Any], int]) -> None:
    # No machine that runs tests has a webcam: OpenCV's own reader of motion JPEG stands in for the driver.
    device = make_clip("device.avi", 12, codec="mjpeg", pix_fmt="yuvj420p")
    pictures: list[int] = []
    with WebcamConnection(device, cv2.CAP_OPENCV_MJPEG) as connection:
        assert connection.fps == pytest.approx(25)
        with pytest.raises(ConnectionLost, match="delivers no pictures any more"):
            for arrival in connection.arrivals(threading.Event()):
                assert arrival.stamp is None
                pictures.append(shown(arrival.picture.bgr()))
    assert pictures == list(range(12))
