"""People out of a detector's output, without its leaving the GPU: boxes, suppression, how sharp each is."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gpu.driver import Gpu, Mark
from reidstream.gpu.sampling import KERNELS, Sampler

KEPT = 256
"""People of one picture that come back; of more, nobody does, and the picture has to be looked at in another way."""
# Blocks of threads that judge the people of one picture.
_JUDGES = 16
_FIND = (*[ctypes.c_void_p] * 5, *[ctypes.c_int] * 5, ctypes.c_float, ctypes.c_float)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the output's rows are read; see ``inference.yolox_rows.YoloxRows``.

    output: address of float32 (rows, cells, columns) in device memory. grid: float32 (cells, 3).
    """

    output: int
    rows: int
    columns: int
    column: int
    decoded: bool
    confidence: float
    nms: float
    grid: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundPeople:
    """What came back of ``rows`` pictures.

    counts: int32 (rows,), people in each, the best first; -1: too many. boxes: float32 (rows, KEPT, 5), corners and
    score. sums: uint64 (rows, KEPT, 3), see ``sharpness.sharpness_sums``; of pictures that lie on the GPU only.
    """

    counts: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    sums: npt.NDArray[np.uint64]


class PeopleFinder:
    """Looks for people in an output, as often as there is one; what it found is copied back in one piece.

    To be used by one thread. Two findings may be under way at the same time.
    """

    def __init__(self, gpu: Gpu, reading: Reading, sampler: Sampler) -> None:
        self._gpu, self._reading, self._sampler = gpu, reading, sampler
        self._find = gpu.kernel(KERNELS / "people.ptx", "find_people")
        rows = reading.rows
        # Counts first, in whole eights, then boxes and sums.
        self._boxes_at = -(-4 * rows // 8) * 8
        self._sums_at = self._boxes_at + rows * KEPT * 20
        size = self._sums_at + rows * KEPT * 24
        self._grid = gpu.allocate(reading.grid.nbytes)
        gpu.write(self._grid, np.ascontiguousarray(reading.grid))
        self._shown = gpu.allocate(rows * 16)
        self._found = gpu.allocate(size)
        self._slots = [(gpu.pinned(size), gpu.mark()) for _ in range(2)]
        self._next = 0

    def start(self, shown: npt.NDArray[Any]) -> int:
        """Begin to look in what the network will have said of some pictures; ``finished`` is told the number returned.

        shown: (n,) of 16 bytes each, as the kernel wants them, for the first n rows.
        """
        gpu, reading, rows = self._gpu, self._reading, len(shown)
        gpu.write(self._shown, shown)
        boxes, sums = self._found + self._boxes_at, self._found + self._sums_at
        addresses = (reading.output, self._grid, self._shown, boxes, self._found)
        cells = len(reading.grid)
        numbers = (cells, reading.columns, reading.column, int(reading.decoded), KEPT, reading.confidence, reading.nms)
        gpu.launch(self._find, (rows, 1, 1), (256, 1, 1), (*addresses, *numbers), _FIND)
        self._sampler.judge(boxes, self._found, sums, KEPT, _JUDGES)
        slot = self._next
        self._next = 1 - slot
        memory, mark = self._slots[slot]
        gpu.start_copy(memory, self._found)
        mark.set()
        return slot

    def finished(self, slot: int) -> FoundPeople:
        """Wait for what was started; it is there until the one after the next is started."""
        memory: npt.NDArray[np.uint8]
        mark: Mark
        memory, mark = self._slots[slot]
        mark.wait()
        rows = self._reading.rows
        return FoundPeople(
            memory[: 4 * rows].view(np.int32),
            memory[self._boxes_at : self._sums_at].view(np.float32).reshape(rows, KEPT, 5),
            memory[self._sums_at :].view(np.uint64).reshape(rows, KEPT, 3),
        )

    def __del__(self) -> None:
        for address in (self._grid, self._shown, self._found):
            self._gpu.free(address)
