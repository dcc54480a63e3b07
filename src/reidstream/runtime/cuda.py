"""What CUDA needs on a machine, and which of it is not there, in words."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidstream.errors import DeviceError, MissingDependency
from reidstream.runtime.choice import beside, onnxruntime

PROVIDER = "CUDAExecutionProvider"
# Of the ONNX Runtime that `reidstream setup cuda` installs; others say their own.
_CUDA = "13.0"
# CU_CTX_SCHED_BLOCKING_SYNC of CUDA's driver interface.
_BLOCKING_SYNC = 4
# Where NVIDIA's Multi-Process Service is asked for, if nobody says so.
_SERVICE = "/tmp/nvidia-mps"
_RUNNING = "nvidia-cuda-mps-control.pid"


@dataclass(frozen=True, slots=True)
class Missing:
    """what: the part that is not there or cannot be used. remedy: what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def missing_for_cuda() -> tuple[Missing, ...]:
    """What keeps models from running on an NVIDIA GPU here, as far as that can be seen without running one.

    Looks for the driver, a GPU, ONNX Runtime with CUDA, and the libraries of CUDA and cuDNN, and loads them into this
    process. Raises what ``onnxruntime`` raises.
    """
    module = onnxruntime()
    wanted = str(getattr(module, "cuda_version", "") or _CUDA)
    missing = list(_missing_driver(wanted))
    if PROVIDER not in module.get_available_providers():
        what = f"ONNX Runtime {module.__version__} of this environment runs on processors only"
        return (*missing, Missing(what, "`reidstream setup cuda` installs one for CUDA beside it"))
    _load_libraries(module)
    for name, part in _libraries(wanted).items():
        try:
            ctypes.CDLL(name)
        except OSError as error:
            missing.append(Missing(f"{part} cannot be loaded ({error})", "`reidstream setup cuda` installs it"))
            break
    try:
        beside("cuda.bindings.driver")
    except MissingDependency as error:
        missing.append(Missing(str(error), "`reidstream setup cuda --replace` installs it"))
    return tuple(missing)


def missing_for_decoding() -> Missing | None:
    """What keeps video from being decoded on the GPU although models run there."""
    try:
        ctypes.CDLL("libnvcuvid.so.1")
    except OSError:
        remedy = "in a container NVIDIA_DRIVER_CAPABILITIES must hold `video`"
        return Missing("NVIDIA's decoder (libnvcuvid.so.1) is not there", remedy)
    return None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The GPU that this process has made its only one, and what CUDA_VISIBLE_DEVICES was before."""

    number: int
    left: str | None


# As much a matter of the whole process as the environment that it tells of.
_chosen: _Chosen | None = None


def seeing(number: int) -> dict[str, str]:
    """What an environment must hold for one GPU to be the only one that a process sees, which then has number 0.

    number: as nvidia-smi counts, or a place among those that CUDA_VISIBLE_DEVICES leaves already. Raises DeviceError
    when it leaves fewer.
    """
    left = os.environ.get("CUDA_VISIBLE_DEVICES") if _chosen is None else _chosen.left
    names = None if left is None else [name.strip() for name in left.split(",") if name.strip()]
    if names is not None and number >= len(names):
        raise DeviceError(
            f"GPU {number} (local.gpus) cannot be used: CUDA_VISIBLE_DEVICES={left!r} leaves {len(names)} of them; "
            "numbers count from 0"
        )
    name = str(number) if names is None else names[number]
    # CUDA counts the fastest first unless it is told to count as nvidia-smi does.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": name}


def see_only(device: str, gpus: Sequence[int]) -> None:
    """Where models run on a GPU, make the first of those named (``seeing``) the only one for this process.

    To be called before anything uses a GPU; again with the same it does nothing, and number 0 leaves a process as it
    is. Raises DeviceError as ``seeing`` does, and where another was chosen already.
    """
    global _chosen
    number = gpus[0]
    if device != "cuda" or number == (0 if _chosen is None else _chosen.number):
        return
    if _chosen is not None:
        raise DeviceError(
            f"GPU {number} (local.gpus) cannot be used here: this process uses GPU {_chosen.number} already; "
            "start another for it"
        )
    variables = seeing(number)
    _chosen = _Chosen(number, os.environ.get("CUDA_VISIBLE_DEVICES"))
    os.environ.update(variables)


def gpu_is_shared() -> bool:
    """Whether NVIDIA's Multi-Process Service runs for this user: processes use a GPU at the same time then, else they
    take turns on it."""
    # Its pipes stay there when it ends.
    return (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or _SERVICE) / _RUNNING).exists()


def wait_without_spinning() -> None:
    """Let threads that wait for the GPU sleep, in whatever this process does on it from now on.

    CUDA's default is to ask over and over while there are more cores than contexts, which takes a core for each model
    of each process. To be called before anything else uses the GPU; does nothing where there is none.
    """
    with contextlib.suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0:
            driver.cuDevicePrimaryCtxSetFlags_v2(0, _BLOCKING_SYNC)


def _load_libraries(module: Any) -> None:
    """Load NVIDIA's libraries where they lie beside ONNX Runtime; what it prints is said better by who asked."""
    if hasattr(module, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            module.preload_dlls()


def _libraries(version: str) -> dict[str, str]:
    """The libraries that the CUDA provider of ONNX Runtime 1.31 needs, with what each is a part of."""
    major = version.split(".")[0]
    names = (f"libcudart.so.{major}", f"libcublasLt.so.{major}", f"libcublas.so.{major}", "libcurand.so.10")
    return {**dict.fromkeys(names, f"CUDA {major}"), "libcudnn.so.9": "cuDNN 9"}


def _missing_driver(wanted: str) -> Iterator[Missing]:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        remedy = "install it on the host, and start a container with --gpus all"
        yield Missing("there is no NVIDIA driver (libcuda.so.1)", remedy)
        return
    code = driver.cuInit(0)
    count, version = ctypes.c_int(), ctypes.c_int()
    if code == 0:
        driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        remedy = "see what `nvidia-smi` shows; start a container with --gpus all"
        left = os.environ.get("CUDA_VISIBLE_DEVICES")
        which = "no GPU" if left is None else f"none of the GPUs that CUDA_VISIBLE_DEVICES={left!r} names"
        yield Missing(f"{which} can be used (CUDA's initialisation says {code})", remedy)
        return
    driver.cuDriverGetVersion(ctypes.byref(version))
    found = version.value // 1000
    if wanted.split(".")[0].isdigit() and found < int(wanted.split(".")[0]):
        what = f"the driver is made for CUDA {found}, this ONNX Runtime for CUDA {wanted}"
        yield Missing(what, "update NVIDIA's driver (CUDA 13 wants 580 or newer)")
