"""A camera's clock, the regions drawn on its picture, and how webcams and RTSP cameras begin and end."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken
from reidstream.sources import mask, webcam
from reidstream.sources.clock import LiveClock, Thinning
from reidstream.sources.connection import ConnectionLost, ConnectionRefused
from reidstream.sources.rtsp import RtspConnection
from reidstream.sources.webcam import WebcamConnection

# -- a camera's clock


def test_a_cameras_stamps_count_and_not_when_they_happened_to_arrive() -> None:
    clock = LiveClock(tolerance=2.0)
    late = [0.0, 0.3, 0.05, 0.4, 0.1]
    found = [clock.media_time(100 + 0.1 * n, 50 + 0.1 * n + late[n]) for n in range(5)]
    assert found == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert clock.mended == 0


def test_stamps_that_drift_away_from_arrivals_are_tied_to_them_again() -> None:
    clock = LiveClock(tolerance=0.5)
    assert clock.media_time(10.0, 0.0) == 0.0
    assert clock.media_time(10.9, 1.0) == pytest.approx(0.9)
    assert clock.media_time(11.2, 2.0) == pytest.approx(2.0)
    assert clock.media_time(12.2, 3.0) == pytest.approx(3.0)


def test_one_odd_stamp_gets_the_time_at_which_it_came_and_the_next_go_on() -> None:
    clock = LiveClock(tolerance=2.0)
    found = [clock.media_time(stamp, now) for stamp, now in ((7.0, 0.0), (900.0, 1.2), (9.0, 2.2), (10.0, 3.2))]
    assert found == pytest.approx([0.0, 1.2, 2.0, 3.0])
    assert clock.mended == 1


def test_a_clock_that_was_set_anew_counts_from_its_arrival() -> None:
    clock = LiveClock(tolerance=2.0)
    found = [clock.media_time(stamp, now) for stamp, now in ((7.0, 0.0), (900.0, 1.2), (901.0, 2.2), (902.0, 3.1))]
    assert found == pytest.approx([0.0, 1.2, 2.2, 3.2])
    assert clock.mended == 0


def test_frames_without_a_stamp_get_the_time_of_their_arrival_and_time_never_stands_still() -> None:
    clock = LiveClock(tolerance=2.0)
    found = [clock.media_time(None, now) for now in (5.0, 6.0, 6.0, 5.5)]
    assert found[:2] == [0.0, 1.0]
    assert found[1] < found[2] < found[3] < 1.1
    clock.restart()
    assert clock.media_time(3.0, 8.0) == pytest.approx(3.0)


def test_thinning_lets_no_more_through_than_asked_and_does_not_drift() -> None:
    thin = Thinning(5.0)
    kept = [n for n in range(100) if thin.keeps(n / 25)]
    assert kept == list(range(0, 100, 5))
    assert all(Thinning(None).keeps(n / 25) for n in range(5))
    # After a gap it does not make up for what did not come.
    thin = Thinning(5.0)
    assert [thin.keeps(time) for time in (0.0, 10.0, 10.04, 10.2)] == [True, True, False, True]


BROKEN = av.error.FFmpegError(1, "broken")


# -- masks, webcams, cameras


@pytest.mark.parametrize(("name", "called"), [(None, "source"), ("door", "door")])
def test_the_first_picture_is_that_of_the_source(
    name: str | None, called: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), 50 * number, np.uint8))
    opened: list[str] = []

    def noting(config: SourceConfig, id: str) -> Any:
        from reidstream.sources import open_source

        opened.append(id)
        return open_source(config, id)

    monkeypatch.setattr(mask, "open_source", noting)
    assert not mask.first_picture(SourceConfig(uri=str(tmp_path), name=name)).any()
    assert opened == [called]


def painted(*boxes: tuple[int, int, int, int], color: tuple[int, int, int] = mask.PAINT) -> Any:
    picture = np.full((100, 200, 3), 90, np.uint8)
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2] = color
    return picture


def test_what_is_painted_is_read_the_largest_first() -> None:
    small, large = mask.painted_regions(painted((5, 5, 15, 15), (50, 20, 150, 80)))[::-1]
    (x1, y1), (x2, y2) = (tuple(pick(axis) for axis in zip(*large, strict=True)) for pick in (min, max))
    assert (x1, y1, x2, y2) == pytest.approx((50 / 199, 20 / 99, 149 / 199, 79 / 99), abs=1e-3)
    assert max(x for x, _ in small) < 0.1


def test_the_whole_picture_reaches_to_its_borders() -> None:
    (region,) = mask.painted_regions(painted((0, 0, 200, 100)))
    assert {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)} == set(region)


@pytest.mark.parametrize(
    "picture",
    [painted(), painted((5, 5, 6, 6)), painted((5, 5, 9, 6)), painted((50, 20, 150, 80), color=(255, 80, 255))],
)
def test_slips_and_other_colours_are_no_regions(picture: Any) -> None:
    with pytest.raises(SourceBroken, match="nothing in the picture is painted"):
        mask.painted_regions(picture)


def test_regions_are_shaded_and_the_picture_given_stays() -> None:
    picture = painted()
    drawn = mask.with_regions(picture, [((0.02, 0.02), (0.08, 0.02), (0.08, 0.08), (0.02, 0.08))])
    assert (picture == 90).all()
    inside, outside = drawn[5, 10].astype(int), drawn[55, 110].astype(int)
    assert abs(inside - np.array(mask.PAINT)).sum() < abs(outside - np.array(mask.PAINT)).sum()


class Device:
    """A webcam that gives some pictures."""

    def __init__(self, opens: bool = True, pictures: int = 2, fps: float = 30.0) -> None:
        self.opens, self.left, self.fps = opens, pictures, fps
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802 - as OpenCV calls it
        return self.opens

    def set(self, _what: int, _value: float) -> bool:
        return True

    def get(self, _what: int) -> float:
        return self.fps

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, np.zeros((4, 4, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


def connected(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebcamConnection:
    path = tmp_path / "video0"
    path.touch()
    monkeypatch.setattr(webcam.cv2, "VideoCapture", lambda *_: device)
    return WebcamConnection(path)


def test_a_webcam_is_let_go_after_its_last_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(pictures=2)
    with connected(device, tmp_path, monkeypatch) as camera:
        arrivals = camera.arrivals(threading.Event())
        assert [next(arrivals).stamp for _ in range(2)] == [None, None]
        with pytest.raises(ConnectionLost, match="delivers no pictures any more"):
            next(arrivals)
        assert (camera.fps, camera.take_skipped(), device.released) == (30.0, 0, 0)
    assert device.released == 1


def test_a_webcam_that_is_closed_gives_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()
    closed.set()
    camera = connected(Device(fps=-1.0), tmp_path, monkeypatch)
    assert list(camera.arrivals(closed)) == []
    assert camera.fps == 0.0


def test_a_webcam_that_is_not_there_or_busy_is_said_and_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Device(opens=False)
    with pytest.raises(ConnectionLost, match="cannot be opened as a webcam"):
        connected(busy, tmp_path, monkeypatch)
    assert busy.released == 1
    with pytest.raises(ConnectionLost, match="there is no device"):
        WebcamConnection(tmp_path / "absent")
    monkeypatch.setattr(webcam.os, "access", lambda *_: False)
    with pytest.raises(ConnectionRefused, match="no permission"):
        WebcamConnection(tmp_path / "video0")


def camera(packets: list[Any], timeout: float = 10.0) -> RtspConnection:
    """A connection to a camera that sends these packets."""
    made = RtspConnection.__new__(RtspConnection)
    made._timeout, made._skipped = timeout, 0
    made._takers = []
    made._container = SimpleNamespace(demux=lambda: iter(packets))
    made._stream = SimpleNamespace(index=0, guessed_rate=None, average_rate=Fraction(25, 2))
    made._config = SourceConfig(uri="rtsp://cam/a")
    from reidstream.sources.decoding import ON_PROCESSOR

    made._decoding = ON_PROCESSOR
    return made


def sent(pts: int | None, index: int = 0, error: Exception | None = None) -> Any:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.pts, frame.time_base = pts, Fraction(1, 10)

    def decode() -> list[Any]:
        if error is not None:
            raise error
        return [frame]

    return SimpleNamespace(stream_index=index, decode=decode)


def test_a_cameras_pictures_carry_its_stamps_and_damage_is_counted() -> None:
    made = camera([sent(25), sent(30, index=1), sent(35, error=BROKEN), sent(None), sent(40)])
    assert [arrival.stamp for arrival in made.arrivals(threading.Event())] == [2.5, None, 4.0]
    assert (made.take_skipped(), made.take_skipped(), made.fps) == (1, 0, 12.5)


def test_a_camera_that_sends_data_but_no_picture_is_lost() -> None:
    made = camera([sent(25, error=BROKEN)], timeout=-1.0)
    with pytest.raises(ConnectionLost, match="no frame for"):
        list(made.arrivals(threading.Event()))


def test_a_camera_that_is_closed_sends_nothing_more() -> None:
    closed = threading.Event()
    arrivals = camera([sent(25), sent(26)]).arrivals(closed)
    next(arrivals)
    closed.set()
    assert list(arrivals) == []
