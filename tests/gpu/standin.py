"""A GPU in the processor's memory: addresses are real ones, and kernels are their twins.

It is stricter than a real one where that is possible: what was not allocated here, or is not held any more by whoever
decoded it, cannot be told apart, but memory that is freed twice or a stream that is used by two threads can.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gpu.cuts import CUT
from reidstream.gpu.decoding import OnGpu
from reidstream.gpu.driver import Gpu
from reidstream.gpu.twins import cut_out
from reidstream.sources.frame import Picture
from reidstream.sources.picture import Orientation


class HostGpu(Gpu):
    """Counts what is launched and what is copied back."""

    def __init__(self) -> None:
        self.number = 0
        self.cuts = 0
        self.copied = 0
        self._blocks: dict[int, npt.NDArray[np.uint8]] = {}
        self._unread: dict[int, bool] = {}

    def use(self) -> None:
        pass

    def stream(self) -> int:
        return threading.get_ident()

    def allocate(self, size: int) -> int:
        block = np.zeros(size, np.uint8)
        self._blocks[block.ctypes.data] = block
        return int(block.ctypes.data)

    def free(self, address: int) -> None:
        del self._blocks[address]

    def write(self, address: int, array: npt.NDArray[Any]) -> None:
        assert array.flags.c_contiguous
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def read(self, array: npt.NDArray[Any], address: int) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def start_reading(self, array: npt.NDArray[Any], address: int, pitch: int) -> None:
        self._unread[threading.get_ident()] = True
        self.copied += array.nbytes
        array[:] = _lines(address, pitch, array.shape[0], array.shape[1], array.dtype)

    def wait(self) -> None:
        self._unread[threading.get_ident()] = False

    def wait_for_default_stream(self) -> None:
        pass

    def kernel(self, path: Path, name: str) -> Any:
        assert f".entry {name}(" in path.read_text()
        return name

    def launch(
        self, kernel: Any, grid: tuple[int, int, int], block: tuple[int, int, int], values: tuple[Any, ...], types: Any
    ) -> None:
        assert kernel == "cut_out" and len(values) == len(types)
        cuts, rows, memory, width, height, grey = values
        assert grid[0] * block[0] >= width and grid[1] * block[1] >= height
        count = grid[2]
        table = np.frombuffer(ctypes.string_at(cuts, count * CUT.itemsize), CUT)
        for row, place in zip(table, np.frombuffer(ctypes.string_at(rows, 4 * count), "<i4").tolist(), strict=True):
            pixels = cut_out(row, *planes_at(row), (width, height), grey)
            ctypes.memmove(memory + place * pixels.nbytes, pixels.ctypes.data, pixels.nbytes)
            self.cuts += 1


def planes_at(row: np.void) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The planes of a row of CUT."""
    width, height = int(row["picture_width"]), int(row["picture_height"])
    dtype, pitch = np.dtype("<u2" if row["deep"] else np.uint8), int(row["pitch"])
    half = (width + 1) // 2, (height + 1) // 2
    luma = _lines(int(row["luma"]), pitch, height, width, dtype)
    return luma, _lines(int(row["chroma"]), pitch, half[1], 2 * half[0], dtype).reshape(half[1], half[0], 2)


def _lines(address: int, pitch: int, lines: int, samples: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Copies: what is there now."""
    length = samples * dtype.itemsize
    whole = b"".join(ctypes.string_at(address + line * pitch, length) for line in range(lines))
    return np.frombuffer(whole, dtype).reshape(lines, samples)


class DecodingOnHost(OnGpu):
    """FFmpeg's decoder for the processor, whose pictures then look like those of the GPU's."""

    def hardware(self) -> None:
        return None

    def picture(self, frame: Any, orientation: Orientation) -> Picture:
        if frame.format.name not in {"yuv420p", "yuv420p10le"}:
            return super().picture(frame, orientation)
        return super().picture(_LooksDecodedThere(frame), orientation)


class _LooksDecodedThere:
    """What OnGpu asks of a frame."""

    def __init__(self, frame: Any) -> None:
        deep = frame.format.name == "yuv420p10le"
        self._frame = frame
        self.format = _Named("cuda")
        self.sw_format = _Named("p010le" if deep else "nv12")
        dtype = np.dtype("<u2" if deep else np.uint8)
        luma, u, v = (
            np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)[: plane.height, : plane.width]
            for plane in frame.planes
        )
        shift = 6 if deep else 0
        pitch = 2 * u.shape[1] + 16
        both = np.zeros((luma.shape[0] + u.shape[0], pitch), dtype)
        both[: len(luma), : luma.shape[1]] = luma << shift
        both[len(luma) :, 0 : 2 * u.shape[1] : 2] = u << shift
        both[len(luma) :, 1 : 2 * u.shape[1] : 2] = v << shift
        self._both = both
        line = pitch * dtype.itemsize
        address = int(both.ctypes.data)
        self.planes = _Plane(address, line), _Plane(address + len(luma) * line, line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _Plane:
    def __init__(self, address: int, line: int) -> None:
        self.buffer_ptr, self.line_size = address, line
