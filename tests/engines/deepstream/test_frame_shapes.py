"""The size of the batched frames follows the sources, and what that does to other shapes is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from reidstream.config import Config, load_config
from reidstream.engines.deepstream.files.frame_shapes import file_sizes, mux_size, shape_warnings
from reidstream.engines.deepstream.files.nvinfer_config import render_configs
from reidstream.errors import ConfigError

Video = Callable[[str, int, int], Path]


@pytest.fixture
def video(tmp_path: Path) -> Video:
    def write(name: str, width: int, height: int) -> Path:
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
        for _ in range(5):
            writer.write(np.zeros((height, width, 3), np.uint8))
        writer.release()
        return tmp_path / name

    return write


def config_of(uris: list[str], *overrides: str) -> Config:
    listed = ",".join(f'{{uri="{uri}"}}' for uri in uris)
    return load_config(None, [f"sources=[{listed}]", *overrides])


def size_of(config: Config) -> tuple[int, int]:
    return mux_size(config, file_sizes(config.sources))


def test_the_largest_source_decides(video: Video, tmp_path: Path) -> None:
    small, large = str(video("a.mp4", 320, 240)), str(video("b.mp4", 640, 480))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert size_of(config_of([small])) == (320, 240)
    assert size_of(config_of([small, large, str(tmp_path / "broken.mp4"), "nothing.mp4"])) == (640, 480)
    assert size_of(config_of([small, "rtsp://camera/1"])) == (1920, 1080)
    assert size_of(config_of(["/dev/video0"])) == (1920, 1080)
    assert size_of(config_of(["nothing.mp4"])) == (1920, 1080)
    assert size_of(config_of([large], "deepstream.mux.width=960", "deepstream.mux.height=544")) == (960, 544)


def test_the_rendered_mux_has_that_size(video: Video, write_reid: Callable[..., Path], tmp_path: Path) -> None:
    config = config_of([str(video("a.mp4", 640, 480))], f"embedding.model={write_reid(tmp_path / 'osnet.onnx')}")
    rendered = render_configs(config, tmp_path / "configs")
    mux = rendered.elements["nvstreammux"]
    assert (mux["width"], mux["height"]) == rendered.mux_size == (640, 480)


def test_one_side_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="width and height belong together"):
        load_config(None, ["deepstream.mux.width=1280"])


def test_a_source_that_the_mux_stretches_is_named() -> None:
    config = config_of(["a.mp4"])
    sizes = {"wide.mp4": (1920, 1080), "old.mp4": (640, 480)}
    (warning,) = shape_warnings(config, (1920, 1080), (544, 960), sizes)
    assert "old.mp4 is 640x480" in warning
    assert "1.33 times as wide" in warning
    new = config_of(["a.mp4"], "deepstream.mux.new_mux=true")
    assert shape_warnings(new, (1920, 1080), (544, 960), sizes) == []


@pytest.mark.parametrize(
    ("network", "frame", "fitting"),
    [((416, 416), (1920, 1080), "576x320"), ((640, 640), (640, 480), "736x544"), ((416, 416), (1080, 1920), "320x544")],
)
def test_black_padding_is_told_with_its_cure(network: tuple[int, int], frame: tuple[int, int], fitting: str) -> None:
    yolox = ("deepstream.pgie.preset=yolox", "deepstream.pgie.parser_library=x.so", "deepstream.pgie.parser_function=f")
    config = config_of(["a.mp4"], *yolox)
    (warning,) = shape_warnings(config, frame, network, {})
    assert "black" in warning
    assert "114" in warning
    assert fitting in warning
    width, height = map(int, fitting.split("x"))
    assert shape_warnings(config, (width, height), (height, width), {}) == []
    assert shape_warnings(config_of(["a.mp4"]), frame, network, {}) == []
