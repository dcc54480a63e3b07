"""Weights of OSNet out of checkpoints, safetensors and unfolded ONNX files, without running anything they contain."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidstream.errors import ModelMismatch, ModelNotFound
from reidstream.models.onnx_file import load_whole
from reidstream.models.osnet import ARCHITECTURES, OSNet

# What training code wraps around a state dict, and what wrappers of modules put before its names.
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")
_LAYERS = re.compile(r"^(conv[1-5]|pool[23]|fc|classifier)\.")
_IMAGENET_CLASSES = 1000
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of one OSNet.

    state: name to float32 tensor, without the classifier. classes: the classifier's number of classes, or None.
    """

    path: Path
    architecture: str
    embedding_size: int
    classes: int | None
    state: Mapping[str, Any]

    @property
    def looks_like_imagenet(self) -> bool:
        """Whether these are weights for ImageNet's 1,000 classes, which tell objects apart and not people."""
        return self.classes == _IMAGENET_CLASSES or "imagenet" in self.path.name.lower()

    def network(self) -> OSNet:
        """The network with these weights, in evaluation mode."""
        network = OSNet(self.architecture, self.embedding_size)
        # Only the counters of batches, which nothing reads, are not in the state: the rest was checked name by name.
        network.load_state_dict(dict(self.state), strict=False)
        network.eval()
        return network


def read_checkpoint(path: Path, architecture: str | None = None) -> Checkpoint:
    """The weights in a ``.pth``, ``.pth.tar``, ``.pt``, ``.safetensors`` or unfolded ``.onnx`` file.

    architecture: one of ARCHITECTURES; found from the names and shapes of the weights when None.

    Raises ModelNotFound when there is no such file and ModelMismatch when it is not of an OSNet, when a weight is
    missing, unknown, of another shape or not finite, or when loading it would run code from the file.
    """
    if not path.is_file():
        raise ModelNotFound(f"there is no checkpoint at {path}")
    is_onnx = path.suffix.lower() == ".onnx"
    if is_onnx:
        state = _onnx_weights(path)
    elif path.suffix.lower() == ".safetensors":
        state = _safetensors(path)
    else:
        state = _without_prefixes(_state_dict(_unpickled(path), path))
    state = {name: tensor for name, tensor in state.items() if not name.endswith(".num_batches_tracked")}
    hint = "\nIf its BatchNorm is folded, `reidstream models prepare` works on the graph as it is." if is_onnx else ""
    found = architecture or _architecture_of(state, path, hint)
    if found not in ARCHITECTURES:
        raise ModelMismatch(f"no architecture is called {found!r}: known are {', '.join(ARCHITECTURES)}")
    classifier = state.pop("classifier.weight", None)
    state.pop("classifier.bias", None)
    projection = state.get("fc.0.weight")
    size = int(projection.shape[0]) if projection is not None and projection.ndim == 2 else 512
    _check_fit(state, found, size, path, hint)
    classes = None if classifier is None else int(classifier.shape[0])
    return Checkpoint(path, found, size, classes, {name: tensor.float() for name, tensor in state.items()})


def _unpickled(path: Path) -> Any:
    """The contents of a PyTorch file, tensors and plain containers only."""
    if _is_torchscript(path):
        raise ModelMismatch(
            f"{path} is a TorchScript program, not a checkpoint: save the state_dict() of the model it came from"
        )
    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except UnicodeDecodeError:  # written by Python 2
                with warnings.catch_warnings():
                    # It does work; PyTorch means that the safe reader ignores all other options.
                    warnings.filterwarnings("ignore", "pickle_load_args")
                    return torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")
    except pickle.UnpicklingError as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        if unsafe is None:
            raise ModelMismatch(f"{path} cannot be read as a PyTorch checkpoint: {_first_line(error)}") from None
        raise ModelMismatch(
            f"{path} holds more than weights: loading it would run {unsafe.group(1)} from the file, which is refused. "
            'Where the model was made, save `{"state_dict": model.state_dict()}` with torch.save and use that file'
        ) from None
    except Exception as error:  # noqa: BLE001 (a damaged file can fail anywhere in the reader, and with anything)
        raise ModelMismatch(f"{path} cannot be read as a PyTorch checkpoint: {_first_line(error)}") from None


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False  # the reader will say what is wrong with it


def _plain_numpy() -> list[Any]:
    """What a NumPy number needs to be loaded: torchreid stores the best Rank-1 as one. None of it runs code."""
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "bool")]
    aliases = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*aliases, np.dtype, *kinds]


def _state_dict(content: Any, path: Path) -> dict[str, Any]:
    if isinstance(content, Mapping):
        for key in _CONTAINERS:
            inner = content.get(key)
            if isinstance(inner, Mapping):
                return _state_dict(inner, path)
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors and len(tensors) == len(content):
            return tensors
        found = f"a dictionary with {_listed([str(key) for key in content])}"
    else:
        found = f"a {type(content).__name__}"
    raise ModelMismatch(f"{path} must hold a state dict, alone or under {_listed(_CONTAINERS)}; it holds {found}")


def _without_prefixes(state: dict[str, Any]) -> dict[str, Any]:
    while state and any(all(name.startswith(prefix) for name in state) for prefix in _PREFIXES):
        state = {name.split(".", 1)[1]: tensor for name, tensor in state.items()}
    return state


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _without_prefixes(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelMismatch(f"{path} cannot be read as safetensors: {_first_line(error)}") from None


def _onnx_weights(path: Path) -> dict[str, Any]:
    from onnx import numpy_helper

    model = load_whole(path)
    return {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
        if _LAYERS.match(tensor.name)
    }


def _architecture_of(state: Mapping[str, Any], path: Path, hint: str) -> str:
    """The architecture whose widths and kind of blocks the weights have."""
    stem = state.get("conv1.conv.weight")
    if stem is None or stem.ndim != 4:
        held = _listed(sorted(state)) or "nothing"
        raise ModelMismatch(f"{path} does not hold an OSNet: conv1.conv.weight is missing; it holds {held}{hint}")
    if any(name.startswith("conv2.0.conv2.") for name in state):
        kind = "ain"
    else:
        kind = "ibn" if "conv2.0.IN.weight" in state else "batch"
    for name, known in ARCHITECTURES.items():
        if known.normalisation == kind and known.channels[0] == stem.shape[0]:
            return name
    raise ModelMismatch(
        f"{path} holds an OSNet of kind {kind!r} with {stem.shape[0]} channels in its stem, which is none of "
        f"{', '.join(ARCHITECTURES)}"
    )


def _check_fit(state: Mapping[str, Any], architecture: str, size: int, path: Path, hint: str) -> None:
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in OSNet(architecture, size).state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    infinite = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    problems = [
        f"{len(names)} {what}: {_listed(names)}"
        for what, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", misshapen),
            ("not finite", infinite),
        )
        if names
    ]
    if problems:
        raise ModelMismatch(f"{path} does not fit {architecture}:\n  " + "\n  ".join(problems) + hint)


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if isinstance(error, LookupError) or not line else line
