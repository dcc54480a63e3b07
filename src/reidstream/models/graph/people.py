"""One output for detectors of every family: corners in pixels of the input and the score of being a person.

What a family writes into its outputs is read by a few operators that are put behind them, so that whatever runs graphs
(on a processor, or captured on a GPU) needs to know one layout only. See ``models.families`` for the layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from reidstream.errors import ModelMismatch
from reidstream.models.graph.folding import constants_as_weights, drop_unused
from reidstream.models.recognising import Port, Shape, listed, plain, rows_are_boxes
from reidstream.types import FloatArray

PEOPLE = "people"
"""The output: float32 (batch, boxes, 5), x1, y1, x2, y2 in pixels of the input, score 0..1."""
SIZES = "orig_target_sizes"


def give_people(model: Any, family: str, person: int | None, size: tuple[int, int]) -> None:
    """Give a detector's graph the one output ``people``; all others go, and what only they needed.

    family: a name of ``models.families.FAMILIES``. person: number of the person's class, None where whatever
    is found is a person. size: width and height of the input. Raises ModelMismatch when the outputs are not those of
    the family.
    """
    constants_as_weights(model)
    graph = model.graph
    build = _Builder(graph, size)
    try:
        boxes, scores = _READERS[family](build, person)
    except LookupError as error:
        found = ", ".join(port.name for port in graph.output)
        raise ModelMismatch(f"a detector of the family {family} has no output {error}; found {found}") from None
    build.add("Concat", [boxes, scores], PEOPLE, axis=2)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(PEOPLE, TensorProto.FLOAT, ["batch", "boxes", 5]))
    drop_unused(model)


class _Builder:
    """Adds operators to the end of a graph; every name of theirs begins with ``people.``."""

    def __init__(self, graph: Any, size: tuple[int, int]) -> None:
        self.graph = graph
        self.size = size
        self._count = 0

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        self._count += 1
        name = output or f"{PEOPLE}.{self._count}"
        self.graph.node.append(
            helper.make_node(kind, inputs, [name], name=f"{PEOPLE}.{kind}.{self._count}", **attributes)
        )
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        self._count += 1
        name = f"{PEOPLE}.constant.{self._count}"
        self.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def real(self, value: str) -> str:
        """As float32: half-precision graphs end in half-precision numbers."""
        return self.add("Cast", [value], to=TensorProto.FLOAT)

    def columns(self, value: str, first: int, last: int) -> str:
        """Columns first to last (excluded) of the third axis."""
        bounds = [self.constant([edge], np.int64) for edge in (first, last, 2)]
        return self.add("Slice", [value, *bounds])

    def corners(self, centred: str) -> str:
        """xyxy from centre and sides."""
        centre, sides = self.columns(centred, 0, 2), self.columns(centred, 2, 4)
        half = self.add("Mul", [sides, self.constant(0.5)])
        return self.add("Concat", [self.add("Sub", [centre, half]), self.add("Add", [centre, half])], axis=2)

    def scaled(self, boxes: str) -> str:
        """Pixels of the input from parts of it."""
        return self.add("Mul", [boxes, self.constant([*self.size, *self.size])])

    def as_column(self, value: str) -> str:
        """(batch, boxes) as (batch, boxes, 1)."""
        return self.add("Unsqueeze", [value, self.constant([2], np.int64)])

    def of_person(self, scores: str, labels: str, person: int | None) -> str:
        """Scores where the label is the person's, else 0."""
        if person is None:
            return scores
        same = self.add("Equal", [self.add("Cast", [labels], to=TensorProto.INT64), self.constant(person, np.int64)])
        return self.add("Mul", [scores, self.real(same)])

    def with_rank(self, rank: int, wanted: Callable[[int | None], bool] = lambda columns: True) -> str:
        """The first output with so many axes whose last one is as wanted."""
        for port in self.graph.output:
            dimensions = port.type.tensor_type.shape.dim
            last = dimensions[-1].dim_value or None if dimensions else None
            if len(dimensions) == rank and wanted(last):
                return str(port.name)
        raise LookupError(f"with {rank} axes")

    def outputs(self) -> list[Port]:
        return [(port.name, _shape(port)) for port in self.graph.output]

    def shape(self, output: str) -> Shape:
        return next(shape for name, shape in self.outputs() if name == output)

    def named(self, name: str) -> str:
        """The output of that name, whatever its case."""
        for port in self.graph.output:
            if plain(port.name) == name:
                return str(port.name)
        raise LookupError(repr(name))


