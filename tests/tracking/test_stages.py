"""The tracker's stages one by one: who may be joined, who starts, what is learnt, what is reported and when it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker
from reidstream.tracking.appearance import Appearance
from reidstream.tracking.association import overlap
from reidstream.tracking.given import GivenBoxes, GivenTracks
from reidstream.tracking.motion import Motion
from reidstream.tracking.thresholds import Thresholds
from reidstream.tracking.tracker import _Looks, _Scene
from reidstream.types import Detections, EndReason, FloatArray

SIZE = (640, 480)
Table = list[list[float]]


def people(*lefts: float, score: float = 0.9) -> Detections:
    """Boxes 40 wide and 100 high."""
    boxes = np.array([(left, 100, left + 40, 200) for left in lefts], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), score, np.float32))


def known_tracks(count: int, thresholds: Thresholds = Thresholds()) -> Tracker:
    """A tracker with tracks far apart, each of which looks like an axis of its own."""
    tracker = Tracker(TrackerConfig(), SIZE, thresholds)
    tracker._tracks.append(people(*(100 * k for k in range(count))), np.arange(count), 0.0)
    tracker._tracks.appearance.learn(np.arange(count), np.eye(count, 8, dtype=np.float32))
    return tracker


def scene(fits: Table, **facts: Any) -> _Scene:
    """Tracks seen just now and free, sure detections, unless it is said."""
    array = np.array(fits, np.float32)
    tracks, found = array.shape
    usual: dict[str, Any] = {
        "stale": np.zeros((tracks, 1), bool),
        "near": np.zeros((tracks, found), bool),
        "recent": np.ones((tracks, 1), bool),
        **{name: np.ones(found, bool) for name in ("sure", "usable", "clean", "free")},
    }
    return _Scene(array, **{name: np.array(facts.get(name, value), bool) for name, value in usual.items()})


def looks(agreement: Table, embeddings: FloatArray | None = None) -> _Looks:
    """All detections looked at, all tracks known."""
    array = np.array(agreement, np.float32)
    count = array.shape[1]
    if embeddings is None:
        embeddings = np.eye(count, 8, 4, dtype=np.float32)
    return _Looks(np.arange(count), embeddings, array, array, np.ones(array.shape, bool))


def test_a_known_track_that_was_gone_for_a_while_takes_nobody_who_was_not_looked_at() -> None:
    tracker = known_tracks(2)
    *_, same = tracker._judged(scene([[0.9], [0.9]], stale=[[True], [False]]), people(0), None, appearance=True)
    assert same.tolist() == [[False], [True]]
    # Where nobody can be looked at, motion decides alone.
    *_, same = tracker._judged(scene([[0.9], [0.9]], stale=[[True], [False]]), people(0), None, appearance=False)
    assert same.all()


@pytest.mark.parametrize(
    ("fit", "near", "stale", "asked"),
    [(0.3, False, True, True), (0.0, True, True, True), (0.0, False, True, False), (0.9, False, False, False)],
)
def test_whoever_comes_to_where_a_track_was_lost_is_looked_at_and_who_goes_on_is_not(
    fit: float, near: bool, stale: bool, asked: bool
) -> None:
    tracker, rows = known_tracks(1), list[int]()
    found = scene([[fit]], near=[[near]], stale=[[stale]])
    tracker._look(found, 9.0, lambda some: (rows.extend(some.tolist()), np.eye(len(some), 8, dtype=np.float32))[1])
    assert bool(rows) is asked


def test_who_was_gone_for_a_while_has_to_look_alike_and_who_is_seen_all_the_time_only_not_unlike() -> None:
    tracker = known_tracks(2, Thresholds(veto=-0.6))
    judged = scene([[0.9], [0.9]], stale=[[True], [False]])
    assert tracker._judged(judged, people(0), looks([[-0.3], [-0.3]]), appearance=True)[2].tolist() == [[False], [True]]
    assert tracker._judged(judged, people(0), looks([[0.3], [-0.9]]), appearance=True)[2].tolist() == [[True], [False]]


def test_doubts_about_a_track_add_up_but_not_from_looks_into_a_crowd() -> None:
    tracker = known_tracks(1, Thresholds(suspicion=1.0, veto=-0.9))
    tracker._tracks.suspicion[:] = 0.8
    for clean, same in ((True, False), (False, True)):
        judged = tracker._judged(scene([[0.9]], clean=[clean]), people(0), looks([[-0.5]]), appearance=True)
        assert judged[2].item() is same


def test_unsure_detections_continue_only_what_sure_ones_left_and_what_was_seen_just_now() -> None:
    tracker = known_tracks(2)
    every, weights = np.ones((2, 2), bool), np.array([[0.5, 0.9], [0.0, 0.9]], np.float32)
    # The first track has a sure detection, whatever fits better; the unsure one is the second's, if that was seen.
    for recent, second in ((True, 1), (False, -1)):
        found = scene(weights.tolist(), sure=[True, False], recent=[[True], [recent]])
        assert tracker._matched(found, weights, every, every).tolist() == [0, second]
    # What one track has is not another's, however well it fits.
    fits = [[0.95, 0.0], [0.9, 0.0]]
    found = scene(fits, sure=[True, False])
    assert tracker._matched(found, np.array(fits, np.float32), every, every).tolist() == [0, -1]
    found = scene(weights.tolist(), sure=[True, False], usable=[True, False])
    assert tracker._matched(found, weights, every, every).tolist() == [0, -1]


def test_what_is_refused_is_not_joined_however_well_it_fits() -> None:
    tracker = known_tracks(1)
    for sure in (True, False):
        found = scene([[1.0]], sure=[sure])
        weights, yes, no = found.fits, np.ones((1, 1), bool), np.zeros((1, 1), bool)
        assert tracker._matched(found, weights, yes, no).tolist() == [-1]
        assert tracker._matched(found, weights, yes, yes).tolist() == [0]


def test_a_second_box_and_one_inside_another_start_no_track() -> None:
    tracker = known_tracks(1, Thresholds(duplicate=0.5, hidden=0.65))
    own = (100, 100, 200, 300)
    around = (75, 80, 225, 320)
    inside = (120, 120, 150, 180)
    beside = (240, 100, 340, 300)
    boxes = np.array([own, around, inside, beside], np.float32)
    found = Detections(boxes, np.full(4, 0.9, np.float32))
    assert tracker._starting(found, np.array([0])).tolist() == [3]
    assert tracker._starting(found, np.array([-1])).tolist() == [0, 1, 2, 3]


def test_a_track_learns_from_nobody_else_and_not_from_a_crowd() -> None:
    other = np.eye(1, 8, 5, dtype=np.float32)
    for clean, agreement, learnt in ((True, 0.5, True), (False, 0.5, False), (True, -0.5, False)):
        tracker = known_tracks(1)
        before = tracker._tracks.appearance.cosines(other).item()
        tracker._teach(looks([[agreement]], other), np.array([0]), scene([[0.9]], clean=[clean]), 1.0)
        assert (tracker._tracks.appearance.cosines(other).item() > before) is learnt


def test_suspicion_grows_with_each_look_that_disagrees_and_goes_with_those_that_agree() -> None:
    tracker = known_tracks(1)
    held = []
    for agreement in (-0.4, -0.4, 0.5, 1.0):
        tracker._teach(looks([[agreement]]), np.array([0]), scene([[0.9]]), 1.0)
        held.append(tracker._tracks.suspicion.item())
    assert held == pytest.approx([0.4, 0.8, 0.3, 0.0])


def test_a_track_under_suspicion_and_one_out_of_a_crowd_are_looked_at_again_soon() -> None:
    due = []
    for agreement in (1.0, -0.5):
        tracker = known_tracks(1)
        tracker._teach(looks([[agreement]]), np.array([0]), scene([[0.9]]), 1.0)
        due.append(tracker._tracks.due.item())
    assert due[1] < due[0]
    # Two people in one place: both are due as soon as it is over.
    tracker = Tracker(TrackerConfig(), SIZE)
    embed = lambda rows: np.eye(len(rows), 8, dtype=np.float32)  # noqa: E731
    for time in (0.0, 0.1):
        tracker.update(people(100, 300), time, embed)
    tracker._tracks.due[:] = 99.0
    tracker.update(Detections(people(100, 110).boxes, np.float32([0.9, 0.9])), 0.2, None)
    assert (tracker._tracks.due[tracker._tracks.last == 0.2] <= 0.2).all()


def test_what_a_track_is_compared_with_is_never_taken_for_somebody_else() -> None:
    tracker = known_tracks(1)
    before = tracker._tracks.appearance._different.value
    tracker._teach(looks([[0.9]]), np.array([0]), scene([[0.9]]), 1.0)
    assert tracker._tracks.appearance._different.value == before
    tracker = known_tracks(2)
    tracker._teach(looks([[0.9, -0.9], [-0.9, 0.9]]), np.array([0, 1]), scene([[0.9, 0.0], [0.0, 0.9]]), 1.0)
    assert tracker._tracks.appearance._different.value < before


def test_sure_detections_confirm_a_track_without_waiting_and_one_detection_never_does() -> None:
    for score, reported in ((0.95, True), (0.5, False)):
        tracker = Tracker(TrackerConfig(confirm=10.0, start=0.3), SIZE)
        assert len(tracker.update(people(100, score=score), 0.0)) == 0
        assert bool(len(tracker.update(people(100, score=score), 0.1))) is reported
    tracker = Tracker(TrackerConfig(confirm=0.0), SIZE)
    assert len(tracker.update(people(100), 0.0)) == 0
    assert len(tracker.update(people(400), 0.1)) == 0
    assert not tracker._tracks.ids.any()


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
    assert tracker._tracks.ids.tolist() == [2, 1, 3]
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


def test_of_two_boxes_that_overlap_as_much_the_one_of_another_height_fits_less() -> None:
    motion = Motion()
    motion.append(np.array([(100, 100, 200, 200)], np.float32))
    narrow, low = overlap(motion, np.array([(100, 100, 150, 200), (100, 100, 200, 150)], np.float32))[0]
    assert low < narrow


def test_what_cosines_mean_is_forgotten_when_the_light_changes() -> None:
    seen = Appearance()
    few = np.zeros(0, np.float32)
    for _ in range(100):
        seen.calibrate(np.full(500, 0.9, np.float32), few)
    for _ in range(5):
        seen.calibrate(np.full(500, 0.6, np.float32), few)
    assert seen._same.value == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize(("same", "different"), [(0.7, 0.7), (0.5, 0.8)])
def test_more_alike_never_agrees_less_even_where_everybody_looks_alike(same: float, different: float) -> None:
    seen = Appearance()
    seen.append(1)
    seen.learn(np.array([0]), np.eye(1, 4, dtype=np.float32))
    for _ in range(20):
        seen.calibrate(np.full(500, same, np.float32), np.full(500, different, np.float32))
    agreement = seen.agreement(np.linspace(0, 1, 21, dtype=np.float32)[None])[0]
    assert np.isfinite(agreement).all()
    assert (np.diff(agreement) >= 0).all()
    assert agreement[0] < agreement[-1]
