"""Small real ONNX networks for the tests of the DeepStream configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidstream.models.metadata import metadata_of
from reidstream.models.spec import ModelSpec, Preprocessing


def _write_reid(
    path: Path,
    preprocessing: Preprocessing = Preprocessing(),
    batch: int | None = None,
    embedding: int = 8,
    spec: bool = True,
    external: str | None = None,
    size: tuple[int | str, int | str] = (64, 32),
) -> Path:
    """A Re-ID network: 3x64x32 in, a pooled vector out; ``batch`` None leaves it open, as names in ``size`` do."""
    weights = np.random.default_rng(1).normal(size=(embedding, 3, 1, 1)).astype(np.float32)
    first = batch if batch is not None else "batch"
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "weights"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["embedding"]),
        ],
        "reid",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [first, 3, *size])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [first, embedding])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if spec:
        described = ModelSpec(
            name=path.stem, task="reid", preprocessing=preprocessing, embedding_size=embedding, normalised=True
        )
        helper.set_model_props(model, metadata_of(described))
    if external is None:
        onnx.save(model, str(path))
    else:
        onnx.save(model, str(path), save_as_external_data=True, location=external, size_threshold=0)
    return path


def _write_detector(path: Path, classes: tuple[str, ...] = ("bicycle", "person"), family: str = "yolox") -> Path:
    """A detector of YOLOX's outer shape: 3x64x96 in, rows of box, objectness and class scores out."""
    width = 5 + len(classes)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["rows"]),
            helper.make_node("Unsqueeze", ["rows", "axis"], ["output"]),
        ],
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 64, 96])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1, width])],
        [
            numpy_helper.from_array(np.ones((3, width), np.float32), "weights"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    spec = ModelSpec(
        name=path.stem, task="detector", family=family, classes=classes, preprocessing=Preprocessing(color="BGR")
    )
    helper.set_model_props(model, metadata_of(spec))
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def write_reid() -> Callable[..., Path]:
    """Writes a Re-ID network to a path; see the arguments of ``_write_reid``."""
    return _write_reid


@pytest.fixture(scope="session")
def write_detector() -> Callable[..., Path]:
    """Writes a detector to a path; see the arguments of ``_write_detector``."""
    return _write_detector
