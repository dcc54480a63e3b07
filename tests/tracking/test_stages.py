"""What the tracker confirms, reports and ends, and what cosines mean to it."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker
from reidstream.tracking.appearance import Appearance
from reidstream.tracking.given import GivenBoxes, GivenTracks
from reidstream.tracking.table import UNKNOWN
from reidstream.tracking.thresholds import Thresholds
from reidstream.types import Detections, EndReason, FloatArray, IntArray

SIZE = (640, 480)


def people(*lefts: float, score: float = 0.9) -> Detections:
    """Boxes 40 wide and 100 high."""
    boxes = np.array([(left, 100, left + 40, 200) for left in lefts], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), score, np.float32))


def test_sure_detections_confirm_a_track_without_waiting_and_one_detection_never_does() -> None:
    for score, reported in ((0.95, True), (0.5, False)):
        tracker = Tracker(TrackerConfig(confirm=10.0, start=0.3), SIZE)
        assert len(tracker.update(people(100, score=score), 0.0)) == 0
        assert bool(len(tracker.update(people(100, score=score), 0.1))) is reported
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    assert len(tracker.update(people(100), 0.0)) == 0
    assert len(tracker.update(people(400), 0.1)) == 0
    assert tracker.finish(EndReason.SHUTDOWN) == []


def test_a_missed_person_is_not_reported_beyond_the_picture_nor_after_the_track_has_ended() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    for time in (0.0, 0.1, 0.2, 0.3):
        tracker.update(people(560 + 120 * time, 100), time)
    assert tracker.update(people(), 0.4).track_ids.tolist() == [2]
    tracker = Tracker(TrackerConfig(confirm=0.0, timeout=0.05), SIZE)
    for time in (0.0, 0.1, 0.2):
        tracker.update(people(100), time)
    after = tracker.update(people(), 0.3)
    assert (len(after), after.ended) == (0, [(1, EndReason.LOST)])


def test_reported_boxes_lie_in_the_picture() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    for time in (0.0, 0.1):
        found = Detections(np.array([(-20, -10, 30, 90), (620, 400, 700, 500)], np.float32), np.float32([0.9, 0.9]))
        tracks = tracker.update(found, time)
    assert len(tracks) == 2
    assert (tracks.boxes >= 0).all()
    assert (tracks.boxes <= [*SIZE, *SIZE]).all()


def test_a_detector_that_looks_rarely_still_sees_tracks_of_two_looks() -> None:
    # Who was missed once is not forgotten before the next look, however short the time for that is.
    tracker = Tracker(TrackerConfig(start=0.5, confirm=0.1), SIZE, Thresholds(unconfirmed=0.2))
    found = [people(100, score=0.6), people(), people(100, score=0.6)]
    assert [len(tracker.update(some, time)) for time, some in enumerate(found)] == [0, 0, 1]


def test_nobody_ends_in_a_frame_that_the_detector_did_not_look_at() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0, timeout=1.0), SIZE)
    for time in (0.0, 0.1):
        tracker.update(people(100), time)
    for time in (0.5, 1.0):
        assert tracker.update(people(), time).ended == []
    assert tracker.update(None, 1.2).ended == []
    assert tracker.update(people(), 1.3).ended == [(1, EndReason.LOST)]


def test_somebody_lost_at_the_border_on_the_way_in_has_not_left() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0, timeout=0.5), SIZE, Thresholds(border=0.05))
    for step in range(5):
        tracker.update(people(2 + 3 * step), step / 10)
    assert tracker.update(people(), 1.2).ended == [(1, EndReason.LOST)]


def test_tracks_end_in_the_order_of_their_ids() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.25, timeout=0.5, start=0.5), SIZE)
    score = np.array([0.6, 0.9, 0.6], np.float32)
    boxes = people(100, 300, 500).boxes
    # Ids are given at confirmation: the second of three that began together is the first to be sure of.
    for step in range(5):
        tracker.update(Detections(boxes, score), step / 10)
    assert tracker.update(Detections(boxes, score), 0.5).track_ids.tolist() == [2, 1, 3]
    assert [track for track, _ in tracker.update(people(), 1.5).ended] == [1, 2, 3]


def test_of_given_tracks_only_those_that_were_seen_end() -> None:
    frames, ids = np.array([0, 0, 1, 1]), np.array([7, 8, 7, 8], np.uint64)
    given = GivenBoxes(frames, ids, np.tile(people(100).boxes, (4, 1)), np.ones(4, np.float32))
    tracks = GivenTracks(given, SIZE)
    # The second lies in a region that does not count.
    for frame in (0, 1):
        assert tracks.update(frame, np.array([True, False])).track_ids.tolist() == [7]
    assert [track for track, _ in tracks.update(2, np.zeros(0, bool)).ended] == [7]
    assert tracks.finish(EndReason.SHUTDOWN) == []


def test_what_cosines_mean_is_forgotten_when_the_light_changes() -> None:
    seen = Appearance()
    for same in (*[0.9] * 100, *[0.6] * 5):
        seen.calibrate((500 * same, 500), (500 * 0.2, 500))
    assert seen.scale[0] == pytest.approx((0.6 + 0.2) / 2, abs=0.03)


@pytest.mark.parametrize(("same", "different"), [(0.7, 0.7), (0.5, 0.8)])
def test_more_alike_agrees_more_even_where_everybody_looks_alike(same: float, different: float) -> None:
    seen = Appearance()
    for _ in range(20):
        seen.calibrate((500 * same, 500), (500 * different, 500))
    middle, half = seen.scale
    assert np.isfinite(middle)
    assert half > 0


def test_everybody_is_known_by_their_own_looks_whoever_else_was_looked_at() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    asked: list[list[int]] = []

    def embed(rows: IntArray) -> FloatArray:
        asked.append(rows.tolist())
        looks: FloatArray = np.eye(4, dtype=np.float32)[rows]
        return looks

    for step in range(40):
        # The second comes later, so that they are looked at in different frames.
        tracker.update(people(100, 400) if step >= 4 else people(100), step / 10, embed)
    assert [0] in asked and [1] in asked
    table = tracker._table
    assert (table.faces != UNKNOWN).all()
    # Tracks stand in the order in which they began.
    np.testing.assert_allclose(tracker._appearance.vectors(table.faces, 4), np.eye(4)[:2], atol=1e-6)


def test_who_is_half_hidden_is_not_looked_at_to_be_learnt() -> None:
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    asked: set[int] = set()

    def embed(rows: IntArray) -> FloatArray:
        asked.update(rows.tolist())
        looks: FloatArray = np.eye(4, dtype=np.float32)[rows]
        return looks

    for step in range(20):
        tracker.update(people(100, 112, 400), step / 10, embed)
    assert asked == {2}
