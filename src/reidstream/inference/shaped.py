"""A detector whose input takes the shape of the pictures, so that wide ones are not shown small above a bar."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from reidstream.errors import ReIDStreamError
from reidstream.inference.protocols import Detector
from reidstream.models.input_shape import shape_for
from reidstream.sources.frame import Picture
from reidstream.types import Detections

logger = logging.getLogger(__name__)

_MOST_SHAPES = 6
"""Shapes that are kept; each is a session with memory of its own. More shapes of cameras than these are rare."""

Shape = tuple[int, int]


class ShapedDetector:
    """Detectors of one model, one for each shape that its pictures have; safe to call from several threads.

    own: width and height that the model was made for. opened: makes the detector for a shape. likely: the shape of
    which pictures probably are, opened at once, so that its first picture need not wait.

    Where a shape cannot be had (a graph that only says that it takes any size), or there are too many, pictures go
    into the model's own.
    """

    def __init__(self, own: Shape, scale: float, opened: Callable[[Shape], Detector], likely: Shape) -> None:
        self._own, self._scale, self._opened = own, scale, opened
        self._lock = threading.Lock()
        self._detectors: dict[Shape, Detector] = {}
        self._for(likely)

    @property
    def input_size(self) -> Shape:
        """Width and height of the input that the model was made for."""
        return self._own

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture. What is found in one does not depend on the others."""
        groups: dict[int, tuple[Detector, list[int]]] = {}
        for number, picture in enumerate(pictures):
            detector = self._for(picture.size)
            groups.setdefault(id(detector), (detector, []))[1].append(number)
        found: dict[int, Detections] = {}
        for detector, numbers in groups.values():
            answers = detector.detect([pictures[number] for number in numbers])
            found.update(zip(numbers, answers, strict=True))
        return [found[number] for number in range(len(pictures))]

    def _for(self, size: Shape) -> Detector:
        shape = shape_for(self._own, size, self._scale)
        with self._lock:
            if shape not in self._detectors:
                self._detectors[shape] = self._made(shape)
            return self._detectors[shape]

    def _made(self, shape: Shape) -> Detector:
        if shape == self._own:
            return self._opened(shape)
        own = self._detectors.get(self._own)
        if len(set(map(id, self._detectors.values()))) >= _MOST_SHAPES:
            logger.info("pictures of another shape than %d before are put into the model's own input", _MOST_SHAPES)
        else:
            try:
                return self._opened(shape)
            except ReIDStreamError as error:
                logger.info("the detector's input keeps the model's own shape: %s", error)
        return own or self._detectors.setdefault(self._own, self._opened(self._own))
