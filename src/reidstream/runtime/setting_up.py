"""Installing ONNX Runtime for CUDA, with NVIDIA's libraries, into a folder of its own inside this environment."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from reidstream.errors import DeviceError, MissingDependency
from reidstream.files import whole_folder
from reidstream.runtime.choice import cuda_folder

REQUIREMENTS = Path(__file__).parent / "cuda.txt"
"""Pinned with hashes by ``make requirements``."""


def set_up_cuda(replace: bool = False) -> Path:
    """Install it and return its folder; nothing else in the environment changes. It takes 2.5 GB on disk.

    replace: throw away what is there and install anew; otherwise what is there stays. Raises DeviceError where no such
    packages exist or installing fails, MissingDependency when there is neither pip nor uv.
    """
    folder = cuda_folder()
    if (folder / "onnxruntime").is_dir() and not replace:
        return folder
    system = f"{platform.system()} {platform.machine()}"
    if system != "Linux x86_64":
        raise DeviceError(f"ONNX Runtime for CUDA is packaged for Linux on x86_64; this is {system}")
    command = _installer()
    if folder.exists():
        shutil.rmtree(folder)
    with whole_folder(folder, DeviceError, "run it as the owner of this environment") as partial:
        words = [*command, "--target", str(partial), "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)]
        done = subprocess.run(words, check=False)
        if done.returncode:
            raise DeviceError(
                f"ONNX Runtime for CUDA could not be installed: {' '.join(words[:4])} ended with {done.returncode} "
                "(its own words are above); nothing was changed"
            )
    return folder


def _installer() -> list[str]:
    """The command that installs packages with this interpreter: pip, or uv where the environment has no pip."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise MissingDependency("installing needs pip or uv: `python -m ensurepip` adds pip to this environment")
