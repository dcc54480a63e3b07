"""Taking the crops of one source that are worth embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from reidstream.boxes import whole_pixels
from reidstream.config import EmbeddingConfig
from reidstream.engines.sampling import SampleSlots, box_quality, sharpness
from reidstream.inference import BoxEmbedder, Embedder
from reidstream.sources.frame import Picture, Pixels
from reidstream.tracking import Tracks
from reidstream.types import Detections, FloatArray, IntArray, Samples

# Crops are looked at by people in sheets and pages; more pixels than this only cost space.
_CROP_HEIGHT = 384
_JPEG_QUALITY = 90


class FrameCrops:
    """The crops and embeddings of one frame's detections, each computed at most once."""

    def __init__(self, picture: Picture, detections: Detections, embedder: Embedder) -> None:
        self._picture = picture
        self._detections = detections
        self._embedder = embedder
        self._crops: dict[int, Pixels] = {}
        self._vectors: dict[int, tuple[_Vectors, int]] = {}

    @property
    def detections(self) -> Detections:
        return self._detections

    def boxes(self, rows: IntArray) -> FloatArray:
        """float32 (m, 4): the detected boxes; anything where a row is negative."""
        if len(self._detections) == 0:
            return np.zeros((len(rows), 4), np.float32)
        boxes: FloatArray = self._detections.boxes[np.maximum(rows, 0)]
        return boxes

    def crop(self, row: int) -> Pixels:
        """The pixels of a detection, BGR; at least one pixel."""
        if row not in self._crops:
            self._crops[row] = self._picture.crop(*self._box(row))
        return self._crops[row]

    def embed(self, rows: IntArray) -> FloatArray:
        """float32 (m, d) for these detections."""
        return self.start(rows)()

    def start(self, rows: IntArray) -> Callable[[], FloatArray]:
        """Begin to embed these detections; what is returned waits for float32 (m, d)."""
        wanted = rows.tolist()
        new = [row for row in wanted if row not in self._vectors]
        if new:
            vectors = _Vectors(self._started(new))
            self._vectors.update((row, (vectors, place)) for place, row in enumerate(new))
        parts = [self._vectors[row] for row in wanted]
        if not parts:
            return lambda: np.zeros((0, self._embedder.space.size), np.float32)
        return lambda: np.stack([vectors.all()[place] for vectors, place in parts])

    def _started(self, rows: list[int]) -> Callable[[], FloatArray]:
        if isinstance(self._embedder, BoxEmbedder):
            return self._embedder.start(self._picture, [self._box(row) for row in rows])
        found = self._embedder.embed([self.crop(row) for row in rows])
        return lambda: found

    def _box(self, row: int) -> tuple[int, int, int, int]:
        """The whole pixels of a detection, at least one, inside the picture."""
        return whole_pixels(self._detections.boxes[row], self._picture.size)


class _Vectors:
    """What was asked for together, waited for by whoever needs it first."""

    def __init__(self, answer: Callable[[], FloatArray]) -> None:
        self._answer = answer
        self._found: FloatArray | None = None

    def all(self) -> FloatArray:
        if self._found is None:
            self._found = self._answer()
        return self._found


@dataclass(frozen=True, slots=True)
class StartedSamples:
    """Samples whose vectors are on their way; see ``Samples``."""

    rows: IntArray
    vectors: Callable[[], FloatArray]
    quality: FloatArray
    pictures: tuple[bytes | None, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def finished(self) -> Samples:
        """Wait for the vectors."""
        return Samples(self.rows, self.vectors(), self.quality, self.pictures)


class CropSampler:
    """Chooses crops of one source's tracks, embeds them and keeps pictures of the best."""

    def __init__(self, config: EmbeddingConfig, frame_size: tuple[int, int]) -> None:
        self._slots = SampleSlots(config.per_track)
        self._frame_size = frame_size
        self._min_height = config.min_height

    def sample(self, crops: FrameCrops, tracks: Tracks, time: float) -> StartedSamples | None:
        """The samples of this frame, None if no crop is worth it."""
        if len(tracks.track_ids) == 0:
            return None
        # What is cut out is the detected box, not the track's smoothed one; who is missed may still hide others.
        boxes = np.where((tracks.rows >= 0)[:, None], crops.boxes(tracks.rows), tracks.boxes)
        quality = box_quality(boxes, tracks.confidences, self._frame_size)
        tall = boxes[:, 3] - boxes[:, 1] >= self._min_height
        quality[(tracks.rows < 0) | ~tall] = 0.0
        offered = self._slots.wanted(tracks.track_ids, quality, time)
        if len(offered) == 0:
            return None
        sharp = [sharpness(crops.crop(int(row))) for row in tracks.rows[offered]]
        quality = quality[offered] * (0.5 + 0.5 * np.array(sharp, np.float32))
        taken = self._slots.take(tracks.track_ids[offered], quality, time)
        if len(taken) == 0:
            return None
        rows = offered[taken]
        pictures = tuple(_jpeg(crops.crop(int(row))) for row in tracks.rows[rows])
        return StartedSamples(rows, crops.start(tracks.rows[rows]), quality[taken], pictures)

    def forget(self, track_id: int) -> None:
        """The track has ended."""
        self._slots.forget(track_id)


def _jpeg(crop: Pixels) -> bytes | None:
    if crop.shape[0] > _CROP_HEIGHT:
        width = max(1, round(crop.shape[1] * _CROP_HEIGHT / crop.shape[0]))
        crop = cv2.resize(crop, (width, _CROP_HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    encoded, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return jpeg.tobytes() if encoded else None
