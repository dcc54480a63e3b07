"""The name under which nvinfer writes a TensorRT engine, and looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def engine_path(onnx: Path, batch: int, gpu_id: int, precision: Literal["fp32", "fp16", "int8", "best"]) -> Path:
    """``<onnx>_b<batch>_gpu<id>_<precision>.engine`` beside the ONNX file.

    nvinfer stores what it builds under exactly this name, whatever ``model-engine-file`` says (DeepStream 8.0,
    nvdsinfer_context_impl.cpp); any other name means a rebuild at every start.
    """
    return onnx.with_name(f"{onnx.name}_b{batch}_gpu{gpu_id}_{precision}.engine")
