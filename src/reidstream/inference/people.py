"""Finding people with a detector of any family: its graph was given the output ``people`` by ``models.graph``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reidstream.boxes import non_maximum
from reidstream.errors import ModelMismatch
from reidstream.inference.network import Network
from reidstream.inference.placing import placed
from reidstream.models.families import Family
from reidstream.models.spec import Fit
from reidstream.sources.frame import Picture
from reidstream.types import Detections, FloatArray


class PeopleDetector:
    """Corners and scores from a network, back into each picture's own pixels.

    family: how pictures are fitted into the input, and whether one person comes in several boxes. size: width and
    height of the input. nms: IoU above which the weaker of two boxes goes, where the family needs it. fit: how they are
    fitted instead.
    """

    def __init__(
        self,
        network: Network,
        family: Family,
        size: tuple[int, int],
        confidence: float,
        nms: float,
        fit: Fit | None = None,
    ) -> None:
        self._network = network
        self._family = family
        self._size = size
        self._fit = fit or family.fit
        self._confidence = confidence
        self._nms = nms

    @property
    def input_size(self) -> tuple[int, int]:
        return self._size

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture, best first, boxes clipped to it. Safe to call from several threads."""
        if not pictures:
            return []
        places = [self._place(picture.size) for picture in pictures]
        cuts = self._network.takes_cuts
        found = self._network.run(
            [placed(picture, place, self._size, cuts) for picture, place in zip(pictures, places, strict=True)]
        )
        if found.ndim != 3 or found.shape[2] != 5:
            raise ModelMismatch(
                f"{self._network.path}: expected (batch, boxes, 5) from a detector of the family {self._family.name}, "
                f"got {found.shape}; check family in its description"
            )
        return [
            self._read(rows, place, picture.size) for rows, place, picture in zip(found, places, pictures, strict=True)
        ]

    def _place(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, width and height of a picture of this size in the input."""
        if self._fit == "stretch":
            return 0, 0, *self._size
        ratio = min(self._size[0] / size[0], self._size[1] / size[1])
        width, height = max(round(size[0] * ratio), 1), max(round(size[1] * ratio), 1)
        if self._fit == "corner":
            return 0, 0, width, height
        return (self._size[0] - width) // 2, (self._size[1] - height) // 2, width, height

    def _read(self, rows: FloatArray, place: tuple[int, int, int, int], size: tuple[int, int]) -> Detections:
        rows = rows[rows[:, 4] >= self._confidence]
        left, top, width, height = place
        scale = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        boxes = (rows[:, :4] - np.array([left, top, left, top], np.float32)) * scale
        np.clip(boxes, 0, np.array([*size, *size], np.float32), out=boxes)
        sound = np.isfinite(rows).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores = boxes[sound], np.minimum(rows[sound, 4], np.float32(1))
        best = non_maximum(boxes, scores, self._nms) if self._family.suppress else np.argsort(-scores, kind="stable")
        return Detections(boxes[best], scores[best])
