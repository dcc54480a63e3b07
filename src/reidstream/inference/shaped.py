"""A detector whose input takes the shape of the pictures, so that wide ones are not shown small above a bar."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from reidstream.errors import ReIDStreamError
from reidstream.inference.protocols import Detector, StartingDetector
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
        self._detectors: dict[Shape, Future[Detector]] = {}
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
        return self._of(shape_for(self._own, size, self._scale))

    def _of(self, shape: Shape) -> Detector:
        """The detector for a shape. Opening one takes seconds on a GPU, for which pictures of others do not wait."""
        with self._lock:
            known = self._detectors.get(shape)
            found = self._detectors.setdefault(shape, Future())
            many = len(self._detectors) > _MOST_SHAPES
        if known is None:
            try:
                found.set_result(self._made(shape, many))
            except BaseException as error:
                with self._lock:
                    del self._detectors[shape]
                found.set_exception(error)
                raise
        return found.result()

    def _made(self, shape: Shape, many: bool) -> Detector:
        if shape == self._own:
            return self._opened(shape)
        if many:
            logger.info("pictures of another shape than %d before are put into the model's own input", _MOST_SHAPES)
        else:
            try:
                return self._opened(shape)
            except ReIDStreamError as error:
                logger.info("the detector's input keeps the model's own shape: %s", error)
        return self._of(self._own)


class ShapedOnGpu(ShapedDetector):
    """The same over detectors that need not be waited for; see StartingDetector."""

    def start(self, pictures: Sequence[Picture]) -> Future[list[Detections]]:
        """Begin to look for the people in each picture. Callbacks of the future may not wait for anything."""
        detectors = [self._for(picture.size) for picture in pictures]
        begins = [n for n, detector in enumerate(detectors) if n == 0 or detector is not detectors[n - 1]]
        parts = [_started(detectors[a], pictures[a:b]) for a, b in zip(begins, [*begins[1:], None], strict=True)]
        return parts[0] if len(parts) == 1 else _all_of(parts)


def _started(detector: Detector, pictures: Sequence[Picture]) -> Future[list[Detections]]:
    assert isinstance(detector, StartingDetector)
    return detector.start(pictures)


def _all_of(parts: Sequence[Future[list[Detections]]]) -> Future[list[Detections]]:
    """What all of them have found, one after the other, when the last is done."""
    whole: Future[list[Detections]] = Future()
    left = len(parts)
    lock = threading.Lock()

    def count(_: Future[list[Detections]]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            try:
                whole.set_result([found for part in parts for found in part.result()])
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                whole.set_exception(error)

    for part in parts:
        part.add_done_callback(count)
    return whole
