"""Calls of CUDA's driver that only start something, by ctypes, which is quicker than the package for CUDA.

They let go of Python's lock. A call takes microseconds by itself, but waits for the driver's own lock while decoders
have that: keeping Python's lock meanwhile made all threads of a process wait for one decoder, for more than a third of
the time with 64 files.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Protocol

_INT, _ADDRESS, _SIZE = ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t
_CALLS: dict[str, tuple[Any, ...]] = {
    "cuMemcpyHtoDAsync_v2": (ctypes.c_uint64, _ADDRESS, _SIZE, _ADDRESS),
    "cuMemcpyDtoHAsync_v2": (_ADDRESS, ctypes.c_uint64, _SIZE, _ADDRESS),
    "cuEventRecord": (_ADDRESS, _ADDRESS),
    "cuStreamWaitEvent": (_ADDRESS, _ADDRESS, _INT),
    "cuLaunchKernel": (_ADDRESS, *[_INT] * 7, _ADDRESS, _ADDRESS, _ADDRESS),
}

AT_ONCE = 1 << 16
"""Bytes of ordinary memory that the driver takes along at once: it waits for its stream where there are more."""

Shape = tuple[int, int, int]


class Library(Protocol):
    """CUDA's driver library, as ctypes loads it."""

    def __getattr__(self, name: str, /) -> Any: ...


class Starting:
    """The calls, in the calling thread's context. ``failed`` is called with an error's number, which it has raised."""

    def __init__(self, library: Library, failed: Callable[[int], None]) -> None:
        self._failed = failed
        self._calls = {name: getattr(library, name) for name in _CALLS}
        for name, types in _CALLS.items():
            self._calls[name].argtypes = types

    def write(self, address: int, source: int, size: int, stream: int) -> None:
        """Copy at most AT_ONCE bytes of ordinary memory, which may be changed afterwards, to the device."""
        self._call("cuMemcpyHtoDAsync_v2", address, source, size, stream)

    def read(self, target: int, address: int, size: int, stream: int) -> None:
        """Copy from the device into pinned memory, some time."""
        self._call("cuMemcpyDtoHAsync_v2", target, address, size, stream)

    def record(self, event: int, stream: int) -> None:
        self._call("cuEventRecord", event, stream)

    def after(self, event: int, stream: int) -> None:
        """What comes in the stream waits for the event."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def launch(self, kernel: int, grid: Shape, block: Shape, stream: int, values: Sequence[Any], types: Any) -> None:
        """types: a ctypes type for each value."""
        given = [kind(value) for kind, value in zip(types, values, strict=True)]
        places = (ctypes.c_void_p * len(given))(*map(ctypes.addressof, given))
        self._call("cuLaunchKernel", kernel, *grid, *block, 0, stream, places, None)

    def _call(self, name: str, *values: Any) -> None:
        if code := self._calls[name](*values):
            self._failed(code)


def starting(failed: Callable[[int], None]) -> Starting:
    """Of the driver that is installed, once that was used."""
    return Starting(ctypes.CDLL("libcuda.so.1"), failed)
