"""The detector's cheaper graphs find the same people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reidstream.config import DetectorConfig, SourceConfig
from reidstream.inference import open_detector
from reidstream.inference.lean_graph import LeanGraph
from reidstream.inference.session import Session
from reidstream.models import resolve_model
from reidstream.models.spec import ResolvedModel
from reidstream.sources import open_source
from reidstream.sources.frame import ArrayPicture


def test_a_graph_of_another_kind_is_run_as_it_is(detector_model: Callable[..., ResolvedModel]) -> None:
    session = Session(detector_model(np.zeros((42, 7), np.float32)).path)
    lean = LeanGraph(session, (64, 32), 6)
    assert lean.column == 6
    assert lean.fitting((64, 10))[1] == (64, 32)


@pytest.fixture(scope="module")
def model(shared_data: Path) -> ResolvedModel:
    return resolve_model(str(shared_data.parent / "models/yolox_nano_416x416.onnx"), "detector")


@pytest.mark.shared
@pytest.mark.parametrize("video", ["retail02.mp4", "campus.mp4", "plaza.avi"])
def test_real_frames_give_the_same_people(model: ResolvedModel, shared_data: Path, video: str) -> None:
    stored, lean = (open_detector(model, DetectorConfig(), lean=lean) for lean in (False, True))
    with open_source(SourceConfig(uri=str(shared_data / "videos" / video)), "video") as source:
        pictures = [frame.picture for frame, _ in zip(source, range(60), strict=False)][::20]
        people = 0
        for picture in pictures:
            (expected,), (found,) = stored.detect([picture]), lean.detect([picture])
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
            people += len(found)
    assert people > 0


@pytest.mark.shared
def test_the_published_yolox_skips_classes_and_padding(model: ResolvedModel) -> None:
    lean = LeanGraph(Session(model.path), (416, 416), 5)
    assert lean.session.outputs[0].shape == (1, 3549, 6)
    for content in ((416, 234), (234, 416), (416, 312)):
        form, (width, height) = lean.fitting(content)
        assert form.input.shape == (1, 3, height, width)
        assert content[0] <= width and content[1] <= height and width * height < 416 * 416
    assert lean.fitting((416, 416)) == (lean.session, (416, 416))


@pytest.mark.shared
def test_pictures_of_many_sizes_are_found_alike(model: ResolvedModel) -> None:
    """More sizes than forms are kept for."""
    stored, lean = (open_detector(model, DetectorConfig(confidence=0.001), lean=lean) for lean in (False, True))
    rng = np.random.default_rng(0)
    for height in range(100, 420, 40):
        coarse = rng.integers(0, 255, (height // 20, 20, 3), np.uint8)
        picture = ArrayPicture(np.kron(coarse, np.ones((20, 20, 1), np.uint8)))
        (expected,), (found,) = stored.detect([picture]), lean.detect([picture])
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
