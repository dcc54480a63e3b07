"""What a YOLOX says of a picture, row by row, and the people in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.boxes import non_maximum_each
from reidstream.types import Detections, FloatArray, IntArray

STRIDES = (8, 16, 32)
# Columns of an output row before the scores of the classes: centre, size, objectness.
BOX_COLUMNS = 5

SHOWN = np.dtype([(name, "<f4") for name in ("width", "height", "scale_x", "scale_y")])
"""A picture's size, and how many pixels of the network's input one of its pixels is: as kernels/people.cu wants it."""


@dataclass(frozen=True, slots=True)
class YoloxRows:
    """How the rows of a network's output are read, and what is kept.

    grid: float32 (cells, 3), left and upper edge in cells and stride in pixels, in the order of the rows. column: where
    the person's score is. decoded: centre and size are already pixels of the input. confidence: least score. nms: IoU
    above which the weaker of two boxes goes.
    """

    grid: FloatArray
    column: int
    decoded: bool
    confidence: float
    nms: float

    def people(self, output: FloatArray, shown: npt.NDArray[np.void]) -> list[Detections]:
        """The people in each picture, best first, in its own pixels: of all pictures together, since NumPy hands
        Python's lock on at every step.

        output: float32 (pictures, cells, columns). shown: SHOWN (pictures,).
        """
        boxes, scores, picture = self._candidates(output, shown)
        best = non_maximum_each(boxes, scores, picture, self.nms)
        boxes, scores = boxes[best], np.minimum(scores[best], 1)
        ends = np.cumsum(np.bincount(picture[best], minlength=len(output))).tolist()
        return [Detections(boxes[a:b], scores[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def _candidates(self, output: FloatArray, shown: npt.NDArray[np.void]) -> tuple[FloatArray, FloatArray, IntArray]:
        scores = output[:, :, 4] * output[:, :, self.column]
        picture, cell = np.nonzero(scores >= self.confidence)
        scores, rows = scores[picture, cell], output[picture, cell]
        centres, sides = rows[:, :2], rows[:, 2:4]
        if not self.decoded:
            places, strides = self.grid[cell, :2], self.grid[cell, 2:]
            centres = (centres + places) * strides
            # A person is never e^10 cells wide; without the bound a broken model overflows to infinity. In double
            # precision, where the exponential is the same on every processor.
            sides = np.exp(np.minimum(sides, 10), dtype=np.float64).astype(np.float32) * strides
        sizes = np.stack([shown["width"], shown["height"]] * 2, axis=1)
        scales = np.stack([shown["scale_x"], shown["scale_y"]] * 2, axis=1)
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) / scales[picture]
        boxes: FloatArray = np.minimum(np.maximum(corners, 0), sizes[picture])
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return boxes[sound], scores[sound], picture[sound]


def shown_in(sizes: Sequence[tuple[int, int]], inner: Sequence[tuple[int, int]]) -> npt.NDArray[np.void]:
    """SHOWN (n,) of pictures of these widths and heights that take so much of the input."""
    rows = [(*size, take[0] / size[0], take[1] / size[1]) for size, take in zip(sizes, inner, strict=True)]
    return np.array(rows, SHOWN)


def grid(size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Cell corners float32 (n, 2) in cells and strides float32 (n, 1), in the order of the network's output rows."""
    centres, strides = [], []
    for stride in STRIDES:
        columns, rows = size[0] // stride, size[1] // stride
        y, x = np.mgrid[:rows, :columns]
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32))
        strides.append(np.full((rows * columns, 1), stride, np.float32))
    return np.concatenate(centres), np.concatenate(strides)
