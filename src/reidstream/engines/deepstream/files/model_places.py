"""Where models lie for nvinfer, which writes its TensorRT engines beside them."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from reidstream.config import Config
from reidstream.errors import ConfigError
from reidstream.files import whole_file

FOLDER_VARIABLE = "REIDSTREAM_DEEPSTREAM_MODELS"
"""What stands for ``deepstream.models`` where that says nothing: our image names a folder of its volume."""


def models_folder(config: Config) -> Path | None:
    """The writable folder to which models are copied, None where they stay where they are."""
    named = config.deepstream.models or os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser().absolute() if named else None


def in_place(onnx: Path, config: Config, warnings: list[str]) -> Path:
    """The model where its engine can be written beside it: copied where there is a folder for that.

    Raises ConfigError when it cannot be copied. warnings: gets what is not as it should be.
    """
    onnx = onnx.expanduser().absolute()
    folder = models_folder(config)
    if folder is None:
        if onnx.is_file() and not os.access(onnx.parent, os.W_OK):
            warnings.append(
                f"{onnx.parent} is read-only, so the TensorRT engine of {onnx.name} cannot be stored and is built "
                "anew at every start: set deepstream.models to a writable folder"
            )
        return onnx
    target = folder / onnx.name
    if not onnx.is_file():
        warnings.append(f"{onnx} is not on this machine and was not copied to {target}: copy it before the run")
    elif not (target.is_file() and filecmp.cmp(onnx, target, shallow=False)):
        with whole_file(target, ConfigError, "name another folder with deepstream.models") as copy:
            shutil.copyfile(onnx, copy)
    return target
