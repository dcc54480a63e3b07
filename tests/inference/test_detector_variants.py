"""Detectors as people have them: the same family exported in many ways gives the same people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from reidstream.config import DetectorConfig
from reidstream.errors import ModelMismatch
from reidstream.inference import open_detector
from reidstream.models.recognising import recognised
from reidstream.models.resolving import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.types import Detections
from tests.models.test_people_output import (
    BOXES,
    CELLS,
    CLASS_SCORES,
    LABELS,
    PEOPLE_SEEN,
    SCORES,
    SIZE,
    Arrays,
    centred,
    graph_with,
    outputs_of,
    rows,
    tensorflow,
)

CLASSES = 'classes = ["car", "person", "dog"]'
NAMES = "{0: 'car', 1: 'person', 2: 'dog'}"
PARTS = BOXES / np.array([*SIZE, *SIZE], np.float32)
BEST = CLASS_SCORES.max(axis=1)


def found_in(
    model: onnx.ModelProto, folder: Path, described: str | None = None, names: str | None = None, pictures: int = 1
) -> list[Detections]:
    """What the file finds in so many pictures of its input's size."""
    if names is not None:
        onnx.helper.set_model_props(model, {"names": names})
    onnx.save(model, folder / "d.onnx")
    if described is not None:
        (folder / "d.onnx.toml").write_text(described)
    detector = open_detector(resolve_model(str(folder / "d.onnx"), "detector"), DetectorConfig())
    return detector.detect([ArrayPicture(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))] * pictures)


def demand_people(found: Detections, *, half: bool = False) -> None:
    np.testing.assert_allclose(found.boxes, PEOPLE_SEEN, atol=0.2 if half else 1e-2)
    np.testing.assert_allclose(found.scores, SCORES, atol=2e-3 if half else 1e-4)


def opened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with an open batch."""
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].ClearField("dim_value")
    return model


def turned() -> Arrays:
    """YOLOv8's output with a row per box."""
    return {"output0": rows(CELLS, np.concatenate([centred(BOXES), CLASS_SCORES], axis=1))}


def of_coco(before: int, many: int, boxes: Any = None, dog: int = 16) -> Arrays:
    """Rows of a box, ``before`` ones, and the scores of COCO's 80 classes."""
    scores = np.zeros((3, 80), np.float32)
    scores[:, [2, 0, dog]] = CLASS_SCORES
    whole = np.concatenate([centred(BOXES) if boxes is None else boxes, np.ones((3, before)), scores], axis=1)
    return {"output0": rows(many, whole.astype(np.float32))}


def apart() -> Arrays:
    return {
        "num_dets": np.array([[3]], np.int64),
        "det_boxes": rows(20, BOXES),
        "det_scores": np.pad(BEST, (0, 17))[None],
        "det_classes": np.pad(LABELS, (0, 17))[None],
    }


def labelled() -> Arrays:
    return {
        "dets": rows(20, np.concatenate([BOXES, BEST[:, None]], axis=1)),
        "labels": np.pad(LABELS, (0, 17), constant_values=-1)[None],
    }


def numbered() -> Arrays:
    return {"output": np.concatenate([np.zeros((3, 1)), BOXES, LABELS[:, None], BEST[:, None]], 1).astype(np.float32)}


def listed_to_suppress() -> Arrays:
    listed = np.concatenate([BOXES, BEST[:, None], LABELS[:, None]], axis=1).astype(np.float32)
    twice = np.concatenate([listed, listed + np.array([0.4, 0.4, 0.4, 0.4, -0.01, 0], np.float32)])
    return {"output": rows(CELLS, twice)}


def corners_apart() -> Arrays:
    return {"bboxes": rows(20, PARTS), "labels": np.pad(LABELS, (0, 17))[None], "scores": np.pad(BEST, (0, 17))[None]}


def logits(columns: int, person: int, dog: int) -> Arrays:
    values = np.full((1, 20, columns), -20, np.float32)
    odds = np.log(CLASS_SCORES / (1 - CLASS_SCORES))
    values[0, :3, [person, dog]] = odds[:, 1:].T
    return {"pred_logits": values, "pred_boxes": rows(20, centred(PARTS))}


