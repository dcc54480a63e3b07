"""What was freed is given back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reidstream import allocator

FREED = """
import ctypes
from pathlib import Path
from reidstream.allocator import give_back_free_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
# Pieces too small to be mapped one by one, and one at the end that keeps the heap from shrinking by itself.
pieces = [libc.malloc(65536) for _ in range(3000)]
last = libc.malloc(65536)
for piece in [*pieces, last]:
    ctypes.memset(piece, 1, 65536)
for piece in pieces:
    libc.free(piece)
before = resident()
give_back_free_memory()
print(before - resident())
"""


@pytest.mark.skipif(allocator._trim() is None, reason="the C library is not glibc")
def test_free_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 100


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_trim", lambda: None)
    allocator.give_back_free_memory()
