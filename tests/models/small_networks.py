"""Small Re-ID networks as other people export them, one awkwardness each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH, CHANNELS, SIZE = 16, 8, 8, 6
Batch = int | str
Tail = Callable[["Builder", str, Batch], str]


class Builder:
    """Collects nodes and weights; weights are random but the same every time."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.random = np.random.default_rng(5)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, low: float | None = None) -> str:
        values = self.random.normal(0, 0.5, shape) if low is None else self.random.uniform(low, low + 1, shape)
        return self.stored(values.astype(np.float32))

    def stored(self, array: npt.NDArray[Any]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def constant(self, values: list[int]) -> str:
        """A Constant node, as old exporters write shapes."""
        name = f"constant_{len(self.nodes)}"
        value = numpy_helper.from_array(np.array(values, np.int64))
        self.nodes.append(helper.make_node("Constant", [], [name], value=value))
        return name


def flatten(builder: Builder, value: str, batch: Batch) -> str:
    return builder.node("Flatten", value)


def reshape_constant(builder: Builder, value: str, batch: Batch) -> str:
    return builder.node("Reshape", value, builder.constant([int(batch), CHANNELS]))


def reshape_open_rest(builder: Builder, value: str, batch: Batch) -> str:
    return builder.node("Reshape", value, builder.stored(np.array([int(batch), -1], np.int64)))


def reshape_computed(builder: Builder, value: str, batch: Batch) -> str:
    """torchreid's ``v.view(v.size(0), -1)``: fails for no image at all."""
    first = builder.node("Gather", builder.node("Shape", value), builder.stored(np.array([0], np.int64)))
    target = builder.node("Concat", first, builder.stored(np.array([-1], np.int64)), axis=0)
    return builder.node("Reshape", value, target)


def reshape_merged(builder: Builder, value: str, batch: Batch) -> str:
    """The batch multiplied into another axis and taken apart again."""
    pairs = builder.node("Reshape", value, builder.constant([2 * int(batch), CHANNELS // 2]))
    mixed = builder.node("MatMul", pairs, builder.weight(CHANNELS // 2, CHANNELS // 2))
    return builder.node("Reshape", mixed, builder.constant([int(batch), -1]))


def expanded(builder: Builder, value: str, batch: Batch) -> str:
    flat = builder.node("Flatten", value)
    total = builder.node("ReduceSum", flat, axes=[1], keepdims=1)
    wide = builder.node("Expand", total, builder.constant([int(batch), CHANNELS]))
    return builder.node("Add", flat, builder.node("Mul", wide, builder.stored(np.array([0.01], np.float32))))


def small_reid(
    path: Path,
    batch: Batch = "n",
    tail: Tail = flatten,
    *,
    opset: int = 11,
    nhwc: bool = False,
    unit_length: bool = False,
    four_axes: bool = False,
    squeezed: bool = False,
    external: bool = False,
    listed_weights: bool = False,
    second_output: bool = False,
    kernel: float = 1.0,
) -> Path:
    """Conv, BatchNorm, ReLU, mean over the image, then ``tail`` and a linear layer to SIZE numbers."""
    builder = Builder()
    value = builder.node("Transpose", "pixels", perm=[0, 3, 1, 2]) if nhwc else "pixels"
    weights = builder.weight(CHANNELS, 3, 4, 4)
    if kernel != 1:
        scaled = numpy_helper.to_array(builder.weights[-1]) * np.float32(kernel)
        builder.weights[-1].CopyFrom(numpy_helper.from_array(scaled, weights))
    value = builder.node("Conv", value, weights, kernel_shape=[4, 4], strides=[4, 4])
    norm = [builder.weight(CHANNELS, low=low) for low in (0.5, -0.5, -0.5, 0.5)]
    value = builder.node("Relu", builder.node("BatchNormalization", value, *norm))
    value = builder.node("GlobalAveragePool", value)
    features = value
    if four_axes:
        value = builder.node("Conv", value, builder.weight(SIZE, CHANNELS, 1, 1), kernel_shape=[1, 1])
        if squeezed:  # ``x.squeeze()`` takes a batch of one away as well
            value = builder.node("Squeeze", value)
    else:
        value = tail(builder, value, batch)
        value = builder.node("Gemm", value, builder.weight(CHANNELS, SIZE), builder.weight(SIZE))
    if unit_length:
        value = builder.node("LpNormalization", value, axis=1, p=2)
    shape: list[Batch] = [SIZE] if squeezed else [batch, SIZE, 1, 1] if four_axes else [batch, SIZE]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)]
    if second_output:
        outputs.append(helper.make_tensor_value_info(features, TensorProto.FLOAT, [batch, CHANNELS, 1, 1]))
    image = [HEIGHT, WIDTH, 3] if nhwc else [3, HEIGHT, WIDTH]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, *image])]
    if listed_weights:
        inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in builder.weights]
    graph = helper.make_graph(builder.nodes, "theirs", inputs, outputs, builder.weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if listed_weights else 7
    )
    if external:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def run(path: Path, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The first output of a model for ``images``."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: images})
    return np.asarray(output, np.float32)
