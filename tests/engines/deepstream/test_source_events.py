"""Gaps and odd time stamps of DeepStream's sources, where the tracker counts frames and knows no time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reidstream.engines.deepstream.metadata import FrameArrays
from reidstream.engines.deepstream.running.sampling import BestSamples
from reidstream.engines.deepstream.running.source_events import SourceEvents
from reidstream.types import Event, Observed, SourceStarted, TrackEnded
from tests.engines.deepstream.batches import seen_alone

FPS = 10
BOX = np.array([[400, 200, 500, 500]], np.float32)


def source(live: bool = False) -> SourceEvents:
    return SourceEvents(SourceStarted("cam", "x", "c", (960, 540), float(FPS), 0.0, live=live), timeout=1.0, shadow=10)


def arrays(number: int, seconds: float, ids: list[int]) -> FrameArrays:
    n = len(ids)
    return FrameArrays(
        source_index=0,
        number=number,
        pts=round(seconds * 1e9),
        ntp=None,
        size=(960, 540),
        object_ids=np.array(ids, np.uint64),
        boxes=np.tile(BOX, (n, 1)),
        confidences=np.ones(n, np.float32),
        rows=np.zeros(0, np.int64),
        embeddings=np.zeros((0, 8), np.float32),
        quality=np.zeros(0, np.float32),
    )


def observed(events: list[Event]) -> list[Observed]:
    return [event for event in events if isinstance(event, Observed)]


@pytest.mark.parametrize("gap", [3.0, 4900.0])
def test_an_object_id_that_goes_on_behind_a_gap_is_another_track(gap: float) -> None:
    events: list[Event] = []
    seen = source()
    for number in range(40):
        events += seen.frame(arrays(number, number / FPS + gap * (number >= 20), [7]))
    events += seen.end(None, False, 0)
    tracks = [frame.track_ids.tolist() for frame in observed(events)]
    assert tracks[:20] == [[7]] * 20
    assert tracks[20:] == [tracks[20]] * 20
    assert tracks[20] != [7]
    assert [event.track_id for event in events if isinstance(event, TrackEnded)] == [7, *tracks[20]]


def test_what_the_tracker_gives_up_behind_an_odd_stamp_ends_after_that_frame() -> None:
    seen = source(live=True)
    events = [event for number in range(10) for event in seen.frame(arrays(number, number / FPS, [7]))]
    events += seen.frame(arrays(10, 36_000.0, [7]))
    assert len(observed(events)) == 10
    events += seen.terminated(np.array([7], np.uint64))
    events += seen.frame(arrays(11, 1.1, [8]))
    kinds = [type(event) for event in events[-3:]]
    assert kinds == [Observed, TrackEnded, Observed]
    np.testing.assert_allclose([frame.media_time for frame in observed(events)], np.arange(12) / FPS)
    assert seen.mended == 1


def test_behind_a_gap_an_object_id_is_sampled_anew_and_an_odd_stamp_stops_no_sampling() -> None:
    def taken(seconds: list[float]) -> list[float]:
        sampling = BestSamples(2, timeout=1.0, min_size=(16, 32), mux_size=None, sparse=False)
        times = []
        for time in seconds:
            frame = seen_alone(0, time, (960, 540), [7], BOX)
            rows, quality = sampling.wanted(frame)
            sampling.took(frame, rows, quality)
            times += [time] * len(rows)
        return times

    steady = [number / FPS for number in range(40)]
    behind = [time + 2 * (time >= 2) for time in steady]
    assert max(taken(behind)) >= 4
    odd = [36_000.0 if number == 3 else time for number, time in enumerate(steady)]
    assert len([time for time in taken(odd) if time < 100]) >= len(taken(steady))


def test_boxes_of_another_picture_size_are_in_the_pixels_of_the_first() -> None:
    seen = source()
    first = seen.frame(arrays(0, 0.0, [7]))
    (second,) = observed(seen.frame(replace(arrays(1, 0.1, [7]), size=(1920, 1080), boxes=2 * BOX)))
    np.testing.assert_allclose(second.boxes, observed(first)[0].boxes)
    assert seen.fitted == 1
