"""Filling a network's input on the GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reidstream.gpu.cuts import CUT, Cut, table
from reidstream.gpu.driver import Gpu

KERNELS = Path(__file__).parent / "kernels"
# Pixels that one block of threads computes, across and down.
_BLOCK = 32, 8
_TYPES = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int)
_JUDGE = (*[ctypes.c_void_p] * 5, ctypes.c_int)


class Sampler:
    """Writes cuts into the rows of an input, uint8 (rows, height, width, 3), BGR, in device memory.

    To be used by one thread. input: its address. size: width and height. grey: what lies around a cut's place.
    """

    def __init__(self, gpu: Gpu, input: int, rows: int, size: tuple[int, int], grey: int = 114) -> None:
        self._gpu = gpu
        self._input, self._size, self._grey = input, size, grey
        self._kernel = gpu.kernel(KERNELS / "cut_out.ptx", "cut_out")
        self._judge = gpu.kernel(KERNELS / "cut_out.ptx", "judge")
        self._count = 0
        # The table and the rows that it is for, in one piece, so that one copy brings both.
        self._said = np.zeros(rows * (CUT.itemsize + 4), np.uint8)
        self._table = gpu.allocate(self._said.nbytes)

    def fill(self, cuts: Sequence[Cut], rows: Sequence[int]) -> None:
        """Start writing each cut into its row, in the calling thread's stream. Hold the cuts until it is done."""
        self._count = count = len(cuts)
        if not count:
            return
        split = count * CUT.itemsize
        self._said[:split] = table(cuts).view(np.uint8)
        self._said[split : split + 4 * count] = np.array(rows, "<i4").view(np.uint8)
        self._gpu.write(self._table, self._said[: split + 4 * count])
        self._gpu.after_default_stream()
        (across, down), (width, height) = _BLOCK, self._size
        self._gpu.launch(
            self._kernel,
            (-(-width // across), -(-height // down), count),
            (across, down, 1),
            (self._table, self._table + split, self._input, width, height, self._grey),
            _TYPES,
        )

    def judge(self, people: int, counts: int, sums: int, kept: int, blocks: int) -> None:
        """Start looking how sharp people are in the cuts that were filled in last, each of a whole picture.

        Addresses of what kernels/cut_out.cu calls people, counts and judged. blocks: of threads for each picture.
        """
        if not self._count:
            return
        rows = self._table + self._count * CUT.itemsize
        self._gpu.launch(
            self._judge,
            (blocks, self._count, 1),
            (256, 1, 1),
            (self._table, rows, people, counts, sums, kept),
            _JUDGE,
        )

    def __del__(self) -> None:
        self._gpu.free(self._table)
