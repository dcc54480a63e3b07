"""What the detector finds, and what it refuses to run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reidstream.config import DetectorConfig
from reidstream.errors import ModelMismatch, ModelNotFound
from reidstream.inference import open_detector
from reidstream.inference.session import Session
from reidstream.models.spec import ResolvedModel
from reidstream.sources.frame import ArrayPicture
from reidstream.types import FloatArray

MakeModel = Callable[..., ResolvedModel]
CELLS = 8 * 4 + 4 * 2 + 2 * 1  # a 64x32 input at strides 8, 16 and 32


def _rows() -> FloatArray:
    return np.zeros((CELLS, 7), np.float32)


def _one_person(score: float = 0.8) -> FloatArray:
    rows = _rows()
    # Stride 16, second column, first row: centre (1 + .5, 0 + .5) * 16 = (24, 8), size e^0 * 16 by e^.5 * 16.
    rows[8 * 4 + 1] = [0.5, 0.5, 0, 0.5, 1, 0, score]
    return rows


def _black(width: int, height: int) -> ArrayPicture:
    return ArrayPicture(np.zeros((height, width, 3), np.uint8))


def test_a_cell_decodes_to_pixels_of_the_picture(detector_model: MakeModel) -> None:
    detector = open_detector(detector_model(_one_person()), DetectorConfig())
    (found,) = detector.detect([_black(640, 320)])
    half = np.exp(0.5) * 8
    np.testing.assert_allclose(found.boxes, [[160, max(0, 80 - 10 * half), 320, 80 + 10 * half]], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.8])
    assert detector.input_size == (64, 32)


def test_the_picture_is_fitted_at_the_top_left(detector_model: MakeModel) -> None:
    # A picture of 320x320 becomes 32x32, so a pixel of the input is ten of the picture in both directions.
    detector = open_detector(detector_model(_one_person()), DetectorConfig())
    (found,) = detector.detect([_black(320, 320)])
    np.testing.assert_allclose(found.boxes[0, [0, 2]], [160, 320], rtol=1e-5)


def test_boxes_are_clipped_to_the_picture_and_boxes_outside_vanish(detector_model: MakeModel) -> None:
    rows = _one_person()
    rows[8 * 4 + 3] = [0.5, 0.5, 0, 0, 1, 0, 0.9]  # centred at x = 56, in the padding of a square picture
    (found,) = open_detector(detector_model(rows), DetectorConfig()).detect([_black(320, 320)])
    assert len(found) == 1
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 320


def test_decoded_outputs_are_taken_as_pixels(detector_model: MakeModel) -> None:
    rows = _rows()
    rows[5] = [20, 10, 8, 12, 1, 0, 0.7]
    model = detector_model(rows, family="yolox-decoded")
    (found,) = open_detector(model, DetectorConfig()).detect([_black(64, 32)])
    np.testing.assert_allclose(found.boxes, [[16, 4, 24, 16]])


@pytest.mark.setting("detector.person_class")
def test_the_person_is_found_by_name(detector_model: MakeModel) -> None:
    rows = _one_person()
    model = detector_model(rows, classes=("person", "car"))
    assert len(open_detector(model, DetectorConfig()).detect([_black(64, 32)])[0]) == 0
    assert len(open_detector(model, DetectorConfig(person_class="car")).detect([_black(64, 32)])[0]) == 1
    with pytest.raises(ModelMismatch, match=r"no class 'dog'.*its classes are person, car"):
        open_detector(model, DetectorConfig(person_class="dog"))


def test_another_class_suppresses_no_person(detector_model: MakeModel) -> None:
    rows = _one_person(0.5)
    rows[8 * 4 + 2] = [-0.5, 0.5, 0, 0.5, 1, 0.9, 0]  # a car at the very same place
    assert len(open_detector(detector_model(rows), DetectorConfig()).detect([_black(64, 32)])[0]) == 1


@pytest.mark.setting("detector.confidence", "detector.nms")
def test_confidence_and_nms_thresholds_are_obeyed(detector_model: MakeModel) -> None:
    rows = _one_person(0.5)
    rows[8 * 4 + 2] = [-0.3, 0.5, 0, 0.5, 1, 0, 0.4]  # IoU .67 with the first
    model = detector_model(rows)

    def count(**settings: float) -> int:
        return len(open_detector(model, DetectorConfig.model_validate(settings)).detect([_black(64, 32)])[0])

    assert count(nms=0.8) == 2
    assert count(nms=0.5) == 1
    assert count(nms=0.8, confidence=0.45) == 1
    assert count(nms=0.8, confidence=0.55) == 0


@pytest.mark.parametrize("batch", [1, 2, 4, "n"])
def test_any_number_of_pictures_fits_any_batch(detector_model: MakeModel, batch: int | str) -> None:
    detector = open_detector(detector_model(_one_person(), batch=batch), DetectorConfig())
    assert detector.detect([]) == []
    for count in (1, 2, 3, 5):
        found = detector.detect([_black(640, 320)] * count)
        assert [len(d) for d in found] == [1] * count


def test_a_broken_model_gives_no_endless_boxes(detector_model: MakeModel) -> None:
    rows = _one_person()
    rows[0] = [np.nan, 0, 0, 0, 1, 0, 0.9]
    rows[1] = [0, 0, 500, 500, 1, 0, 0.9]
    rows[2] = [0, 0, np.inf, np.nan, 1, 0, 0.9]
    (found,) = open_detector(detector_model(rows), DetectorConfig(nms=1.0)).detect([_black(64, 32)])
    assert np.isfinite(found.boxes).all()
    assert len(found) == 2


def test_several_threads_share_one_detector(detector_model: MakeModel) -> None:
    detector = open_detector(detector_model(_one_person()), DetectorConfig())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda width: detector.detect([_black(width, 320)])[0], [320, 640] * 10))
    for index, detections in enumerate(found):
        np.testing.assert_allclose(detections.boxes[0, 2], 320, err_msg=str(index), rtol=1e-5)


def test_a_model_that_does_not_fit_is_refused_with_the_reason(detector_model: MakeModel) -> None:
    with pytest.raises(ModelMismatch, match=r"gives \(batch, 42, 8\), the graph gives \(1, 42, 7\)"):
        open_detector(detector_model(_rows(), classes=("a", "b", "person")), DetectorConfig())
    with pytest.raises(ModelMismatch, match="no class names are known"):
        open_detector(detector_model(_rows(), classes=()), DetectorConfig())
    with pytest.raises(ModelMismatch, match="unknown detector family 'mask-rcnn'; known are yolox"):
        open_detector(detector_model(_rows(), family="mask-rcnn"), DetectorConfig())
    with pytest.raises(ModelMismatch, match="expected a detector, but it is described as 'reid'"):
        open_detector(detector_model(_rows(), task="reid"), DetectorConfig())
    with pytest.raises(ModelMismatch, match="the manifest says input height 416, the graph 32"):
        open_detector(detector_model(_rows(), input_size=(416, 64)), DetectorConfig())
    with pytest.raises(ModelMismatch, match="has 64 channels when read as NHWC, expected 3"):
        open_detector(detector_model(_rows(), preprocessing={"layout": "NHWC"}), DetectorConfig())


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(ModelMismatch, match=r"broken\.onnx cannot be loaded by ONNX Runtime"):
        Session(broken)
    with pytest.raises(ModelNotFound, match="no model file at"):
        Session(tmp_path / "missing.onnx")


@pytest.mark.parametrize("count", [10, 11])
def test_ten_classes_are_named_and_of_more_it_is_said_that_there_are(detector_model: MakeModel, count: int) -> None:
    names = tuple(f"kind{number}" for number in range(count))
    with pytest.raises(ModelMismatch, match=r"kind9" + (", \\.\\.\\. " if count > 10 else " ")):
        open_detector(detector_model(_rows(), classes=names), DetectorConfig())