def _shape(port: Any) -> Shape:
    return tuple(axis.dim_value or None for axis in port.type.tensor_type.shape.dim)


Reader = Callable[[_Builder, int | None], tuple[str, str]]


def _yolox(build: _Builder, person: int | None) -> tuple[str, str]:
    """Offset of the centre in its grid cell and logarithm of the sides, both in strides, then as decoded."""
    rows = build.real(build.with_rank(3))
    cells, strides = _grid(build.size)
    centre = build.add("Add", [build.columns(rows, 0, 2), build.constant(cells)])
    sides = build.add("Exp", [build.columns(rows, 2, 4)])
    pixels = build.add("Mul", [build.add("Concat", [centre, sides], axis=2), build.constant(strides)])
    return build.corners(pixels), _with_object(build, rows, person)


def _yolox_decoded(build: _Builder, person: int | None) -> tuple[str, str]:
    """Centre, sides, objectness, a score per class."""
    rows = build.real(build.with_rank(3))
    return build.corners(build.columns(rows, 0, 4)), _with_object(build, rows, person)


def _with_object(build: _Builder, rows: str, person: int | None) -> str:
    first = 5 + (person or 0)
    return build.add("Mul", [build.columns(rows, 4, 5), build.columns(rows, first, first + 1)])


def _grid(size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """The cells of 8, 16 and 32 pixels, row by row: column and row (1, cells, 2), and their pixels (1, cells, 1)."""
    places, strides = [], []
    for stride in (8, 16, 32):
        rows, columns = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1)
        places.append(np.stack([columns, rows], axis=1))
        strides.append(np.full((len(rows), 1), stride))
    return np.concatenate(places)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def _yolov8(build: _Builder, person: int | None) -> tuple[str, str]:
    """Centre and sides, then a score per class, boxes along the last axis; masks and key points behind are left out."""
    name = build.with_rank(3)
    rows = build.real(name)
    if not rows_are_boxes(build.shape(name)):
        rows = build.add("Transpose", [rows], perm=[0, 2, 1])
    first = 4 + (person or 0)
    return build.corners(build.columns(rows, 0, 4)), build.columns(rows, first, first + 1)


def _yolov10(build: _Builder, person: int | None) -> tuple[str, str]:
    """Corners, score, class number; or the same in other orders, as suppression inside the graph leaves it."""
    layout = listed(build.outputs())
    if layout == "apart":
        scores = build.of_person(build.real(build.named("det_scores")), build.named("det_classes"), person)
        return build.real(build.named("det_boxes")), build.as_column(scores)
    if layout == "labelled":
        rows, labels = build.real(build.named("dets")), build.as_column(build.named("labels"))
        return build.columns(rows, 0, 4), build.of_person(build.columns(rows, 4, 5), labels, person)
    if layout == "numbered":
        rows = build.add("Unsqueeze", [build.real(build.with_rank(2)), build.constant([0], np.int64)])
        labels = build.add("Round", [build.columns(rows, 5, 6)])
        return build.columns(rows, 1, 5), build.of_person(build.columns(rows, 6, 7), labels, person)
    rows = build.real(build.with_rank(3))
    scores = build.of_person(build.columns(rows, 4, 5), build.add("Round", [build.columns(rows, 5, 6)]), person)
    return build.columns(rows, 0, 4), scores


