"""Families of detectors: how they are told apart by their graph's inputs and outputs, and what their input wants.

Shapes follow the exporters of the projects named: YOLOX (Megvii), YOLOv5 to YOLO26 (Ultralytics' layouts, which YOLOv6,
v7, v9, v10 share), DETR, RF-DETR (Roboflow), RT-DETR, D-FINE and DEIM with their deployed post-processor, OpenVINO's
and Caffe's ``detection_out``, TensorFlow's object detection API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reidstream.models.spec import Preprocessing

Shape = tuple[int | None, ...]
Port = tuple[str, Shape]
"""Name and shape of an input or output; None for an axis that the graph leaves open."""

Fit = Literal["corner", "centre", "stretch"]

_UNIT = Preprocessing(color="RGB", std=(255.0, 255.0, 255.0))
_IMAGENET = Preprocessing(color="RGB", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@dataclass(frozen=True, slots=True)
class Family:
    """How detectors of one family are fed, and what makes them recognisable.

    fit: the picture keeps its proportions at the top left ("corner") or in the middle ("centre") of the input, the rest
    grey 114; or it is stretched. suppress: several boxes come for one person. preprocessing: what is done to pixels
    where a model's description says nothing. size: height and width where the graph leaves them open.
    """

    name: str
    fit: Fit
    suppress: bool
    preprocessing: Preprocessing
    size: tuple[int, int] = (640, 640)
    about: str = ""


FAMILIES = {
    family.name: family
    for family in (
        Family("yolox", "corner", True, Preprocessing(color="BGR"), about="(batch, cells, 5 + classes), undecoded"),
        Family("yolox-decoded", "corner", True, Preprocessing(color="BGR"), about="the same in pixels"),
        Family("yolov5", "centre", True, _UNIT, about="(batch, 3 x cells, 5 + classes) in pixels"),
        Family("yolov8", "centre", True, _UNIT, about="(batch, 4 + classes, cells) in pixels"),
        Family("yolov10", "centre", False, _UNIT, about="(batch, boxes, 6): corners, score, class"),
        Family("detr", "stretch", False, _IMAGENET, about="logits (batch, queries, classes) and boxes (…, 4) in 0..1"),
        Family("rtdetr", "stretch", False, _UNIT, about="labels, boxes, scores; input orig_target_sizes"),
        Family(
            "ssd", "stretch", False, Preprocessing(color="BGR"), (300, 300), "(1, 1, boxes, 7), or detection_boxes …"
        ),
    )
}

# The names that people know, and whose outputs are read as which family's.
OTHER_NAMES = {
    "yolov6": "yolov5",
    "yolov7": "yolov5",
    "yolov9": "yolov8",
    "yolo11": "yolov8",
    "yolov11": "yolov8",
    "yolo12": "yolov8",
    "yolo26": "yolov10",
    "rf-detr": "detr",
    "rfdetr": "detr",
    "d-fine": "rtdetr",
    "dfine": "rtdetr",
    "deim": "rtdetr",
    "rt-detr": "rtdetr",
    "openvino": "ssd",
}


def family_named(name: str) -> Family | None:
    """The family of this name or of a name that people use for it; None for any other. "" is the first, YOLOX."""
    key = name.lower() or "yolox"
    return FAMILIES.get(OTHER_NAMES.get(key, key))


def recognised(inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[str, ...]:
    """The names of the families whose outputs have these shapes, none if nothing known has.

    Where the same shapes mean different things, several are named: YOLOX's boxes may be decoded or not.
    """
    names = {name.lower() for name, _ in outputs}
    if "detection_boxes" in names and "detection_scores" in names:
        return ("ssd",)
    if any(len(shape) == 4 and shape[3] == 7 and shape[1] in {1, None} for _, shape in outputs):
        return ("ssd",)
    if {"labels", "boxes", "scores"} <= names and any(len(shape) == 2 for _, shape in inputs):
        return ("rtdetr",)
    rows = [shape for _, shape in outputs if len(shape) == 3]
    if len(rows) >= 2 and any(shape[2] == 4 for shape in rows) and any(shape[2] != 4 for shape in rows):
        return ("detr",)
    if len(rows) != 1:
        return ()
    _, many, columns = rows[0]
    if columns == 6 and (many is None or many <= 1000):
        return ("yolov10",)
    cells = _cells(inputs)
    if many is not None and many >= 5 and (columns is None or columns > many or columns == cells):
        return ("yolov8",)
    if columns is None or columns < 6 or many is None:
        return ()
    if cells is not None and many == 3 * cells:
        return ("yolov5",)
    if cells is not None and many == cells:
        return ("yolox", "yolox-decoded")
    return ()


def classes_in(family: str, outputs: Sequence[Port]) -> int | None:
    """How many classes a graph tells apart, where its outputs' shapes say so."""
    rows = [shape for _, shape in outputs if len(shape) == 3]
    if family == "detr":
        return next((shape[2] for shape in rows if shape[2] != 4), None)
    if len(rows) != 1:
        return None
    if family == "yolov8":
        return None if rows[0][1] is None else rows[0][1] - 4
    if family in {"yolov5", "yolox", "yolox-decoded"}:
        return None if rows[0][2] is None else rows[0][2] - 5
    return None


def coco_by_number(names: Sequence[str]) -> tuple[str, ...]:
    """COCO's 80 class names at their category numbers 0 to 90, of which ten and the first mean nothing."""
    left = iter(names)
    return tuple("" if number in _NOT_IN_COCO else next(left) for number in range(91))


_NOT_IN_COCO = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def _cells(inputs: Sequence[Port]) -> int | None:
    """How many grid cells of 8, 16 and 32 pixels the image input has; None when its size is open."""
    for _, shape in inputs:
        if len(shape) == 4:
            height, width = (shape[1], shape[2]) if shape[3] == 3 else (shape[2], shape[3])
            if height is None or width is None:
                return None
            return sum((height // stride) * (width // stride) for stride in (8, 16, 32))
    return None
