"""From the OSNet module to an ONNX graph, layer by layer.

OSNet uses a dozen kinds of layers. Writing them down here keeps torchreid's names in the file, gives the same graph
with every version of PyTorch, and needs no exporter of PyTorch, which asks for further packages.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

from reidstream.models.onnx_file import IR_VERSION, OPSET
from reidstream.models.osnet import OSNet


def osnet_graph(network: OSNet, input_size: tuple[int, int]) -> Any:
    """The onnx.ModelProto of a network in evaluation mode: "images" (batch, 3, height, width) to "embeddings".

    input_size: height and width. Preprocessing and normalisation to unit length are not part of it yet.
    """
    height, width = input_size
    writer = _Writer(network)
    for node in fx.Tracer().trace(network.eval()).nodes:
        writer.add(node)
    graph = helper.make_graph(
        writer.nodes,
        network.architecture,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, height, width])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", network.embedding_size])],
        list(writer.weights.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="reidstream")
    model.ir_version = IR_VERSION
    return model


class _Writer:
    """Collects the nodes and weights of a traced network."""

    def __init__(self, network: OSNet) -> None:
        self.modules = dict(network.named_modules())
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self._names: dict[str, str] = {}  # what a traced value is called in the graph

    def add(self, node: fx.Node) -> None:
        inputs = [self._names[argument.name] for argument in node.all_input_nodes]
        match node.op:
            case "placeholder":
                self._names[node.name] = "images"
            case "output":
                self.nodes[-1].output[0] = "embeddings"
            case "call_module":
                self._names[node.name] = self._layer(self.modules[str(node.target)], str(node.target), inputs, node)
            case "call_function" if node.target in _FUNCTIONS:
                self._names[node.name] = self._node(_FUNCTIONS[node.target], inputs, node)
            case "call_method" if node.target == "flatten":
                self._names[node.name] = self._node("Flatten", inputs, node, axis=1)
            case _:
                raise NotImplementedError(f"no ONNX form is known for {node.op} {node.target}")

    def _layer(self, module: nn.Module, name: str, inputs: list[str], node: fx.Node) -> str:
        match module:
            case nn.Identity():
                return inputs[0]
            case nn.Conv2d():
                return self._node(
                    "Conv",
                    [*inputs, *self._parameters(module, name, "weight", "bias")],
                    node,
                    kernel_shape=list(module.kernel_size),
                    strides=list(module.stride),
                    pads=[*module.padding, *module.padding],
                    group=module.groups,
                )
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                statistics = self._parameters(module, name, "weight", "bias", "running_mean", "running_var")
                return self._node("BatchNormalization", [*inputs, *statistics], node, epsilon=module.eps)
            case nn.InstanceNorm2d():
                affine = self._parameters(module, name, "weight", "bias")
                return self._node("InstanceNormalization", [*inputs, *affine], node, epsilon=module.eps)
            case nn.Linear():
                return self._node("Gemm", [*inputs, *self._parameters(module, name, "weight", "bias")], node, transB=1)
            case nn.MaxPool2d():
                return self._node("MaxPool", inputs, node, **_window(module), pads=[module.padding] * 4)
            case nn.AvgPool2d():
                return self._node("AveragePool", inputs, node, **_window(module))
            case nn.AdaptiveAvgPool2d():
                return self._node("GlobalAveragePool", inputs, node)
            case nn.ReLU():
                return self._node("Relu", inputs, node)
            case nn.Sigmoid():
                return self._node("Sigmoid", inputs, node)
        raise NotImplementedError(f"no ONNX form is known for {name}, a {type(module).__name__}")

    def _node(self, kind: str, inputs: list[str], node: fx.Node, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [node.name], name=node.name, **attributes))
        return str(node.name)

    def _parameters(self, module: nn.Module, name: str, *fields: str) -> list[str]:
        names = []
        for field in fields:
            value = getattr(module, field)
            if value is not None:
                full = f"{name}.{field}"
                self.weights[full] = numpy_helper.from_array(_array(value), full)
                names.append(full)
        return names


_FUNCTIONS: dict[Any, str] = {operator.add: "Add", operator.mul: "Mul"}


def _window(pool: Any) -> dict[str, list[int]]:
    return {"kernel_shape": [pool.kernel_size] * 2, "strides": [pool.stride] * 2}


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.detach().to(torch.float32).cpu().numpy()
    return np.ascontiguousarray(array)
