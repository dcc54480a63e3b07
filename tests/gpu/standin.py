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
from reidstream.gpu.twins import copy_out, cut_out, judged
from reidstream.inference.yolox_rows import SHOWN, YoloxRows
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

    def stream(self, urgent: bool = False) -> int:
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

    def after_default_stream(self) -> None:
        pass

    def pinned(self, size: int) -> npt.NDArray[np.uint8]:
        return np.zeros(size, np.uint8)

    def start_copy(self, array: npt.NDArray[Any], address: int) -> None:
        self.read(array, address)

    def mark(self) -> Any:
        return _Mark()

    def kernel(self, path: Path, name: str) -> Any:
        assert f".entry {name}(" in path.read_text()
        return name

    def launch(
        self, kernel: Any, grid: tuple[int, int, int], block: tuple[int, int, int], values: tuple[Any, ...], types: Any
    ) -> None:
        assert len(values) == len(types)
        getattr(self, f"_{kernel}")(grid, block, *values)

    def _cut_out(
        self, grid: Grid, block: Grid, cuts: int, rows: int, memory: int, width: int, height: int, grey: int
    ) -> None:
        assert grid[0] * block[0] >= width and grid[1] * block[1] >= height
        for row, place in zip(_at(cuts, grid[2], CUT), _at(rows, grid[2], "<i4").tolist(), strict=True):
            pixels = cut_out(row, *planes_at(row), (width, height), grey)
            ctypes.memmove(memory + place * pixels.nbytes, pixels.ctypes.data, pixels.nbytes)
            self.cuts += 1

    def _find_people(self, grid: Grid, block: Grid, *values: Any) -> None:
        output, cells_at, shown, people, counts, cells, columns, column, decoded, kept, confidence, nms = values
        reading = YoloxRows(_at(cells_at, 3 * cells, "<f4").reshape(-1, 3), column, bool(decoded), confidence, nms)
        rows = _at(output, grid[0] * cells * columns, "<f4").reshape(grid[0], cells, columns)
        for place, found in enumerate(reading.people(rows, _at(shown, grid[0], SHOWN))):
            _put(counts + 4 * place, np.array([len(found) if len(found) <= kept else -1], "<i4"))
            if len(found) <= kept:
                _put(people + 20 * kept * place, np.concatenate([found.boxes, found.scores[:, None]], axis=1))

    def _copy_out(self, grid: Grid, block: Grid, cuts: int, offsets: int, memory: int) -> None:
        for row, offset in zip(_at(cuts, grid[2], CUT), _at(offsets, grid[2], "<u8").tolist(), strict=True):
            pixels = copy_out(row, *planes_at(row))
            assert grid[0] * block[0] >= pixels.shape[1] and grid[1] * block[1] >= pixels.shape[0]
            ctypes.memmove(memory + offset, pixels.ctypes.data, pixels.nbytes)
            self.copied += pixels.nbytes

    def _judge(
        self, grid: Grid, block: Grid, cuts: int, rows: int, people: int, counts: int, sums: int, kept: int
    ) -> None:
        for row, place in zip(_at(cuts, grid[1], CUT), _at(rows, grid[1], "<i4").tolist(), strict=True):
            (count,) = _at(counts + 4 * place, 1, "<i4").tolist()
            boxes = _at(people + 20 * kept * place, max(count, 0) * 5, "<f4").reshape(-1, 5)
            found = [judged(row, *planes_at(row), box[:4]) for box in boxes]
            _put(sums + 24 * kept * place, np.array(found, "<u8"))


Grid = tuple[int, int, int]


class _Mark:
    """Everything is done at once."""

    def set(self) -> None:
        pass

    def wait(self) -> None:
        pass


def _at(address: int, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A copy of what is there."""
    return np.frombuffer(ctypes.string_at(address, count * np.dtype(dtype).itemsize), dtype)


def _put(address: int, values: npt.NDArray[Any]) -> None:
    ctypes.memmove(address, np.ascontiguousarray(values).ctypes.data, values.nbytes)


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
