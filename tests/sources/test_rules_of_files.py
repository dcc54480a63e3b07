"""What files say of themselves: how long they should be, when they began, whether they have grown."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from reidstream.errors import SourceBroken
from reidstream.sources.container_end import missing_bytes
from reidstream.sources.dating import dated, name_time, recorded_length
from reidstream.sources.fingerprint import (
    BEGINNING_PACKETS,
    LEAST_PACKETS,
    file_beginning,
    folder_beginning,
    grown,
)
from reidstream.sources.video_file import _READ_ERRORS, VideoFileSource, _frame_count

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