def _detr(build: _Builder, person: int | None) -> tuple[str, str]:
    """Logits per class, and boxes as parts of the picture, per query."""
    boxes = build.real(build.with_rank(3, lambda columns: columns == 4))
    name = build.with_rank(3, lambda columns: columns != 4)
    logits, first = build.real(name), person or 0
    if build.shape(name)[2] == _WITH_NOTHING:
        scores = build.columns(build.add("Softmax", [logits], axis=2), first, first + 1)
    else:
        scores = build.add("Sigmoid", [build.columns(logits, first, first + 1)])
    return build.scaled(build.corners(boxes)), scores


_WITH_NOTHING = 92
"""Logits of the first DETR (Carion et al. 2020): COCO's numbers 0 to 90 and "nothing", of which one is true; those that
came later give each class a probability of its own."""


def _rtdetr(build: _Builder, person: int | None) -> tuple[str, str]:
    """Class number, box in the pixels of the size that is asked for, and score per query; or what its post-processor
    would be given; or, as Ultralytics exports it, one row per query of centre and sides in 0..1 and a score per class.
    """
    if not any(plain(name) == "scores" for name, _ in build.outputs()):
        if sum(len(shape) == 3 for _, shape in build.outputs()) > 1:
            return _detr(build, person)
        rows, first = build.real(build.with_rank(3)), 4 + (person or 0)
        return build.scaled(build.corners(build.columns(rows, 0, 4))), build.columns(rows, first, first + 1)
    sizes = [port for port in build.graph.input if len(port.type.tensor_type.shape.dim) == 2]
    for port in sizes:
        # The picture's size becomes the input's: boxes are then read as every other family's. One row for all pictures.
        dtype = helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        build.graph.initializer.append(numpy_helper.from_array(np.array([build.size], dtype), port.name))
        build.graph.input.remove(port)
    boxes, scores = build.real(build.named("boxes")), build.real(build.named("scores"))
    return boxes, build.as_column(build.of_person(scores, build.named("labels"), person))


def _ssd(build: _Builder, person: int | None) -> tuple[str, str]:
    """Rows of picture, class, score, corners in 0..1; TensorFlow's named outputs, in which y comes before x; or
    outputs of corners, classes and scores.
    """
    names = {plain(name) for name, _ in build.outputs()}
    if "detection_boxes" in names:
        boxes = build.real(build.named("detection_boxes"))
        swapped = build.add("Gather", [boxes, build.constant([1, 0, 3, 2], np.int64)], axis=2)
        labels, scores = build.named("detection_classes"), build.real(build.named("detection_scores"))
        return build.scaled(swapped), build.as_column(build.of_person(scores, labels, person))
    if "bboxes" in names:
        scores = build.of_person(build.real(build.named("scores")), build.named("labels"), person)
        return build.scaled(build.real(build.named("bboxes"))), build.as_column(scores)
    # One picture a run: (1, 1, boxes, 7). A row of picture -1 ends the list, and scores nothing.
    flat = build.add("Reshape", [build.real(build.with_rank(4)), build.constant([1, -1, 7], np.int64)])
    scores = build.of_person(build.columns(flat, 2, 3), build.add("Round", [build.columns(flat, 1, 2)]), person)
    valid = build.real(build.add("GreaterOrEqual", [build.columns(flat, 0, 1), build.constant(0.0)]))
    return build.scaled(build.columns(flat, 3, 7)), build.add("Mul", [scores, valid])


_READERS: dict[str, Reader] = {
    "yolox": _yolox,
    "deepstream-yolo": _yolov10,
    "yolox-decoded": _yolox_decoded,
    "yolov5": _yolox_decoded,
    "yolov8": _yolov8,
    "yolov10": _yolov10,
    "detr": _detr,
    "rtdetr": _rtdetr,
    "ssd": _ssd,
}
