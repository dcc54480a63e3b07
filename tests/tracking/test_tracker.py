"""What a tracker promises to the engine that feeds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker, Tracks
from reidstream.types import Detections, EndReason, FloatArray, IntArray

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


@pytest.mark.parametrize("fps", [2, 5, 7, 15, 30, 60])
def test_a_walker_is_one_track_at_any_frame_rate(fps: float) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    seen = [tracker.update(_detections(_walker(t)), t) for t in _times(fps, 4)]
    ids = {i for tracks in seen for i in _ids(tracks)}
    assert len(ids) == 1
    reported = [len(tracks) for tracks in seen]
    assert sum(reported) >= len(seen) - 1 - 0.1 * fps
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


@pytest.mark.parametrize("gap", [5.0, 20.0, 4900.0, 36_000.0])
@pytest.mark.parametrize("every", [1, 3])
def test_a_gap_without_frames_ends_tracks_as_empty_frames_do(gap: float, every: int) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)

    def play(start: float) -> tuple[set[int], list[tuple[int, EndReason]]]:
        reported, ended = set(), []
        for index, t in enumerate(_times(20, 2, start)):
            tracks = tracker.update(_detections(_walker(0)) if (index + 1) % every == 0 else None, t)
            reported |= set(_ids(tracks))
            ended += tracks.ended
        return reported, ended

    assert play(100) == ({1}, [])
    assert play(102 + gap) == ({2}, [(1, EndReason.LOST)])


def test_a_pause_shorter_than_the_timeout_ends_nothing() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    seen = [tracker.update(_detections(_walker(0)), t) for t in [*_times(20, 2), *_times(20, 2, 3.5)]]
    assert {i for tracks in seen for i in _ids(tracks)} == {1}


def test_frames_that_are_always_further_apart_than_the_timeout_make_tracks() -> None:
    tracker = Tracker(TrackerConfig(timeout=1), SIZE)
    seen = [tracker.update(_detections(_walker(0)), t) for t in _times(0.2, 60)]
    assert {i for tracks in seen for i in _ids(tracks)} == {1}
    assert len(tracker.update(_detections(_walker(0)), 120)) == 0


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


@pytest.mark.parametrize("every", [2, 3, 5, 10])
def test_rare_detections_still_make_tracks(every: int) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    ids = set()
    for index, t in enumerate(_times(7, 8)):
        tracks = tracker.update(_detections(_walker(t, x=20, speed=40)) if index % every == 0 else None, t)
        ids.update(_ids(tracks))
    assert len(ids) == 1
    assert len(tracks) == 1


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


def _looking(
    people: list[str], faces: dict[str, FloatArray], asked: list[int] | None = None
) -> Callable[[IntArray], FloatArray]:
    """An ``embed`` for detections that show ``people``, in this order; counts in ``asked`` how many were looked at."""

    def embed(rows: IntArray) -> FloatArray:
        if asked is not None:
            asked.append(len(rows))
        return np.array([faces[people[row]] for row in rows], np.float32).reshape(len(rows), 64)

    return embed


@pytest.fixture
def faces() -> dict[str, FloatArray]:
    """Unit vectors of five people, a cosine of about .5 apart."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 1, (5, 64)) + rng.normal(0, 1, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dict(zip("abcde", vectors.astype(np.float32), strict=True))


def test_a_person_far_from_others_is_rarely_looked_at(faces: dict[str, FloatArray]) -> None:
    tracker, asked = Tracker(TrackerConfig(), SIZE), list[int]()
    for t in _times(25, 6):
        boxes = _detections(_walker(t, x=20), _walker(t, x=300))
        tracker.update(boxes, t, _looking(["a", "b"], faces, asked))
    assert 2 <= sum(asked) <= 14  # about once a second each


def test_a_person_who_takes_the_place_of_another_is_a_new_track(faces: dict[str, FloatArray]) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    before, after = set(), set()
    for t in _times(10, 6):
        # Between 3 s and 3.6 s nobody is seen; then somebody else stands in the same place.
        hidden, other = 3 <= t < 3.6, t >= 3.6
        boxes = _detections() if hidden else _detections(_walker(0, x=200))
        tracks = tracker.update(boxes, t, _looking(["b" if other else "a"], faces))
        if not hidden:
            (after if other else before).update(int(i) for i in tracks.track_ids[tracks.rows >= 0])
    assert len(before) == 1
    assert len(after) == 1
    assert before.isdisjoint(after)


