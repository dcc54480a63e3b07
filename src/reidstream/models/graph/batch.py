"""Letting an ONNX graph take any number of images: none, one, or more than it was exported for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, shape_inference

from reidstream.models.graph.folding import drop_unused, weights_of
from reidstream.models.graph.ports import BATCH

# Stand-ins for the number of images where it is open; what differs between them depends on it.
_STAND_INS = (7, 11)
Shapes = dict[str, list[int]]


def fixed_batch(model: Any) -> int | None:
    """The number of images that the graph's first input is fixed to; None if it is open."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    return dimensions[0].dim_value if dimensions and dimensions[0].dim_value > 0 else None


def open_batch(model: Any, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Let a graph take any number of images, none included; names of the nodes that changed.

    image_shape: of one image in the graph's own layout. Exporters write the number of images into the target shapes
    of Reshape and Expand nodes, or compute the target so that no image at all is an error; a Squeeze without axes
    swallows a batch of one. Every Reshape gets a constant target with 0 ("as in the input") for the batch, or -1
    where the batch is merged with another axis. Constants must be initialisers already. Whether the graph then
    really works for other numbers has to be tried.
    """
    batch = fixed_batch(model)
    trials = [(number, value_shapes(model, number, image_shape)) for number in ((batch,) if batch else _STAND_INS)]
    graph = model.graph
    weights = weights_of(model)
    changed: list[str] = []
    for node in graph.node:
        values = [_new_value(node, number, shapes, weights) for number, shapes in trials]
        if values[0] is None or any(value != values[0] for value in values):
            continue
        name = f"{node.output[0]}.{'axes' if node.op_type == 'Squeeze' else 'target'}"
        graph.initializer.append(numpy_helper.from_array(np.array(values[0], np.int64), name))
        del node.input[1:]
        node.input.append(name)
        changed.append(node.name or node.output[0])
    for port in (*graph.input, *graph.output):
        dimension = port.type.tensor_type.shape.dim
        if dimension:
            dimension[0].dim_param = BATCH
    del graph.value_info[:]  # described the old shapes
    drop_unused(model)
    return tuple(changed)


def declare_shape(port: Any, shape: list[Any]) -> None:
    """State the shape of an input or output anew."""
    port.CopyFrom(helper.make_tensor_value_info(port.name, port.type.tensor_type.elem_type, shape))


def _new_value(node: Any, batch: int, shapes: Shapes, weights: dict[str, Any]) -> list[int] | None:
    """The second input that a node should get instead of its own; None to leave the node alone."""
    source, target = shapes.get(node.input[0]) if node.input else None, shapes.get(node.output[0])
    if source is None:
        return None
    if node.op_type == "Squeeze" and len(node.input) == 1:
        return [axis for axis in range(1, len(source)) if source[axis] == 1]
    if target is None or not target or node.input[0] in weights:
        return None
    if node.op_type == "Reshape" and target[0] % batch == 0:
        return [0 if source[0] == target[0] else -1, *target[1:]]
    if node.op_type == "Expand" and node.input[1] in weights and source[0] == batch == target[0]:
        return [1, *target[1:]] if len(source) == len(target) else None
    return None


def value_shapes(model: Any, batch: int, image_shape: tuple[int, int, int]) -> Shapes:
    """The shapes of all values of a graph for ``batch`` images, as far as ONNX can infer them."""
    trial = copy.deepcopy(model)
    declare_shape(trial.graph.input[0], [batch, *image_shape])
    del trial.graph.value_info[:]
    for port in trial.graph.output:
        port.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(trial, data_prop=True).graph
    shapes = {}
    for port in (*inferred.value_info, *inferred.input, *inferred.output):
        dimensions = port.type.tensor_type.shape.dim
        if port.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dimensions):
            shapes[port.name] = [d.dim_value for d in dimensions]
    shapes.update({tensor.name: list(tensor.dims) for tensor in model.graph.initializer})
    return shapes
