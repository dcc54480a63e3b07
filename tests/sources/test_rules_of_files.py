"""What files and cameras say of themselves: how long they should be, when they began, what they are called."""

from __future__ import annotations

import datetime
import logging
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError, SourceBroken, SourceNotFound
from reidstream.sources import mask, webcam
from reidstream.sources.address import Kind, device_path, kind_of, local_path
from reidstream.sources.clock import LiveClock, Thinning
from reidstream.sources.connection import ConnectionLost, ConnectionRefused
from reidstream.sources.container_end import missing_bytes
from reidstream.sources.dating import dated, name_time, recorded_length
from reidstream.sources.fingerprint import (
    BEGINNING_PACKETS,
    LEAST_PACKETS,
    file_beginning,
    folder_beginning,
    grown,
)
from reidstream.sources.listing import expand_sources
from reidstream.sources.naming import source_ids
from reidstream.sources.rtsp import RtspConnection
from reidstream.sources.video_file import _READ_ERRORS, VideoFileSource, _frame_count
from reidstream.sources.webcam import WebcamConnection

# -- how long a container should be


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


def long_box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", 1) + kind + struct.pack(">Q", len(content) + 16 if size is None else size) + content


def chunk(content: bytes, size: int | None = None, kind: bytes = b"RIFF") -> bytes:
    return kind + struct.pack("<I", len(content) + 4 if size is None else size) + b"AVI " + content


