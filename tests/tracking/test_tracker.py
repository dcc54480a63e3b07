"""What a tracker promises to the engine that feeds it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker, Tracks
from reidstream.types import Detections, EndReason

SIZE = (640, 480)


def _detections(*boxes: tuple[float, float, float, float], score: float = 0.8) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(array, np.full(len(array), score, np.float32))


def _walker(time: float, x: float = 100, speed: float = 60, y: float = 100) -> tuple[float, float, float, float]:
    """A person 40 wide and 100 high, ``speed`` pixels per second to the right."""
    left = x + speed * time
    return left, y, left + 40, y + 100


def _times(fps: float, seconds: float, start: float = 0) -> Iterator[float]:
    for index in range(round(seconds * fps)):
        yield start + index / fps


def _ids(tracks: Tracks) -> list[int]:
    return [int(i) for i in tracks.track_ids]


@pytest.mark.parametrize("fps", [5, 7, 15, 30, 60])
def test_a_walker_is_one_track_at_any_frame_rate(fps: float) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    seen = [tracker.update(_detections(_walker(t)), t) for t in _times(fps, 4)]
    ids = {i for tracks in seen for i in _ids(tracks)}
    assert len(ids) == 1
    reported = [len(tracks) for tracks in seen]
    assert sum(reported) >= 0.9 * len(seen)
    assert not any(tracks.ended for tracks in seen)


def test_boxes_carry_the_detection_they_come_from() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    for t in _times(10, 1):
        tracks = tracker.update(_detections(_walker(t), _walker(t, x=400, speed=-60), score=0.7), t)
    assert tracks.rows.tolist() == [0, 1]
    np.testing.assert_allclose(tracks.confidences, 0.7)
    np.testing.assert_allclose(tracks.boxes, np.array([_walker(0.9), _walker(0.9, 400, -60)]), atol=3)


def test_an_unseen_track_ends_after_the_timeout_in_seconds() -> None:
    tracker = Tracker(TrackerConfig(timeout=1.5), SIZE)
    for t in _times(10, 1):
        tracks = tracker.update(_detections(_walker(t)), t)
    (track_id,) = _ids(tracks)
    assert tracker.update(_detections(), 2.3).ended == []
    assert tracker.update(_detections(), 2.5).ended == [(track_id, EndReason.LOST)]
    assert tracker.update(_detections(), 2.6).ended == []


def test_a_track_that_walks_out_has_left() -> None:
    tracker = Tracker(TrackerConfig(timeout=1), SIZE)
    ended = []
    for t in _times(10, 6):
        left, top, right, bottom = _walker(t, x=500, speed=60)
        inside = _detections((left, top, min(right, 640), bottom)) if left < 635 else _detections()
        ended += tracker.update(inside, t).ended
    assert [reason for _, reason in ended] == [EndReason.LEFT]


def test_finishing_ends_every_confirmed_track_with_the_reason_given() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    for t in _times(10, 1):
        tracks = tracker.update(_detections(_walker(t), _walker(t, x=400)), t)
    assert sorted(_ids(tracks)) == [1, 2]
    assert tracker.finish(EndReason.SHUTDOWN) == [(1, EndReason.SHUTDOWN), (2, EndReason.SHUTDOWN)]
    assert tracker.finish(EndReason.SHUTDOWN) == []


def test_a_single_false_detection_is_never_reported() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    for t in _times(10, 3):
        flicker = [(500.0, 300.0, 540.0, 400.0)] if t == 1 else []
        tracks = tracker.update(_detections(_walker(t), *flicker), t)
        assert len(tracks) <= 1
        assert tracks.ended == []


def test_motion_fills_the_frames_between_detections() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    errors = []
    for index, t in enumerate(_times(30, 3)):
        tracks = tracker.update(_detections(_walker(t)) if index % 5 == 0 else None, t)
        if t > 1:
            assert len(tracks) == 1
            predicted = index % 5 != 0
            assert tracks.rows.tolist() == [-1 if predicted else 0]
            assert tracks.confidences[0] == pytest.approx(-0.1 if predicted else 0.8)
            errors.append(np.abs(tracks.boxes - np.array([_walker(t)])).max())
    assert max(errors) < 3


def test_two_sources_share_nothing() -> None:
    trackers = [Tracker(TrackerConfig(), SIZE) for _ in range(2)]
    for t in _times(10, 1):
        ids = [_ids(tracker.update(_detections(_walker(t)), t)) for tracker in trackers]
    assert ids == [[1], [1]]


def test_embeddings_must_fit_the_tracks_they_are_for() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    with pytest.raises(ValueError, match="expected one embedding per track"):
        tracker.learn(np.array([1], np.uint64), np.zeros((2, 4), np.float32))
    tracker.learn(np.array([1], np.uint64), np.ones((1, 4), np.float32))  # ended meanwhile: nothing to learn
