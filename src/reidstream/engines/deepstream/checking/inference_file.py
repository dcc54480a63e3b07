"""An nvinfer file as nvinfer understands it: typed values, resolved paths, and the model behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from reidstream.engines.deepstream.checking.config_file import ConfigFile, KeyLine
from reidstream.engines.deepstream.files.labels import labels_from_text
from reidstream.engines.deepstream.files.onnx_facts import OnnxFacts, read_onnx_facts
from reidstream.engines.deepstream.keys import values
from reidstream.errors import ModelError
from reidstream.models.resolving import resolve_model
from reidstream.models.spec import ModelSpec

NVIDIA = Path("/opt/nvidia/deepstream")
"""Where DeepStream is installed; on a machine without it nothing below can be looked at."""

Role = Literal["detector", "reid", "classifier"]


@dataclass(frozen=True)
class InferenceFile:
    """``[property]`` of one nvinfer file. Values that cannot be read count as not given."""

    file: ConfigFile

    @cached_property
    def keys(self) -> dict[str, KeyLine]:
        return self.file.group("property")

    def integer(self, key: str) -> int | None:
        entry = self.keys.get(key)
        return None if entry is None else values.integer(entry.value)

    def number(self, key: str) -> float | None:
        entry = self.keys.get(key)
        return None if entry is None else values.number(entry.value)

    def truth(self, key: str) -> bool:
        """A boolean that is false unless given."""
        entry = self.keys.get(key)
        return entry is not None and bool(values.truth(entry.value))

    def numbers(self, key: str) -> list[float]:
        """A list; empty when it is missing or any part of it cannot be read."""
        entry = self.keys.get(key)
        found = [values.number(part) for part in values.items(entry.value)] if entry is not None else []
        return [value for value in found if value is not None] if None not in found else []

    def text(self, key: str) -> str:
        entry = self.keys.get(key)
        return "" if entry is None else entry.value

    def line(self, key: str) -> int:
        """The key's line, or that of [property] when the key is missing."""
        entry = self.keys.get(key)
        return entry.line if entry is not None else self.file.group_line("property")

    def path(self, key: str) -> Path | None:
        """A path resolved as nvinfer does: against the folder of the file itself, links followed."""
        entry = self.keys.get(key)
        if entry is None or not entry.value:
            return None
        return resolved(self.file.path, entry.value)

    @property
    def network_type(self) -> int:
        """nvinfer's default is a detector."""
        value = self.integer("network-type")
        if value is None and self.truth("is-classifier"):
            return 1
        return 0 if value is None else value

    @cached_property
    def onnx(self) -> OnnxFacts | ModelError | None:
        """What the ONNX file says, why it cannot be read, or None when none is named or there."""
        path = self.path("onnx-file")
        if path is None or not is_file(path):
            return None
        try:
            return read_onnx_facts(path)
        except ModelError as error:
            return error

    @property
    def facts(self) -> OnnxFacts | None:
        return self.onnx if isinstance(self.onnx, OnnxFacts) else None

    @cached_property
    def spec(self) -> ModelSpec | None:
        """The model's description: by checksum, from its metadata or beside it. A name alone says nothing."""
        path = self.path("onnx-file")
        if path is None or not is_file(path):
            return None
        for task in ("reid", "detector"):
            try:
                return resolve_model(str(path), task).spec
            except ModelError:
                continue
        return None

    @cached_property
    def labels(self) -> tuple[str, ...] | None:
        """The class names, None when there is no readable labels file."""
        path = self.path("labelfile-path")
        if path is None or not is_file(path):
            return None
        try:
            return labels_from_text(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None

    @cached_property
    def role(self) -> Role:
        """What the file is for. A secondary network with labels that exports no tensors is a plain classifier."""
        spec = self.spec
        if spec is not None:
            return "reid" if spec.task == "reid" else "detector"
        secondary = self.integer("process-mode") == 2 or any(
            key in self.keys
            for key in (
                "operate-on-gie-id",
                "operate-on-class-ids",
                "secondary-reinfer-interval",
                "classifier-async-mode",
            )
        )
        labelled = "labelfile-path" in self.keys or "num-detected-classes" in self.keys
        if not secondary:
            boxes = labelled or any(name.startswith("class-attrs-") for name, _ in self.file.groups)
            dims = self.numbers("infer-dims")
            tall = len(dims) == 3 and dims[1] >= 1.5 * dims[2]
            secondary = not boxes and (tall or self.integer("network-type") == 100)
        if not secondary:
            return "detector"
        return "classifier" if labelled and not self.truth("output-tensor-meta") else "reid"


def resolved(config: Path, name: str) -> Path:
    """``name`` against the folder of the real configuration file (gstnvinfer_property_parser.cpp)."""
    path = Path(name.replace("\0", ""))
    try:
        return path if path.is_absolute() else config.resolve().parent / path
    except (OSError, RuntimeError):
        return config.parent / path


def is_file(path: Path) -> bool:
    """Whether there is a file; names that no file can have are simply not there."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """The same for folders."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
