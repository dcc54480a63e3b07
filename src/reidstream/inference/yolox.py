"""Finding people with a detector of the YOLOX family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.boxes import non_maximum_each
from reidstream.errors import ModelMismatch
from reidstream.inference.input import Packer, input_size
from reidstream.inference.lean_graph import LeanGraph
from reidstream.inference.network import Network
from reidstream.inference.placing import placed
from reidstream.inference.session import Session
from reidstream.models.spec import ModelSpec
from reidstream.sources.frame import Picture
from reidstream.types import Detections, FloatArray

STRIDES = (8, 16, 32)
# Columns of an output row before the scores of the classes: centre, size, objectness.
BOX_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What runs a detector's pictures on another device, and in which column of its output the person's score is."""

    network: Network
    column: int


class YoloxDetector:
    """YOLOX (Ge et al. 2021, arXiv:2107.08430) exported to ONNX: any input size, fixed or open batch.

    The picture is scaled to fit, put at the top left and padded with grey 114, as in training. The output has one
    row per grid cell, the strides 8, 16, 32 one after the other: centre offset, log size, objectness, one score per
    class. With ``decoded`` (family ``yolox-decoded``) centre and size are already pixels of the input.
    The score of a box is objectness times the person score; suppression sees people only, so that a bag in
    front of a person suppresses nobody.

    lean: leave out what costs time and changes nothing (see LeanGraph); otherwise the file is run as it is.
    elsewhere: runs the pictures instead of ``session``, which then only describes the model.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        person_class: str,
        confidence: float,
        nms: float,
        decoded: bool,
        lean: bool = True,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._session = session
        self._size = input_size(session, spec)
        self._packer = Packer(spec.preprocessing)
        column = BOX_COLUMNS + class_index(session.path, spec, person_class)
        self._confidence = confidence
        self._nms = nms
        self._decoded = decoded
        self._centres, self._strides = grid(self._size)
        self._check_output(len(spec.classes))
        self._elsewhere = elsewhere
        self._lean = LeanGraph(session, self._size, column) if lean and elsewhere is None else None
        self._column = column
        if self._lean is not None:
            self._column = self._lean.column
        elif elsewhere is not None:
            self._column = elsewhere.column

    @property
    def input_size(self) -> tuple[int, int]:
        return self._size

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture, best first, boxes clipped to it. Safe to call from several threads."""
        step = max(len(pictures), 1)
        if self._elsewhere is None:
            step = self._session.batch or step
        found: list[Detections] = []
        for start in range(0, len(pictures), step):
            part = pictures[start : start + step]
            inner = [self._inner(picture.size) for picture in part]
            output = self._output(part, inner)
            self._check_rows(output)
            found += self._decode(output[: len(part)], inner, [picture.size for picture in part])
        return found

    def _output(self, pictures: Sequence[Picture], inner: list[tuple[int, int]]) -> FloatArray:
        """float32 (n or more, cells, columns): the network's rows for each picture."""
        session, canvas = self._form(inner)
        network = None if self._elsewhere is None else self._elsewhere.network
        cuts = network is not None and network.takes_cuts
        images: list[Any] = [
            placed(picture, (0, 0, *size), canvas, cuts) for picture, size in zip(pictures, inner, strict=True)
        ]
        if network is not None:
            return network.run(images)
        return session.run(self._packer(images, session.batch or len(images)))

    def _inner(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height that a picture of this size takes of the input."""
        width, height = size
        ratio = min(self._size[0] / width, self._size[1] / height)
        return max(round(width * ratio), 1), max(round(height * ratio), 1)

    def _form(self, inner: list[tuple[int, int]]) -> tuple[Session, tuple[int, int]]:
        """The session to run, and width and height of the input that it wants."""
        if self._lean is None:
            return self._session, self._size
        return self._lean.fitting((max(width for width, _ in inner), max(height for _, height in inner)))

    def _decode(
        self, output: FloatArray, inner: list[tuple[int, int]], sizes: list[tuple[int, int]]
    ) -> list[Detections]:
        """People from the network's rows, of all pictures together: NumPy hands Python's lock on at every step."""
        scores = output[:, :, 4] * output[:, :, self._column]
        picture, cell = np.nonzero(scores >= self._confidence)
        scores, rows = scores[picture, cell], output[picture, cell]
        centres, sides = rows[:, :2], rows[:, 2:4]
        if not self._decoded:
            strides = self._strides[cell]
            centres = (centres + self._centres[cell]) * strides
            # A person is never e^10 cells wide; without the bound a broken model overflows to infinity.
            sides = np.exp(np.minimum(sides, 10)) * strides
        limits = np.array([[*size, *size] for size in sizes], np.float32)[picture]
        scale = np.array(
            [[shown[0] / size[0], shown[1] / size[1]] * 2 for shown, size in zip(inner, sizes, strict=True)], np.float32
        )
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) / scale[picture]
        boxes: FloatArray = np.minimum(np.maximum(corners, 0), limits)
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores, picture = boxes[sound], scores[sound], picture[sound]
        best = non_maximum_each(boxes, scores, picture, self._nms)
        boxes, scores = boxes[best], np.minimum(scores[best], 1)
        ends = np.cumsum(np.bincount(picture[best], minlength=len(sizes))).tolist()
        return [Detections(boxes[a:b], scores[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def _check_output(self, classes: int) -> None:
        shape = self._session.outputs[0].shape
        expected = (None, len(self._centres), BOX_COLUMNS + classes)
        if len(shape) != 3 or any(e is not None and f not in {None, e} for e, f in zip(expected, shape, strict=True)):
            raise ModelMismatch(
                f"{self._session.path}: a YOLOX of input {self._size[0]}x{self._size[1]} with {classes} classes gives "
                f"(batch, {expected[1]}, {expected[2]}), the graph gives {tuple(shape)}; "
                "check family, classes and input_size in the manifest"
            )

    def _check_rows(self, output: FloatArray) -> None:
        if output.ndim != 3 or output.shape[1] != len(self._centres) or output.shape[2] <= self._column:
            raise ModelMismatch(
                f"{self._session.path}: expected {len(self._centres)} rows of more than {self._column} numbers per "
                f"picture, got an output of {output.shape}; check family, classes and input_size in the manifest"
            )


def grid(size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Cell corners float32 (n, 2) in cells and strides float32 (n, 1), in the order of the network's output rows."""
    centres, strides = [], []
    for stride in STRIDES:
        columns, rows = size[0] // stride, size[1] // stride
        y, x = np.mgrid[:rows, :columns]
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32))
        strides.append(np.full((rows * columns, 1), stride, np.float32))
    return np.concatenate(centres), np.concatenate(strides)


def class_index(path: Path, spec: ModelSpec, name: str) -> int:
    """Which of the model's classes has this name. Raises ModelMismatch."""
    if not spec.classes:
        raise ModelMismatch(
            f"{path}: the class {name!r} is looked up by name, but no class names are known for this model; "
            "describe it in a manifest with classes = [...]"
        )
    if name not in spec.classes:
        known = ", ".join(spec.classes[:10]) + (", ..." if len(spec.classes) > 10 else "")
        raise ModelMismatch(f"{path}: no class {name!r}; its classes are {known} (setting detector.person_class)")
    return spec.classes.index(name)
