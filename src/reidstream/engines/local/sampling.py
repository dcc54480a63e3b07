"""Taking the crops of one source that are worth embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import groupby, islice, pairwise

import cv2
import numpy as np

from reidstream.boxes import whole_pixels
from reidstream.config import EmbeddingConfig
from reidstream.engines.sampling import SampleSlots, box_quality, sharpness
from reidstream.gpu.copies import crops_of
from reidstream.inference import AheadEmbedder, BoxEmbedder, Embedder
from reidstream.inference.network import Ahead, Answer
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
        self._vectors: dict[int, tuple[Vectors, int]] = {}
        self._ahead: list[Ahead] = []

    @property
    def detections(self) -> Detections:
        return self._detections

    @property
    def picture(self) -> Picture:
        return self._picture

    def boxes(self, rows: IntArray) -> FloatArray:
        """float32 (m, 4): the detected boxes; anything where a row is negative."""
        if len(self._detections) == 0:
            return np.zeros((len(rows), 4), np.float32)
        boxes: FloatArray = self._detections.boxes[np.maximum(rows, 0)]
        return boxes

    def sharpness(self, rows: IntArray) -> FloatArray:
        """float32 (m,) in 0..1 of these detections."""
        known = self._detections.sharpness
        if known is not None:
            return known[rows]
        return np.array([sharpness(self.crop(row)) for row in rows.tolist()], np.float32)

    def crop(self, row: int) -> Pixels:
        """The pixels of a detection, BGR; at least one pixel."""
        if row not in self._crops:
            self._crops[row] = self._picture.crop(*self._box(row))
        return self._crops[row]

    def embed(self, rows: IntArray) -> FloatArray:
        """float32 (m, d) for these detections."""
        return self.start(rows)()

    def start(self, rows: IntArray) -> Answer:
        """Begin to embed these detections; what is returned waits for float32 (m, d)."""
        (answer,) = start_together([(self, rows)])
        return answer

    def settled(self) -> None:
        """Nobody will ask for more of it."""
        for ahead in self._ahead:
            ahead.drop()
        self._ahead.clear()

    def _settle(self, frames: Sequence[FrameCrops]) -> None:
        """``settled`` of frames of this one's kind."""
        for crops in frames:
            crops.settled()

    def _embedded(self, wanted: Sequence[tuple[FrameCrops, int]]) -> Answer:
        """Begin to embed detections, at least one, of frames of this one's kind."""
        if isinstance(self._embedder, BoxEmbedder):
            return self._embedder.start(
                [crops._picture for crops, _ in wanted], [crops._box(row) for crops, row in wanted]
            )
        found = self._embedder.embed([crops.crop(row) for crops, row in wanted])
        return Answer(lambda: found)

    def _foreseen(self, wanted: Sequence[tuple[FrameCrops, int]]) -> None:
        """``start_ahead`` for detections, at least one, of frames of this one's kind."""
        if not isinstance(self._embedder, AheadEmbedder):
            return
        for crops, group in groupby(wanted, key=lambda one: one[0]):
            # Of one frame each, since what is asked for ahead is dropped with its frame.
            rows = [row for _, row in group]
            started = self._embedder.start_ahead([crops._picture] * len(rows), [crops._box(row) for row in rows])
            if started is not None:
                answer, ahead = started
                crops._ahead.append(ahead)
                vectors = Vectors(answer, ahead)
                crops._vectors.update((row, (vectors, place)) for place, row in enumerate(rows))

    def _pictures(self, wanted: Sequence[tuple[FrameCrops, int]], encode: Encode) -> list[Future[bytes | None]]:
        """JPEGs of detections, at least one, of frames of this one's kind."""
        new = [(crops, row) for crops, row in wanted if row not in crops._crops]
        for (crops, row), pixels in zip(new, self._pixels(new) if new else [], strict=True):
            crops._crops[row] = pixels
        return [encode(crops._crops[row]) for crops, row in wanted]

    def _pixels(self, wanted: Sequence[tuple[FrameCrops, int]]) -> list[Pixels]:
        """Pixels of detections of frames of this one's kind; what lies in a GPU's memory comes back in one piece."""
        return crops_of([crops._picture for crops, _ in wanted], [crops._box(row) for crops, row in wanted])

    def _known(self, rows: list[int]) -> Answer:
        parts = [self._vectors[row] for row in rows]
        if not parts:
            return Answer(lambda: np.zeros((0, self._embedder.space.size), np.float32))
        return _waiting(parts)

    def _box(self, row: int) -> tuple[int, int, int, int]:
        """The whole pixels of a detection, at least one, inside the picture."""
        return whole_pixels(self._detections.boxes[row], self._picture.size)


Wanted = Sequence[tuple[FrameCrops, IntArray]]
"""Frames, of one kind and one embedder, and rows of what was detected in each."""


