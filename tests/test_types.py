"""What the shared types promise to every package."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from reidstream.types import Detections, Observed, Samples


def test_detections_refuse_a_wrong_dtype() -> None:
    with pytest.raises(TypeError, match=r"scores must be an array of float32, got float64"):
        Detections(np.zeros((1, 4), np.float32), np.zeros(1))


def test_detections_refuse_boxes_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"boxes must have shape \(2, 4\), got \(1, 4\)"):
        Detections(np.zeros((1, 4), np.float32), np.zeros(2, np.float32))


def test_samples_must_belong_to_tracks_of_the_frame() -> None:
    samples = Samples(np.array([1]), np.zeros((1, 8), np.float32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="below the number of tracks"):
        Observed(
            "camera",
            0,
            0.0,
            0.0,
            np.array([7], np.uint64),
            np.zeros((1, 4), np.float32),
            np.ones(1, np.float32),
            samples,
        )


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["av", "cv2", "onnx", "onnxruntime", "chromadb", "torch", "pyarrow", "scipy", "sqlalchemy"]
    code = f"import sys, reidstream; print([m for m in {heavy!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_every_public_name_is_there() -> None:
    import reidstream

    for name in reidstream.__all__:
        assert getattr(reidstream, name) is not None


def some_detections(n: int = 5) -> Detections:
    boxes = np.arange(4 * n, dtype=np.float32).reshape(n, 4)
    return Detections(boxes, np.linspace(0, 1, n, dtype=np.float32))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([True, False, False, True, False]), [0, 3]),
        (np.array([4, 0, 4]), [4, 0, 4]),
        ([1, 2], [1, 2]),
        ([], []),
        (np.zeros(5, bool), []),
        (slice(None, None, -1), [4, 3, 2, 1, 0]),
        (slice(1, 3), [1, 2]),
    ],
)
def test_detections_are_chosen_by_mask_numbers_and_slice(rows: Any, expected: list[int]) -> None:
    found = some_detections()
    chosen = found[rows]
    assert isinstance(chosen, Detections)
    np.testing.assert_array_equal(chosen.boxes, found.boxes[expected])
    np.testing.assert_array_equal(chosen.scores, found.scores[expected])


@pytest.mark.parametrize("rows", [0, np.int64(2), np.zeros((2, 2), int), [0.5], "mask", None])
def test_detections_refuse_what_are_no_rows(rows: Any) -> None:
    with pytest.raises(TypeError, match="mask, whole numbers"):
        some_detections()[rows]


@pytest.mark.parametrize("rows", [[7], np.ones(3, bool)])
def test_rows_that_are_not_there_are_an_error(rows: Any) -> None:
    with pytest.raises(IndexError):
        some_detections()[rows]


def test_detections_are_walked_through_one_by_one() -> None:
    found = some_detections(3)
    assert [len(one) for one in found] == [1, 1, 1]
    np.testing.assert_array_equal(np.concatenate([one.boxes for one in found]), found.boxes)
