"""Pictures in the form in which a GPU's decoder leaves them, in the processor's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gpu.surfaces import Surface
from reidstream.sources.picture import Orientation
from reidstream.sources.planes import YuvPlanes, yuv_matrix

TURNS = [
    Orientation(),
    Orientation(mirrored_x=True),
    Orientation(mirrored_x=True, mirrored_y=True),
    Orientation(transposed=True, mirrored_x=True),
    Orientation(transposed=True, mirrored_y=True),
]


def planes(size: tuple[int, int], deep: bool, seed: int = 0) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Luma (h, w) and chroma (h, w, 2) of a picture with edges and noise: uint8, or uint16 with ten bits on top."""
    random = np.random.default_rng(seed)
    width, height = size
    luma = random.integers(0, 1024, (height, width))
    luma[height // 3 : height // 2] = 900
    chroma = random.integers(200, 800, ((height + 1) // 2, (width + 1) // 2, 2))
    if deep:
        return (luma << 6).astype(np.uint16), (chroma << 6).astype(np.uint16)
    return (luma >> 2).astype(np.uint8), (chroma >> 2).astype(np.uint8)


def host_planes(size: tuple[int, int], deep: bool) -> YuvPlanes:
    """The same picture as the processor's decoder leaves it: ten bits at the bottom."""
    luma, chroma = planes(size, deep)
    if deep:
        luma, chroma = luma >> 6, chroma >> 6
    return YuvPlanes.interleaved(luma, chroma, yuv_matrix(1, False))


def surface(size: tuple[int, int], deep: bool, luma: int = 4096, chroma: int = 8192, pitch: int = 256) -> Surface:
    """A Surface that says where the planes would lie."""
    return Surface(luma, chroma, pitch, deep, size, yuv_matrix(1, False), None)