def start_together(wanted: Wanted) -> list[Answer]:
    """Begin to embed detections of several frames; each of what is returned waits for one frame's float32 (m, d)."""
    rows = [some.tolist() for _, some in wanted]
    _begin([(crops, row) for (crops, _), some in zip(wanted, rows, strict=True) for row in some])
    return [crops._known(some) for (crops, _), some in zip(wanted, rows, strict=True)]


def start_ahead(wanted: Sequence[tuple[FrameCrops, int]]) -> None:
    """Have detections, frame by frame, embedded before anybody asks, if the device has nothing better to do."""
    new = [(crops, row) for crops, row in wanted if row not in crops._vectors]
    if new:
        new[0][0]._foreseen(new)


def _begin(wanted: Sequence[tuple[FrameCrops, int]]) -> None:
    """Have those embedded that nobody has asked for."""
    new = [(crops, row) for crops, row in wanted if row not in crops._vectors]
    if new:
        vectors = Vectors(new[0][0]._embedded(new))
        for place, (crops, row) in enumerate(new):
            crops._vectors[row] = vectors, place


def _waiting(parts: Sequence[tuple[Vectors, int]]) -> Answer:
    """Waits for these, float32 (n, d)."""
    first = parts[0][0]
    if all(vectors is first for vectors, _ in parts):
        first.hurry()
        places = [place for _, place in parts]
        if places == list(range(places[0], places[0] + len(places))):
            return Answer(lambda: first.all()[places[0] : places[0] + len(places)], first.ready)
        return Answer(lambda: first.all()[places], first.ready)
    asked = {vectors for vectors, _ in parts}
    for vectors in asked:
        vectors.hurry()
    return Answer(
        lambda: np.stack([vectors.all()[place] for vectors, place in parts]),
        lambda: all(vectors.ready() for vectors in asked),
    )


Encode = Callable[[Pixels], Future[bytes | None]]
"""Begins to make a JPEG."""


def pictures_of(wanted: Wanted, encode: Encode) -> list[list[Future[bytes | None]]]:
    """JPEGs of detections of several frames, on their way."""
    rows = [some.tolist() for _, some in wanted]
    every = [(crops, row) for (crops, _), some in zip(wanted, rows, strict=True) for row in some]
    pictures = iter(every[0][0]._pictures(every, encode) if every else [])
    return [list(islice(pictures, len(some))) for some in rows]


def settle_together(frames: Sequence[FrameCrops]) -> None:
    """Nobody will ask for more of these frames, all of one kind."""
    if frames:
        frames[0]._settle(frames)


class Vectors:
    """What was asked for together, waited for by whoever needs it first."""

    def __init__(self, answer: Answer, ahead: Ahead | None = None) -> None:
        self._answer = answer
        self._ahead = ahead
        self._found: FloatArray | None = None

    def hurry(self) -> None:
        if self._ahead is not None:
            self._ahead.hurry()
            self._ahead = None

    def ready(self) -> bool:
        return self._found is not None or self._answer.ready()

    def all(self) -> FloatArray:
        if self._found is None:
            self._found = self._answer()
        return self._found


