"""What is cut out of a picture on the GPU, and where it goes in a network's input: one row of the kernel's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gpu.surfaces import Surface
from reidstream.sources.picture import Orientation

Box = tuple[int, int, int, int]

_INTEGERS = (
    *("pitch", "deep"),
    *("left", "top", "width", "height", "picture_width", "picture_height"),
    *("place_left", "place_top", "place_width", "place_height"),
    *("transposed", "mirrored_x", "mirrored_y"),
    "whole",
)
CUT = np.dtype([("luma", "<u8"), ("chroma", "<u8"), *((name, "<i4") for name in _INTEGERS), ("matrix", "<i4", (12,))])
"""As ``struct Cut`` of kernels/cut_out.cu, which says what each field is."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A box of a picture, stretched into a place of a network's input; the rest of the input is grey.

    box: left, top, right, bottom in stored pixels, inside the picture. place: left, top, width and height in the input,
    upright. whole: the box is the whole picture; its colours are then interpolated on a grid of their own, as where
    whole pictures are scaled on the processor. Holds the surface: its memory is not used again while this is there.
    """

    surface: Surface
    orientation: Orientation
    box: Box
    place: Box
    whole: bool


def table(cuts: Sequence[Cut]) -> npt.NDArray[Any]:
    """CUT (n,): what the kernel is told."""
    rows = np.empty(len(cuts), CUT)
    if cuts:
        rows.view("<u8").reshape(len(cuts), -1)[:, :2] = [(cut.surface.luma, cut.surface.chroma) for cut in cuts]
        rows.view("<i4").reshape(len(cuts), -1)[:, 4:] = [_numbers(cut) for cut in cuts]
    return rows


def _numbers(cut: Cut) -> tuple[int, ...]:
    """All that follows the addresses, in the order of CUT."""
    surface, turned = cut.surface, cut.orientation
    left, top, right, bottom = cut.box
    return (
        *(surface.pitch, surface.deep),
        *(left, top, right - left, bottom - top, *surface.size, *cut.place),
        *(turned.transposed, turned.mirrored_x, turned.mirrored_y, cut.whole),
        *_in_1024ths(surface.matrix.tobytes()),
    )


@lru_cache(64)
def _in_1024ths(matrix: bytes) -> tuple[int, ...]:
    """float32 (3, 4) as 12 whole numbers, the last of each row with the half that rounding needs: as OpenCV does."""
    given = np.frombuffer(matrix, np.float32).reshape(3, 4)
    whole = np.rint(given * np.float32(1024)).astype(np.int64)
    whole[:, 3] = np.rint((given[:, 3] + np.float32(0.5)) * np.float32(1024))
    return tuple(whole.ravel().tolist())
