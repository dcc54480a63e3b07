"""Each setting of DeepStream that shows in its files or its elements' properties makes a difference."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream.config import load_config
from reidstream.engines.deepstream.files.nvinfer_config import render_configs
from reidstream.errors import ConfigError

CUSTOM = [
    "deepstream.pgie.preset=custom",
    "deepstream.pgie.model={detector}",
    "deepstream.pgie.labels={labels}",
    "deepstream.pgie.input_size=[64, 96]",
    "deepstream.pgie.scale=1.0",
    "deepstream.pgie.color=RGB",
]
# Settings by name: the overrides without it, and with it.
RENDERED: dict[str, tuple[list[str], list[str]]] = {
    "deepstream.gpu_id": ([], ["deepstream.gpu_id=1"]),
    "deepstream.mux.width": (
        ["deepstream.mux.width=1920", "deepstream.mux.height=1080"],
        ["deepstream.mux.width=1280", "deepstream.mux.height=1080"],
    ),
    "deepstream.mux.height": (
        ["deepstream.mux.width=1920", "deepstream.mux.height=1080"],
        ["deepstream.mux.width=1920", "deepstream.mux.height=720"],
    ),
    "deepstream.mux.batch": ([], ["deepstream.mux.batch=7"]),
    "deepstream.mux.timeout_us": ([], ["deepstream.mux.timeout_us=5000"]),
    "deepstream.mux.live": ([], ["deepstream.mux.live=true"]),
    "deepstream.mux.new_mux": ([], ["deepstream.mux.new_mux=true"]),
    "deepstream.mux.properties": ([], ['deepstream.mux.properties={"attach-sys-ts"=false}']),
    "deepstream.source.properties": ([], ['deepstream.source.properties={"drop-frame-interval"=2}']),
    "deepstream.pgie.person_class": ([], ["deepstream.pgie.person_class=car"]),
    "deepstream.pgie.batch": ([], ["deepstream.pgie.batch=3"]),
    "deepstream.pgie.precision": ([], ["deepstream.pgie.precision=fp32"]),
    "deepstream.pgie.interval": ([], ["deepstream.pgie.interval=2"]),
    "deepstream.pgie.threshold": ([], ["deepstream.pgie.threshold=0.5"]),
    "deepstream.pgie.cluster": ([], ["deepstream.pgie.cluster=dbscan"]),
    "deepstream.pgie.nms_iou": ([], ["deepstream.pgie.nms_iou=0.3"]),
    "deepstream.pgie.topk": ([], ["deepstream.pgie.topk=50"]),
    "deepstream.pgie.min_width": ([], ["deepstream.pgie.min_width=20"]),
    "deepstream.pgie.min_height": ([], ["deepstream.pgie.min_height=40"]),
    "deepstream.pgie.unique_id": ([], ["deepstream.pgie.unique_id=5"]),
    "deepstream.pgie.keys": ([], ['deepstream.pgie.keys={"workspace-size"=2000}']),
    "deepstream.pgie.properties": ([], ['deepstream.pgie.properties={"qos"=true}']),
    "deepstream.tracker.library": ([], ["deepstream.tracker.library=/opt/own/libtracker.so"]),
    "deepstream.tracker.preset": ([], ["deepstream.tracker.preset=iou"]),
    "deepstream.tracker.width": ([], ["deepstream.tracker.width=640"]),
    "deepstream.tracker.height": ([], ["deepstream.tracker.height=384"]),
    "deepstream.tracker.fps": ([], ["deepstream.tracker.fps=10.0"]),
    "deepstream.tracker.max_targets": ([], ["deepstream.tracker.max_targets=30"]),
    "deepstream.tracker.terminated_tracks": ([], ["deepstream.tracker.terminated_tracks=false"]),
    "deepstream.tracker.properties": ([], ['deepstream.tracker.properties={"compute-hw"=1}']),
    "deepstream.sgie.batch": ([], ["deepstream.sgie.batch=8"]),
    "deepstream.sgie.precision": ([], ["deepstream.sgie.precision=fp32"]),
    "deepstream.sgie.network_type": ([], ["deepstream.sgie.network_type=1", "deepstream.sgie.reinfer_interval=10"]),
    "deepstream.sgie.reinfer_interval": (
        ["deepstream.sgie.network_type=1", "deepstream.sgie.reinfer_interval=10"],
        ["deepstream.sgie.network_type=1", "deepstream.sgie.reinfer_interval=20"],
    ),
    "deepstream.sgie.min_width": ([], ["deepstream.sgie.min_width=24"]),
    "deepstream.sgie.min_height": ([], ["deepstream.sgie.min_height=80"]),
    "deepstream.sgie.unique_id": ([], ["deepstream.sgie.unique_id=9"]),
    "deepstream.sgie.keys": ([], ['deepstream.sgie.keys={"workspace-size"=2000}']),
    "deepstream.sgie.properties": ([], ['deepstream.sgie.properties={"qos"=true}']),
    "deepstream.pgie.input_size": ([], ["deepstream.pgie.input_size=[320, 576]"]),
    "deepstream.pgie.scale": (CUSTOM, [*CUSTOM, "deepstream.pgie.scale=0.5"]),
    "deepstream.pgie.offsets": (CUSTOM, [*CUSTOM, "deepstream.pgie.offsets=[1.0, 2.0, 3.0]"]),
    "deepstream.pgie.color": (CUSTOM, [*CUSTOM, "deepstream.pgie.color=BGR"]),
    "deepstream.pgie.letterbox": (CUSTOM, [*CUSTOM, "deepstream.pgie.letterbox=true"]),
    "deepstream.pgie.calibration": (
        ["deepstream.pgie.precision=int8"],
        ["deepstream.pgie.precision=int8", "deepstream.pgie.calibration={file}"],
    ),
    "deepstream.sgie.calibration": (
        ["deepstream.sgie.precision=int8"],
        ["deepstream.sgie.precision=int8", "deepstream.sgie.calibration={file}"],
    ),
    "deepstream.sgie.model": ([], ["deepstream.sgie.model={other}"]),
    "deepstream.sgie.layer": ([], ["deepstream.sgie.layer=embedding_too"]),
    "deepstream.tracker.config": ([], ["deepstream.tracker.config={file}"]),
    "tracker.timeout": ([], ["tracker.timeout=5.0"]),
}


@pytest.fixture
def paths(write_reid: Callable[..., Path], write_detector: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """The files that settings name."""
    labels, file = tmp_path / "labels.txt", tmp_path / "file.txt"
    labels.write_text("bicycle\nperson\n")
    file.write_text("BaseConfig:\n  minDetectorConfidence: 0.1\n")
    return {
        "reid": write_reid(tmp_path / "osnet.onnx"),
        "other": write_reid(tmp_path / "other.onnx"),
        "detector": write_detector(tmp_path / "detector.onnx"),
        "labels": labels,
        "file": file,
    }


def rendered(folder: Path, paths: dict[str, Path], overrides: list[str]) -> str:
    """What NVIDIA's elements get to see, wherever the files lie; or why nothing can be rendered."""
    named = [re.sub(r"\{(\w+)\}", lambda match: str(paths.get(match[1], match[0])), text) for text in overrides]
    try:
        configs = render_configs(load_config(None, [f"embedding.model={paths['reid']}", *named]), folder)
    except ConfigError as error:
        return str(error)
    texts = {path.name: path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
    return f"{texts!r}{dict(configs.elements)!r}".replace(str(folder), ".")


@pytest.mark.parametrize("name", RENDERED)
def test_another_value_is_another_thing_that_elements_are_told(
    name: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    without, with_it = RENDERED[name]
    told = rendered(tmp_path / "b", paths, with_it)
    assert told != rendered(tmp_path / "a", paths, without)
    # A layer that the model does not have is refused by name.
    assert told.startswith("{") or (name == "deepstream.sgie.layer" and "embedding_too" in told)
