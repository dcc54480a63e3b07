"""Cheaper graphs give what the graphs gave that they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidstream.models.graph.folding import constants_as_weights
from reidstream.models.graph.padding import skip_padding
from reidstream.models.graph.savings import only_column, pools_in_turn, slices_as_convolution
from reidstream.types import FloatArray

CLASSES = 4


class Builder:
    """A graph of small random layers."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, values: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, value: str, before: int, after: int, side: int = 3, stride: int = 1, group: int = 1) -> str:
        kernel = self.rng.normal(size=(after, before // group, side, side)) / side / np.sqrt(before // group)
        weights = self.constant(kernel.astype(np.float32))
        bias = self.constant(self.rng.normal(size=after).astype(np.float32))
        pads = [side // 2] * 4
        return self.node("Conv", value, weights, bias, strides=[stride] * 2, pads=pads, group=group)

    def silu(self, value: str) -> str:
        return self.node("Mul", value, self.node("Sigmoid", value))

    def focus(self) -> str:
        parts = []
        for left in (0, 1):
            for top in (0, 1):
                value = "images"
                for axis, start in ((2, top), (3, left)):
                    places = [self.constant(np.array([n], np.int64)) for n in (start, 2**63 - 1, axis, 2)]
                    value = self.node("Slice", value, *places)
                parts.append(value)
        return self.silu(self.conv(self.node("Concat", *parts, axis=1), 12, 8))

    def level(self, value: str, channels: int) -> str:
        box, sure = self.conv(value, channels, 4, 1), self.node("Sigmoid", self.conv(value, channels, 1, 1))
        scores = self.node("Sigmoid", self.conv(value, channels, CLASSES, 1))
        target = self.constant(np.array([1, 5 + CLASSES, -1], np.int64))
        return self.node("Reshape", self.node("Concat", box, sure, scores, axis=1), target)

    def model(self, output: str, size: tuple[int, int], shape: list[int]) -> Any:
        self.nodes[-1].output[0] = "output"
        assert output == self.nodes[-1].name
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *size])
        answer = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "small", [image], [answer], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def small_yolox(size: tuple[int, int] = (128, 128)) -> Any:
    """Focus, a backbone with a residual branch, pyramid pooling and a head at two strides."""
    build = Builder()
    value = build.silu(build.conv(build.focus(), 8, 16, stride=2))
    branch = build.silu(build.conv(value, 16, 16, group=16))
    fine = build.silu(build.conv(build.node("Concat", value, build.node("Add", value, branch), axis=1), 32, 8, 1))
    coarse = build.silu(build.conv(fine, 8, 16, stride=2))
    pools = [
        build.node("MaxPool", coarse, kernel_shape=[side] * 2, strides=[1, 1], pads=[side // 2] * 4)
        for side in (5, 9, 13)
    ]
    coarse = build.conv(build.node("Concat", coarse, *pools, axis=1), 64, 8, 1)
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    up = build.node("Resize", coarse, "", scales, mode="nearest")
    levels = [build.level(build.node("Add", fine, up), 8), build.level(coarse, 8)]
    output = build.node("Transpose", build.node("Concat", *levels, axis=2), perm=[0, 2, 1])
    cells = (size[0] // 4) * (size[1] // 4) + (size[0] // 8) * (size[1] // 8)
    return build.model(output, size, [1, cells, 5 + CLASSES])


def answer(model: Any, images: FloatArray) -> FloatArray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: FloatArray = session.run(None, {"images": images})[0]
    return output


def padded(height: int, width: int, size: tuple[int, int] = (128, 128), seed: int = 0) -> FloatArray:
    images = np.full((1, 3, *size), 0.45, np.float32)
    images[:, :, :height, :width] = np.random.default_rng(seed).uniform(0, 1, (1, 3, height, width))
    return images


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_focus_becomes_one_convolution() -> None:
    model, images = small_yolox(), padded(128, 128)
    expected = answer(model, images)
    assert slices_as_convolution(model)
    assert "Slice" not in kinds(model)
    np.testing.assert_allclose(answer(model, images), expected, rtol=1e-4, atol=1e-4)
    assert not slices_as_convolution(model)


def test_slices_that_are_not_focus_are_left_alone() -> None:
    model = small_yolox()
    steps = next(tensor for tensor in model.graph.initializer if tensor.name == model.graph.node[0].input[4])
    steps.CopyFrom(numpy_helper.from_array(np.array([1], np.int64), steps.name))
    before = kinds(model)
    assert not slices_as_convolution(model)
    assert kinds(model) == before


def test_larger_pools_go_on_from_smaller_ones() -> None:
    model, images = small_yolox(), padded(128, 128)
    expected = answer(model, images)
    assert pools_in_turn(model) == 2
    np.testing.assert_array_equal(answer(model, images), expected)
    assert pools_in_turn(model) == 0


@pytest.mark.parametrize("column", [5, 7, 5 + CLASSES - 1])
def test_one_class_keeps_its_scores(column: int) -> None:
    model, images = small_yolox(), padded(128, 128)
    expected = answer(model, images)
    assert only_column(model, column)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(answer(model, images), expected[:, :, [0, 1, 2, 3, 4, column]], rtol=1e-4, atol=1e-4)


def test_a_class_that_does_not_exist_changes_nothing() -> None:
    model = small_yolox()
    before = model.SerializeToString()
    assert not only_column(model, 5 + CLASSES)
    assert model.SerializeToString() == before


def test_scores_that_are_used_elsewhere_stay() -> None:
    model = small_yolox()
    concat = next(node for node in model.graph.node if node.op_type == "Concat" and len(node.input) == 3)
    model.graph.output.append(helper.make_tensor_value_info(concat.input[2], TensorProto.FLOAT, None))
    assert not only_column(model, 6)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("content", [1, 8, 31, 40, 57, 72])
@pytest.mark.parametrize("focus", [False, True])
def test_padding_that_is_skipped_is_not_missed(axis: int, content: int, focus: bool) -> None:
    model = small_yolox()
    if not focus:
        slices_as_convolution(model)
    shown = (content, 128) if axis == 2 else (128, content)
    images = padded(*shown, seed=content)
    expected = answer(model, images)
    length = skip_padding(model, axis, content, (3, 128, 128))
    # Slices are not understood, so nothing behind them is either.
    assert length == 128 if focus else content < length < 128
    onnx.checker.check_model(model, full_check=True)
    short = np.ascontiguousarray(images[:, :, :length] if axis == 2 else images[:, :, :, :length])
    np.testing.assert_allclose(answer(model, short), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [127, 128])
def test_without_padding_the_graph_stays(content: int) -> None:
    model = small_yolox()
    slices_as_convolution(model)
    before = model.SerializeToString()
    assert skip_padding(model, 2, content, (3, 128, 128)) == 128
    assert model.SerializeToString() == before


def test_a_constant_that_differs_from_row_to_row_ends_what_is_skipped() -> None:
    build = Builder()
    rows = build.constant(np.arange(64, dtype=np.float32).reshape(1, 1, 64, 1))
    model = build.model(build.conv(build.node("Add", "images", rows), 3, 8), (64, 64), [1, 8, 64, 64])
    assert skip_padding(model, 2, 20, (3, 64, 64)) == 64


def test_constants_may_be_nodes() -> None:
    model, images = small_yolox(), padded(128, 128)
    expected = answer(model, images)
    stored = list(model.graph.initializer)
    del model.graph.initializer[:]
    for tensor in reversed(stored):
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    constants_as_weights(model)
    assert slices_as_convolution(model)
    assert only_column(model, 6)
    np.testing.assert_allclose(answer(model, images), expected[:, :, [0, 1, 2, 3, 4, 6]], rtol=1e-4, atol=1e-4)
