"""How a batch's metadata are reached: the part of reading that differs between pyds and the library's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray, IntArray, TrackIds

TENSOR_OUTPUT = 12
CROP_IMAGE = 14
OBJECT_REID = 17
TERMINATED_LIST = 18
"""Values of NvDsMetaType. Given as numbers because pyds 1.2 has no name for the last; 12 is the same since 6.x."""

Count = Callable[[str], None]
"""Told what is broken ("broken list", "broken tensor"), once for each."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """The n frames of a batch. pads, numbers: int64 (n,). pts, ntp: uint64 (n,), nanoseconds. sizes: int64 (n, 2)."""

    pads: IntArray
    numbers: IntArray
    pts: TrackIds
    ntp: TrackIds
    sizes: IntArray
    handles: Sequence[Any]


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """n objects. lists: int64 (n,), in which of the frames each was. values: a structured array (n,) with object_id
    (uint64), class_id, unique_component_id, confidence, left, top, width, height. handles: what names them later.
    """

    lists: IntArray
    values: npt.NDArray[np.void]
    handles: Sequence[Any]


@dataclass(frozen=True, slots=True)
class TensorTable:
    """n tensor metas of one model. objects: int64 (n,), the row of its object. outputs: int64 (n,), how many layers."""

    objects: IntArray
    outputs: IntArray
    handles: Sequence[Any]


@dataclass(frozen=True, slots=True)
class OutputTable:
    """One layer of n tensor metas. kinds: int64 (n,), NvDsInferDataType. elements: int64 (n,). pointers: int64 (n,), of
    the values in the processor's memory, 0 where there are none.
    """

    kinds: IntArray
    elements: IntArray
    pointers: IntArray


class MetadataAccess(Protocol):
    """Reads NvDsBatchMeta. Whatever it returns names memory that is there until the buffer goes."""

    def batch(self, buffer: int) -> Any | None:
        """The batch on the GstBuffer at this address, None when it has none."""

    def held(self, batch: Any) -> AbstractContextManager[None]:
        """A short time in which nobody changes the batch."""

    def frames(self, batch: Any) -> FrameTable: ...

    def objects(self, frames: Sequence[Any]) -> ObjectTable:
        """The objects of these frames, by their handles."""

    def tensors(self, objects: Sequence[Any], model: int) -> TensorTable:
        """What the model of this gie-unique-id has hung on these objects."""

    def layer_names(self, tensor: Any) -> list[str | None]: ...

    def outputs(self, tensors: Sequence[Any], layer: int) -> OutputTable:
        """The layer of this number of each of them, which all have so many."""

    def reid_vectors(self, objects: Sequence[Any]) -> tuple[list[int], list[FloatArray]]:
        """The tracker's own vectors (NvDsObjReid): the rows of the objects that have one, and a copy of each."""

    def terminated(self, batch: Any) -> list[tuple[int, TrackIds]]:
        """What the tracker says has ended: the pad and its object ids."""
