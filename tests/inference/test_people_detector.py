"""Detectors of every family, from the file to boxes in the picture's own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from reidstream.config import DetectorConfig
from reidstream.errors import ModelMismatch
from reidstream.inference import open_detector
from reidstream.inference.factory import DETECTED_TOGETHER
from reidstream.inference.fixed_graph import fixed_graph
from reidstream.inference.fixed_session import FixedSession
from reidstream.inference.people import PeopleDetector
from reidstream.inference.session import Session
from reidstream.models.families import FAMILIES
from reidstream.models.graph.people import give_people
from reidstream.models.resolving import resolve_model
from reidstream.models.spec import ModelSpec
from reidstream.sources.frame import ArrayPicture
from tests.models.test_people_output import PEOPLE_SEEN, SCORES, SIZE, graph_with, outputs_of, tensorflow

CLASSES = 'classes = ["car", "person", "dog"]'
OTHERS = ["yolov5", "yolov8", "yolov10", "detr", "rtdetr", "ssd"]


def written(family: str, path: Path, described: str = CLASSES) -> str:
    """A detector's file, with its classes beside it."""
    onnx.save(graph_with(outputs_of(family), asks_for_sizes=family == "rtdetr"), path)
    path.with_name(path.name + ".toml").write_text(described)
    return str(path)


def opened(path: str, config: DetectorConfig | None = None) -> PeopleDetector:
    detector = open_detector(resolve_model(path, "detector"), config or DetectorConfig())
    assert isinstance(detector, PeopleDetector)
    return detector


def picture(width: int, height: int) -> ArrayPicture:
    return ArrayPicture(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize("family", OTHERS)
def test_boxes_are_in_the_picture_s_own_pixels(family: str, tmp_path: Path) -> None:
    detector = opened(written(family, tmp_path / "d.onnx"))
    assert detector.input_size == SIZE
    same, twice = detector.detect([picture(64, 32), picture(128, 64)])
    np.testing.assert_allclose(same.boxes, PEOPLE_SEEN, atol=1e-2)
    np.testing.assert_allclose(twice.boxes, 2 * PEOPLE_SEEN, atol=2e-2)
    np.testing.assert_allclose(same.scores, SCORES, atol=1e-4)
    assert detector.detect([]) == []


def test_a_picture_of_other_proportions_is_put_in_the_middle_or_stretched(tmp_path: Path) -> None:
    # A square of 64 becomes 32 x 32 in the middle of 64 x 32: 16 pixels of grey on either side.
    (middle,) = opened(written("yolov8", tmp_path / "a.onnx")).detect([picture(64, 64)])
    np.testing.assert_allclose(middle.boxes[0], [(30 - 16) * 2, 4, (40 - 16) * 2, 60], atol=1e-2)
    (stretched,) = opened(written("detr", tmp_path / "b.onnx")).detect([picture(64, 64)])
    np.testing.assert_allclose(stretched.boxes, PEOPLE_SEEN * [1, 2, 1, 2], atol=1e-2)


def test_boxes_outside_are_clipped_and_doubt_is_left_out(tmp_path: Path) -> None:
    path = written("yolov8", tmp_path / "a.onnx")
    (found,) = opened(path).detect([picture(64, 64)])
    # What lies in the grey beside the picture has no width left.
    assert len(found) == 1
    assert found.boxes.min() >= 0
    (sure,) = opened(path, DetectorConfig(confidence=0.7)).detect([picture(64, 32)])
    np.testing.assert_allclose(sure.boxes, PEOPLE_SEEN[:1], atol=1e-2)


def test_families_with_many_boxes_per_person_are_suppressed_and_others_are_not(tmp_path: Path) -> None:
    for family, left in (("yolov8", 1), ("yolov10", 2)):
        outputs = outputs_of(family)
        (name, array), *_ = outputs.items()
        rows = array[0].T if family == "yolov8" else array[0]
        rows[1, :4] = rows[0, :4] + 0.5
        onnx.save(graph_with({name: array}), tmp_path / f"{family}.onnx")
        (tmp_path / f"{family}.onnx.toml").write_text(CLASSES)
        (found,) = opened(str(tmp_path / f"{family}.onnx")).detect([picture(64, 32)])
        assert len(found) == left


def test_another_class_and_a_class_that_is_not_there(tmp_path: Path) -> None:
    path = written("rtdetr", tmp_path / "d.onnx")
    (dogs,) = opened(path, DetectorConfig(person_class="dog")).detect([picture(64, 32)])
    assert len(dogs) == 1
    with pytest.raises(ModelMismatch, match=r"no class 'cat'; its classes are car, person, dog"):
        opened(path, DetectorConfig(person_class="cat"))


def test_tensorflow_s_layout_and_bytes_are_taken(tmp_path: Path) -> None:
    model = graph_with(tensorflow())
    (port,) = model.graph.input
    port.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    for axis, size in zip(port.type.tensor_type.shape.dim, (1, SIZE[1], SIZE[0], 3), strict=True):
        axis.dim_value = size
    onnx.save(model, tmp_path / "tf.onnx")
    (tmp_path / "tf.onnx.toml").write_text(CLASSES)
    (found,) = opened(str(tmp_path / "tf.onnx")).detect([picture(64, 32)])
    np.testing.assert_allclose(found.boxes, PEOPLE_SEEN, atol=1e-2)


def test_a_detector_that_takes_bytes_is_given_them_unscaled_whatever_its_family(tmp_path: Path) -> None:
    model = graph_with(outputs_of("yolov8"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, tmp_path / "bytes.onnx")
    beside = tmp_path / "bytes.onnx.toml"
    beside.write_text(CLASSES)
    assert resolve_model(str(tmp_path / "bytes.onnx"), "detector").spec.preprocessing.std == (1.0, 1.0, 1.0)
    (found,) = opened(str(tmp_path / "bytes.onnx")).detect([picture(64, 32)])
    np.testing.assert_allclose(found.boxes, PEOPLE_SEEN, atol=1e-2)
    beside.write_text(CLASSES + "\n[preprocessing]\nstd = [255.0, 255.0, 255.0]")
    with pytest.raises(ModelMismatch, match=r"takes bytes \(uint8\)"):
        opened(str(tmp_path / "bytes.onnx"))


@pytest.mark.parametrize("family", [name for name in OTHERS if name != "ssd"])
def test_a_graph_for_a_gpu_gives_the_same(family: str, tmp_path: Path) -> None:
    spec = ModelSpec(name="d", task="detector", family=family, preprocessing=FAMILIES[family].preprocessing)
    path = Path(written(family, tmp_path / "d.onnx"))
    model = onnx.load(path)
    give_people(model, family, 1, SIZE)
    session = Session(path, graph=model.SerializeToString())
    fixed = fixed_graph(session, spec, DETECTED_TOGETHER)
    detector = PeopleDetector(FixedSession(fixed, "cpu"), FAMILIES[family], SIZE, 0.1, 0.65)
    for found in detector.detect([picture(64, 32)] * 1):
        np.testing.assert_allclose(found.boxes, PEOPLE_SEEN, atol=1e-2)
