"""What the shared types promise to every package."""

from __future__ import annotations

import subprocess
import sys

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
