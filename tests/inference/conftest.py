"""Small ONNX graphs whose output can be computed by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidstream.models.spec import ModelSpec, ResolvedModel

MakeModel = Callable[..., ResolvedModel]


def _saved(graph: onnx.GraphProto, path: Path, spec: ModelSpec) -> ResolvedModel:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return ResolvedModel(spec, path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def detector_model(tmp_path: Path) -> MakeModel:
    """A detector that answers ``rows`` (n, 5 + classes) for any picture, plus the picture's mean times ``echo``."""

    def make(
        rows: npt.NDArray[np.float32], size: tuple[int, int] = (64, 32), batch: int | str = 1, **spec: object
    ) -> ResolvedModel:
        values = {"name": "toy", "task": "detector", "family": "yolox", "classes": ("car", "person"), **spec}
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, size[1], size[0]])
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, *rows.shape])
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Squeeze", ["mean", "axis"], ["flat"]),
            helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "rows"], ["output"]),
        ]
        constants = [
            numpy_helper.from_array(np.array([3], np.int64), "axis"),
            numpy_helper.from_array(np.zeros((), np.float32), "zero"),
            numpy_helper.from_array(rows[None], "rows"),
        ]
        graph = helper.make_graph(nodes, "toy", [image], [output], constants)
        return _saved(graph, tmp_path / "detector.onnx", ModelSpec.model_validate(values))

    return make


@pytest.fixture
def embedder_model(tmp_path: Path) -> MakeModel:
    """An embedder whose vector is the mean of each input channel; takes: the type of its input."""

    def make(
        batch: int | str = "n", size: tuple[int, int] = (4, 8), takes: int = TensorProto.FLOAT, **spec: object
    ) -> ResolvedModel:
        values = {"name": "toy", "task": "reid", **spec}
        image = helper.make_tensor_value_info("input", takes, [batch, 3, size[1], size[0]])
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 3])
        nodes = [
            helper.make_node("Cast", ["input"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("GlobalAveragePool", ["real"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["output"]),
        ]
        graph = helper.make_graph(nodes, "toy", [image], [output])
        return _saved(graph, tmp_path / "embedder.onnx", ModelSpec.model_validate(values))

    return make
