"""What crosses the borders between packages: frozen dataclasses over NumPy arrays.

Boxes are ``xyxy`` in pixels of the source's own frame, float32, x to the right and y down; ``x2`` and ``y2``
are exclusive edges. Media time counts seconds from the source's first frame; wall time is Unix seconds (UTC).
A track is known by the pair (source id, track id): track ids are unique inside one source only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
TrackIds = npt.NDArray[np.uint64]


def _checked(name: str, array: npt.NDArray[Any], dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, got {found}")
    expected = tuple("n" if n is None else n for n in shape)
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")


@dataclass(frozen=True, slots=True)
class Detections:
    """People found in one frame.

    boxes: float32 (n, 4), xyxy in source pixels, clipped to the frame.
    scores: float32 (n,), the detector's confidence in 0..1.
    sharpness: float32 (n,) in 0..1, how sharp the pixels in each box are; None where the detector has not looked.

    ``detections[rows]`` are some of them: rows is a mask bool (n,), numbers int (m,), or a slice. A single number is
    refused, so that what comes out is always Detections.
    """

    boxes: FloatArray
    scores: FloatArray
    sharpness: FloatArray | None = None

    def __post_init__(self) -> None:
        _checked("scores", self.scores, np.float32, (None,))
        _checked("boxes", self.boxes, np.float32, (len(self.scores), 4))
        if self.sharpness is not None:
            _checked("sharpness", self.sharpness, np.float32, (len(self.scores),))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: npt.NDArray[np.bool_ | np.integer[Any]] | Sequence[int] | slice) -> Detections:
        """Raises TypeError for anything but rows, IndexError for rows that are not there."""
        if not isinstance(rows, slice):
            chosen = np.asarray(rows)
            if chosen.ndim == 1 and not len(chosen):
                # An empty list has no type of its own.
                chosen = chosen.astype(np.int64) if chosen.dtype != bool else chosen
            if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
                raise TypeError(
                    f"rows of Detections are a mask, whole numbers in one dimension, or a slice (a single one: "
                    f"detections[i : i + 1]); got {rows!r}"
                )
            rows = chosen
        sharpness = None if self.sharpness is None else self.sharpness[rows]
        return Detections(self.boxes[rows], self.scores[rows], sharpness)

    def __iter__(self) -> Iterator[Detections]:
        """One at a time, each as Detections of length 1."""
        return (self[i : i + 1] for i in range(len(self)))

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class EndReason(StrEnum):
    """Why a track ended."""

    LEFT = "left"
    """It went out of the picture at its border."""
    LOST = "lost"
    """It was not seen for longer than the time-out, somewhere inside the picture."""
    SOURCE_ENDED = "source_ended"
    """Its source ended, was removed or died."""
    SHUTDOWN = "shutdown"
    """The run was stopped."""
    CONTINUES = "continues"
    """The track goes on; it was stored in pieces because it is very long."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The crops of one frame that were worth embedding.

    rows: int64 (m,), which of the frame's tracks each sample belongs to (index into ``Observed.track_ids``).
    embeddings: float32 (m, d), unit length.
    quality: float32 (m,) in 0..1: how far the crop can be trusted (size, sharpness, occlusion, border).
    crops: m JPEG files, or None for a crop whose picture was not kept.
    """

    rows: IntArray
    embeddings: FloatArray
    quality: FloatArray
    crops: tuple[bytes | None, ...] = ()

    def __post_init__(self) -> None:
        m = len(self.rows)
        _checked("rows", self.rows, np.int64, (None,))
        _checked("embeddings", self.embeddings, np.float32, (m, None))
        _checked("quality", self.quality, np.float32, (m,))
        if self.crops and len(self.crops) != m:
            raise ValueError(f"crops must be empty or one per sample ({m}), got {len(self.crops)}")

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class SourceStarted:
    """A source delivered its first frame.

    source: the source's id, unique in the run and the gallery's name for the camera.
    uri: where it comes from, without passwords.
    content: fingerprint of what will be read. The same file gives the same value in every run; a live source
        gives a new one each time it starts.
    size: width and height of its frames in pixels. fps: nominal frames per second, 0 when unknown.
    frames: number of frames if known beforehand, else None.
    dated: what says when it began, in words ("its name"); empty when live.
    beginning, length: by which a longer version of the same recording is known that was read while it was written, see
        ``sources.fingerprint``; empty and 0 when it cannot be. Not recorded with events.
    """

    source: str
    uri: str
    content: str
    size: tuple[int, int]
    fps: float
    wall_time: float
    frames: int | None = None
    live: bool = False
    dated: str = field(default="", compare=False)
    beginning: str = field(default="", compare=False)
    length: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """One frame of one source with the confirmed tracks seen in it (possibly none).

    frame: index from 0 in the source. media_time, wall_time: seconds.
    track_ids: uint64 (n,). boxes: float32 (n, 4). confidences: float32 (n,), 0..1; -0.1 for a box that the
    tracker predicted without a detection (DeepStream's convention).
    samples: crops embedded in this frame, or None.
    """

    source: str
    frame: int
    media_time: float
    wall_time: float
    track_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray
    samples: Samples | None = None

    def __post_init__(self) -> None:
        n = len(self.track_ids)
        _checked("track_ids", self.track_ids, np.uint64, (None,))
        _checked("boxes", self.boxes, np.float32, (n, 4))
        _checked("confidences", self.confidences, np.float32, (n,))
        if self.samples is not None and len(self.samples):
            rows = self.samples.rows
            if int(rows.min()) < 0 or int(rows.max()) >= n:
                raise ValueError(f"samples.rows must be in 0..{n - 1}, below the number of tracks")


@dataclass(frozen=True, slots=True)
class TrackEnded:
    """A track is over: nothing more will be observed of it."""

    source: str
    track_id: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """A source delivers nothing more. Its tracks have ended before this.

    error: None when it came to its regular end, else why it did not; such a source counts as incomplete.
    stopped: True when the run was stopped before the source's own end.
    """

    source: str
    frames: int
    wall_time: float
    error: str | None = None
    stopped: bool = False
    dropped: int = 0


Event = SourceStarted | Observed | TrackEnded | SourceEnded


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody's stay in a named zone of a camera's picture, from coming to leaving; times in seconds."""

    zone: str
    start_media: float
    end_media: float
    start_wall: float
    end_wall: float


@dataclass(frozen=True, slots=True)
class Tracklet:
    """A finished track, or one part of a track that was split because it held two people.

    id: 32 hex digits, the same whenever the same track of the same content is finished again.
    source: source id. content: fingerprint of what was read (see SourceStarted). track_id, part: the track and,
    when it was split, which part of it (0, 1, ...); parts: how many parts the track has.
    start_frame, end_frame: first and last frame seen, inclusive; start_media .. end_wall: their times in seconds.
    reason: how the track ended. observations: frames in which it was seen. confidence: mean detection confidence.
    embedding: float32 (d,), unit length, the quality-weighted mean of the embeddings that were used.
    prototypes: float32 (p, d), p in 1..4, unit length: its typical appearances, the heaviest first.
    prototype_weights: float32 (p,), sums to 1.
    embeddings_used, embeddings_seen: how many entered the pool, and out of how many.
    purity: 0..1, how surely all of it shows one person (1: all embeddings agree).
    quality: 0..1, mean quality of the embeddings used.
    crop: the best crop as a JPEG file, or None. crop_box: xyxy of that crop, crop_frame: its frame. more_crops: others,
    the best first, as many as ``tracklets.crops`` keeps.
    frames: int64 (m,), boxes: float32 (m, 4): the path, thinned evenly if the track is very long.
    stays: in the camera's named zones, in order of time.
    """

    id: str
    source: str
    content: str
    track_id: int
    part: int
    parts: int
    start_frame: int
    end_frame: int
    start_media: float
    end_media: float
    start_wall: float
    end_wall: float
    reason: EndReason
    observations: int
    confidence: float
    embedding: FloatArray
    prototypes: FloatArray
    prototype_weights: FloatArray
    embeddings_used: int
    embeddings_seen: int
    purity: float
    quality: float
    frames: IntArray
    boxes: FloatArray
    crop: bytes | None = field(default=None, repr=False)
    crop_frame: int | None = None
    crop_box: tuple[float, float, float, float] | None = None
    stays: tuple[Stay, ...] = ()
    more_crops: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _checked("embedding", self.embedding, np.float32, (None,))
        _checked("prototypes", self.prototypes, np.float32, (None, len(self.embedding)))
        _checked("prototype_weights", self.prototype_weights, np.float32, (len(self.prototypes),))
        _checked("frames", self.frames, np.int64, (None,))
        _checked("boxes", self.boxes, np.float32, (len(self.frames), 4))


class LeftOutReason(StrEnum):
    """Why a track, or a part of one, was not stored."""

    TOO_SHORT = "too_short"
    """It was seen in fewer frames, or for less time, than ``tracklets.min_observations`` and ``min_seconds`` ask."""
    NO_CROP = "no_crop"
    """No picture of it was good enough: too small, too hidden or cut off (``tracklets.min_quality``)."""
    GUESSED = "guessed"
    """Most of its boxes were predicted and not detected."""
    THING = "thing"
    """It stayed in its place and looked the same all the time."""
    NO_PERSON = "no_person"
    """Its pictures are not those of a person, whatever it did."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A finished track, or one part of it, that was not stored; without a picture or a vector of it.

    id, source, content, track_id, part, start_frame .. observations, confidence: as in Tracklet.
    why: the first reason that holds. quality: of its best crop, 0..1; None when there was none.
    box: xyxy, the median of its boxes.
    """

    id: str
    source: str
    content: str
    track_id: int
    part: int
    why: LeftOutReason
    start_frame: int
    end_frame: int
    start_media: float
    end_media: float
    start_wall: float
    end_wall: float
    observations: int
    confidence: float
    quality: float | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Which vectors can be compared with which.

    fingerprint: hex digest of the embedding model's file and preprocessing. model: its name, for people to read.
    size: number of dimensions.
    """

    fingerprint: str
    model: str
    size: int


@dataclass(frozen=True, slots=True)
class Match:
    """One answer of a search: a tracklet and its cosine similarity to the query, -1..1."""

    tracklet: str
    similarity: float
