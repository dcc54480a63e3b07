"""Detections go to supervision and come back, and other detectors' results come in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import supervision
from hypothesis import given
from hypothesis import strategies as st

from reidstream.errors import MissingDependency
from reidstream.supervision import from_supervision, to_supervision
from reidstream.types import Detections, Observed


@dataclass
class Found:
    """What some detector returns: the fields of supervision.Detections that are read, and no more."""

    xyxy: Any
    confidence: Any = None
    class_id: Any = None


@given(
    st.lists(st.tuples(st.floats(0, 500, width=32), st.floats(0, 500, width=32), st.floats(0, 1, width=32)), max_size=8)
)
def test_there_and_back_nothing_is_lost(people: list[tuple[float, float, float]]) -> None:
    boxes = np.array([[x, y, x + 30, y + 80] for x, y, _ in people], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.array([score for *_, score in people], np.float32))
    back = from_supervision(to_supervision(found), person=0, size=(1000, 1000))
    np.testing.assert_array_equal(back.boxes, found.boxes)
    np.testing.assert_array_equal(back.scores, found.scores)


def test_only_people_come_in_and_only_inside_the_frame() -> None:
    found = supervision.Detections(
        xyxy=np.array([[-10, 5, 20, 400], [50, 5, 80, 90], [700, 5, 720, 90]], float),
        confidence=np.array([0.9, 0.8, 0.7]),
        class_id=np.array([0, 2, 0]),
    )
    people = from_supervision(found, person=0, size=(640, 360))
    np.testing.assert_array_equal(people.boxes, np.array([[0, 5, 20, 360]], np.float32))
    np.testing.assert_allclose(people.scores, [0.9], rtol=1e-6)
    assert len(from_supervision(found)) == 3


def test_a_detector_without_confidences_is_sure() -> None:
    assert from_supervision(Found([[1, 2, 3, 4]])).scores.tolist() == [1.0]


def test_choosing_a_class_needs_classes() -> None:
    with pytest.raises(ValueError, match="class_id"):
        from_supervision(Found([[1, 2, 3, 4]], [0.5]), person=0)
    assert len(from_supervision(Found(np.zeros((0, 4)), np.zeros(0)), person=0)) == 0


def test_without_supervision_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependency, match="--no-deps"):
        to_supervision(Detections.empty())
    assert len(from_supervision(Found([[1, 2, 3, 4]]))) == 1


def test_tracks_keep_their_ids_and_predicted_boxes_their_place() -> None:
    observed = Observed(
        "entrance",
        7,
        0.5,
        100.5,
        np.array([3, 9], np.uint64),
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
        np.array([0.9, -0.1], np.float32),
    )
    theirs = to_supervision(observed)
    assert theirs.tracker_id.tolist() == [3, 9]
    assert theirs.confidence.tolist() == [pytest.approx(0.9), 0.0]
    assert theirs.class_id.tolist() == [0, 0]
    np.testing.assert_array_equal(theirs.xyxy, observed.boxes)
    # Their own operations work on it.
    assert len(theirs[theirs.tracker_id == 9]) == 1
