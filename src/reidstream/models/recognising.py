"""Which family a detector is of, by the shapes of its graph's inputs and outputs.

Shapes follow the exporters of the projects named: YOLOX (Megvii), YOLOv5 to YOLO26 (Ultralytics' layouts, which YOLOv6,
v7, v9, v10 share), DETR, RF-DETR (Roboflow), RT-DETR, D-FINE and DEIM with and without their deployed post-processor,
OpenVINO's and Caffe's ``detection_out``, TensorFlow's object detection API, suppression as a part of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int | None, ...]
Port = tuple[str, Shape]
"""Name and shape of an input or output; None for an axis that the graph leaves open."""

_COCO = 80
_MOST_QUERIES = 1000
"""Rows of a detector that gives a row per object, at most; grids have thousands of cells."""
_SUPPRESSED = 6
"""Columns of corners, score and class."""
_MASKS, _KEY_POINTS = 32, 51
"""Columns that Ultralytics' models for masks and key points add to every row."""


def recognised(inputs: Sequence[Port], outputs: Sequence[Port], classes: int | None = None) -> tuple[str, ...]:
    """The names of the families whose outputs have these shapes, the likeliest first; none if nothing known has.

    classes: how many the file names, where it does. Where the same shapes mean different things, several are named:
    YOLOX's boxes may be decoded or not, and open axes tell little.
    """
    names = {plain(name) for name, _ in outputs}
    if {"detection_boxes", "detection_scores"} <= names or {"bboxes", "labels", "scores"} <= names:
        return ("ssd",)
    if any(len(shape) == 4 and shape[3] == 7 and shape[1] in {1, None} for _, shape in outputs):
        return ("ssd",)
    if {"labels", "boxes", "scores"} <= names and any(len(shape) == 2 for _, shape in inputs):
        return ("rtdetr",)
    if listed(outputs) is not None:
        return ("yolov10",)
    rows = [shape for _, shape in outputs if len(shape) == 3]
    if len(rows) >= 2 and any(shape[2] == 4 for shape in rows) and any(shape[2] != 4 for shape in rows):
        return _of_queries(rows, names)
    if len(set(rows)) != 1:
        return ()
    _, many, columns = rows[0]
    cells = _cells(inputs)
    if columns == _SUPPRESSED and (many is None or (many <= _MOST_QUERIES and many not in cells)):
        return ("yolov10",)
    return _of_rows(many, columns, classes, cells)


def plain(name: str) -> str:
    """An output's name in small letters, without the number that TensorFlow puts behind it."""
    return name.lower().removesuffix(":0")


def listed(outputs: Sequence[Port]) -> str | None:
    """How what is left after suppression inside the graph is laid out; None where it is not such a list.

    "apart": boxes, scores and classes as outputs of their own; "labelled": boxes with their score, and classes;
    "numbered": rows of picture, corners, class, score.
    """
    shapes = {plain(name): shape for name, shape in outputs}
    if {"det_boxes", "det_scores", "det_classes"} <= set(shapes):
        return "apart"
    if set(shapes) >= {"dets", "labels"} and len(shapes["dets"]) == 3 and len(shapes["labels"]) == 2:
        return "labelled"
    if len(shapes) == 1 and next(iter(shapes.values()))[1:] == (7,):
        return "numbered"
    return None


def _of_queries(rows: Sequence[Shape], names: set[str]) -> tuple[str, ...]:
    """Boxes and logits. RF-DETR's classes are COCO's numbers; those of RT-DETR and what came of it are its 80."""
    if any(many is not None and many > _MOST_QUERIES for _, many, _ in rows):
        return ()
    classes = next((columns for _, _, columns in rows if columns != 4), None)
    plainer = classes == _COCO and "dets" not in names
    return ("rtdetr", "detr") if plainer else ("detr", "rtdetr")


def _of_rows(many: int | None, columns: int | None, classes: int | None, cells: set[int]) -> tuple[str, ...]:
    """One output (batch, many, columns)."""
    if many is not None and many >= 5 and (columns is None or columns > many or columns in cells):
        return ("yolov8",)
    if columns is None or columns < 5:
        return ()
    if many is not None and any(many == 3 * count for count in cells):
        return ("yolov5",)
    on_grid = many is None or many in cells or not cells
    found: tuple[str, ...] = ("yolox", "yolox-decoded", "yolov5", "yolov8") if on_grid else ()
    if on_grid and columns == _SUPPRESSED:
        found += ("deepstream-yolo",)
    if many is None or (many <= _MOST_QUERIES and many not in cells):
        found += ("rtdetr", "yolov10")
    fitting = {
        "yolox": columns - 5,
        "yolox-decoded": columns - 5,
        "yolov5": columns - 5,
        "yolov8": columns - 4,
        "rtdetr": columns - 4,
    }
    known = {classes} if classes is not None else {_COCO} & {columns - 5, columns - 4}
    more = columns - _SUPPRESSED in {_MASKS, _KEY_POINTS}
    narrowed = tuple(
        name for name in found if (more if name == "yolov10" else fitting.get(name) in known or name not in fitting)
    )
    return narrowed or tuple(name for name in found if fitting.get(name, columns - _SUPPRESSED) > 0)


def classes_in(family: str, outputs: Sequence[Port]) -> int | None:
    """How many classes a graph tells apart, where its outputs' shapes say so."""
    rows = [shape for _, shape in outputs if len(shape) == 3]
    if family in {"detr", "rtdetr"} and len(rows) >= 2:
        return next((shape[2] for shape in rows if shape[2] != 4), None)
    if len(set(rows)) != 1:
        return None
    _, many, columns = rows[0]
    if family == "yolov8":
        many = columns if rows_are_boxes(rows[0]) else many
        return None if many is None else many - 4
    if family == "rtdetr":
        return None if columns is None else columns - 4
    if family in {"yolov5", "yolox", "yolox-decoded"}:
        return None if columns is None else columns - 5
    return None


def rows_are_boxes(shape: Shape) -> bool:
    """Whether YOLOv8's output (batch, 4 + classes, cells) was turned round: (batch, cells, 4 + classes)."""
    _, many, columns = shape
    return columns is not None and (many is None or columns < many)


def _cells(inputs: Sequence[Port]) -> set[int]:
    """How many grid cells of 8, 16 and 32 pixels the image input has, and with those of 64; none when its size is
    open.
    """
    for _, shape in inputs:
        if len(shape) == 4:
            height, width = (shape[1], shape[2]) if shape[3] == 3 else (shape[2], shape[3])
            if height is None or width is None:
                return set()
            usual = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
            return {usual, usual + (height // 64) * (width // 64)}
    return set()
