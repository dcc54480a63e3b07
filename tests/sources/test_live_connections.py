"""A live source over connections that follow a script: no camera, no network, and a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.sources import live
from reidstream.sources.connection import Arrival, ConnectionLost, ConnectionRefused
from reidstream.sources.decoding import Decoding
from reidstream.sources.frame import ArrayPicture, Frame
from reidstream.sources.live import BUFFER, FIRST_DELAY, LONGEST_DELAY, LiveSource
from reidstream.sources.packet_tap import PacketTaker

ADDRESS = "rtsp://user:secret@camera/live"


@dataclass
class World:
    """What a source gets, one connection after the other, and what it did.

    script: of each connection its arrivals as (seconds since the one before, stamp), or what it fails with. When it is
    over, connections are lost for ever. delays: how long the source waited between connections.
    """

    script: list[Sequence[tuple[float, float | None]] | Exception]
    now: float = 100.0
    delays: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    skipped: int = 0

    def connect(self, _: SourceConfig, decoding: Decoding) -> Connected:
        step = self.script.pop(0) if self.script else ConnectionLost("nobody there")
        if isinstance(step, Exception):
            raise step
        return Connected(self, step)


@dataclass
class Connected:
    world: World
    steps: Sequence[tuple[float, float | None]]
    fps: float = 20.0

    def arrivals(self, _: threading.Event) -> Iterator[Arrival]:
        for seconds, stamp in self.steps:
            self.world.now += seconds
            width, height = self.world.sizes.pop(0) if self.world.sizes else (64, 48)
            yield Arrival(ArrayPicture(np.zeros((height, width, 3), np.uint8)), stamp)

    def record(self, taker: PacketTaker) -> None:
        """It has no packets."""

    def take_skipped(self) -> int:
        skipped, self.world.skipped = self.world.skipped, 0
        return skipped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Instantly(threading.Event):
    """An event whose waiting takes no time but moves the world's clock."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def wait(self, timeout: float | None = None) -> bool:
        self._world.delays.append(timeout or 0.0)
        self._world.now += timeout or 0.0
        return self.is_set()


def source_of(world: World, monkeypatch: pytest.MonkeyPatch, **settings: object) -> LiveSource:
    monkeypatch.setattr(live, "connect", world.connect)
    monkeypatch.setattr(live.time, "monotonic", lambda: world.now)
    source = LiveSource(SourceConfig.model_validate({"uri": ADDRESS, **settings}), "cam")
    source._closed = Instantly(world)
    return source


def all_of(source: LiveSource) -> tuple[list[Frame], str]:
    """What a source delivered once its thread has ended, and the error it ended with."""
    source._start_reading()
    assert source._thread is not None
    source._thread.join()
    frames: list[Frame] = []
    error = ""
    try:
        for frame in source:
            frames.append(frame)  # noqa: PERF402 - what came before an error counts
    except (SourceBroken, SourceNotFound) as failure:
        error = str(failure)
    return frames, error


def steady(count: int, first: float | None = 0.0) -> list[tuple[float, float | None]]:
    return [(0.05, None if first is None else first + 0.05 * k) for k in range(count)]


def test_a_slow_reader_loses_the_oldest_frames_and_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([steady(BUFFER + 3)])
    source = source_of(world, monkeypatch, reconnect=False)
    source._start_reading()
    assert source._thread is not None
    source._thread.join()
    kept = [frame.index for frame in source._buffer]
    assert kept == list(range(3, BUFFER + 3))
    assert source.dropped == 3


def test_what_a_camera_is_is_said_without_its_password_and_with_the_rate_that_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = source_of(World([steady(4)]), monkeypatch, reconnect=False, max_fps=5)
    info = source.started()
    assert "secret" not in info.uri
    assert (info.fps, info.size, info.live, info.source) == (5, (64, 48), True, "cam")


