"""Detectors of every family are recognised by their shapes and give the same boxes, worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidstream.errors import ModelMismatch
from reidstream.models.families import FAMILIES, coco_by_number, family_named
from reidstream.models.graph.people import PEOPLE, give_people
from reidstream.models.recognising import classes_in, recognised
from reidstream.models.resolving import resolve_model
from reidstream.models.spec import ModelSpec

SIZE = (64, 32)
CELLS = 8 * 4 + 4 * 2 + 2 * 1
# Two people and a dog in a picture of 64 x 32: xyxy in pixels, score, class.
PEOPLE_SEEN = np.array([[8, 4, 16, 28], [30, 2, 40, 30]], np.float32)
SCORES = np.array([0.9, 0.6], np.float32)
Arrays = dict[str, npt.NDArray[Any]]


def centred(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


DOG = np.array([[50, 20, 60, 30]], np.float32)
BOXES = np.concatenate([PEOPLE_SEEN, DOG])
LABELS = np.array([1, 1, 2])  # classes: car, person, dog
CLASS_SCORES = np.array([[0.01, 0.9, 0.02], [0.02, 0.6, 0.01], [0.01, 0.03, 0.95]], np.float32)


def rows(many: int, filled: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(1, many, columns) with the given rows first and nothing in the others."""
    padded = np.zeros((1, many, filled.shape[1]), np.float32)
    padded[0, : len(filled)] = filled
    return padded


def outputs_of(family: str) -> Arrays:
    """What a detector of a family says of that picture."""
    one = np.ones((3, 1), np.float32)
    with_object = np.concatenate([centred(BOXES), one, CLASS_SCORES], axis=1)
    parts = BOXES / np.array([*SIZE, *SIZE], np.float32)
    if family == "yolox-decoded":
        return {"output": rows(CELLS, with_object)}
    if family == "yolov5":
        return {"output0": rows(3 * CELLS, with_object)}
    if family == "yolov8":
        return {"output0": rows(CELLS, np.concatenate([centred(BOXES), CLASS_SCORES], axis=1)).transpose(0, 2, 1)}
    if family == "yolov10":
        best = np.concatenate([BOXES, CLASS_SCORES.max(axis=1)[:, None], LABELS[:, None]], axis=1).astype(np.float32)
        return {"output0": rows(300, best)}
    if family == "detr":
        logits = np.full((1, 20, 3), -20, np.float32)
        logits[0, :3] = np.log(CLASS_SCORES / (1 - CLASS_SCORES))
        return {"labels": logits, "dets": rows(20, centred(parts))}
    if family == "rtdetr":
        labels = np.zeros((1, 20), np.int64)
        labels[0, :3] = LABELS
        scores = np.zeros((1, 20), np.float32)
        scores[0, :3] = CLASS_SCORES.max(axis=1)
        return {"labels": labels, "boxes": rows(20, BOXES), "scores": scores}
    picture = np.zeros((3, 1), np.float32)
    seven = np.concatenate([picture, LABELS[:, None], CLASS_SCORES.max(axis=1)[:, None], parts], axis=1)
    ended = np.concatenate([seven, [[-1, 1, 0.8, 0, 0, 1, 1]]]).astype(np.float32)
    return {"detection_out": ended[None, None]}


def tensorflow() -> Arrays:
    parts = (BOXES / np.array([*SIZE, *SIZE], np.float32))[:, [1, 0, 3, 2]]
    return {
        "num_detections": np.array([3], np.float32),
        "detection_boxes": rows(10, parts),
        "detection_scores": np.pad(CLASS_SCORES.max(axis=1), (0, 7))[None],
        "detection_classes": np.pad(LABELS, (0, 7)).astype(np.float32)[None],
    }


