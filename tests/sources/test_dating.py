"""When a recording began, and what says so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from reidstream.config import SourceConfig
from reidstream.sources import open_source
from reidstream.sources.dating import Dated, _tag_time, dated, name_time, recorded_length
from reidstream.types import SourceStarted
from tests.blobs import FPS, write_blobs

MakeClip = Callable[..., Path]
BEGUN = datetime(2026, 1, 31, 14, 25, 30, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours from UTC in winter: recorders write names in local time."""
    monkeypatch.setenv("TZ", "EET-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def started(path: Path) -> SourceStarted:
    with open_source(SourceConfig(uri=str(path)), "cam") as source:
        return source.started()


@pytest.mark.parametrize(
    ("name", "utc"),
    [
        ("20260131_162530.mp4", BEGUN),
        ("VID_20260131_162530_1.mp4", BEGUN),
        ("front 2026-01-31 16.25.30.mkv", BEGUN),
        ("2026-01-31T14:25:30Z.ts", BEGUN),
        ("2026-01-31T15-25-30+01:00.ts", BEGUN),
        ("ch01_20260131162530.avi", BEGUN),
        ("RecM02_20260131_162530_162600_A1B2.mp4", BEGUN),
        ("2026-01-31/16.25.30-16.30.00[M][0@0][0].dav", BEGUN),
        ("20260131/cam/162530.mp4", BEGUN),
        ("shop.mp4", None),
        ("99999999_999999.mp4", None),
        ("20260231_162530.mp4", None),
        ("17000101_000000.mp4", None),
        ("1234567890123456789012.mp4", None),
        ("20260131.mp4", None),
        ("20990131_162530.mp4", None),
    ],
)
def test_times_in_names(tmp_path: Path, name: str, utc: float | None) -> None:
    assert name_time(tmp_path / name) == utc


def test_the_container_says_it_before_the_name(make_clip: MakeClip) -> None:
    path = make_clip("20250101_000000.mp4", 30, metadata={"creation_time": "2026-01-31T14:25:30Z"})
    info = started(path)
    assert (info.wall_time, info.dated) == (BEGUN, "its container")


def test_the_name_says_it_before_the_modification_time(make_clip: MakeClip) -> None:
    info = started(make_clip("20260131_162530.ts", 30))
    assert (info.wall_time, info.dated) == (BEGUN, "its name")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "raw.h264"])
def test_else_it_ended_when_it_was_last_written(make_clip: MakeClip, name: str) -> None:
    path = make_clip(name, 100)
    os.utime(path, (BEGUN, BEGUN))
    info = started(path)
    assert info.wall_time == pytest.approx(BEGUN - 4, abs=0.25)
    assert info.dated == "its modification time less its length"


def test_one_stamp_far_ahead_does_not_date_a_recording_back(tmp_path: Path) -> None:
    times = [36_000.0 if frame == 40 else frame / FPS for frame in range(100)]
    path = write_blobs(tmp_path / "bogus.mkv", [0], 100, times=times)
    os.utime(path, (BEGUN, BEGUN))
    assert started(path).wall_time == pytest.approx(BEGUN - 5, abs=0.25)


@pytest.mark.parametrize("zero", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T02:13:00+00:00"])
def test_a_recorder_whose_clock_was_never_set_is_not_believed(make_clip: MakeClip, zero: str) -> None:
    """The zero of MP4's epoch or of Unix's, in the container or in the name, and a while after it."""
    path = make_clip("20260131_162530.mp4", 30, metadata={"creation_time": zero})
    info = started(path)
    assert (info.wall_time, info.dated) == (BEGUN, "its name")


@pytest.mark.parametrize("name", ["19700101_000002.mp4", "19040101_000000.mp4", "1970-01-01/00.00.02.dav"])
def test_neither_is_the_name_that_such_a_recorder_gives(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (BEGUN, BEGUN))
    assert name_time(path) is None
    found = dated(path, [{"creation_time": "1970-01-01T00:00:07Z"}], 10.0)
    assert found == Dated(BEGUN - 10, "its modification time less its length")


@pytest.mark.parametrize(
    ("stated", "stamps", "length"), [(10.0, [8.0, 1e6], 10.0), (10.0, [8.0], 8.5), (10.0, [-9.0], 0)]
)
def test_a_recording_is_no_longer_than_its_header_says_and_no_shorter_than_nothing(
    stated: float, stamps: list[float], length: float
) -> None:
    packets = [SimpleNamespace(pts=stamp, dts=None, size=1, time_base=1.0) for stamp in stamps]
    container = SimpleNamespace(duration=stated * 1e6, start_time=0, seek=lambda _: None, demux=lambda _: iter(packets))
    stream = SimpleNamespace(start_time=0, time_base=1.0, guessed_rate=2.0, average_rate=None)
    assert recorded_length(container, stream) == length


@pytest.mark.parametrize(
    ("text", "believed"),
    [
        ("1904-01-01T00:00:00Z", False),
        ("1971-12-31T23:59:59Z", False),
        ("1972-01-01T00:00:00Z", True),
        ("2026-01-31", False),
        ("2026-01-31T17:00", True),
        ("yesterday at noon", False),
    ],
)
def test_a_time_in_a_file_is_believed_where_a_recorder_had_a_clock(text: str, believed: bool) -> None:
    assert (_tag_time(text) is not None) is believed


def test_a_time_without_a_zone_is_that_of_greenwich() -> None:
    assert _tag_time("2026-01-31T17:00:00") == _tag_time("2026-01-31T17:00:00Z") == 1_769_878_800.0
    assert _tag_time("2026-01-31T17:00:00+02:00") == 1_769_878_800.0 - 7200.0
