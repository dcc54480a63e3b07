"""What there is to know about a model before running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from reidstream.config.base import Section

Fit = Literal["corner", "centre", "stretch"]


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

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="What it is called on the command line.")
    task: Literal["reid", "detector"]
    format: Literal["onnx", "checkpoint"] = Field(
        default="onnx", description="A checkpoint has to be exported before it can run."
    )
    architecture: str = ""
    family: str = Field(default="", description="How a detector's output is read; from the graph if none.")
    file: str | None = Field(default=None, description="Path inside the package or beside the manifest.")
    url: str | None = Field(default=None, pattern=r"^https?://", description="Where the file can be fetched.")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="Of the file, lower-case hex.")
    same_as: tuple[str, ...] = Field(default=(), description="sha256 of other files that this describes just as well.")
    input_size: tuple[int, int] | None = Field(default=None, description="Height and width; from the graph if none.")
    embedding_size: int | None = None
    classes: tuple[str, ...] = Field(default=(), description="A detector's class names, in order.")
    fit: Fit | None = Field(
        default=None,
        description="How a picture lies in a detector's input: its proportions kept, at the top left (corner) or in "
        "the middle (centre), or stretched; none: as its family wants it.",
    )
    preprocessing: Preprocessing = Preprocessing()
    inside: Preprocessing | None = Field(default=None, description="What the graph itself does to its input.")
    normalised: bool = Field(default=False, description="Whether the graph returns unit-length embeddings.")
    source: str = Field(default="", description="Where the weights come from.")
    training_data: str = ""
    terms: str = Field(default="", description="Under which terms weights and training data may be used.")
    accuracy: str = Field(default="", description="Published accuracy with its source.")
    notes: str = ""

    @property
    def checksums(self) -> tuple[str, ...]:
        """sha256 of every file that this describes; empty if any will do."""
        return (() if self.sha256 is None else (self.sha256,)) + self.same_as

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url is not None and self.sha256 is None:
            raise ValueError("an entry with a url needs the sha256 of the file")
        if any(divisor == 0 for divisor in self.preprocessing.std):
            raise ValueError("preprocessing.std must not hold zeros")
        return self


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is on this machine: its description, its file, and the file's sha256 (hex)."""

    spec: ModelSpec
    path: Path
    sha256: str
