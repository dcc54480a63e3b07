"""Crops of pictures in the processor's memory, those of a GPU's memory all in one copy."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence

import numpy as np

from reidstream.gpu.cuts import Box, Cut, table
from reidstream.gpu.driver import Gpu
from reidstream.gpu.picture import DevicePicture
from reidstream.gpu.sampling import KERNELS
from reidstream.sources.frame import Picture, Pixels

_BLOCK = 32, 8
_TYPES = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_own = threading.local()


def crops_of(pictures: Sequence[Picture], boxes: Sequence[Box]) -> list[Pixels]:
    """What ``Picture.crop`` gives for a box (left, top, right, bottom) of each of these pictures, uint8 (h, w, 3), BGR.

    Ten-bit pictures of a GPU may differ from it by the rounding of floating point.
    """
    found: list[Pixels | None] = [None] * len(pictures)
    there: list[tuple[int, DevicePicture]] = []
    for n, (picture, box) in enumerate(zip(pictures, boxes, strict=True)):
        if isinstance(picture, DevicePicture):
            there.append((n, picture))
        else:
            found[n] = picture.crop(*box)
    if there:
        gpu = there[0][1].gpu
        copier = getattr(_own, "copier", None)
        if copier is None or copier.gpu is not gpu:
            copier = _own.copier = _Copier(gpu)
        cuts = [picture.cut(boxes[n], (0, 0, 0, 0)) for n, picture in there]
        for (n, _), pixels in zip(there, copier.copies(cuts), strict=True):
            found[n] = pixels
    return [pixels for pixels in found if pixels is not None]


class _Copier:
    """Memory of one thread, grown as it is needed, through which crops come."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._kernel = gpu.kernel(KERNELS / "cut_out.ptx", "copy_out")
        self._size = 0
        self._address = 0

    def copies(self, cuts: Sequence[Cut]) -> list[Pixels]:
        shapes = [_shape(cut) for cut in cuts]
        sizes = [3 * width * height for width, height in shapes]
        offsets = np.cumsum([0, *sizes])
        said = np.concatenate([table(cuts).view(np.uint8), offsets[:-1].astype("<u8").view(np.uint8)])
        # The table lies before the pixels.
        begin = -(-said.nbytes // 256) * 256
        self._grow(begin + int(offsets[-1]))
        gpu = self.gpu
        gpu.write(self._address, said)
        gpu.after_default_stream()
        (across, down) = _BLOCK
        width, height = (max(side) for side in zip(*shapes, strict=True))
        gpu.launch(
            self._kernel,
            (-(-width // across), -(-height // down), len(cuts)),
            (across, down, 1),
            (self._address, self._address + said.nbytes - 8 * len(cuts), self._address + begin),
            _TYPES,
        )
        pixels = np.empty(int(offsets[-1]), np.uint8)
        gpu.read(pixels, self._address + begin)
        return [
            pixels[a:b].reshape(height, width, 3)
            for a, b, (width, height) in zip(offsets[:-1].tolist(), offsets[1:].tolist(), shapes, strict=True)
        ]

    def _grow(self, size: int) -> None:
        if size > self._size:
            if self._address:
                self.gpu.free(self._address)
            self._size = 2 * size
            self._address = self.gpu.allocate(self._size)

    def __del__(self) -> None:
        if self._address:
            self.gpu.free(self._address)


def _shape(cut: Cut) -> tuple[int, int]:
    """Width and height of a cut's box, upright."""
    left, top, right, bottom = cut.box
    return cut.orientation.size(right - left, bottom - top)
