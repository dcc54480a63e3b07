"""What an ONNX graph takes and gives: raw crops in, unit-length embeddings out, any number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from reidstream.models.spec import Preprocessing

INPUT = "images"
OUTPUT = "embeddings"
BATCH = "batch"
# Keeps an all-zero vector from becoming not-a-number; far below the length of any real embedding.
_SMALLEST_LENGTH = 1e-12


def take_raw_images(model: Any, preprocessing: Preprocessing, input_size: tuple[int, int]) -> None:
    """Let a graph with one input take float32 RGB pixels, 0-255, (batch, 3, height, width), named "images".

    preprocessing: what the graph wanted so far; it becomes part of the graph.
    """
    graph = model.graph
    (port,) = graph.input
    old = port.name
    rename_value(graph, INPUT, f"{INPUT}.inner")
    old = f"{INPUT}.inner" if old == INPUT else old
    nodes: list[Any] = []
    value = INPUT

    def then(kind: str, name: str, *inputs: str, **attributes: Any) -> None:
        nonlocal value
        output = f"preprocessing.{name}"
        nodes.append(helper.make_node(kind, [value, *inputs], [output], name=output, **attributes))
        value = output

    def constant(name: str, values: Any) -> str:
        full = f"preprocessing.{name}.value"
        graph.initializer.append(numpy_helper.from_array(values, full))
        return full

    if preprocessing.color == "BGR":
        then("Gather", "bgr", constant("bgr", np.array([2, 1, 0], np.int64)), axis=1)
    # Like everywhere, mean and std are in the order in which the network wants its channels.
    shape = (1, 3, 1, 1)
    mean = np.array(preprocessing.mean, np.float32).reshape(shape)
    std = np.array(preprocessing.std, np.float32).reshape(shape)
    if mean.any():
        then("Sub", "mean", constant("mean", mean))
    if (std != 1).any():
        then("Div", "std", constant("std", std))
    if preprocessing.layout == "NHWC":
        then("Transpose", "nhwc", perm=[0, 2, 3, 1])
    rename_value(graph, old, value)
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inner])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, 3, *input_size]))


def give_embeddings(model: Any, size: int, rank: int, unit_length: bool) -> None:
    """Let a graph with one output give float32 (batch, size), named "embeddings".

    rank: number of axes that the output has so far; further axes are flattened. unit_length: divide each embedding
    by its Euclidean length.
    """
    graph = model.graph
    (port,) = graph.output
    rename_value(graph, OUTPUT, f"{OUTPUT}.inner")
    value = f"{OUTPUT}.inner" if port.name == OUTPUT else port.name
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    nodes = []
    if rank != 2:
        nodes.append(helper.make_node("Flatten", [value], ["unit.flat"], name="unit.flat", axis=1))
        value = "unit.flat"
    if unit_length:
        floor = numpy_helper.from_array(np.array(_SMALLEST_LENGTH, np.float32), "unit.smallest")
        graph.initializer.append(floor)
        axes: dict[str, Any] = {"axes": [1]} if opset < 18 else {}
        inputs = [value]
        if opset >= 18:
            graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "unit.axes"))
            inputs.append("unit.axes")
        nodes += [
            helper.make_node("ReduceL2", inputs, ["unit.length"], name="unit.length", keepdims=1, **axes),
            helper.make_node("Max", ["unit.length", floor.name], ["unit.divisor"], name="unit.divisor"),
            helper.make_node("Div", [value, "unit.divisor"], [OUTPUT], name="unit.embeddings"),
        ]
    elif nodes:
        nodes[-1].output[0] = OUTPUT
    else:
        rename_value(graph, value, OUTPUT)
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, size]))


def rename_value(graph: Any, old: str, new: str) -> None:
    """Give a tensor of a graph another name wherever it is made, used, stored or described, subgraphs included."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
        for attribute in node.attribute:
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                rename_value(subgraph, old, new)
    for described in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if described.name == old:
            described.name = new
