"""Families of detectors: what their input wants, and the names that people have for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reidstream.models.spec import Fit, Preprocessing

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
        Family("yolov5", "centre", True, _UNIT, about="(batch, 1 or 3 x cells, 5 + classes) in pixels"),
        Family("yolov8", "centre", True, _UNIT, about="(batch, 4 + classes, cells) in pixels, or turned"),
        Family("yolov10", "centre", False, _UNIT, about="(batch, boxes, 6): corners, score, class"),
        Family("deepstream-yolo", "centre", True, _UNIT, about="(batch, cells, 6): corners, score, class, to suppress"),
        Family("detr", "stretch", False, _IMAGENET, about="logits (batch, queries, classes) and boxes (…, 4) in 0..1"),
        Family("rtdetr", "stretch", False, _UNIT, about="labels, boxes, scores, or (batch, queries, 4 + classes)"),
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


def coco_by_number(names: Sequence[str]) -> tuple[str, ...]:
    """COCO's 80 class names at their category numbers 0 to 90, of which ten and the first mean nothing."""
    left = iter(names)
    return tuple("" if number in _NOT_IN_COCO else next(left) for number in range(91))


_NOT_IN_COCO = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
