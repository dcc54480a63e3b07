"""When a camera counts as broken, when it is opened again and when it is given up."""

from __future__ import annotations

import time

import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.engines.deepstream.metadata import FrameArrays
from reidstream.engines.deepstream.running.source import Source
from reidstream.engines.deepstream.running.source_events import SourceEvents
from reidstream.sources.clock import Thinning
from reidstream.types import EndReason, Event, Observed, SourceStarted, TrackEnded


def frame(number: int, seconds: float, ids: tuple[int, ...] = (1,)) -> FrameArrays:
    n = len(ids)
    return FrameArrays(
        0, number, round(seconds * 1e9), None, (100, 100), np.array(ids, np.uint64),
        np.tile(np.array([40, 40, 60, 90], np.float32), (n, 1)), np.ones(n, np.float32),
        np.zeros(0, np.int64), np.zeros((0, 8), np.float32), np.zeros(0, np.float32),
    )  # fmt: skip


def camera(seen: int = 1, watched: bool = False, **settings: object) -> Source:
    config = SourceConfig(uri="rtsp://user:hunter2@10.0.0.7/s", **{"timeout": 10.0, **settings})  # type: ignore[arg-type]
    started = SourceStarted("cam", "rtsp://10.0.0.7/s", "c", (0, 0), 10.0, 0.0, live=True)
    events = SourceEvents(started, timeout=1.0, shadow=10)
    for number in range(seen):
        events.frame(frame(number, number / 10))
    source = Source(0, "cam", config, events, True, watched, Thinning(None))
    source.last = 0.0 if seen else None
    return source


def test_a_camera_is_opened_again_for_ever_where_no_limit_is_set() -> None:
    assert camera().given_up("an error", said=True, now=time.monotonic() + 1e6) is None


def test_the_limit_counts_from_the_last_frame_and_leaves_room_for_one_more_attempt() -> None:
    """The next attempt comes after the time-out, and has to lie within the limit."""
    source = camera(reconnect_limit=15.0)
    assert source.given_up("an error", said=True, now=4.0) is None
    gone = source.given_up("an error", said=True, now=6.0)
    assert gone == "rtsp://user:***@10.0.0.7/s: an error; no connection for 15 seconds"


def test_without_reconnecting_the_first_break_is_the_last() -> None:
    gone = camera(reconnect=False).given_up("an error", said=True, now=0.0)
    assert gone is not None and "an error" in gone and "hunter2" not in gone


@pytest.mark.parametrize(("said", "limit", "after", "over"), [
    (True, None, 0.5, True),  # an error at once: nobody is there
    (False, None, 1e6, False),  # nothing comes and nothing is said: it may come yet
    (True, 60.0, 0.5, False),
    (False, 60.0, 45.0, False),
    (False, 60.0, 55.0, True),
])  # fmt: skip
def test_a_camera_that_never_gave_a_frame(said: bool, limit: float | None, after: float, over: bool) -> None:
    source = camera(seen=0, reconnect_limit=limit)
    source.begins(1000.0)
    assert (source.given_up("nothing there", said, 1000.0 + after) is not None) == over


def test_silence_is_a_break_after_the_time_out() -> None:
    source = camera()
    assert source.silence(1e6) is None, "it is not open"
    source.begins(100.0)
    assert source.silence(125.0) is None, "connecting may take a while"
    assert source.silence(131.0) == "no frame for 31 seconds"
    source.heard = 200.0
    assert source.silence(209.0) is None
    assert source.silence(211.0) == "no frame for 11 seconds"
    source.breaks("no frame", 211.0)
    assert source.silence(1e6) is None
    assert source.due == 221.0


def test_what_nvurisrcbin_looks_after_is_left_to_it_for_a_while() -> None:
    source = camera(watched=True)
    source.begins(100.0)
    source.heard = 100.0
    assert source.silence(129.0) is None
    assert source.silence(131.0) is not None


def test_frames_that_are_thinned_out_count_as_heard() -> None:
    source = camera()
    source.thinning = Thinning(0.001)
    source.begins(time.monotonic())
    assert source.keeps(0.0)
    first = source.heard
    assert not source.keeps(1.0)
    assert first is not None and source.heard is not None and source.heard >= first
    assert source.last == source.heard


def test_thinning_begins_anew_when_time_stamps_do() -> None:
    """A camera that was connected again may count from nought, hours after it had first begun."""
    source = camera(max_fps=1.0)
    source.thinning = Thinning(1.0)
    assert sum(source.keeps(7200 + k / 10) for k in range(30)) == 4
    assert sum(source.keeps(k / 10) for k in range(30)) == 4


@pytest.mark.parametrize("stamps", [0.0, 5000.0, -3.0])
def test_behind_a_break_frames_count_on_and_time_follows_this_machine(
    stamps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mux numbers a new pad from nought, time stamps begin anywhere, and object ids come again."""
    clock = [1000.0]
    monkeypatch.setattr("reidstream.engines.deepstream.running.source_events.time.monotonic", lambda: clock[0])
    events: list[Event] = []
    source = camera(seen=0).events
    for number in range(10):
        events += source.frame(frame(number, number / 10))
        clock[0] += 0.1
    events += source.broken_off()
    clock[0] += 20.0
    for number in range(10):
        events += source.frame(frame(number, stamps + number / 10))
        clock[0] += 0.1
    events += source.end(None, stopped=True, dropped=0)
    seen = [event for event in events if isinstance(event, Observed)]
    assert [event.frame for event in seen] == list(range(20))
    assert [event.media_time for event in seen[:10]] == pytest.approx([k / 10 for k in range(10)])
    assert [event.media_time for event in seen[10:]] == pytest.approx([21.0 + k / 10 for k in range(10)])
    tracks = [int(event.track_ids[0]) for event in seen]
    assert len(set(tracks[:10])) == len(set(tracks[10:])) == 1
    assert tracks[0] != tracks[-1]
    ended = [(event.track_id, event.reason) for event in events if isinstance(event, TrackEnded)]
    assert ended == [(tracks[0], EndReason.LOST), (tracks[-1], EndReason.SHUTDOWN)]
    assert source.mended == 0
