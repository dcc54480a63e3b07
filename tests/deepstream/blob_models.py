"""The world of coloured rectangles as ONNX files and settings, so that nvinfer files can be rendered for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reidstream.config import Config, load_config
from tests.blobs import FPS, SIZE
from tests.deepstream import standins


def write_models(folder: Path) -> tuple[Path, Path]:
    """A detector whose output is its input, read by the parser that the stand-in has for it, and an embedder that
    gives a crop's mean colour around grey as a unit vector of eight numbers."""
    width, height = SIZE
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, height, width])
    output = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, height, width])
    detector = _saved(
        folder / "blob_detector.onnx", [helper.make_node("Identity", ["image"], ["picture"])], image, output
    )

    crop = helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["n", 3, 64, 32])
    vector = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 8])
    spread = np.zeros((3, 8), np.float32)
    spread[:, :3] = np.eye(3)
    offset = np.array([-128, -128, -128, 5, 0, 0, 0, 0], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["crop"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "spread"], ["wide"]),
        helper.make_node("Add", ["wide", "offset"], ["moved"]),
        helper.make_node("LpNormalization", ["moved"], ["embedding"], axis=1, p=2),
    ]
    constants = [numpy_helper.from_array(spread, "spread"), numpy_helper.from_array(offset, "offset")]
    embedder = _saved(folder / "blob_embedder.onnx", nodes, crop, vector, constants)
    embedder.with_name(embedder.name + ".toml").write_text('task = "reid"\n[preprocessing]\ncolor = "BGR"\n')
    (folder / "labels.txt").write_text("person\n")
    return detector, embedder


def settings(folder: Path) -> list[str]:
    detector, embedder = write_models(folder)
    return [
        f'embedding.model="{embedder}"',
        'deepstream.pgie.preset="custom"',
        f'deepstream.pgie.model="{detector}"',
        f'deepstream.pgie.labels="{folder / "labels.txt"}"',
        "deepstream.pgie.scale=1",
        'deepstream.pgie.color="BGR"',
        'deepstream.pgie.parser_library="libblobs.so"',
        'deepstream.pgie.parser_function="NvDsInferParseBlobs"',
        f"deepstream.mux.width={SIZE[0]}",
        f"deepstream.mux.height={SIZE[1]}",
        "deepstream.mux.timeout_us=2000000",
        f"deepstream.tracker.fps={FPS}",
        standins.crops(),
    ]


def config(folder: Path, overrides: Sequence[str] = ()) -> Config:
    folder.mkdir(parents=True, exist_ok=True)
    return load_config(None, [*settings(folder), *overrides])


def _saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    image: onnx.ValueInfoProto,
    output: onnx.ValueInfoProto,
    constants: Sequence[onnx.TensorProto] = (),
) -> Path:
    graph = helper.make_graph(nodes, path.stem, [image], [output], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
