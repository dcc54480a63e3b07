"""A YOLOX on a GPU: pictures that lie there come in, people come out, and nothing else leaves the device."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidstream.gpu.driver import Gpu
from reidstream.gpu.people import PeopleFinder, Reading
from reidstream.inference.fixed_session import FixedSession
from reidstream.inference.placing import Image, placed
from reidstream.inference.shared_batch import SharedBatch
from reidstream.inference.yolox import inner_size
from reidstream.inference.yolox_rows import YoloxRows, shown_in
from reidstream.sharpness import sharpness_of
from reidstream.sources.frame import Picture
from reidstream.types import Detections

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture for the network's input, its own width and height, and how much of the input it takes."""

    image: Image
    size: Size
    inner: Size


class PeopleSession:
    """A detector's session whose output stays on the device: a kernel makes people of it, and judges their sharpness.

    To be used by the thread that made it and no other. session: on a device with a GPU's memory.
    """

    def __init__(self, session: FixedSession, reading: YoloxRows, columns: int, gpu: Gpu) -> None:
        assert session.sampler is not None
        self.path: Path = session.path
        self.rows = session.rows
        self._session = session
        self._reading = reading
        there = Reading(
            session.output,
            session.rows,
            columns,
            reading.column,
            reading.decoded,
            reading.confidence,
            reading.nms,
            reading.grid,
        )
        self._finder = PeopleFinder(gpu, there, session.sampler)

    @property
    def takes_cuts(self) -> bool:
        return True

    def begin(self, pictures: Sequence[Shown]) -> tuple[Sequence[Shown], int]:
        """Begin to look for people in 1 to ``rows`` pictures. Raises DeviceError when the device fails."""
        try:
            self._session.launch([picture.image for picture in pictures])
            return pictures, self._finder.start(
                shown_in([picture.size for picture in pictures], [picture.inner for picture in pictures])
            )
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
            raise self._session.failed(error) from None

    def end(self, run: tuple[Sequence[Shown], int]) -> list[Detections]:
        """Wait for the people in each picture, best first. Raises DeviceError when the device fails."""
        pictures, slot = run
        try:
            found = self._finder.finished(slot)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._session.failed(error) from None
        counts = found.counts[: len(pictures)]
        # Copies of what is there, of all pictures at once: the memory is used again.
        there = np.arange(found.boxes.shape[1]) < counts[:, None]
        people = found.boxes[: len(pictures)][there]
        boxes, scores = np.ascontiguousarray(people[:, :4]), np.ascontiguousarray(people[:, 4])
        sharp = sharpness_of(found.sums[: len(pictures)][there])
        answers: list[Detections] = []
        begin = 0
        for picture, count in zip(pictures, counts.tolist(), strict=True):
            if count < 0:
                answers.append(self._crowded(picture))
                continue
            end = begin + count
            # Only of what lies on the GPU.
            judged = None if isinstance(picture.image, np.ndarray) else sharp[begin:end]
            answers.append(Detections(boxes[begin:end], scores[begin:end], judged))
            begin = end
        return answers

    def joined(self, parts: Sequence[list[Detections]]) -> list[Detections]:
        return [found for part in parts for found in part]

    def _crowded(self, picture: Shown) -> Detections:
        """The people in a picture that shows more than the kernel gives: from the network's rows, here."""
        output = self._session.run([picture.image])
        (found,) = self._reading.people(output, shown_in([picture.size], [picture.inner]))
        return found


@dataclass(frozen=True, slots=True)
class Form:
    """The network for pictures that take at most ``content`` (width, height) of an input of the size ``canvas``."""

    content: Size
    canvas: Size
    batch: SharedBatch[Shown, list[Detections]]


class YoloxOnGpu:
    """A Detector whose pictures, of all callers, share batches; see YoloxDetector for what it finds.

    size: width and height of the network's whole input, into which pictures are fitted. forms: from the smallest to the
    one for everything.
    """

    def __init__(self, size: Size, forms: Sequence[Form]) -> None:
        self._size = size
        self._forms = forms

    @property
    def input_size(self) -> Size:
        return self._size

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture, best first, boxes clipped to it. Safe to call from several threads."""
        answers = [self.start([picture]) for picture in pictures]
        return [found for answer in answers for found in answer.result()]

    def start(self, pictures: Sequence[Picture]) -> Future[list[Detections]]:
        """Begin to look for people in pictures of one source; callbacks are called in a thread that others wait for."""
        inner = [inner_size(picture.size, self._size) for picture in pictures]
        most = max(width for width, _ in inner), max(height for _, height in inner)
        form = next(form for form in self._forms if most[0] <= form.content[0] and most[1] <= form.content[1])
        shown = [
            Shown(placed(picture, (0, 0, *take), form.canvas, cuts=True), picture.size, take)
            for picture, take in zip(pictures, inner, strict=True)
        ]
        return form.batch.submit(shown)
