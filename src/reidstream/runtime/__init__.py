"""The ONNX Runtime that runs: the one of this environment, or the one for CUDA that was set up beside it."""

from __future__ import annotations

from reidstream.runtime.choice import beside, cuda_folder, onnxruntime
from reidstream.runtime.cuda import (
    PROVIDER,
    Missing,
    gpu_is_shared,
    missing_for_cuda,
    missing_for_decoding,
    see_only,
    seeing,
    wait_without_spinning,
)

__all__ = [
    "PROVIDER",
    "Missing",
    "beside",
    "cuda_folder",
    "gpu_is_shared",
    "missing_for_cuda",
    "missing_for_decoding",
    "onnxruntime",
    "see_only",
    "seeing",
    "wait_without_spinning",
]
