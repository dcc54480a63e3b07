"""What CUDA's driver is told in calls of ctypes, by a library that writes down what it is told."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from reidstream.gpu import starting as module
from reidstream.gpu.starting import Starting

_INT, _LONG, _ADDRESS, _SIZE = ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t


class _Library:
    """Functions of C's calling convention, each of which notes its arguments and answers ``code``."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.code = 0
        self.functions = SimpleNamespace(
            cuMemcpyHtoDAsync_v2=self._noting("to device", _LONG, _ADDRESS, _SIZE, _ADDRESS),
            cuMemcpyDtoHAsync_v2=self._noting("to host", _ADDRESS, _LONG, _SIZE, _ADDRESS),
            cuEventRecord=self._noting("record", _ADDRESS, _ADDRESS),
            cuStreamWaitEvent=self._noting("after", _ADDRESS, _ADDRESS, _INT),
            cuLaunchKernel=ctypes.CFUNCTYPE(ctypes.c_int, _ADDRESS, *[_INT] * 7, *[_ADDRESS] * 3)(self._launched),
        )

    def _noting(self, name: str, *types: Any) -> Any:
        def note(*values: Any) -> int:
            self.told.append((name, *values))
            return self.code

        return ctypes.CFUNCTYPE(ctypes.c_int, *types)(note)

    def _launched(self, kernel: int, *rest: Any) -> int:
        *numbers, stream, places, extra = rest
        addresses = ctypes.cast(places, ctypes.POINTER(ctypes.c_void_p))
        address = ctypes.c_uint64.from_address(addresses[0] or 0).value
        number = ctypes.c_int.from_address(addresses[1] or 0).value
        self.told.append(("launch", kernel, numbers, stream, address, number, extra))
        return self.code


def test_what_is_started_is_told_as_the_driver_declares_it() -> None:
    library = _Library()
    starting = Starting(library.functions, lambda code: pytest.fail(f"{code}"))
    far = (1 << 47) + 256
    starting.write(far, far + 1, 100, far + 2)
    starting.read(far, far + 1, 1 << 33, far + 2)
    starting.record(far, 0)
    starting.after(far, far + 1)
    starting.launch(far, (3, 2, 1), (32, 8, 1), far + 1, (far + 2, -7), (ctypes.c_void_p, ctypes.c_int))
    assert library.told == [
        ("to device", far, far + 1, 100, far + 2),
        ("to host", far, far + 1, 1 << 33, far + 2),
        ("record", far, None),
        ("after", far + 1, far, 0),
        ("launch", far, [3, 2, 1, 32, 8, 1, 0], far + 1, far + 2, -7, None),
    ]


def test_what_the_driver_refuses_is_told_by_its_number() -> None:
    library = _Library()
    refused: list[int] = []
    starting = Starting(library.functions, refused.append)
    library.code = 700
    starting.record(1, 2)
    assert refused == [700]


def test_whoever_waits_for_the_driver_lets_go_of_pythons_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def driver(load: Any) -> Any:
        # C's ``read``, told a file, a place and a size, waits for a byte as the driver does for its lock.
        return lambda _name: SimpleNamespace(**{name: load(None)["read"] for name in module._CALLS})

    for kind in ("CDLL", "PyDLL"):
        monkeypatch.setattr(ctypes, kind, driver(getattr(ctypes, kind)))
    end, begin = os.pipe()
    told = ctypes.create_string_buffer(1)
    # Were the lock kept, nobody of this process could write, and this would come after a while.
    late = subprocess.Popen(["sleep 20; echo late"], shell=True, stdout=begin)
    writing = threading.Timer(0.05, os.write, (begin, b"t"))
    started = module.starting(lambda _code: None)
    try:
        writing.start()
        started.write(end, ctypes.addressof(told), 1, 0)
    finally:
        late.kill()
        late.wait()
        writing.join()
        os.close(end)
        os.close(begin)
    assert told.raw == b"t"