VARIANTS: dict[str, tuple[Arrays, str | None, str | None]] = {
    "yolov8 turned, named inside": (turned(), None, NAMES),
    "yolov8 turned, named beside": (turned(), f'family = "yolo11"\n{CLASSES}', None),
    "yolov9 with its second head": (
        outputs_of("yolov8") | {"second": outputs_of("yolov8")["output0"] * 0},
        CLASSES,
        None,
    ),
    "yolov6": (outputs_of("yolox-decoded"), f'family = "yolov6"\n{CLASSES}', None),
    "yolov5 of COCO": (of_coco(1, 3 * CELLS), None, None),
    "suppressed inside, apart": (apart(), CLASSES, None),
    "suppressed inside, with labels": (labelled(), CLASSES, None),
    "suppressed inside, numbered": (numbered(), CLASSES, None),
    "masks behind suppressed boxes": (
        {"output0": np.pad(outputs_of("yolov10")["output0"], ((0, 0), (0, 0), (0, 32)))},
        None,
        NAMES,
    ),
    "DeepStream's list": (listed_to_suppress(), f'family = "deepstream-yolo"\n{CLASSES}', None),
    "rtdetr in rows": (of_coco(0, 300, centred(PARTS)), None, None),
    "rtdetr in rows, named inside": (
        {"output0": rows(300, np.concatenate([centred(PARTS), CLASS_SCORES], axis=1))},
        None,
        NAMES,
    ),
    "rtdetr without post-processor": (logits(80, 0, 16), None, None),
    "rtdetr without it, of other classes": (logits(3, 1, 2), f'family = "d-fine"\n{CLASSES}', None),
    "rf-detr": (logits(91, 1, 18), None, None),
    "rf-detr, COCO said": (logits(91, 1, 18), 'classes = "coco"', None),
    "rf-detr of 90": (logits(90, 0, 17), 'family = "rf-detr"\nclasses = "coco"', None),
    "ssd in parts": (corners_apart(), 'classes = "coco"', None),
    "TensorFlow with numbered names": ({f"{name}:0": array for name, array in tensorflow().items()}, CLASSES, None),
    "TensorFlow of COCO": (tensorflow(), 'classes = "coco"', None),
    "OpenVINO of COCO": (outputs_of("ssd"), 'family = "openvino"\nclasses = "coco"', None),
}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_gives_the_same_people(variant: str, half: bool, tmp_path: Path) -> None:
    outputs, described, names = VARIANTS[variant]
    (found,) = found_in(graph_with(outputs, half=half), tmp_path, described, names)
    demand_people(found, half=half)


def test_the_first_detr_says_which_one_class_is_true(tmp_path: Path) -> None:
    values = np.full((1, 20, 92), -20, np.float32)
    values[0, :, 91] = 10
    for row, (number, score) in enumerate([(1, 0.9), (1, 0.6), (18, 0.95)]):
        values[0, row, [number, 91]] = np.log([score, 1 - score])
    boxes = rows(20, centred(PARTS))
    (found,) = found_in(graph_with({"logits": values, "pred_boxes": boxes}), tmp_path)
    demand_people(found)


@pytest.mark.parametrize("batch_open", [False, True])
@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolov10", "detr", "rtdetr", "ssd"])
def test_a_batch_of_one_is_enough_for_many_pictures(family: str, batch_open: bool, tmp_path: Path) -> None:
    model = graph_with(outputs_of(family), asks_for_sizes=family == "rtdetr")
    # These graphs answer for one picture whatever they are given.
    count = 1 if batch_open else 3
    for found in found_in(opened(model) if batch_open else model, tmp_path, CLASSES, pictures=count):
        demand_people(found)


def test_rows_that_number_their_picture_are_asked_for_one_by_one(tmp_path: Path) -> None:
    for found in found_in(opened(graph_with(numbered())), tmp_path, CLASSES, pictures=2):
        demand_people(found)


