"""What there is to know about a model before running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from reidstream.config.base import Section


class Preprocessing(Section):
    """What has to happen to a resized uint8 image before the network sees it: ``(x - mean) / std`` per channel."""

    color: Literal["RGB", "BGR"] = Field(default="RGB", description="Order of the channels.")
    mean: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="Subtracted per channel, on the 0-255 scale."
    )
    std: tuple[float, float, float] = Field(
        default=(1.0, 1.0, 1.0),
        description="Divided by per channel, on the 0-255 scale; 1 when it is in the graph.",
    )
    layout: Literal["NCHW", "NHWC"] = Field(default="NCHW", description="Order of the input's axes.")


class ModelSpec(Section):
    """One entry of a manifest, or what an ONNX file's own metadata says."""

    name: str
    task: Literal["reid", "detector"]
    architecture: str = ""
    family: str = Field(default="", description="How a detector's output is read: yolox.")
    file: str | None = Field(default=None, description="Path inside the package or beside the manifest.")
    url: str | None = None
    sha256: str | None = None
    input_size: tuple[int, int] | None = Field(default=None, description="Height and width; from the graph if none.")
    embedding_size: int | None = None
    classes: tuple[str, ...] = Field(default=(), description="A detector's class names, in order.")
    preprocessing: Preprocessing = Preprocessing()
    normalised: bool = Field(default=False, description="Whether the graph returns unit-length embeddings.")
    source: str = Field(default="", description="Where the weights come from.")
    training_data: str = ""
    terms: str = Field(default="", description="Under which terms weights and training data may be used.")
    accuracy: str = Field(default="", description="Published accuracy with its source.")
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is on this machine: its description, its file, and the file's sha256 (hex)."""

    spec: ModelSpec
    path: Path
    sha256: str
