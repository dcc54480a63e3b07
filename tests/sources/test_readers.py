"""How files and cameras are read when their containers are odd: parts of the readers over scripted libraries."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken
from reidstream.sources import rtsp
from reidstream.sources.connection import ConnectionLost
from reidstream.sources.container_end import missing_bytes
from reidstream.sources.rtsp import RtspConnection
from reidstream.sources.video_file import VideoFileSource


def file_source() -> VideoFileSource:
    return VideoFileSource(SourceConfig(uri="shop.mp4"), "shop")


class Damaged:
    """A container that raises so many errors before each packet."""

    def __init__(self, errors: list[int]) -> None:
        self._errors = errors

    def demux(self, _: object) -> Iterator[str]:
        while self._errors:
            if self._errors[0]:
                self._errors[0] -= 1
                raise av.error.InvalidDataError(1, "damaged")
            self._errors.pop(0)
            yield "packet"


def test_reading_goes_on_behind_damage_and_ends_where_nothing_can_be_read_any_more() -> None:
    source = file_source()
    source._container = Damaged([60, 60, 60])
    assert len(list(source._packets(None))) == 3
    assert source.skipped == 180
    source = file_source()
    source._container = Damaged([1, 10_000])
    with pytest.raises(SourceBroken, match="any further"):
        list(source._packets(None))


def test_frames_without_a_time_of_presentation_go_by_their_time_of_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    source = file_source()
    frames = [SimpleNamespace(pts=None, dts=3 * k, time_base=1) for k in range(4)]
    monkeypatch.setattr(source, "_decoded", lambda _: iter(frames))
    assert [time for _, time in source._timed(None)] == [0, 3, 6, 9]


def test_the_largest_picture_of_a_container_is_read_and_never_its_cover() -> None:
    def video(width: int, cover: bool = False) -> Any:
        kinds = av.stream.Disposition
        shown = kinds.attached_pic if cover else kinds.default
        return SimpleNamespace(width=width, height=100, codec_context=object(), disposition=shown, type="video")

    streams = [video(100), video(300), video(200), video(900, cover=True)]
    container = SimpleNamespace(streams=SimpleNamespace(video=streams))
    assert file_source()._picked(container).width == 300


def test_the_end_of_an_avi_is_found_behind_parts_of_odd_length(tmp_path: Path) -> None:
    path = tmp_path / "shop.avi"
    first = b"RIFF" + struct.pack("<I", 5) + b"AVI x" + b"\0"
    path.write_bytes(first + b"RIFF" + struct.pack("<I", 100) + b"AVIX" + bytes(56))
    assert missing_bytes(path) == 40


def test_the_end_of_a_part_of_more_than_4_gib_is_found(tmp_path: Path) -> None:
    path = tmp_path / "shop.mp4"
    head = struct.pack(">I4s8s", 16, b"ftyp", b"isom0000")
    path.write_bytes(head + struct.pack(">I4sQ", 1, b"mdat", 5 * 2**32) + bytes(100))
    assert missing_bytes(path) == 5 * 2**32 - 116


def test_a_camera_that_sends_data_but_no_picture_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def endless() -> Iterator[Any]:
        for _ in range(10_000):
            now[0] += 0.1
            yield SimpleNamespace(stream_index=0, decode=list)

    stream = SimpleNamespace(index=0, thread_type="", codec_context=SimpleNamespace(thread_count=0, is_hwaccel=False))
    container = SimpleNamespace(streams=SimpleNamespace(video=[stream]), demux=endless, close=lambda: None)
    monkeypatch.setattr(av, "open", lambda *_, **__: container)
    monkeypatch.setattr(rtsp.time, "monotonic", lambda: now[0])
    connection = RtspConnection(SourceConfig(uri="rtsp://camera/live", timeout=5))
    with pytest.raises(ConnectionLost, match="no frame for 5 seconds"):
        list(connection.arrivals(SimpleNamespace(is_set=lambda: False)))  # type: ignore[arg-type]
    assert now[0] < 106
