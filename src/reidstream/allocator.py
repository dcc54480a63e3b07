"""Giving back to the system what the allocator keeps for later."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back_free_memory() -> None:
    """Hand free memory of all threads' arenas back to the system; nothing happens where the C library is not glibc.

    glibc keeps what threads have freed in one arena per thread. Decoders and model sessions start many threads and free
    hundreds of megabytes at their end, so a process that runs one video after the other would look as if it grew: what
    is in use stays the same, what is kept free and resident does not. Costs some ten milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int

    def call(kept: int) -> int:
        return int(trim(kept))

    return call
