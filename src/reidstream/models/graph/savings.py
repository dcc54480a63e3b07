"""Cheaper forms of parts of a detector's graph that give the same numbers, up to the rounding of float32."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import helper

from reidstream.models.graph.folding import attribute, drop_unused, replace_weights, weights_of

_WHOLE_AXIS = 2**31 - 1
"""An end of a Slice beyond every axis; exporters write this or larger."""


def slices_as_convolution(model: Any) -> bool:
    """Turn YOLOX's Focus layer into one strided convolution; whether there was one.

    Focus (Ge et al. 2021, from YOLOv5) puts every second pixel, with the four ways to begin, side by side as channels
    and convolves them with a k x k kernel; that is a 2k x 2k kernel on the pixels themselves with a stride of 2.
    """
    graph, weights = model.graph, weights_of(model)
    makers, users = _makers(graph), _users(graph)
    for concat in graph.node:
        if concat.op_type != "Concat" or attribute(concat, "axis", None) != 1 or len(users[concat.output[0]]) != 1:
            continue
        parts = [_every_second(name, makers, weights) for name in concat.input]
        (layer,) = users[concat.output[0]]
        sources = {part.source for part in parts if part is not None}
        if None in parts or len(sources) != 1 or not _is_plain_convolution(layer, weights):
            continue
        kernel = weights[layer.input[1]]
        channels = kernel.shape[1] // len(parts)
        if channels * len(parts) != kernel.shape[1] or layer.input[0] != concat.output[0]:
            continue
        height, width = kernel.shape[2:]
        wide = np.zeros((len(kernel), channels, 2 * height, 2 * width), kernel.dtype)
        for place, part in enumerate(parts):
            assert part is not None
            wide[:, :, part.top :: 2, part.left :: 2] += kernel[:, place * channels : (place + 1) * channels]
        name = f"{layer.input[1]}.on_pixels"
        weights[name] = wide
        pads = [2 * pad for pad in attribute(layer, "pads", [0, 0, 0, 0])]
        del layer.attribute[:]
        layer.attribute.extend(
            helper.make_attribute(key, value)
            for key, value in (("kernel_shape", [2 * height, 2 * width]), ("strides", [2, 2]), ("pads", pads))
        )
        layer.input[0], layer.input[1] = sources.pop(), name
        replace_weights(model, weights)
        drop_unused(model)
        return True
    return False


def pools_in_turn(model: Any) -> int:
    """Let the larger of several maximum filters on one value begin where the next smaller one ended; how many do.

    The largest of 9 x 9 values is the largest of 5 x 5 results of a 5 x 5 filter. This is spatial pyramid pooling.
    """
    graph = model.graph
    filters: dict[str, list[tuple[int, Any]]] = {}
    for node in graph.node:
        if (side := _maximum_filter(node)) is not None:
            filters.setdefault(node.input[0], []).append((side, node))
    changed = 0
    for group in filters.values():
        group.sort(key=lambda pair: pair[0])
        for (small, before), (large, node) in pairwise(group):
            # What it reads must have been made by then.
            nodes = list(graph.node)
            if large == small or nodes.index(before) > nodes.index(node):
                continue
            side = large - small + 1
            node.input[0] = before.output[0]
            del node.attribute[:]
            node.attribute.extend(
                helper.make_attribute(key, value)
                for key, value in (("kernel_shape", [side] * 2), ("strides", [1, 1]), ("pads", [side // 2] * 4))
            )
            changed += 1
    return changed


def only_column(model: Any, column: int, first: int = 5) -> bool:
    """Keep of the columns from ``first`` on only ``column``: of all class scores those of one class; whether it worked.

    The graph must end as YOLOX does: convolutions, Sigmoid, put together as channels for each level, reshaped to rows,
    joined over the levels and transposed. Other graphs are left alone.
    """
    graph, weights = model.graph, weights_of(model)
    makers, users = _makers(graph), _users(graph)
    if len(graph.output) != 1:
        return False
    levels = _levels(graph.output[0].name, makers, users, weights)
    if not levels:
        return False
    chosen: list[Any] = []
    for level in levels:
        layer = _scores(level.parts[-1], makers, users, weights)
        before = sum(_channels(part, makers, weights) for part in level.parts[:-1])
        if layer is None or before != first or not 0 <= column - first < len(weights[layer.input[1]]):
            return False
        if weights[level.reshape.input[1]].tolist()[1] != first + len(weights[layer.input[1]]):
            return False
        chosen.append(layer)
    if len({layer.output[0] for layer in chosen}) != len(levels):
        return False
    row = slice(column - first, column - first + 1)
    for level, layer in zip(levels, chosen, strict=True):
        for place in range(1, len(layer.input)):
            name = f"{layer.input[place]}.{column}"
            weights[name] = weights[layer.input[place]][row]
            layer.input[place] = name
        name = f"{level.reshape.output[0]}.target"
        target = weights[level.reshape.input[1]].copy()
        target[1] = first + 1
        weights[name] = target
        level.reshape.input[1] = name
    declared = graph.output[0].type.tensor_type.shape.dim
    if len(declared) == 3:
        declared[2].dim_value = first + 1
    del graph.value_info[:]
    replace_weights(model, weights)
    drop_unused(model)
    return True


@dataclass(frozen=True, slots=True)
class _Half:
    """Every second row and column of ``source``, beginning at these."""

    source: str
    top: int
    left: int


def _every_second(name: str, makers: dict[str, Any], weights: dict[str, Any]) -> _Half | None:
    starts: dict[int, int] = {}
    while (node := makers.get(name)) is not None and node.op_type == "Slice" and len(node.input) == 5:
        if any(value not in weights for value in node.input[1:]):
            return None
        columns = (weights[value].tolist() for value in node.input[1:])
        for start, end, axis, step in zip(*columns, strict=True):
            if axis not in (2, 3) or axis in starts or step != 2 or start not in (0, 1) or end < _WHOLE_AXIS:
                return None
            starts[axis] = start
        name = node.input[0]
    return _Half(name, starts[2], starts[3]) if len(starts) == 2 else None


def _is_plain_convolution(node: Any, weights: dict[str, Any]) -> bool:
    return bool(
        node.op_type == "Conv"
        and all(name in weights for name in node.input[1:])
        and weights[node.input[1]].ndim == 4
        and attribute(node, "group", 1) == 1
        and set(attribute(node, "strides", [1])) == {1}
        and set(attribute(node, "dilations", [1])) == {1}
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    )


def _maximum_filter(node: Any) -> int | None:
    """The side of a MaxPool that leaves the size as it is; None for everything else."""
    if node.op_type != "MaxPool" or len(node.output) != 1 or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    sides = attribute(node, "kernel_shape", [])
    ones = {*attribute(node, "strides", [1]), *attribute(node, "dilations", [1])}
    if len(sides) != 2 or sides[0] != sides[1] or sides[0] % 2 == 0 or ones != {1}:
        return None
    return sides[0] if attribute(node, "pads", [0] * 4) == [sides[0] // 2] * 4 else None


@dataclass(frozen=True, slots=True)
class _Level:
    reshape: Any
    parts: list[str]


def _levels(output: str, makers: dict[str, Any], users: dict[str, Any], weights: dict[str, Any]) -> list[_Level]:
    """From the output back to the channels of each level; empty when the graph does not look like that."""
    turned = makers.get(output)
    if turned is None or turned.op_type != "Transpose" or attribute(turned, "perm", None) != [0, 2, 1]:
        return []
    node = makers.get(turned.input[0])
    if node is None or node.op_type != "Concat" or attribute(node, "axis", None) not in (2, -1):
        return []
    if len(users[turned.input[0]]) != 1 or len(users[output]) != 1:
        return []
    levels = []
    for name in node.input:
        reshape = makers.get(name)
        if reshape is None or reshape.op_type != "Reshape" or reshape.input[1] not in weights:
            return []
        concat = makers.get(reshape.input[0])
        if (
            weights[reshape.input[1]].size != 3
            or concat is None
            or concat.op_type != "Concat"
            or attribute(concat, "axis", None) != 1
            or len(users[name]) != 1
            or len(users[reshape.input[0]]) != 1
        ):
            return []
        levels.append(_Level(reshape, list(concat.input)))
    return levels


def _scores(name: str, makers: dict[str, Any], users: dict[str, Any], weights: dict[str, Any]) -> Any | None:
    """The convolution that makes a value, with at most a Sigmoid between and no other use."""
    while (node := makers.get(name)) is not None and len(users[name]) == 1:
        if node.op_type == "Conv":
            sound = attribute(node, "group", 1) == 1 and all(value in weights for value in node.input[1:])
            return node if sound else None
        if node.op_type != "Sigmoid":
            return None
        name = node.input[0]
    return None


def _channels(name: str, makers: dict[str, Any], weights: dict[str, Any]) -> int:
    """Of a value that a convolution made; -1000 when that is not known."""
    while (node := makers.get(name)) is not None:
        if node.op_type == "Conv" and node.input[1] in weights:
            return len(weights[node.input[1]])
        if node.op_type != "Sigmoid":
            break
        name = node.input[0]
    return -1000


def _makers(graph: Any) -> dict[str, Any]:
    return {name: node for node in graph.node for name in node.output}


def _users(graph: Any) -> dict[str, list[Any]]:
    """Who reads a value; the graph's outputs count, as None."""
    users: dict[str, list[Any]] = {name: [] for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for port in graph.output:
        users.setdefault(port.name, []).append(None)
    return users
