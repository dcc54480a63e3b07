"""Scores of a detector that is less sure of people come onto the scale that thresholds were chosen on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import TrackerConfig
from reidstream.tracking.scores import ScoreScale
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
