"""What reading a batch gives, and who decides what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reidstream.types import FloatArray, IntArray, TrackIds


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a pipeline's metadata.

    mux_size: width and height that nvstreammux scales every frame to, or None when it keeps their sizes (the new mux).
    detector_id: gie-unique-id of the person detector. person_classes: its class ids that mean a person.
    embedder_id: gie-unique-id of the Re-ID model, or None to take the tracker's own vectors (NvDsObjReid).
    layer: name of the output with the embedding, or None when the model has only one output.
    """

    mux_size: tuple[int, int] | None
    detector_id: int = 1
    person_classes: frozenset[int] = frozenset({0})
    embedder_id: int | None = 2
    layer: str | None = None


@dataclass(frozen=True, slots=True)
class FrameArrays:
    """One frame of one source as it left the pipeline.

    source_index: see MuxPads. number: the mux's frame number. pts, ntp: nanoseconds, None when not known.
    size: width and height of the source's frames. object_ids: uint64 (n,); untracked boxes are left out.
    boxes: float32 (n, 4), xyxy in source pixels. confidences: float32 (n,), -0.1 where the tracker predicted.
    rows: int64 (m,) rows whose embedding was read, embeddings: float32 (m, d), unit length.
    quality: float32 (m,) in 0..1. crops: m JPEG files or Nones, or empty.
    """

    source_index: int
    number: int
    pts: int | None
    ntp: int | None
    size: tuple[int, int]
    object_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray
    rows: IntArray
    embeddings: FloatArray
    quality: FloatArray
    crops: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchArrays:
    """One batch: its frames, and for each source the object ids that the tracker has given up."""

    frames: tuple[FrameArrays, ...]
    terminated: tuple[tuple[int, TrackIds], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """The n people of a batch's frames before any embedding is read; a source may have several frames in it.

    source_indices: of each frame. times: float64 (frames,), seconds on each stream's own clock. sizes: float32
    (frames, 2), width and height. starts: int64 (frames + 1,), the people of frame i are the rows from starts[i] to
    starts[i + 1]. object_ids, boxes, confidences: as in FrameArrays, of all frames.
    """

    source_indices: Sequence[int]
    times: FloatArray
    sizes: FloatArray
    starts: IntArray
    object_ids: TrackIds
    boxes: FloatArray
    confidences: FloatArray


class Sampling(Protocol):
    """Decides, on the streaming thread, whose embedding is read."""

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        """Rows of the batch worth reading, int64 (m,), sorted, and the quality of their crops, float32 (m,) in 0..1."""

    def took(self, seen: Seen, rows: IntArray, quality: FloatArray) -> None:
        """The embeddings of these rows, some of the wanted ones, were there."""


class EveryRow:
    """Reads every embedding; each counts the same."""

    def wanted(self, seen: Seen) -> tuple[IntArray, FloatArray]:
        n = len(seen.object_ids)
        return np.arange(n, dtype=np.int64), np.ones(n, np.float32)

    def took(self, seen: Seen, rows: IntArray, quality: FloatArray) -> None:
        """Nothing to remember."""