def test_queries_of_80_classes_want_pixels_as_rt_detr_does_and_those_of_91_as_rf_detr(tmp_path: Path) -> None:
    for classes, std in ((80, 255.0), (91, 58.395)):
        onnx.save(graph_with(logits(classes, 1, 16)), tmp_path / "d.onnx")
        assert resolve_model(str(tmp_path / "d.onnx"), "detector").spec.preprocessing.std[0] == std


@pytest.mark.parametrize("family", ["yolov5", "yolov8"])
def test_open_axes_need_a_word_and_then_run(family: str, tmp_path: Path) -> None:
    model = opened(graph_with(outputs_of(family)))
    model.graph.output[0].type.tensor_type.shape.dim[1 if family == "yolov5" else 2].ClearField("dim_value")
    (found,) = found_in(model, tmp_path, f'family = "{family}"\n{CLASSES}')
    demand_people(found)


def test_an_open_input_has_the_size_that_is_stated(tmp_path: Path) -> None:
    model = graph_with(outputs_of("yolov8"))
    for axis in (2, 3):
        size = model.graph.input[0].type.tensor_type.shape.dim[axis]
        size.ClearField("dim_value")
    (found,) = found_in(model, tmp_path, f"input_size = [{SIZE[1]}, {SIZE[0]}]\n{CLASSES}")
    demand_people(found)


@pytest.mark.parametrize("takes", [TensorProto.FLOAT16, TensorProto.UINT8])
@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolov10", "detr", "rtdetr", "ssd"])
def test_half_precision_and_bytes_are_taken(family: str, takes: int, tmp_path: Path) -> None:
    model = graph_with(outputs_of(family), asks_for_sizes=family == "rtdetr")
    model.graph.input[0].type.tensor_type.elem_type = takes
    (found,) = found_in(model, tmp_path, CLASSES)
    demand_people(found)


@pytest.mark.parametrize(("number", "said"), [(0, 'classes = ["person"]'), (1, 'classes = ["person"]')])
def test_a_single_class_of_an_ssd_may_be_counted_from_the_background_or_not(
    number: int, said: str, tmp_path: Path
) -> None:
    output = outputs_of("ssd")["detection_out"][:, :, [0, 1, 3]].copy()
    output[..., 1] = number
    (found,) = found_in(graph_with({"detection_out": output}), tmp_path, said)
    demand_people(found)


@pytest.mark.parametrize(("fit", "left"), [("corner", 0.0), ("centre", 16.0), ("stretch", None)])
def test_how_a_picture_lies_in_the_input_can_be_stated(fit: str, left: float | None, tmp_path: Path) -> None:
    onnx.save(graph_with(outputs_of("yolov8")), tmp_path / "d.onnx")
    (tmp_path / "d.onnx.toml").write_text(f'fit = "{fit}"\n{CLASSES}')
    detector = open_detector(resolve_model(str(tmp_path / "d.onnx"), "detector"), DetectorConfig())
    (found,) = detector.detect([ArrayPicture(np.zeros((64, 64, 3), np.uint8))])
    expected = PEOPLE_SEEN * [1, 2, 1, 2] if left is None else (PEOPLE_SEEN - [left, 0, left, 0]) * 2
    expected = expected.clip(0, 64)
    expected = expected[expected[:, 2] > expected[:, 0]]
    np.testing.assert_allclose(found.boxes, expected, atol=1e-2)


def undecoded() -> Arrays:
    """The people as YOLOX gives them, in the cells of 8 pixels."""
    answer = np.zeros((1, CELLS, 8), np.float32)
    for row, (box, scores) in enumerate(zip(centred(BOXES), CLASS_SCORES, strict=True)):
        cell = np.array([row, 0])
        answer[0, row] = [*(box[:2] / 8 - cell), *np.log(box[2:] / 8), 1, *scores]
    return {"output": answer}