HEAD = box(b"ftyp", b"isom")
EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
CONTAINERS: dict[str, tuple[bytes, int]] = {
    "whole boxes": (HEAD + box(b"mdat", b"12345678"), 0),
    "a last box that goes on": (HEAD + box(b"mdat", b"12345678", 8 + 8 + 5), 5),
    "a last box of which the header alone is there": (HEAD + box(b"mdat", b"", 108), 100),
    "a long box": (HEAD + long_box(b"mdat", b"12345678"), 0),
    "a long box that goes on": (HEAD + long_box(b"mdat", b"12345678", 16 + 8 + 7), 7),
    "a box to the end of the file": (HEAD + box(b"mdat", b"12345678", 0), 0),
    "junk behind the boxes": (HEAD + box(b"mdat", b"12345678") + b"\x00\x00\xff\xffjunkjunk", 0),
    "a box that is too small to be one": (HEAD + box(b"free", b"1234", 7), 0),
    "the smallest box": (HEAD + box(b"free"), 0),
    "the smallest box and one that goes on": (HEAD + box(b"free") + box(b"mdat", b"1234", 8 + 4 + 3), 3),
    "a header that was cut": (HEAD + box(b"mdat", b"12345678") + b"\x00\x00", 0),
    "an AVI": (chunk(b"1234"), 0),
    "an AVI that goes on": (chunk(b"1234", 4 + 4 + 6), 6),
    "an AVI of an odd length": (chunk(b"123") + b"\0", 0),
    "an AVI of an odd length without its padding": (chunk(b"123"), 1),
    "an AVI in two chunks": (chunk(b"1234") + chunk(b"5678"), 0),
    "an AVI whose second chunk goes on": (chunk(b"1234") + chunk(b"5678", 4 + 4 + 8), 8),
    "an AVI of whose second chunk the beginning alone is there": (chunk(b"1234") + b"RIFF\x64\0\0\0", 100),
    "a sound": (b"RIFF\x64\0\0\0WAVE1234", 0),
    "an AVI that was never finished": (chunk(b"1234", 0), 0),
    "an AVI with something else behind": (chunk(b"1234") + chunk(b"5678", 500, b"JUNK"), 0),
    "a Matroska": (EBML + b"\x84head" + SEGMENT + b"\x84body", 0),
    "a Matroska that goes on": (EBML + b"\x84head" + SEGMENT + b"\x89body", 5),
    "a Matroska with a size of two bytes": (EBML + b"\x84head" + SEGMENT + b"\x40\x0abody", 6),
    "a Matroska with a size of eight bytes": (EBML + b"\x84head" + SEGMENT + b"\x01\0\0\0\0\0\0\x06body", 2),
    "a Matroska of unknown length": (EBML + b"\x84head" + SEGMENT + b"\x01" + b"\xff" * 7 + b"body", 0),
    "a Matroska of unknown length in one byte": (EBML + b"\x84head" + SEGMENT + b"\xffbody", 0),
    "a Matroska whose head was cut": (EBML + b"\x88head", 4),
    "a Matroska with something else behind its head": (EBML + b"\x84head" + b"else" + b"\x89body", 0),
    "a Matroska of which nothing else is there": (EBML, 1),
    "a Matroska whose head has no length": (EBML + b"\0else", 0),
    "something else": (b"words and more words", 0),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_says_how_much_of_it_is_missing(name: str, tmp_path: Path) -> None:
    content, missing = CONTAINERS[name]
    path = tmp_path / "clip"
    path.write_bytes(content)
    assert missing_bytes(path) == missing


# -- when a recording began


def tagged(text: str, tmp_path: Path) -> str:
    """What dates a file of such a tag and of a name that says nothing."""
    path = tmp_path / "clip.mp4"
    path.touch()
    return dated(path, [{"creation_time": text}], None).by


@pytest.mark.parametrize(
    ("text", "believed"),
    [
        ("2026-01-31T17:00", True),
        ("2026-01-31T17:00:05Z", True),
        ("2026-01-31", False),
        ("20260131T1700", False),
        ("1971-12-31T23:59:59Z", False),
        ("1972-01-01T00:00:00Z", True),
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_tag_with_a_date_and_an_hour_is_believed(text: str, believed: bool, tmp_path: Path) -> None:
    assert (tagged(text, tmp_path) == "its container") is believed


@pytest.mark.parametrize(("days", "believed"), [(-2, True), (-1, True), (1, True), (4, False)])
def test_a_name_may_be_a_day_ahead_of_this_machines_clock_and_no_more(days: int, believed: bool) -> None:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    found = name_time(Path(f"{moment:%Y-%m-%dT%H-%M-%S}Z.mp4"))
    assert found == (int(moment.timestamp()) if believed else None)


@pytest.mark.parametrize(("year", "believed"), [(1989, False), (1990, True)])
def test_a_name_of_before_there_were_recorders_is_not_believed(year: int, believed: bool) -> None:
    assert (name_time(Path(f"{year}0615_120000.mp4")) is not None) is believed


class Container:
    """An open container of some packets; notes where it was told to go."""

    def __init__(self, duration: float | None, packets: list[Any], start: int | None = 0) -> None:
        self.duration = None if duration is None else duration * 1e6
        self.start_time = start
        self._packets = packets
        self.sought: list[int] = []

    def seek(self, place: int) -> None:
        self.sought.append(place)

    def demux(self, _stream: object) -> Iterator[Any]:
        for packet in self._packets:
            if isinstance(packet, Exception):
                raise packet
            yield packet


def packet(pts: float | None, dts: float | None = None, size: int = 1) -> Any:
    return SimpleNamespace(pts=pts, dts=dts, size=size, time_base=1.0)


def stream(rate: float | None = 2.0, start: float | None = 0) -> Any:
    return SimpleNamespace(start_time=start, time_base=1.0, guessed_rate=rate, average_rate=None)


BROKEN = av.error.FFmpegError(1, "broken")


@pytest.mark.parametrize(
    ("duration", "start", "sought"),
    [
        (100.0, 0, [97_000_000]),
        (100.0, 500_000, [97_500_000]),
        (100.0, None, [97_000_000]),
        (3.0, 0, []),
        (None, 0, []),
    ],
)
def test_only_the_end_of_a_long_recording_is_looked_at(
    duration: float | None, start: int | None, sought: list[int]
) -> None:
    container = Container(duration, [packet(2.0)], start)
    recorded_length(container, stream())
    assert container.sought == sought


@pytest.mark.parametrize(
    ("packets", "length"),
    [
        ([packet(5.0), packet(4.0)], 5.5),
        ([packet(None, 5.0)], 5.5),
        ([packet(7.0, size=0), packet(5.0)], 5.5),
        ([packet(5.0), BROKEN], 5.5),
        # The latest of many that came long before the end is none of the last.
        ([packet(9.0), *[packet(5.0)] * 16], 5.5),
        ([packet(9.0), *[packet(5.0)] * 15], 9.5),
        ([packet(None), packet(None), packet(None)], 1.5),
        ([packet(None, size=0)], None),
        ([], None),
    ],
)
def test_without_a_stated_length_the_last_packets_say_it(packets: list[Any], length: float | None) -> None:
    assert recorded_length(Container(None, packets), stream()) == length


def test_a_length_counts_from_the_first_picture_and_needs_no_rate() -> None:
    assert recorded_length(Container(None, [packet(15.0)]), stream(start=10)) == 5.5
    assert recorded_length(Container(None, [packet(15.0)]), stream(rate=None, start=None)) == 15.0
    assert recorded_length(Container(None, [packet(None)]), stream(rate=None)) is None
    assert recorded_length(Container(2.0, []), stream()) == 2.0


def test_a_container_that_cannot_be_searched_is_as_long_as_it_says() -> None:
    container = Container(100.0, [packet(5.0)])
    container.seek = lambda _: (_ for _ in ()).throw(BROKEN)  # type: ignore[method-assign]
    assert recorded_length(container, stream()) == 100.0


@pytest.mark.parametrize(
    ("frames", "count"), [(100, 100), (112, 112), (88, 88), (113, None), (87, None), (200, None), (0, None)]
)
def test_a_stated_number_of_frames_must_fit_the_length(frames: int, count: int | None) -> None:
    assert _frame_count(SimpleNamespace(frames=frames, duration=100, time_base=Fraction(1, 25)), 25.0) == count


def test_without_a_length_or_rate_a_number_of_frames_says_nothing() -> None:
    whole = {"frames": 100, "duration": 100, "time_base": Fraction(1, 25)}
    assert _frame_count(SimpleNamespace(**{**whole, "duration": None}), 25.0) is None
    assert _frame_count(SimpleNamespace(**whole), 0.0) is None


def damaged(errors: list[int]) -> tuple[VideoFileSource, Iterator[Any]]:
    """A file whose packets are parted by so many read errors in a row."""
    turns: list[Any] = []
    for number, count in enumerate(errors):
        turns += [*[BROKEN] * count, number]

    def demux(_stream: object) -> Iterator[Any]:
        while turns:
            turn = turns.pop(0)
            if turn is BROKEN:
                raise BROKEN
            yield turn

    video = VideoFileSource.__new__(VideoFileSource)
    video._container, video._skipped, video._path = SimpleNamespace(demux=demux), 0, Path("clip.mp4")
    return video, video._packets(None)


def test_reading_goes_on_behind_errors_as_long_as_packets_come() -> None:
    video, packets = damaged([_READ_ERRORS - 1, _READ_ERRORS - 1, 0])
    assert list(packets) == [0, 1, 2]
    assert video._skipped == 2 * (_READ_ERRORS - 1)


def test_errors_without_any_packet_between_end_the_reading() -> None:
    _, packets = damaged([0, _READ_ERRORS])
    assert next(packets) == 0
    with pytest.raises(SourceBroken, match="cannot be read any further"):
        next(packets)


# -- whether a recording is a longer version of another


def beginning(tmp_path: Path, packets: int, size: int) -> tuple[str, int]:
    path = tmp_path / "clip"
    path.write_bytes(np.random.default_rng(0).bytes(2**20)[:size])
    return file_beginning(path, (bytes([number]) * 10 for number in range(packets)))


@pytest.mark.parametrize(
    ("shorter", "longer", "same"),
    [
        ((10, 2**17), (10, 2**17), True),
        ((10, 2**17), (40, 2**19), True),
        ((40, 2**17), (40, 2**19), True),
        ((40, 2**19), (40, 2**17), False),
        ((LEAST_PACKETS, 2**17), (40, 2**19), False),
        ((LEAST_PACKETS + 1, 2**17), (40, 2**19), True),
        ((2, 100), (2, 100), False),
    ],
)
def test_a_recording_that_has_grown_is_known_again(
    shorter: tuple[int, int], longer: tuple[int, int], same: bool, tmp_path: Path
) -> None:
    assert grown(beginning(tmp_path, *shorter), beginning(tmp_path, *longer)) is same


def test_samples_are_kept_as_far_as_the_file_reaches(tmp_path: Path) -> None:
    rungs = [len(beginning(tmp_path, 40, size)[0].split()) - 2 for size in (2**17 - 1, 2**17, 3 * 2**16, 5 * 2**16)]
    assert rungs == [0, 1, 2, 3]
    # With no packet behind the first, only they count.
    assert len(beginning(tmp_path, BEGINNING_PACKETS, 2**19)[0].split()) == 1
    assert len(beginning(tmp_path, BEGINNING_PACKETS + 1, 2**19)[0].split()) > 1


def test_a_folder_that_has_grown_is_known_again(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:03}.jpg" for number in range(60)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 20)
    short, long = folder_beginning(paths[:30], 10.0), folder_beginning(paths, 10.0)
    assert (short[1], long[1]) == (30, 60)
    assert grown(short, long)
    assert not grown(long, short)
    assert not grown(short, folder_beginning(paths[1:], 10.0))
    assert folder_beginning(paths[: LEAST_PACKETS - 1], 10.0) == ("", 0)


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


# -- names and lists


def ids(*uris: str, **names: str) -> list[str]:
    return source_ids([SourceConfig(uri=uri, name=names.get(uri)) for uri in uris])


def test_sources_are_called_after_what_tells_them_apart(tmp_path: Path) -> None:
    for folder in ("a/seq1/img1", "b/seq1/img1", "b/street"):
        (tmp_path / folder).mkdir(parents=True)
    one, other, street = (str(tmp_path / folder) for folder in ("a/seq1/img1", "b/seq1/img1", "b/street"))
    assert ids(one, street) == ["seq1", "street"]
    assert ids(one, other) == ["a-seq1", "b-seq1"]
    assert ids(str(tmp_path / "x/cam.mp4"), str(tmp_path / "y/cam.mp4")) == ["x-cam", "y-cam"]
    assert ids(str(tmp_path / "cam.mp4"), str(tmp_path / "cam.avi")) == [
        f"{tmp_path.name}-cam",
        f"{tmp_path.name}-cam-2",
    ]
    assert ids("rtsp://ana:pw@10.0.0.7:554/live", "rtsp://10.0.0.7:8554/live") == [
        "10.0.0.7-live",
        "10.0.0.7-8554-live",
    ]
    assert ids("/dev/video0", "1") == ["video0", "video1"]


def test_a_given_name_is_kept_and_no_other_takes_it(tmp_path: Path) -> None:
    given, other = str(tmp_path / "door.mp4"), str(tmp_path / "yard.mp4")
    assert ids(given, other, **{other: "door"}) == [f"{tmp_path.name}-door", "door"]
    with pytest.raises(ConfigError, match="'door' is given more than once"):
        ids(given, other, **{given: "door", other: "door"})
    with pytest.raises(ConfigError, match=r"door\.mp4 is given more than once"):
        ids(given, f"{tmp_path}/../{tmp_path.name}/door.mp4")
    with pytest.raises(ConfigError, match=r"rtsp://cam/a is given more than once"):
        ids("rtsp://cam/a", "rtsp://cam/a")


@pytest.mark.parametrize(("others", "said"), [(1, "a0"), (3, "a0, a1, a2"), (4, "a0, a1, a2 and 1 more")])
def test_what_is_no_video_in_a_folder_is_said(
    others: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(others):
        (tmp_path / f"a{number}").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "clip.mp4").touch()
    with caplog.at_level(logging.WARNING):
        (found,) = expand_sources([str(tmp_path)])
    assert found.uri == str(tmp_path / "clip.mp4")
    assert caplog.messages[0].endswith(f"no videos by their names: {said}")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("rtsp://cam/a", Kind.RTSP),
        ("RTSPS://cam/a", Kind.RTSP),
        ("/dev/video3", Kind.WEBCAM),
        ("12", Kind.WEBCAM),
        ("1234", Kind.FILE),
        ("file:///srv/a.mp4", Kind.FILE),
        ("absent.mp4", Kind.FILE),
        ("n" * 255, Kind.FILE),
    ],
)
def test_an_address_says_what_kind_of_source_it_is(uri: str, kind: Kind) -> None:
    assert kind_of(uri) is kind


@pytest.mark.parametrize("uri", ["http://cam/a", "rtsp://cam:port/a", "n" * 256, "a/" * 2001, "a\0b"])
def test_what_can_be_no_source_is_refused(uri: str) -> None:
    with pytest.raises(SourceNotFound):
        kind_of(uri)


def test_paths_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert local_path("file:///srv/a%20b.mp4") == Path("/srv/a b.mp4")
    assert local_path("~/a.mp4") == Path("/somewhere/a.mp4")
    assert (device_path("/dev/video7"), device_path("07")) == (Path("/dev/video7"), Path("/dev/video7"))


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
    made._timeout, made._skipped, made._ring = timeout, 0, None
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
