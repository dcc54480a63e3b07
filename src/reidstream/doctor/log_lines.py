"""What a known error line is: its pattern, its cause, its cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal[
    "Python and pip", "PyTorch and export", "ONNX Runtime", "TensorRT", "nvinfer", "nvtracker", "GStreamer"
]


@dataclass(frozen=True, slots=True)
class KnownLine:
    """pattern: a regular expression, searched for in the line whatever its case. The first that fits counts."""

    id: str
    origin: Origin
    pattern: str
    cause: str
    cure: str
    sample: str