def test_a_person_found_again_after_an_occlusion_keeps_the_track(faces: dict[str, FloatArray]) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    ids = set()
    for t in _times(10, 6):
        hidden = 3 <= t < 4.2
        boxes = _detections() if hidden else _detections(_walker(t, x=20, speed=50))
        ids.update(_ids(tracker.update(boxes, t, _looking(["a"], faces))))
    assert len(ids) == 1


def test_people_who_cross_keep_their_own_tracks(faces: dict[str, FloatArray]) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    owners: dict[int, set[str]] = {}
    for t in _times(10, 8):
        one, two = _walker(t, x=100, speed=40), _walker(t, x=420, speed=-40, y=104)
        people = ["a", "b"]
        boxes = [one, two]
        if abs(one[0] - two[0]) < 25:  # one hides the other
            people, boxes = ["b"], [two]
        tracks = tracker.update(_detections(*boxes), t, _looking(people, faces))
        for track_id, row in zip(_ids(tracks), tracks.rows, strict=True):
            if row >= 0:
                owners.setdefault(track_id, set()).add(people[row])
    assert sorted(map(sorted, owners.values())) == [["a"], ["b"]]


def test_somebody_of_another_size_where_a_track_was_lost_is_looked_at(faces: dict[str, FloatArray]) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    lost, found = set(), set()
    for t in _times(10, 5):
        # Between 3 s and 3.6 s nobody is seen; then a child stands where the grown-up did.
        hidden, child = 3 <= t < 3.6, t >= 3.6
        boxes = [] if hidden else [(204, 145, 234, 200)] if child else [(200, 100, 240, 200)]
        tracks = tracker.update(_detections(*boxes), t, _looking(["b" if child else "a"], faces))
        (found if child else lost).update(int(i) for i in tracks.track_ids[tracks.rows >= 0])
    assert len(lost) == len(found) == 1
    assert lost.isdisjoint(found)


def test_people_exchanged_when_they_meet_are_told_apart_as_soon_as_they_are_free(faces: dict[str, FloatArray]) -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    both = faces["a"] + faces["b"]
    shown = {**faces, "both": both / np.linalg.norm(both)}
    owner: dict[int, str] = {}
    wrong = []
    for t in _times(25, 4):
        # They meet at 2.2 s, right after a look, turn round and part; motion alone says that they passed each other.
        gap = abs(t - 2.2) * 120
        boxes = _detections(_walker(0, x=250 - gap / 2), _walker(0, x=250 + gap / 2))
        looks = ["both", "both"] if gap < 24 else ["a", "b"]
        tracks = tracker.update(boxes, t, _looking(looks, shown))
        for track_id, row in zip(_ids(tracks), tracks.rows, strict=True):
            if row >= 0 and owner.setdefault(track_id, "ab"[row]) != "ab"[row]:
                wrong.append(t)
    assert wrong
    assert max(wrong) < 2.7


def test_a_second_box_of_the_same_person_starts_no_track() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    ids = set()
    for t in _times(10, 3):
        left, top, right, bottom = _walker(t)
        upper = (left + 3, top, right - 3, top + 60)
        ids.update(_ids(tracker.update(_detections((left, top, right, bottom), *([upper] if t > 1 else [])), t)))
    assert len(ids) == 1


def test_a_missed_frame_is_bridged_with_a_predicted_box() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    for t in _times(10, 2):
        tracker.update(_detections(_walker(t)), t)
    tracks = tracker.update(_detections(), 2.0)
    assert tracks.rows.tolist() == [-1]
    assert tracks.confidences[0] == pytest.approx(-0.1)
    np.testing.assert_allclose(tracks.boxes, [_walker(2.0)], atol=3)
    assert len(tracker.update(_detections(), 2.5)) == 0


def test_unsure_detections_continue_a_track_but_start_none() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    assert not any(len(tracker.update(_detections(_walker(t), score=0.3), t)) for t in _times(10, 2))
    for t in _times(10, 1, start=2):
        tracks = tracker.update(_detections(_walker(t), score=0.8), t)
    (track_id,) = _ids(tracks)
    for t in _times(10, 2, start=3):
        assert _ids(tracker.update(_detections(_walker(t), score=0.3), t)) == [track_id]


