"""The filter of boxes, the memory of looks and the table of tracks, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.tracking.appearance import Appearance
from reidstream.tracking.motion import Motion, centred
from reidstream.tracking.table import UNCONFIRMED, TrackTable
from reidstream.types import Detections, FloatArray

ROWS = np.arange(1)


def box(x: float, y: float = 100.0, width: float = 40.0, height: float = 100.0) -> FloatArray:
    return np.array([[x, y, x + width, y + height]], np.float32)


def walked(fps: float, seconds: float, speed: float) -> Motion:
    motion = Motion()
    motion.append(box(0))
    for frame in range(1, round(fps * seconds) + 1):
        motion.predict(1 / fps)
        motion.update(ROWS, box(speed * frame / fps), np.array([0.9], np.float32))
    return motion


def test_centres_and_boxes_are_inverse() -> None:
    motion = Motion()
    motion.append(box(10, 20, 30, 60))
    np.testing.assert_allclose(centred(box(10, 20, 30, 60)), [[25, 50, 30, 60]])
    np.testing.assert_allclose(motion.boxes(), box(10, 20, 30, 60))


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_a_velocity_is_learnt_and_carries_the_box_on(fps: float) -> None:
    motion = walked(fps, 4, speed=60)
    assert motion.velocity[0, 0] == pytest.approx(60, rel=0.15)
    assert abs(float(motion.velocity[0, 1])) < 3
    before = float(motion.position[0, 0])
    motion.predict(0.5)
    assert float(motion.position[0, 0]) - before == pytest.approx(30, rel=0.2)


def test_uncertainty_grows_while_nothing_is_seen_and_falls_when_something_is() -> None:
    motion = walked(10, 2, speed=0)
    settled = motion.deviation().copy()
    motion.predict(1.0)
    assert (motion.deviation() > settled).all()
    unseen = motion.deviation().copy()
    motion.update(ROWS, box(0), np.array([0.9], np.float32))
    assert (motion.deviation() < unseen).all()


def test_a_sure_box_corrects_more_than_an_unsure_one() -> None:
    moved = []
    for score in (0.9, 0.2):
        motion = walked(10, 2, speed=0)
        motion.update(ROWS, box(20), np.array([score], np.float32))
        moved.append(float(motion.position[0, 0]))
    assert 20 < moved[1] < moved[0] < 40


def test_no_time_moves_nothing_and_a_velocity_fades() -> None:
    motion = walked(10, 4, speed=60)
    before = motion.position.copy()
    motion.predict(0.0)
    np.testing.assert_array_equal(motion.position, before)
    motion.predict(100.0)
    assert abs(float(motion.velocity[0, 0])) < 0.01


def test_other_tracks_are_left_alone() -> None:
    motion = Motion()
    motion.append(np.concatenate([box(0), box(300)]))
    motion.update(np.array([1]), box(320), np.array([0.9], np.float32))
    np.testing.assert_array_equal(motion.position[0], centred(box(0))[0])
    motion.keep(np.array([False, True]))
    assert len(motion) == 1
    assert motion.position[0, 0] > 300


def unit(*values: float) -> FloatArray:
    vector = np.array(values, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def test_a_track_looks_as_it_was_last_seen_and_mostly_as_it_was_always_seen() -> None:
    looks = Appearance()
    looks.append(2)
    looks.learn(np.array([0]), unit(1, 0)[None])
    assert looks.known.tolist() == [True, False]
    looks.learn(np.array([0]), unit(0, 1)[None])
    own = looks.cosines(np.stack([unit(1, 0), unit(0, 1)]))[0]
    assert own[0] > own[1] > 0
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)


def test_agreement_is_high_for_the_same_low_for_others_and_nothing_for_the_unknown() -> None:
    looks = Appearance()
    looks.append(2)
    looks.learn(np.array([0]), unit(1, 0)[None])
    agreement = looks.agreement(np.array([[0.95, 0.3], [0.95, 0.3]], np.float32))
    assert agreement[0, 0] > 0.5
    assert agreement[0, 1] < -0.5
    assert agreement[1].tolist() == [0, 0]


@given(st.floats(0.85, 0.95), st.floats(0.7, 0.8))
def test_what_a_cosine_means_is_learnt_from_the_source(same: float, different: float) -> None:
    looks = Appearance()
    looks.append(1)
    looks.learn(np.array([0]), unit(1, 0)[None])
    middle = np.array([[(same + different) / 2]], np.float32)
    before = float(looks.agreement(middle)[0, 0])
    for _ in range(20):
        looks.calibrate(np.full(100, same, np.float32), np.full(100, different, np.float32))
    # Where people all look alike, the same cosine stops speaking for one person.
    assert abs(float(looks.agreement(middle)[0, 0])) < 0.1 < before


def test_a_table_keeps_every_fact_of_the_tracks_that_stay() -> None:
    table = TrackTable()
    found = Detections(np.concatenate([box(0), box(100), box(200)]), np.array([0.9, 0.8, 0.7], np.float32))
    table.append(found, np.array([0, 1, 2]), 1.0)
    assert (table.ids == UNCONFIRMED).all()
    table.join(np.array([2]), Detections(box(210), np.array([0.6], np.float32)), np.array([0]), 2.0)
    table.keep(np.array([True, False, True]))
    assert table.hits.tolist() == [1, 2]
    assert table.last.tolist() == [1.0, 2.0]
    assert table.first.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(table.evidence, [0.9, 1.3])
    np.testing.assert_array_equal(table.box, np.concatenate([box(0), box(210)]))
    assert len(table.motion) == len(table.appearance.known) == len(table) == 2
