"""Changes to the weights of an ONNX graph that do not change what it computes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from reidstream.errors import ModelMismatch

Weights = dict[str, npt.NDArray[Any]]

# Operators that treat all their floating-point inputs and outputs alike, so that their type can be changed as one.
_HALVABLE = {
    *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Div", "Elu", "Erf", "Exp", "Flatten"),
    *("Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity"),
    *("InstanceNormalization", "LeakyRelu", "MatMul", "MaxPool", "Mul", "PRelu", "Pad", "Pow", "ReduceMean"),
    *("Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh"),
    *("Transpose", "Unsqueeze"),
}


def constants_as_weights(model: Any) -> None:
    """Turn Constant nodes into initialisers, and initialisers listed as inputs (old files) into plain ones."""
    graph = model.graph
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            value.name = node.output[0]
            graph.initializer.append(value)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [port for port in graph.input if port.name not in stored]
    del graph.input[:]
    graph.input.extend(inputs)


def weights_of(model: Any) -> Weights:
    """The initialisers of a graph as arrays."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def replace_weights(model: Any, weights: Weights) -> None:
    """Store ``weights`` as the initialisers of a graph."""
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()
    )


def fold_batch_norm(model: Any) -> int:
    """Fold each BatchNormalization into the Conv or Gemm before it, in double precision; the number folded.

    BatchNorm computes (x - mean) * s + bias with s = weight / sqrt(variance + epsilon) (Ioffe and Szegedy, 2015,
    eq. 4), which is a convolution with weights scaled by s per output channel.
    """
    graph = model.graph
    weights = weights_of(model)
    producer = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(port.name for port in graph.output)
    folded = []
    for norm in graph.node:
        layer = producer.get(norm.input[0]) if len(norm.input) == 5 else None
        if (
            norm.op_type != "BatchNormalization"
            or layer is None
            or not _can_take(layer, weights)
            or uses[norm.input[0]] != 1
            or any(name not in weights for name in norm.input[1:5])
            or attribute(norm, "training_mode", 0)
        ):
            continue
        scale, shift, mean, variance = (weights[name].astype(np.float64) for name in norm.input[1:5])
        factor = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
        kernel = weights[layer.input[1]]
        along_rows = layer.op_type == "Conv" or attribute(layer, "transB", 0)
        shape = (-1, *(1,) * (kernel.ndim - 1)) if along_rows else (1, -1)
        old_bias = weights[layer.input[2]].astype(np.float64) if len(layer.input) > 2 else 0.0
        names = [_free_name(f"{layer.input[1]}.folded", weights), _free_name(f"{norm.input[2]}.folded", weights)]
        weights[names[0]] = (kernel * factor.reshape(shape)).astype(kernel.dtype)
        weights[names[1]] = ((old_bias - mean) * factor + shift).astype(kernel.dtype)
        del layer.input[1:]
        layer.input.extend(names)
        layer.output[0] = norm.output[0]
        producer[norm.output[0]] = layer
        folded.append(norm)
    for norm in folded:
        graph.node.remove(norm)
    replace_weights(model, weights)
    drop_unused(model)
    return len(folded)


def flush_denormals(model: Any) -> int:
    """Set weights too small for a normal float32 to zero; how many there were.

    They change no result, but arithmetic with them is up to a hundred times slower on many processors.
    """
    weights = weights_of(model)
    flushed = 0
    for name, array in weights.items():
        if array.dtype == np.float32:
            tiny = (np.abs(array) < np.finfo(np.float32).tiny) & (array != 0)
            if tiny.any():
                flushed += int(tiny.sum())
                weights[name] = np.where(tiny, np.float32(0), array)
    if flushed:
        replace_weights(model, weights)
    return flushed


def halve(model: Any) -> None:
    """Compute in float16; input and outputs stay float32.

    Raises ModelMismatch when the graph uses operators for which that is not safe, or weights beyond float16.
    """
    graph = model.graph
    unsafe = sorted({node.op_type for node in graph.node} - _HALVABLE)
    if unsafe:
        raise ModelMismatch(
            f"the graph cannot be written in FP16 because of {', '.join(unsafe)}: leave it in FP32 and let TensorRT "
            "choose (`reidstream models build --mode fp16`)"
        )
    weights = weights_of(model)
    for name, array in weights.items():
        if array.dtype == np.float32:
            if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
                raise ModelMismatch(f"{name} holds values beyond FP16 (largest {np.abs(array).max():g}): use FP32")
            weights[name] = array.astype(np.float16)
    replace_weights(model, weights)
    del graph.value_info[:]
    (port,) = graph.input
    for node in graph.node:
        _rename(node.input, port.name, f"{port.name}.half")
        for out in graph.output:
            _rename(node.input, out.name, f"{out.name}.half")
            _rename(node.output, out.name, f"{out.name}.half")
    graph.node.insert(0, _cast(port.name, f"{port.name}.half", TensorProto.FLOAT16))
    graph.node.extend(_cast(f"{out.name}.half", out.name, TensorProto.FLOAT) for out in graph.output)


def drop_unused(model: Any) -> None:
    """Remove nodes and weights on which no output depends."""
    graph = model.graph
    if any(a.HasField("g") for node in graph.node for a in node.attribute):
        return  # what subgraphs use is not tracked here
    needed = {port.name for port in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _can_take(layer: Any, weights: Weights) -> bool:
    if any(name not in weights for name in layer.input[1:]):
        return False
    if layer.op_type == "Gemm":
        return bool(attribute(layer, "alpha", 1.0) == 1.0 == attribute(layer, "beta", 1.0))
    return bool(layer.op_type == "Conv")


def attribute(node: Any, name: str, default: Any) -> Any:
    """What a node says about ``name``, or what holds when it says nothing."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _free_name(name: str, taken: Weights) -> str:
    while name in taken:
        name += "'"
    return name


def _rename(names: Any, old: str, new: str) -> None:
    for place, name in enumerate(names):
        if name == old:
            names[place] = new


def _cast(source: str, target: str, kind: int) -> Any:
    return helper.make_node("Cast", [source], [target], name=f"{target}.cast", to=kind)