@given(st.integers(0, 2**31), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_any_detections_give_sound_tracks(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    tracker = Tracker(TrackerConfig(timeout=0.5), SIZE)
    ended: list[int] = []
    reported: set[int] = set()
    time = 0.0
    for _ in range(15):
        time += float(rng.choice([0.0, 0.01, 0.1, 0.7]))
        n = int(rng.integers(0, count))
        corners = rng.uniform(-20, 640, (n, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(0, 200, (n, 2))], axis=1).astype(np.float32)
        found = Detections(boxes, rng.random(n).astype(np.float32))
        look = _looking(["a"] * n, {"a": rng.normal(0, 0.1, 64).astype(np.float32)})
        tracks = tracker.update(None if rng.random() < 0.2 else found, time, look)
        assert len(set(_ids(tracks))) == len(tracks)
        assert np.isfinite(tracks.boxes).all()
        assert (tracks.boxes >= 0).all()
        assert not set(ended) & set(_ids(tracks))
        rows = tracks.rows[tracks.rows >= 0]
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_array_equal(tracks.confidences < 0, tracks.rows < 0)
        reported.update(_ids(tracks))
        ended += [track_id for track_id, _ in tracks.ended]
    ended += [track_id for track_id, _ in tracker.finish(EndReason.SOURCE_ENDED)]
    assert len(ended) == len(set(ended))
    assert reported <= set(ended)


def test_a_track_that_slipped_to_somebody_else_is_given_up(faces: dict[str, FloatArray]) -> None:
    # Somebody a little like a: not enough to be refused at once, too little for one person over several looks.
    like = faces["c"] + 0.3 * faces["a"]
    tracker, shown = Tracker(TrackerConfig(), SIZE), {"a": faces["a"], "x": like / np.linalg.norm(like)}
    ids: dict[bool, list[int]] = {False: [], True: []}
    for t in _times(10, 8):
        tracks = tracker.update(_detections(_walker(0, x=200)), t, _looking(["a" if t < 3 else "x"], shown))
        ids[t >= 3] += [int(i) for i in tracks.track_ids[tracks.rows >= 0]]
    assert len(set(ids[False])) == 1
    assert ids[True][-1] != ids[False][-1]


def test_a_track_never_jumps_to_a_detection_far_away() -> None:
    tracker = Tracker(TrackerConfig(), SIZE)
    for t in _times(10, 2):
        tracker.update(_detections(_walker(0, x=50)), t)
    jumped = tracker.update(_detections(_walker(0, x=450)), 2.0)
    assert all(row == -1 for row in jumped.rows.tolist())
    for t in _times(10, 1, start=2.1):
        tracks = tracker.update(_detections(_walker(0, x=450)), t)
    assert _ids(tracks) == [2]


def test_a_look_that_shows_somebody_else_is_refused_at_once_in_the_very_place(faces: dict[str, FloatArray]) -> None:
    tracker, asked = Tracker(TrackerConfig(), SIZE), list[int]()
    across = faces["b"] - (faces["b"] @ faces["a"]) * faces["a"]
    # As unlike as two people usually are, no more: one such look would not be suspicious enough.
    faces["x"] = 0.5 * faces["a"] + np.float32(0.75**0.5) * across / np.linalg.norm(across)
    for t in _times(10, 3):
        before = tracker.update(_detections(_walker(0, x=200)), t, _looking(["a"], faces))
    assert before.rows.tolist() == [0]
    for t in _times(10, 2, start=3):
        asked.clear()
        tracks = tracker.update(_detections(_walker(0, x=200)), t, _looking(["x"], faces, asked))
        if asked:
            break
    assert asked
    assert 0 not in tracks.rows[tracks.track_ids == before.track_ids[0]].tolist()


@pytest.mark.parametrize(("confirm", "reported"), [(0.0, 1), (0.5, 5), (1.0, 10)])
@pytest.mark.setting("tracker.confirm")
def test_a_track_is_reported_after_the_time_that_is_set(confirm: float, reported: int) -> None:
    tracker = Tracker(TrackerConfig(confirm=confirm, start=0.5), SIZE)
    seen = [len(tracker.update(_detections(_walker(t), score=0.6), t)) for t in _times(10, 2)]
    assert seen.index(1) == reported


@pytest.mark.parametrize(("missed", "bridged"), [(0.125, True), (0.1875, False)])
def test_a_missed_track_is_bridged_for_as_long_as_it_may_go_unseen(missed: float, bridged: bool) -> None:
    tracker = Tracker(TrackerConfig(timeout=0.125), SIZE)
    for t in _times(16, 2):
        tracker.update(_detections(_walker(t)), t)
    assert len(tracker.update(_detections(), 1.9375 + missed)) == int(bridged)
