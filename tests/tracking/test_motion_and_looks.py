"""The filter of boxes, the memory of looks and the table of tracks, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.tracking import motion
from reidstream.tracking.appearance import Appearance, blend
from reidstream.tracking.table import UNCONFIRMED, UNKNOWN, TrackTable
from reidstream.types import FloatArray

ROWS = np.arange(1)


def box(x: float, y: float = 100.0, width: float = 40.0, height: float = 100.0) -> FloatArray:
    """float32 (4, 1)"""
    return np.array([[x], [y], [x + width], [y + height]], np.float32)


def sure(score: float = 0.9) -> FloatArray:
    return np.array([score], np.float32)


def walked(fps: float, seconds: float, speed: float) -> FloatArray:
    state = motion.at_rest(box(0))
    for frame in range(1, round(fps * seconds) + 1):
        motion.predict(state, np.array([1 / fps]))
        motion.correct(state, ROWS, box(speed * frame / fps), sure())
    return state


def test_centres_and_boxes_are_inverse() -> None:
    np.testing.assert_allclose(motion.centred(box(10, 20, 30, 60))[:, 0], [25, 50, 30, 60])
    np.testing.assert_allclose(motion.boxes_of(motion.at_rest(box(10, 20, 30, 60))), box(10, 20, 30, 60))


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_a_velocity_is_learnt_and_carries_the_box_on(fps: float) -> None:
    state = walked(fps, 4, speed=60)
    assert state[1, 0, 0] == pytest.approx(60, rel=0.15)
    assert abs(float(state[1, 1, 0])) < 3
    before = float(state[0, 0, 0])
    motion.predict(state, np.array([0.5]))
    assert float(state[0, 0, 0]) - before == pytest.approx(30, rel=0.2)


def test_uncertainty_grows_while_nothing_is_seen_and_falls_when_something_is() -> None:
    state = walked(10, 2, speed=0)
    settled = motion.deviation(state)
    motion.predict(state, np.array([1.0]))
    unseen = motion.deviation(state)
    assert (unseen > settled).all()
    motion.correct(state, ROWS, box(0), sure())
    assert (motion.deviation(state) < unseen).all()


def test_a_sure_box_corrects_more_than_an_unsure_one() -> None:
    moved = []
    for score in (0.9, 0.2):
        state = walked(10, 2, speed=0)
        motion.correct(state, ROWS, box(20), sure(score))
        moved.append(float(state[0, 0, 0]))
    assert 20 < moved[1] < moved[0] < 40


def test_no_time_moves_nothing_and_a_velocity_fades() -> None:
    state = walked(10, 4, speed=60)
    before = state.copy()
    motion.predict(state, np.array([0.0]))
    np.testing.assert_array_equal(state, before)
    motion.predict(state, np.array([100.0]))
    assert abs(float(state[1, 0, 0])) < 0.01


def test_each_track_is_moved_by_its_own_time_and_others_are_left_alone() -> None:
    both = np.concatenate([walked(10, 4, speed=60)] * 2, axis=2)
    before = both.copy()
    motion.predict(both, np.array([0.5, 0.0]))
    assert both[0, 0, 0] > before[0, 0, 0]
    np.testing.assert_array_equal(both[:, :, 1], before[:, :, 1])
    before = both.copy()
    motion.correct(both, np.array([1]), box(500), sure())
    np.testing.assert_array_equal(both[:, :, 0], before[:, :, 0])
    assert both[0, 0, 1] > before[0, 0, 1]


def unit(*values: float) -> FloatArray:
    vector = np.array(values, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def learnt(looks: Appearance, face: int, vector: FloatArray) -> int:
    faces = np.array([face])
    before = looks.vectors(faces, len(vector))
    return int(looks.learn(faces, blend(before, faces != UNKNOWN, vector[None]))[0])


def test_a_track_looks_as_it_was_last_seen_and_mostly_as_it_was_always_seen() -> None:
    looks = Appearance()
    face = learnt(looks, UNKNOWN, unit(1, 0))
    assert face != UNKNOWN
    assert learnt(looks, face, unit(0, 1)) == face
    own = looks.cosines(np.array([face]), np.stack([unit(1, 0), unit(0, 1)]))[0]
    assert own[0] > own[1] > 0
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)


def test_faces_are_kept_apart_and_places_of_the_forgotten_are_used_again() -> None:
    looks = Appearance()
    faces = [learnt(looks, UNKNOWN, np.eye(40, dtype=np.float32)[k]) for k in range(40)]
    assert sorted(faces) == list(range(40))
    np.testing.assert_array_equal(looks.cosines(np.array(faces), np.eye(40, dtype=np.float32)), np.eye(40))
    looks.forget(np.array([faces[3], UNKNOWN]))
    assert learnt(looks, UNKNOWN, np.eye(40, dtype=np.float32)[7]) == faces[3]


def test_agreement_is_high_for_the_same_and_low_for_others() -> None:
    middle, half = Appearance().scale
    assert (0.95 - middle) / half > 0.5
    assert (0.3 - middle) / half < -0.5


@given(st.floats(0.85, 0.95), st.floats(0.7, 0.8))
def test_what_a_cosine_means_is_learnt_from_the_source(same: float, different: float) -> None:
    looks = Appearance()
    between = (same + different) / 2
    middle, half = looks.scale
    before = (between - middle) / half
    for _ in range(20):
        looks.calibrate((100 * same, 100), (100 * different, 100))
    # Where people all look alike, the same cosine stops speaking for one person.
    middle, half = looks.scale
    assert abs(between - middle) / half < 0.1 < before


def test_a_table_keeps_every_fact_of_the_tracks_that_stay() -> None:
    three = np.concatenate([box(0), box(100), box(200)], axis=1)
    table = TrackTable.started(three, np.array([0.9, 0.8, 0.7], np.float32), np.ones(3))
    assert (table.ids == UNCONFIRMED).all()
    assert (table.faces == UNKNOWN).all()
    table.join(np.array([2]), box(210), np.array([0.6], np.float32), np.array([2.0]))
    kept = table[np.array([True, False, True])]
    assert kept.hits.tolist() == [1, 2]
    assert kept.last.tolist() == [1.0, 2.0]
    assert kept.first.tolist() == kept.due.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(kept.evidence, [0.9, 1.3])
    np.testing.assert_array_equal(kept.box, np.concatenate([box(0), box(210)], axis=1))
    both = TrackTable.joined([kept, table])
    assert len(both) == 5
    assert both.hits.tolist() == [1, 2, 1, 1, 2]
    np.testing.assert_array_equal(both[2:].state, table.state)
