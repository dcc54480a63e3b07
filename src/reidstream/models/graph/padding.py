"""Not computing what a detector's first layers make of padding.

A picture that is wider than the network's input is padded below with one grey: 182 of 416 rows for 16:9. Far enough
from the picture and from the lower edge, every row that a layer makes of the padding is the same. So the graph can be
given a shorter picture with a few rows of padding, and one of the equal rows be repeated where the full size is needed.
What comes out is what the whole picture would have given. It ends where a layer looks far around, like pyramid pooling.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from reidstream.models.graph.batch import Shapes, declare_shape, value_shapes
from reidstream.models.graph.folding import Weights, attribute, weights_of

_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Elu", "Softplus", "BatchNormalization", "Identity", "Cast"),
}
_WINDOWED = {"Conv", "MaxPool", "AveragePool"}
_REPEATING_COST = 4.0
"""What repeating costs per number, in numbers that a layer computes: copying, and twice another layout."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """Of one value, along the padded axis: how long it is, how many places at its beginning may depend on the picture
    and at its end on the edge, and how many pixels of the input make one place."""

    length: int
    touched: int
    edge: int
    stride: int


def skip_padding(model: Any, axis: int, content: int, image_shape: tuple[int, int, int]) -> int:
    """Let a graph take pictures that are shorter along ``axis``; the new length, the old one if nothing is saved.

    axis: 2 for rows, 3 for columns. content: how much of the axis the picture takes at most; the rest is one colour.
    image_shape: channels, height, width of the graph's input so far; the batch may be open. Weights must be
    initialisers. The caller gives the first places of the padded picture, as many as this returns.
    """
    shape = list(image_shape)
    while (cut := _cut(model, axis, content, shape)) is not None:
        value, reach, length = cut
        rows = [*range(reach.touched), *[reach.touched] * (reach.length - reach.touched - reach.edge)]
        shorter = reach.touched + 1 + reach.edge
        rows += range(shorter - reach.edge, shorter)
        _repeat(model.graph, value, axis, rows)
        shape[axis - 1] = length
        port = model.graph.input[0]
        batch = port.type.tensor_type.shape.dim[0]
        declare_shape(port, [batch.dim_param or batch.dim_value, *shape])
        del model.graph.value_info[:]
    return shape[axis - 1]


def _cut(model: Any, axis: int, content: int, shape: list[int]) -> tuple[str, _Reach, int] | None:
    """The last value from which on the graph needs the full size, what is known of it, and the input's new length."""
    graph, weights = model.graph, weights_of(model)
    source = graph.input[0].name
    length = shape[axis - 1]
    if not 0 < content < length:
        return None
    shapes = value_shapes(model, 1, (shape[0], shape[1], shape[2]))
    reaches = {source: _Reach(length, content, 0, 1)}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(port.name for port in graph.output)
    waiting = {source: uses[source]}
    computed = 0
    best = None
    for node in graph.node:
        read = [name for name in node.input if name in waiting]
        for name in read:
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
        if not read and all(name in weights or not name for name in node.input):
            continue  # does not depend on the picture
        reach = _reach_of(node, axis, reaches, shapes, weights)
        if reach is None or len(node.output) != 1:
            break
        value = node.output[0]
        reaches[value] = reach
        waiting[value] = uses[value]
        computed += int(np.prod(shapes[value]))
        fewer = reach.length - reach.touched - 1 - reach.edge
        if (
            len(waiting) == 1
            and fewer > 0
            and computed * fewer / reach.length > _REPEATING_COST * np.prod(shapes[value])
        ):
            best = value, reach, length - fewer * reach.stride
    return best


def _reach_of(node: Any, axis: int, reaches: dict[str, _Reach], shapes: Shapes, weights: Weights) -> _Reach | None:
    """What is known of a node's output; None when the node is of a kind for which that is not clear."""
    inputs = [name for name in node.input if name and name not in weights]
    before = [reaches[name] for name in inputs if name in reaches]
    shape = shapes.get(node.output[0], [])
    if not before or len(before) != len(inputs) or len({(b.length, b.stride) for b in before}) != 1 or len(shape) != 4:
        return None
    touched, edge = max(b.touched for b in before), max(b.edge for b in before)
    length, stride = before[0].length, before[0].stride
    if node.op_type in _ELEMENTWISE or (node.op_type == "Concat" and attribute(node, "axis", None) == 1):
        constants = [weights[name] for name in node.input if name in weights and node.op_type != "BatchNormalization"]
        # They may differ from channel to channel, but not along the axis.
        varies = any(value.ndim >= 4 - axis and value.shape[axis - 4] != 1 for value in constants)
        return _Reach(length, touched, edge, stride) if not varies and shape[axis] == length else None
    if node.op_type not in _WINDOWED or len(inputs) != 1 or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if attribute(node, "ceil_mode", 0):
        return None
    sides = attribute(node, "kernel_shape", None) or list(weights[node.input[1]].shape[2:])
    side, step, spread = (
        values[axis - 2] for values in (sides, attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1]))
    )
    pad = attribute(node, "pads", [0, 0, 0, 0])[axis - 2]
    # Place r sees the places from r * step - pad to that + (side - 1) * spread.
    touched = min((touched - 1 + pad) // step + 1, shape[axis])
    first_at_edge = -(-(length - edge + pad - (side - 1) * spread) // step)
    return _Reach(shape[axis], touched, max(shape[axis] - max(first_at_edge, 0), 0), stride * step)


def _repeat(graph: Any, value: str, axis: int, rows: list[int]) -> None:
    """Put a Gather of these rows between a value and its readers."""
    full = f"{value}.full"
    places = f"{value}.places"
    graph.initializer.append(numpy_helper.from_array(np.array(rows, np.int64), places))
    position = 0
    for number, node in enumerate(graph.node):
        if value in node.output:
            position = number + 1
        for place, name in enumerate(node.input):
            if name == value:
                node.input[place] = full
    # The filter changes nothing, but gives all readers the layout in which ONNX Runtime convolves: once instead of
    # once for each of them.
    graph.node.insert(position, helper.make_node("Gather", [value, places], [f"{full}.plain"], axis=axis))
    graph.node.insert(position + 1, helper.make_node("MaxPool", [f"{full}.plain"], [full], kernel_shape=[1, 1]))
