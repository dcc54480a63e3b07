"""Scores of a detector that is less sure of people come onto the scale that thresholds were chosen on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import TrackerConfig
from reidstream.tracking.scores import ScoreScale, moved_together
from reidstream.types import Detections


def frame(*scores: float) -> Detections:
    boxes = np.array([[100 * k, 10, 100 * k + 40, 110] for k in range(len(scores))], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32))


def heaps(random: np.random.Generator, low: float, high: float) -> Detections:
    """Three people and two things, whose scores lie around these."""
    scores = np.concatenate([random.normal(high, 0.05, 3), random.normal(low, 0.03, 2)])
    return frame(*np.clip(scores, 0.01, 0.99).tolist())


def test_people_whom_a_detector_gives_low_scores_come_above_what_starts_tracks() -> None:
    random, scale = np.random.default_rng(0), ScoreScale()
    assert scale.moved(frame(0.5)).scores[0] == np.float32(0.5)
    for _ in range(200):
        moved = scale.moved(heaps(random, 0.14, 0.55))
    assert moved.scores[:3].min() > TrackerConfig().start
    assert moved.scores[3:].max() < TrackerConfig().high


def test_a_detector_that_is_sure_is_left_alone() -> None:
    random, scale = np.random.default_rng(0), ScoreScale()
    for _ in range(200):
        found = heaps(random, 0.3, 0.9)
        assert scale.moved(found) is found


@pytest.mark.parametrize("scores", [(0.12, 0.2), (0.2, 0.3, 0.35), (0.7, 0.8, 0.9)], ids=["faint", "things", "people"])
def test_one_heap_of_scores_says_nothing(scores: tuple[float, ...]) -> None:
    random, scale = np.random.default_rng(0), ScoreScale()
    for _ in range(300):
        found = frame(*random.uniform(min(scores), max(scores), 4).tolist())
        assert scale.moved(found) is found


@given(st.lists(st.lists(st.floats(0, 1, width=32), max_size=5), max_size=30))
def test_order_stays_and_scores_stay_between_0_and_1_and_never_fall(frames: list[list[float]]) -> None:
    scale = ScoreScale()
    for scores in frames:
        found = frame(*scores)
        moved = scale.moved(found)
        assert np.all(moved.scores >= found.scores - 1e-5) and np.all(moved.scores <= 1)
        assert np.all(np.diff(moved.scores[np.argsort(found.scores, kind="stable")]) >= 0)
        assert moved.boxes is found.boxes


def test_cameras_that_learn_together_learn_what_each_learns_alone() -> None:
    random = np.random.default_rng(3)
    together, alone = ([ScoreScale() for _ in range(4)] for _ in range(2))
    for _ in range(400):
        frames = []
        for camera in range(4):
            count = int(random.integers(0, 9)) * (camera > 0)
            people = random.random(count) < 0.5
            scores = np.where(people, random.normal(0.3 + 0.1 * camera, 0.1, count), random.normal(0.15, 0.04, count))
            frames.append(Detections(np.zeros((count, 4), np.float32), scores.clip(0, 1).astype(np.float32)))
        expected = [scale.moved(found) for scale, found in zip(alone, frames, strict=True)]
        for one, other in zip(moved_together(together, frames), expected, strict=True):
            np.testing.assert_array_equal(one.scores, other.scores)
    assert [scale.shift for scale in together] == [scale.shift for scale in alone]
    assert together[0].shift == 0 and any(scale.shift for scale in together)


def test_how_sharp_people_are_stays_with_them() -> None:
    scale = ScoreScale()
    scale._shift = 1.0
    sharp = np.array([0.25], np.float32)
    found = Detections(np.zeros((1, 4), np.float32), np.array([0.5], np.float32), sharp)
    assert scale.moved(found).sharpness is sharp
    np.testing.assert_array_equal(found[[0, 0]].sharpness, [0.25, 0.25])
    with pytest.raises(ValueError, match="sharpness must have shape"):
        Detections(found.boxes, found.scores, np.zeros(2, np.float32))
