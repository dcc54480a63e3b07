"""What a known error line is: its pattern, its cause, its cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal[
    "Docker and driver",
    "Python and pip",
    "Stores",
    "PyTorch and export",
    "ONNX Runtime",
    "TensorRT",
    "nvinfer",
    "nvtracker",
    "deepstream-app",
    "GStreamer",
    "Anything else",
]


@dataclass(frozen=True, slots=True)
class KnownLine:
    """pattern: a regular expression, searched for in the line whatever its case. The first that fits counts.

    harmless: the line belongs to a good run, or tells of something that ReIDStream does not need.
    """

    id: str
    origin: Origin
    pattern: str
    cause: str
    cure: str
    sample: str
    harmless: bool = False
