"""Detection scores on cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.evaluation.detection import detection_curve
from reidstream.evaluation.motchallenge import Numbers
from reidstream.types import Detections


def _boxes(*lefts: float) -> Numbers:
    return np.array([[x, 0, x + 10, 20] for x in lefts], np.float64).reshape(-1, 4)


def _found(*pairs: tuple[float, float]) -> Detections:
    boxes = _boxes(*(x for x, _ in pairs)).astype(np.float32)
    return Detections(boxes, np.array([score for _, score in pairs], np.float32))


def test_recall_and_precision_follow_the_confidence() -> None:
    truth = [_boxes(0, 100), _boxes(0, 50)]
    found = [_found((1, 0.9), (200, 0.8), (101, 0.4)), _found((0, 0.7), (51, 0.2))]
    curve = detection_curve(truth, found)
    half = curve.at(0.5)
    assert (half.recall, half.precision) == (pytest.approx(2 / 4), pytest.approx(2 / 3))
    assert half.f1 == pytest.approx(4 / 7)
    every = curve.at(0.0)
    assert (every.recall, every.precision) == (1, pytest.approx(4 / 5))
    best = curve.best()
    assert best.f1 == pytest.approx(8 / 9)
    assert best.confidence == pytest.approx(0.2)


def test_a_person_is_found_once_and_by_the_surest_detection() -> None:
    curve = detection_curve([_boxes(0)], [_found((2, 0.9), (0, 0.8))])
    assert curve.at(0.85).precision == 1
    assert curve.at(0.0).precision == 0.5


def test_overlap_below_the_limit_finds_nobody() -> None:
    found = [_found((4, 0.9))]  # IoU 6/14
    assert detection_curve([_boxes(0)], found).at(0).recall == 0
    assert detection_curve([_boxes(0)], found, overlap=0.4).at(0).recall == 1


def test_empty_frames_are_no_trouble() -> None:
    curve = detection_curve([_boxes(), _boxes(0)], [Detections.empty(), Detections.empty()])
    assert (curve.at(0.5).recall, curve.best().f1) == (0, 0)
    with pytest.raises(ValueError, match="got 1 and 0"):
        detection_curve([_boxes()], [])
