"""Decoded pictures in the GPU's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gpu.driver import Gpu
from reidstream.sources.planes import YuvPlanes


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One picture as NV12, or as P010 and P016, whose samples are the upper bits of 16.

    luma, chroma: device addresses; chroma lies interleaved, half as many samples in each direction, rounded up. pitch:
    bytes from line to line of both. deep: 16 bits a sample. size: width and height. matrix: float32 (3, 4), from
    (Y, U, V, 1) to (B, G, R). owner: what the memory belongs to, held so that it is not used again.
    """

    luma: int
    chroma: int
    pitch: int
    deep: bool
    size: tuple[int, int]
    matrix: npt.NDArray[np.float32]
    owner: Any


def to_host(gpu: Gpu, surface: Surface, box: tuple[int, int, int, int]) -> YuvPlanes:
    """The part of a picture that holds a box of stored pixels, from even coordinates on, in the processor's memory."""
    left, top, right, bottom = box
    left, top = left & ~1, top & ~1
    gpu.after_default_stream()
    bytes_each = 2 if surface.deep else 1
    sample = np.dtype("<u2" if surface.deep else np.uint8)
    luma = np.empty((bottom - top, right - left), sample)
    chroma = np.empty(((bottom - top + 1) // 2, (right - left + 1) // 2, 2), sample)
    offset = left * bytes_each
    gpu.start_reading(luma, surface.luma + top * surface.pitch + offset, surface.pitch)
    lines = chroma.reshape(len(chroma), -1)
    gpu.start_reading(lines, surface.chroma + top // 2 * surface.pitch + offset, surface.pitch)
    gpu.wait()
    if surface.deep:
        # The processor's ways expect ten bits at the bottom.
        luma >>= 6
        chroma >>= 6
    return YuvPlanes.interleaved(luma, chroma, surface.matrix)
