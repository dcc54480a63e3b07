"""CUDA's driver interface, as far as pictures need it: memory, copies, streams and one module of kernels."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.errors import DeviceError
from reidstream.gpu.starting import AT_ONCE, Starting, starting
from reidstream.runtime import beside, wait_without_spinning


class Gpu:
    """One GPU, in the context that ONNX Runtime and NVDEC use as well (its primary one).

    Safe to use from several threads. Raises DeviceError for whatever the driver refuses.
    """

    def __init__(self, number: int = 0) -> None:
        self._driver: Any = beside("cuda.bindings.driver")
        wait_without_spinning()
        self._ready = threading.local()
        self._lock = threading.Lock()
        self._modules: dict[Path, Any] = {}
        self._call(self._driver.cuInit(0))
        self._starting: Starting = starting(self._refused)
        self.number = number
        self._device = self._call(self._driver.cuDeviceGet(number))
        self._context = self._call(self._driver.cuDevicePrimaryCtxRetain(self._device))
        self.stream()

    def use(self) -> None:
        """Make this GPU the calling thread's."""
        if not getattr(self._ready, "yes", False):
            self._call(self._driver.cuCtxSetCurrent(self._context))
            self._ready.yes = True

    def stream(self, urgent: bool = False) -> int:
        """The calling thread's own stream; what is done in it does not wait for other threads. urgent: the first time
        that the thread asks, it gets one whose work goes before that of others."""
        self.use()
        found: int | None = getattr(self._ready, "stream", None)
        if found is None:
            flags = int(self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
            _, first = self._call(self._driver.cuCtxGetStreamPriorityRange())
            created = self._driver.cuStreamCreateWithPriority(flags, first if urgent else 0)
            self._ready.owner = _Stream(self, self._call(created))
            found = self._ready.stream = int(self._ready.owner.handle)
            self._ready.others = int(self._event(self._driver.CUevent_flags.CU_EVENT_DISABLE_TIMING))
        return found

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes of device memory."""
        self.use()
        return int(self._call(self._driver.cuMemAlloc(size)))

    def free(self, address: int, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Give device memory back. At the process's end it goes by itself, and parts of its module are gone."""
        if not ending():
            self.use()
            self._driver.cuMemFree(address)

    def write(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copy an array that lies in one piece to the device, in the thread's stream; it may be changed afterwards."""
        stream = self.stream()
        if array.nbytes <= AT_ONCE:
            self._starting.write(address, array.ctypes.data, array.nbytes, stream)
        else:
            self._call(self._driver.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, stream))

    def read(self, array: npt.NDArray[Any], address: int) -> None:
        """Fill an array that lies in one piece from the device, after all that is in the thread's stream."""
        stream = self.stream()
        self._call(self._driver.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, stream))
        self.wait()

    def start_reading(self, array: npt.NDArray[Any], address: int, pitch: int) -> None:
        """Begin to fill a two-dimensional array from lines ``pitch`` bytes apart; it is full after ``wait``."""
        copy = self._driver.CUDA_MEMCPY2D()
        kinds = self._driver.CUmemorytype
        copy.srcMemoryType, copy.srcDevice, copy.srcPitch = kinds.CU_MEMORYTYPE_DEVICE, address, pitch
        copy.dstMemoryType, copy.dstHost, copy.dstPitch = kinds.CU_MEMORYTYPE_HOST, array.ctypes.data, array.strides[0]
        copy.WidthInBytes, copy.Height = array.shape[1] * array.itemsize, array.shape[0]
        self._call(self._driver.cuMemcpy2DAsync(copy, self.stream()))

    def after_default_stream(self) -> None:
        """What is put into the thread's stream from now on begins when all is done that others have started in the
        context's default stream. Nobody waits here."""
        stream = self.stream()
        self._starting.record(self._ready.others, 0)
        self._starting.after(self._ready.others, stream)

    def wait(self) -> None:
        """Until all is done that is in the thread's stream."""
        self._call(self._driver.cuStreamSynchronize(self.stream()))

    def pinned(self, size: int) -> npt.NDArray[np.uint8]:
        """``size`` bytes of the processor's memory that the GPU reaches by itself; they are never freed."""
        self.use()
        address = int(self._call(self._driver.cuMemHostAlloc(size, 0)))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def start_copy(self, array: npt.NDArray[Any], address: int) -> None:
        """Begin to fill an array of pinned memory from the device, after all that is in the thread's stream."""
        self._starting.read(array.ctypes.data, address, array.nbytes, self.stream())

    def mark(self) -> Mark:
        """Something to wait for, which has not been set yet."""
        self.use()
        flags = self._driver.CUevent_flags
        return Mark(self, self._event(flags.CU_EVENT_BLOCKING_SYNC | flags.CU_EVENT_DISABLE_TIMING))

    def kernel(self, path: Path, name: str) -> int:
        """A kernel of a PTX file, for ``launch``: a number."""
        self.use()
        with self._lock:
            module = self._modules.get(path)
            if module is None:
                module = self._modules[path] = self._call(self._driver.cuModuleLoadData(path.read_bytes() + b"\0"))
        return int(self._call(self._driver.cuModuleGetFunction(module, name.encode())))

    def launch(
        self, kernel: int, grid: tuple[int, int, int], block: tuple[int, int, int], values: tuple[Any, ...], types: Any
    ) -> None:
        """Start a kernel in the thread's stream. types: a ctypes type for each value."""
        self._starting.launch(kernel, grid, block, self.stream(), values, types)

    def _event(self, flags: int) -> Any:
        return self._call(self._driver.cuEventCreate(int(flags)))

    def _refused(self, code: int) -> None:
        self._call((self._driver.CUresult(code),))

    def _call(self, answer: tuple[Any, ...]) -> Any:
        """What a call of the driver returns besides its error code."""
        code, *values = answer
        if code != self._driver.CUresult.CUDA_SUCCESS:
            raise DeviceError(f"the GPU's driver says {code.name}")
        return values[0] if len(values) == 1 else tuple(values) or None


class Mark:
    """A place in a stream's work that can be waited for. Of one thread."""

    def __init__(self, gpu: Gpu, event: Any) -> None:
        self._gpu, self._event = gpu, event

    def set(self) -> None:
        """Here, behind all that is in the thread's stream so far."""
        self._gpu._starting.record(int(self._event), self._gpu.stream())

    def wait(self) -> None:
        """Until all is done that was there when it was set."""
        self._gpu._call(self._gpu._driver.cuEventSynchronize(self._event))

    def __del__(self) -> None:
        self._gpu._driver.cuEventDestroy(self._event)


class _Stream:
    """Ends the stream with its thread."""

    def __init__(self, gpu: Gpu, handle: Any) -> None:
        self._gpu, self.handle = gpu, handle

    def __del__(self) -> None:
        self._gpu._driver.cuStreamDestroy(self.handle)