@pytest.mark.parametrize("fit", ["corner", "stretch"])
def test_yolox_is_read_however_its_picture_lies(fit: str, tmp_path: Path) -> None:
    onnx.save(graph_with(undecoded()), tmp_path / "d.onnx")
    (tmp_path / "d.onnx.toml").write_text(f'family = "yolox"\nfit = "{fit}"\n{CLASSES}')
    detector = open_detector(resolve_model(str(tmp_path / "d.onnx"), "detector"), DetectorConfig())
    (found,) = detector.detect([ArrayPicture(np.zeros((64, 64, 3), np.uint8))])
    expected = PEOPLE_SEEN * ([1, 2, 1, 2] if fit == "stretch" else [2, 2, 2, 2])
    np.testing.assert_allclose(found.boxes, expected.clip(0, 64), atol=1e-2)


@pytest.mark.parametrize("extra_first", [False, True])
def test_yolox_with_other_outputs_beside_its_own(extra_first: bool, tmp_path: Path) -> None:
    heat = {"heat": np.zeros((1, 17, 4, 8), np.float32)}
    outputs = heat | undecoded() if extra_first else undecoded() | heat
    (found,) = found_in(graph_with(outputs), tmp_path, f'family = "yolox"\n{CLASSES}')
    demand_people(found)


@pytest.mark.parametrize(
    ("outputs", "right"),
    [
        (outputs_of("yolov8"), "yolov8"),
        (outputs_of("yolov10"), "yolov10"),
        (outputs_of("yolov5"), "yolov5"),
        (outputs_of("detr"), "detr"),
        (outputs_of("ssd"), "ssd"),
        (apart(), "yolov10"),
    ],
)
def test_a_wrong_family_names_the_right_one(outputs: Arrays, right: str, tmp_path: Path) -> None:
    for wrong in {"yolov5", "yolov8", "yolov10", "detr", "ssd", "yolox"} - {right}:
        with pytest.raises(ModelMismatch, match=f"say family = '{right}'"):
            found_in(graph_with(outputs), tmp_path, f'family = "{wrong}"\n{CLASSES}')


def test_a_grid_of_boxes_and_scores_is_not_taken_for_queries(tmp_path: Path) -> None:
    grid = {"boxes": np.zeros((1, 8400, 4), np.float32), "scores": np.zeros((1, 8400, 80), np.float32)}
    with pytest.raises(ModelMismatch, match="those of no detector family that is known"):
        found_in(graph_with(grid), tmp_path, CLASSES)


PICTURE = [("images", (1, 3, 640, 640))]


@pytest.mark.parametrize(
    ("shape", "classes", "families"),
    [
        ((1, 84, 8400), None, ("yolov8",)),
        ((1, 8400, 84), None, ("yolov8",)),
        ((1, 8400, 5), None, ("yolov8",)),
        ((1, 8400, 85), None, ("yolox", "yolox-decoded", "yolov5")),
        ((1, 8400, 7), 2, ("yolox", "yolox-decoded", "yolov5")),
        ((1, 8400, 7), 3, ("yolov8",)),
        ((1, 8500, 84), None, ("yolov8",)),
        ((1, 25200, 85), None, ("yolov5",)),
        ((1, 25500, 85), None, ("yolov5",)),
        ((1, 25200, 6), None, ("yolov5",)),
        ((None, None, 85), None, ("yolox", "yolox-decoded", "yolov5")),
        ((1, 300, 84), None, ("rtdetr",)),
        ((1, 300, 38), None, ("yolov10",)),
        ((1, 300, 57), 1, ("yolov10",)),
        ((1, 300, 8), 4, ("rtdetr",)),
        ((1, 8400, 6), 1, ("yolox", "yolox-decoded", "yolov5", "deepstream-yolo")),
        ((None, None, 6), None, ("yolov10",)),
    ],
)
def test_one_output_tells_the_families_that_it_may_be_of(
    shape: tuple[int | None, ...], classes: int | None, families: tuple[str, ...]
) -> None:
    assert recognised(PICTURE, [("output0", shape)], classes) == families


def test_tensorflow_s_detectors_want_red_first(tmp_path: Path) -> None:
    onnx.save(graph_with(tensorflow()), tmp_path / "d.onnx")
    (tmp_path / "d.onnx.toml").write_text('classes = "coco"')
    spec = resolve_model(str(tmp_path / "d.onnx"), "detector").spec
    assert (spec.preprocessing.color, spec.classes.index("person"), len(spec.classes)) == ("RGB", 1, 91)