def graph_with(outputs: Arrays, *, asks_for_sizes: bool = False, half: bool = False) -> onnx.ModelProto:
    """A graph that answers with these arrays for any picture, those of pixels scaled by the size that is asked for."""
    nodes, constants, ports = [], [], []
    real = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    for name, array in outputs.items():
        whole = array.astype(np.float16) if half and array.dtype == np.float32 else array
        value = whole
        if asks_for_sizes and name == "boxes":
            value = (array / np.array([*SIZE, *SIZE])).astype(whole.dtype)
        constants.append(numpy_helper.from_array(value, f"{name}.value"))
        if asks_for_sizes and name == "boxes":
            nodes += [
                helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=real),
                helper.make_node("Concat", ["sizes", "sizes"], ["both"], axis=1),
                helper.make_node("Unsqueeze", ["both", "one"], ["scale"]),
                helper.make_node("Mul", [f"{name}.value", "scale"], [name]),
            ]
            constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}.value"], [name]))
        ports.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(whole.dtype), whole.shape))
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE[1], SIZE[0]])]
    if asks_for_sizes:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]))
    graph = helper.make_graph(nodes, "toy", inputs, ports, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def ports_of(ports: Any) -> list[tuple[str, tuple[int | None, ...]]]:
    return [(p.name, tuple(d.dim_value or None for d in p.type.tensor_type.shape.dim)) for p in ports]


def people_in(model: onnx.ModelProto, family: str, person: int = 1) -> npt.NDArray[np.float32]:
    """The rows with a score, best first, as a runtime gives them."""
    give_people(model, family, person, SIZE)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run([PEOPLE], {"images": np.zeros((1, 3, SIZE[1], SIZE[0]), np.float32)})
    assert found.dtype == np.float32
    kept: npt.NDArray[np.float32] = found[0][found[0, :, 4] > 0.1]
    return kept[np.argsort(-kept[:, 4])]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("family", ["yolox-decoded", "yolov5", "yolov8", "yolov10", "detr", "rtdetr", "ssd"])
def test_every_family_gives_the_same_people(family: str, half: bool) -> None:
    model = graph_with(outputs_of(family), asks_for_sizes=family == "rtdetr", half=half)
    assert family in recognised(ports_of(model.graph.input), ports_of(model.graph.output))
    found = people_in(model, family)
    np.testing.assert_allclose(found[:, :4], PEOPLE_SEEN, atol=0.1 if half else 1e-3)
    np.testing.assert_allclose(found[:, 4], SCORES, atol=2e-3 if half else 1e-5)
    assert [port.name for port in model.graph.input] == ["images"]
    assert [port.name for port in model.graph.output] == [PEOPLE]


def test_tensorflow_s_named_outputs_are_read_with_y_first() -> None:
    model = graph_with(tensorflow())
    assert recognised(ports_of(model.graph.input), ports_of(model.graph.output)) == ("ssd",)
    found = people_in(model, "ssd")
    np.testing.assert_allclose(found[:, :4], PEOPLE_SEEN, atol=1e-3)


def test_another_class_can_be_asked_for() -> None:
    found = people_in(graph_with(outputs_of("yolov8")), "yolov8", person=2)
    np.testing.assert_allclose(found[:, :4], DOG, atol=1e-3)


@pytest.mark.parametrize("family", ["yolov8", "yolov10", "yolov5"])
def test_outputs_beside_the_boxes_do_no_harm(family: str) -> None:
    masks = {"output1": np.zeros((1, 32, 8, 16), np.float32)}
    model = graph_with(outputs_of(family) | masks)
    assert recognised(ports_of(model.graph.input), ports_of(model.graph.output)) == (family,)
    np.testing.assert_allclose(people_in(model, family)[:, :4], PEOPLE_SEEN, atol=1e-3)


def test_yolox_cannot_be_told_from_its_decoded_form_by_shape() -> None:
    model = graph_with(outputs_of("yolox-decoded"))
    assert recognised(ports_of(model.graph.input), ports_of(model.graph.output))[:2] == ("yolox", "yolox-decoded")


def test_something_else_is_not_taken_for_a_detector() -> None:
    assert recognised([("images", (None, 3, 256, 128))], [("embeddings", (None, 512))]) == ()
    assert recognised([("images", (1, 3, 64, 64))], [("heat", (1, 17, 16, 16))]) == ()


def test_a_family_whose_outputs_are_not_there_is_an_error_that_names_them() -> None:
    with pytest.raises(ModelMismatch, match=r"family ssd has no output with 4 axes; found output0"):
        give_people(graph_with(outputs_of("yolov8")), "ssd", 1, SIZE)


def test_how_many_classes_a_graph_has_follows_from_its_shape() -> None:
    for family in ("yolov5", "yolov8", "detr", "yolox-decoded"):
        model = graph_with(outputs_of(family))
        assert classes_in(family, ports_of(model.graph.output)) == 3
    assert classes_in("yolov10", ports_of(graph_with(outputs_of("yolov10")).graph.output)) is None


@pytest.mark.parametrize(
    ("name", "family"), [("RF-DETR", "detr"), ("d-fine", "rtdetr"), ("yolo11", "yolov8"), ("", "yolox")]
)
def test_families_go_by_the_names_that_people_use(name: str, family: str) -> None:
    assert family_named(name) is FAMILIES[family]
    assert family_named("mask-rcnn") is None


def test_coco_by_number_has_the_person_first_and_gaps_where_coco_has_them() -> None:
    numbered = coco_by_number([str(k) for k in range(80)])
    assert (len(numbered), numbered[1], numbered[13], numbered[90], numbered[12]) == (91, "0", "11", "79", "")


def saved(model: onnx.ModelProto, path: Path, described: str | None = None, names: str | None = None) -> ModelSpec:
    """What a file says of itself, with a description beside it or the names that exporters write into it."""
    if names is not None:
        helper.set_model_props(model, {"names": names})
    onnx.save(model, path)
    if described is not None:
        path.with_name(path.name + ".toml").write_text(described)
    return resolve_model(str(path), "detector").spec


def test_a_detector_without_a_word_is_known_by_its_graph(tmp_path: Path) -> None:
    model = graph_with(outputs_of("yolov8"))
    spec = saved(model, tmp_path / "my detector.onnx", names="{0: 'car', 1: 'person', 2: 'dog'}")
    assert (spec.family, spec.classes, spec.name) == ("yolov8", ("car", "person", "dog"), "my-detector")
    assert (spec.preprocessing.color, spec.preprocessing.std) == ("RGB", (255.0, 255.0, 255.0))


def test_classes_are_named_by_hand_or_by_list_where_the_graph_is_silent(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r'has 3 classes without names[\s\S]*classes = "coco"'):
        saved(graph_with(outputs_of("yolov8")), tmp_path / "silent.onnx")
    named = saved(graph_with(outputs_of("yolov8")), tmp_path / "named.onnx", 'classes = ["car", "person", "dog"]')
    assert (named.family, named.classes[1]) == ("yolov8", "person")
    listed = saved(graph_with(outputs_of("yolov10")), tmp_path / "listed.onnx", 'classes = "coco"')
    assert (len(listed.classes), listed.classes[0]) == (80, "person")


def test_a_wrong_family_is_an_error_that_names_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"described as 'yolov5'[\s\S]*say family = 'yolov8'"):
        saved(graph_with(outputs_of("yolov8")), tmp_path / "d.onnx", 'family = "yolov5"\nclasses = ["person"]')
    with pytest.raises(ModelMismatch, match=r"unknown detector family 'mask-rcnn'; known are yolox"):
        saved(graph_with(outputs_of("yolov8")), tmp_path / "e.onnx", 'family = "mask-rcnn"')


def test_what_shapes_cannot_tell_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r'family = "yolox" or "yolox-decoded"'):
        saved(graph_with(outputs_of("yolox-decoded")), tmp_path / "d.onnx")
    with pytest.raises(ModelMismatch, match="those of no detector family"):
        saved(graph_with({"heat": np.zeros((1, 17, 16, 16), np.float32)}), tmp_path / "e.onnx")


def test_preprocessing_that_is_stated_counts(tmp_path: Path) -> None:
    text = 'classes = ["car", "person", "dog"]\n[preprocessing]\ncolor = "BGR"'
    spec = saved(graph_with(outputs_of("yolov8")), tmp_path / "d.onnx", text)
    assert (spec.preprocessing.color, spec.preprocessing.std) == ("BGR", (1.0, 1.0, 1.0))


@pytest.mark.parametrize("names", ["{0: 'a'", "__import__('os')", "[" * 5000, "{1: 'a', 3: 'b'}", "7"])
def test_names_that_make_no_sense_are_not_believed(tmp_path: Path, names: str) -> None:
    with pytest.raises(ModelMismatch, match="without names"):
        saved(graph_with(outputs_of("yolov8")), tmp_path / "d.onnx", names=names)
