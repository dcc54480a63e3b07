"""Finding people with a detector of the YOLOX family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.errors import ModelMismatch
from reidstream.inference.input import Packer, input_size
from reidstream.inference.lean_graph import LeanGraph
from reidstream.inference.network import Network
from reidstream.inference.placing import placed
from reidstream.inference.session import Session
from reidstream.inference.yolox_rows import BOX_COLUMNS, YoloxRows, grid, shown_in
from reidstream.models.spec import ModelSpec
from reidstream.sources.frame import Picture
from reidstream.types import Detections, FloatArray


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
        cells = np.concatenate(grid(self._size), axis=1)
        self._check_output(len(spec.classes), len(cells))
        self._elsewhere = elsewhere
        self._lean = LeanGraph(session, self._size, column) if lean and elsewhere is None else None
        if self._lean is not None:
            column = self._lean.column
        elif elsewhere is not None:
            column = elsewhere.column
        self._rows = YoloxRows(cells, column, decoded, confidence, nms)

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
            inner = [inner_size(picture.size, self._size) for picture in part]
            output = self._output(part, inner)
            self._check_rows(output)
            found += self._rows.people(output[: len(part)], shown_in([picture.size for picture in part], inner))
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

    def _form(self, inner: list[tuple[int, int]]) -> tuple[Session, tuple[int, int]]:
        """The session to run, and width and height of the input that it wants."""
        if self._lean is None:
            return self._session, self._size
        return self._lean.fitting((max(width for width, _ in inner), max(height for _, height in inner)))

    def _check_output(self, classes: int, cells: int) -> None:
        shape = self._session.outputs[0].shape
        expected = (None, cells, BOX_COLUMNS + classes)
        if len(shape) != 3 or any(e is not None and f not in {None, e} for e, f in zip(expected, shape, strict=True)):
            raise ModelMismatch(
                f"{self._session.path}: a YOLOX of input {self._size[0]}x{self._size[1]} with {classes} classes gives "
                f"(batch, {expected[1]}, {expected[2]}), the graph gives {tuple(shape)}; "
                "check family, classes and input_size in the manifest"
            )

    def _check_rows(self, output: FloatArray) -> None:
        cells = len(self._rows.grid)
        if output.ndim != 3 or output.shape[1] != cells or output.shape[2] <= self._rows.column:
            raise ModelMismatch(
                f"{self._session.path}: expected {cells} rows of more than {self._rows.column} numbers per "
                f"picture, got an output of {output.shape}; check family, classes and input_size in the manifest"
            )


def inner_size(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a picture of ``size`` takes of an input of the size ``canvas``."""
    width, height = size
    ratio = min(canvas[0] / width, canvas[1] / height)
    return max(round(width * ratio), 1), max(round(height * ratio), 1)


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
