"""What is remembered of a source: enough for every open track, and nothing for ever."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config import TrackletConfig
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.observations import ObservationLog, TrackPath
from reidstream.types import EndReason, TrackEnded
from tests.tracklets.test_collector import placed, run, seen, started


def remembered(log: ObservationLog) -> int:
    """Boxes that the log can still give."""
    return len(log.detected(float("-inf")))


def path(xs: list[float], confidences: list[float] | None = None) -> TrackPath:
    n = len(xs)
    boxes = np.array([[x, 0, x + 40, 100] for x in xs], np.float32)
    sure = np.array(confidences if confidences is not None else [0.9] * n, np.float32)
    return TrackPath(np.arange(n), np.arange(n) / 10, 1000 + np.arange(n) / 10, boxes, sure)


def test_what_no_open_track_needs_is_forgotten_and_the_rest_is_not() -> None:
    log = ObservationLog()
    for frame in range(1000):
        log.append(placed(frame, {1: 10.0}))
    log.forget_before(90.0)
    assert 100 <= remembered(log) < 300
    assert len(log.path(1, 90.0)) == 100
    log.forget_before(float("inf"))
    assert remembered(log) == 0


def test_a_camera_that_never_ends_does_not_fill_memory() -> None:
    collector = TrackletCollector(TrackletConfig())
    collector.take(started())
    most = 0
    for visit in range(60):
        for frame in range(visit * 50, visit * 50 + 40):
            collector.take(seen(frame, {visit: visit}))
        collector.take(TrackEnded("gate", visit, EndReason.LEFT))
        (source,) = collector._sources.values()
        most = max(most, remembered(source.log))
    assert most < 300


def test_a_path_is_that_of_one_track_since_a_time_across_blocks() -> None:
    log = ObservationLog()
    for frame in range(400):
        log.append(placed(frame, {1: 10.0 + frame, 2: 500.0}))
    found = log.path(1, 20.0)
    assert found.frames.tolist() == list(range(200, 400))
    np.testing.assert_allclose(found.boxes[:, 0], 10 + np.arange(200, 400))
    with pytest.raises(KeyError):
        log.path(3, 0.0)


def test_splitting_a_path_loses_nothing_and_the_moment_itself_is_before() -> None:
    whole = path([0, 1, 2, 3, 4])
    before, after = whole.split(0.2)
    assert before.frames.tolist() == [0, 1, 2]
    assert after.frames.tolist() == [3, 4]


def test_thinning_keeps_both_ends_and_no_more_points_than_asked() -> None:
    thinned = path([float(x) for x in range(100)]).thinned(7)
    assert len(thinned) == 7
    assert (thinned.frames[0], thinned.frames[-1]) == (0, 99)
    assert len(path([1.0, 2.0]).thinned(7)) == 2


def test_predicted_boxes_at_the_end_are_cut_and_those_in_between_stay() -> None:
    assert path([0, 1, 2, 3, 4], [0.9, -0.1, 0.9, -0.1, -0.1]).to_last_detection().frames.tolist() == [0, 1, 2]
    assert len(path([0, 1], [-0.1, -0.1]).to_last_detection()) == 2


def test_confidence_is_the_mean_of_what_was_detected() -> None:
    assert path([0, 1, 2], [0.5, -0.1, 0.7]).confidence == pytest.approx(0.6)
    assert path([0, 1], [-0.1, -0.1]).confidence == 0


@pytest.mark.setting("tracklets.max_seconds")
def test_only_the_track_that_is_too_long_is_cut() -> None:
    config = TrackletConfig(max_seconds=5.0)
    events = [started(), *(seen(frame, {1: 1, **({2: 2} if frame >= 40 else {})}) for frame in range(60))]
    cut = run(events, config)
    assert [(tracklet.track_id, tracklet.reason) for tracklet in cut] == [(1, EndReason.CONTINUES)]
    collector = TrackletCollector(config)
    for event in events:
        collector.take(event)
    assert {tracklet.track_id: tracklet.start_frame for tracklet in collector.finish()}[2] == 40


def test_a_track_cut_as_too_long_goes_on_where_it_was_cut() -> None:
    events = [started(), *(seen(frame, {1: 1}) for frame in range(120)), TrackEnded("gate", 1, EndReason.LEFT)]
    pieces = run(events, TrackletConfig(max_seconds=5.0))
    assert [piece.reason for piece in pieces] == [EndReason.CONTINUES, EndReason.CONTINUES, EndReason.LEFT]
    frames = [frame for piece in pieces for frame in range(piece.start_frame, piece.end_frame + 1)]
    assert frames == list(range(120))
    assert len({piece.id for piece in pieces}) == 3
