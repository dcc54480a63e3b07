"""Which ONNX Runtime a process loads.

ONNX Runtime for CUDA and the one for processors are two packages with the same files, so that the one that is
installed last overwrites parts of the other; and as ChromaDB requires the latter, a plain installation always has it.
``reidstream setup cuda`` therefore puts the former into a folder of its own. Where that folder is there, it serves both
devices: a process can hold only one of them.
"""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from reidstream.errors import DeviceError, MissingDependency

_lock = threading.Lock()


def cuda_folder() -> Path:
    """Where ``reidstream setup cuda`` puts ONNX Runtime for CUDA and NVIDIA's libraries: inside this environment."""
    return Path(sys.prefix) / "share" / "reidstream" / "cuda"


def onnxruntime() -> Any:
    """The ``onnxruntime`` module, imported at the first call.

    Raises MissingDependency when there is none, or none that can be imported, and DeviceError when something else has
    imported the environment's before although one for CUDA was set up.
    """
    folder = cuda_folder()
    beside = (folder / "onnxruntime" / "__init__.py").is_file()
    with _lock:
        module = sys.modules.get("onnxruntime") or _imported(folder if beside else None)
    if beside and not _is_in(module, folder):
        raise DeviceError(
            f"ONNX Runtime for CUDA is set up in {folder}, but this process has already loaded the one of "
            f"{Path(str(module.__file__)).parent}: import reidstream's models before whatever imports onnxruntime"
        )
    return module


def beside(name: str) -> Any:
    """A module that ``reidstream setup cuda`` installs, or that this environment has anyway.

    Raises MissingDependency when there is none that can be imported.
    """
    with _lock:
        try:
            return _found(name, cuda_folder())
        except ImportError as error:
            raise MissingDependency(f"{name} cannot be imported ({error})") from None


def _imported(folder: Path | None) -> ModuleType:
    try:
        return _found("onnxruntime", folder)
    except ImportError as error:
        cure = "reidstream setup cuda --replace" if folder is not None else "python -m pip install onnxruntime"
        raise MissingDependency(f"ONNX Runtime, which runs the models, cannot be imported ({error}): {cure}") from None


def _found(name: str, folder: Path | None) -> ModuleType:
    """A module, looked for in this folder first; the folder stays out of everybody else's way."""
    path = list(sys.path)
    if folder is not None:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = path


def _is_in(module: Any, folder: Path) -> bool:
    return Path(str(module.__file__)).resolve().is_relative_to(folder.resolve())
