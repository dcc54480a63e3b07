"""Letting an ONNX graph take pictures as they are: bytes, rows of pixels, blue first, and a fixed number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from reidstream.models.graph.batch import declare_shape
from reidstream.models.graph.ports import rename_value
from reidstream.models.spec import Preprocessing

PICTURES = "pictures"


def take_pictures(model: Any, preprocessing: Preprocessing, size: tuple[int, int], rows: int | str) -> None:
    """Let a graph with one input take uint8 (rows, height, width, 3), BGR, named "pictures".

    preprocessing: what the graph wanted so far; it becomes part of the graph, with the arithmetic of float32 in the
    same order as outside. size: width and height. rows: a number, or a name where it stays open.
    """
    graph = model.graph
    (port,) = graph.input
    wanted = port.type.tensor_type.elem_type
    # Two values of one name would be a circle.
    rename_value(graph, port.name, f"{PICTURES}.network")
    nodes: list[Any] = []
    value = PICTURES

    def then(kind: str, name: str, *inputs: str, **attributes: Any) -> None:
        nonlocal value
        output = f"{PICTURES}.{name}"
        nodes.append(helper.make_node(kind, [value, *inputs], [output], name=output, **attributes))
        value = output

    def constant(name: str, values: Any) -> str:
        full = f"{PICTURES}.{name}.value"
        graph.initializer.append(numpy_helper.from_array(values, full))
        return full

    then("Cast", "float", to=TensorProto.FLOAT)
    shape = (1, 1, 1, 3)
    if preprocessing.layout == "NCHW":
        shape = (1, 3, 1, 1)
        then("Transpose", "planes", perm=[0, 3, 1, 2])
    if preprocessing.color == "RGB":
        then("Gather", "rgb", constant("rgb", np.array([2, 1, 0], np.int64)), axis=shape.index(3))
    mean = np.array(preprocessing.mean, np.float32).reshape(shape)
    std = np.array(preprocessing.std, np.float32).reshape(shape)
    if mean.any() or (std != 1).any():
        then("Sub", "centred", constant("mean", mean))
        then("Div", "scaled", constant("std", std))
    if wanted != TensorProto.FLOAT:
        then("Cast", "as_wanted", to=wanted)
    nodes[-1].output[0] = f"{PICTURES}.network"
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inner])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, [rows, size[1], size[0], 3]))


def fix_rows(model: Any, rows: int) -> None:
    """State for how many pictures a graph is run, so that everything in it has a size known beforehand."""
    (port,) = model.graph.input
    shape = [dimension.dim_value for dimension in port.type.tensor_type.shape.dim]
    declare_shape(port, [rows, *shape[1:]])
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
