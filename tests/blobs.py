"""Videos of coloured rectangles that walk, and models that see them: a world small enough to know everything about.

The detector and the embedder are real implementations of the protocols, so engines run on them unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from reidstream.sources.frame import Picture, Pixels
from reidstream.types import Detections, EmbeddingSpace, FloatArray

SIZE = (320, 240)
FPS = 20
# One colour (BGR) per person, far apart so that compression does not confuse them.
COLOURS = [(40, 40, 230), (40, 230, 40), (230, 40, 40), (40, 230, 230), (230, 40, 230)]
# The videos of this process, by how they end and what is in them: most tests want one of a few.
_WRITTEN: dict[tuple[object, ...], bytes] = {}


def write_blobs(
    path: Path,
    people: Sequence[int] = (0, 1),
    frames: int = 60,
    speed: float = 3.0,
    times: Sequence[float] | None = None,
    stands: int = 0,
) -> Path:
    """A video in which each person crosses the picture from left to right on a lane of their own.

    times: seconds of each frame in the order in which they are stored, for containers that take any. stands: for so
    many frames one more person stands at the right end of the second lane, and is gone then.
    """
    known = (path.suffix, tuple(people), frames, speed, times if times is None else tuple(times), stands)
    if known not in _WRITTEN:
        _write(path, people, frames, speed, times, stands)
        _WRITTEN[known] = path.read_bytes()
    path.write_bytes(_WRITTEN[known])
    return path


def _write(
    path: Path, people: Sequence[int], frames: int, speed: float, times: Sequence[float] | None, stands: int
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height = SIZE
        stream.bit_rate = 4_000_000
        stream.codec_context.max_b_frames = 0
        for frame in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
            places = [(person, round(10 + frame * speed), 20 + 110 * (lane % 2)) for lane, person in enumerate(people)]
            if frame < stands:
                places.append((len(COLOURS) - 1, SIZE[0] - 50, 130))
            for person, x, y in places:
                cv2.rectangle(image, (x, y), (x + 30, y + 80), COLOURS[person], -1)
                cv2.rectangle(image, (x + 8, y + 8), (x + 22, y + 20), (255, 255, 255), -1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                if times is not None:
                    # Stamped behind the encoder, which would refuse times that go back.
                    packet.time_base = Fraction(1, 1000)
                    packet.pts = round(times[frame] * 1000)
                    packet.dts = round(frame * 1000 / FPS)
                container.mux(packet)
        container.mux(stream.encode())


class BlobDetector:
    """Finds everything that differs from the grey background."""

    input_size = SIZE

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        return [self._found(picture.bgr()) for picture in pictures]

    def _found(self, image: Pixels) -> Detections:
        # Less than a tenth of what the same takes in NumPy, and hundreds of tests see whole videos by it.
        grey = cv2.inRange(image, (128 - 60,) * 3, (128 + 60,) * 3)
        count, _, stats, _ = cv2.connectedComponentsWithStats(cv2.bitwise_not(grey))
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:count].tolist() if area > 400 and h > 1.2 * w]
        array = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(array, np.full(len(array), 0.9, np.float32))


class ColourEmbedder:
    """A crop's mean colour around grey, as a unit vector of eight dimensions."""

    space = EmbeddingSpace("c0105", "colour", 8)

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        vectors = np.zeros((len(crops), 8), np.float32)
        for row, crop in enumerate(crops):
            vectors[row, :3] = crop.reshape(-1, 3).mean(axis=0) - 128
            vectors[row, 3] = 5.0
        unit: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return unit


class HueEmbedder:
    """Another space of another size: how often each hue is seen."""

    space = EmbeddingSpace("4ue5", "hues", 12)

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        vectors = np.zeros((len(crops), 12), np.float32)
        for row, crop in enumerate(crops):
            hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV).reshape(-1, 3)
            vectors[row] = np.histogram(hsv[hsv[:, 1] > 100, 0], 12, (0, 180))[0] + 0.1
        unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