@dataclass(frozen=True, slots=True)
class StartedSamples:
    """Samples whose vectors and pictures are on their way; see ``Samples``."""

    rows: IntArray
    vectors: Answer
    quality: FloatArray
    pictures: tuple[Future[bytes | None], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def finished(self) -> Samples:
        """Wait for the vectors and the pictures."""
        return Samples(self.rows, self.vectors(), self.quality, tuple(picture.result() for picture in self.pictures))


Sampled = StartedSamples | Exception | None
"""The samples of a frame, none, or what went wrong with them."""


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame of one source with its tracks, at ``time`` in its seconds."""

    source: str
    crops: FrameCrops
    tracks: Tracks
    time: float


class CropSamplers:
    """Chooses crops of the tracks of several sources, embeds them and keeps pictures of the best.

    Frames of several sources at once cost hardly more than one; what is chosen of a source does not depend on the
    others. encoder: what turns pixels into JPEGs beside; None: the calling thread.
    """

    def __init__(self, config: EmbeddingConfig, encoder: Executor | None = None) -> None:
        self._slots = SampleSlots(config.per_track)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._min_height = config.min_height
        self._encoder = encoder

    def begin(self, source: str, frame_size: tuple[int, int]) -> None:
        """A source's frames follow; frame_size: their width and height."""
        self._sizes[source] = frame_size

    def sample(self, frames: Sequence[TrackedFrame]) -> list[Sampled]:
        """The samples of these frames, each of another source; None where no crop is worth it. What goes wrong with
        the crops of one source stands in the place of its samples, and changes nothing for the others."""
        found: list[Sampled] = [None] * len(frames)
        seen = [n for n, frame in enumerate(frames) if len(frame.tracks)]
        if not seen:
            return found
        some = [frames[n] for n in seen]
        counts = [len(frame.tracks) for frame in some]
        starts = np.cumsum([0, *counts])
        rows = np.concatenate([frame.tracks.rows for frame in some])
        # What is cut out is the detected box, not the track's smoothed one; who is missed may still hide others.
        detected = np.concatenate([frame.crops.boxes(frame.tracks.rows) for frame in some])
        boxes = np.where((rows >= 0)[:, None], detected, np.concatenate([frame.tracks.boxes for frame in some]))
        sizes = np.repeat(np.array([self._sizes[frame.source] for frame in some], np.float32), counts, axis=0)
        confidences = np.concatenate([frame.tracks.confidences for frame in some])
        quality = box_quality(boxes, confidences, sizes, starts)
        tall = boxes[:, 3] - boxes[:, 1] >= self._min_height
        quality[(rows < 0) | ~tall] = 0.0
        tracks = [(frame.source, track) for frame in some for track in frame.tracks.track_ids.tolist()]
        times = np.repeat([frame.time for frame in some], counts)
        offered = self._slots.wanted(tracks, quality, times)
        if len(offered) == 0:
            return found
        parts = np.searchsorted(offered, starts).tolist()
        sharp = np.zeros(len(offered), np.float32)
        for n, (frame, (a, b)) in enumerate(zip(some, pairwise(parts), strict=True)):
            try:
                sharp[a:b] = frame.crops.sharpness(rows[offered[a:b]])
            except Exception as error:  # noqa: BLE001 - told instead of samples
                found[seen[n]] = error
        half = np.float32(0.5)
        worth: FloatArray = quality[offered] * (half + half * sharp)
        taken = self._slots.take([tracks[n] for n in offered.tolist()], worth, times[offered])
        self._begin(some, rows, offered[taken], worth[taken], starts, seen, found)
        return found

    def forget(self, source: str, track_id: int) -> None:
        """The track has ended."""
        self._slots.forget((source, track_id))

    def _begin(
        self,
        some: Sequence[TrackedFrame],
        rows: IntArray,
        chosen: IntArray,
        quality: FloatArray,
        starts: IntArray,
        seen: Sequence[int],
        found: list[Sampled],
    ) -> None:
        """Have what was chosen embedded and pictured, and put it into its places in ``found``."""
        ends = np.searchsorted(chosen, starts).tolist()
        parts = [(n, a, b) for n, (a, b) in enumerate(pairwise(ends)) if a < b and found[seen[n]] is None]
        wanted = [(some[n].crops, rows[chosen[a:b]]) for n, a, b in parts]
        for (n, a, b), taken in zip(parts, _each(self._taken, wanted), strict=True):
            if isinstance(taken, Exception):
                found[seen[n]] = taken
                continue
            answer, pictures = taken
            found[seen[n]] = StartedSamples(chosen[a:b] - starts[n], answer, quality[a:b], tuple(pictures))

    def _taken(self, wanted: Wanted) -> list[_Taken]:
        return list(zip(start_together(wanted), pictures_of(wanted, self._encoded), strict=True))

    def _encoded(self, crop: Pixels) -> Future[bytes | None]:
        if self._encoder is not None:
            return self._encoder.submit(_jpeg, crop)
        done: Future[bytes | None] = Future()
        done.set_result(_jpeg(crop))
        return done


class CropSampler:
    """``CropSamplers`` of one source."""

    def __init__(self, config: EmbeddingConfig, frame_size: tuple[int, int]) -> None:
        self._samplers = CropSamplers(config)
        self._samplers.begin("", frame_size)

    def sample(self, crops: FrameCrops, tracks: Tracks, time: float) -> StartedSamples | None:
        """The samples of this frame, None if no crop is worth it."""
        (found,) = self._samplers.sample([TrackedFrame("", crops, tracks, time)])
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self, track_id: int) -> None:
        """The track has ended."""
        self._samplers.forget("", track_id)


_Taken = tuple[Answer, list[Future[bytes | None]]]
"""Vectors and pictures of some detections of a frame, on their way."""


def _each(take: Callable[[Wanted], list[_Taken]], wanted: Wanted) -> list[_Taken | Exception]:
    """What is taken of all frames together; where that fails, of each, or what went wrong with it."""
    try:
        return [*take(wanted)]
    except Exception as error:  # noqa: BLE001 - told in the place of what failed
        if len(wanted) == 1:
            return [error]
        return [found for one in wanted for found in _each(take, [one])]


def _jpeg(crop: Pixels) -> bytes | None:
    if crop.shape[0] > _CROP_HEIGHT:
        width = max(1, round(crop.shape[1] * _CROP_HEIGHT / crop.shape[0]))
        crop = cv2.resize(crop, (width, _CROP_HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    encoded, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return jpeg.tobytes() if encoded else None