def test_pictures_of_another_size_are_fitted_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([steady(3)], sizes=[(64, 48), (32, 48), (64, 48)])
    source = source_of(world, monkeypatch, reconnect=False)
    frames, _ = all_of(source)
    assert [frame.picture.size for frame in frames] == [(64, 48)] * 3
    assert source.fitted == 1


def test_what_a_connection_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(World([steady(3)], skipped=4), monkeypatch, reconnect=False)
    all_of(source)
    assert source.skipped == 4


def test_the_pauses_between_attempts_grow_up_to_a_limit_and_begin_anew_after_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = [ConnectionLost("gone") for _ in range(12)]
    world = World([steady(1), *lost, steady(1), *lost[:2]])
    frames, error = all_of(source_of(world, monkeypatch, reconnect_limit=400))
    assert len(frames) == 2
    assert "no connection for 400 seconds" in error
    first = world.delays[:13]
    assert first[0] == FIRST_DELAY
    assert all(later == min(2 * earlier, LONGEST_DELAY) for earlier, later in pairwise(first))
    assert first[-1] == LONGEST_DELAY
    assert world.delays[13] == FIRST_DELAY


def test_the_limit_counts_from_the_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each gap is shorter than the limit, all together are longer.
    gap = [ConnectionLost("gone")] * 4
    world = World([steady(1), *gap, steady(1), *gap, steady(1), *gap, steady(1)])
    frames, error = all_of(source_of(world, monkeypatch, reconnect_limit=20))
    assert len(frames) == 4
    assert "20 seconds" in error
    lasted = sum(world.delays)
    assert lasted > 3 * 7.5


def test_media_time_goes_on_over_a_new_connection_whose_stamps_begin_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([steady(2, first=0.0), steady(2, first=5000.0), steady(2, first=5000.1)])
    frames, _ = all_of(source_of(world, monkeypatch, reconnect_limit=3))
    times = np.array([frame.media_time for frame in frames])
    steps = np.diff(times)
    # Inside a connection by the stamps, between two the pause and the next frame's arrival.
    assert steps[[0, 2, 4]] == pytest.approx(0.05)
    assert steps[[1, 3]] == pytest.approx(FIRST_DELAY + 0.05)


def test_a_camera_that_refuses_before_its_first_frame_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([ConnectionRefused("wrong password"), steady(3)])
    frames, error = all_of(source_of(world, monkeypatch))
    assert (frames, world.delays) == ([], [])
    assert "wrong password" in error


def test_a_camera_that_refuses_later_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([steady(1), ConnectionRefused("too many users"), steady(1)])
    frames, _ = all_of(source_of(world, monkeypatch, reconnect_limit=5))
    assert [frame.index for frame in frames] == [0, 1]


def test_thinned_frames_leave_gaps_in_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = all_of(source_of(World([steady(8)]), monkeypatch, reconnect=False, max_fps=10))
    assert [frame.index for frame in frames] == [0, 2, 4, 6]


def test_a_connection_that_fails_as_nobody_expected_ends_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> Connected:
        raise TypeError("a fault of ours")

    source = source_of(World([]), monkeypatch)
    monkeypatch.setattr(live, "connect", connect)
    with pytest.raises(SourceBroken, match=r"reading failed \(a fault of ours\)"):
        next(source)


def test_connections_that_were_made_again_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second one brings no frame, and is not counted.
    world = World([steady(3), [], steady(3), steady(3)])
    source = source_of(world, monkeypatch, reconnect_limit=60)
    assert source.reconnects == 0
    frames, _ = all_of(source)
    assert len(frames) >= 3
    assert source.reconnects == 2


def test_what_a_new_connection_brings_follows_nothing_in_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([steady(3), steady(3)])
    source = source_of(world, monkeypatch, reconnect_limit=5, ring_seconds=10, ring_mib=1)
    assert source._ring is not None
    restarted: list[float] = []
    monkeypatch.setattr(source._ring, "restart", lambda: restarted.append(world.now))
    all_of(source)
    assert len(restarted) == 2
