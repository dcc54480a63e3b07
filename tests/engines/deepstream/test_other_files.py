"""Files of other elements, which look like nvinfer's: named as what they are, and nothing is said of their lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream.config import load_config
from reidstream.engines.deepstream.checking import check_files
from reidstream.engines.deepstream.files.nvinfer_config import render_configs

TRITON = """# written for a server
infer_config {
  unique_id: 1
  gpu_ids: [0]
  backend { triton { model_name: "detector" version: -1 } }
}
"""
METAMUX = "[property]\nenable=1\nactive-pad=sink_0\npts-tolerance=60000\n"
ANALYTICS = "[property]\nenable=1\nconfig-width=1920\nosd-mode=2\n[line-crossing-stream-0]\nenable=1\n"
DEWARPER = "[property]\noutput-width=960\nnum-batch-buffers=4\n[surface0]\nprojection-type=1\n"
PREPROCESSING = "[property]\nenable=1\ntarget-unique-ids=1\nnetwork-input-shape=8;3;544;960\n"
MUX = """[property]
algorithm-type=1
max-fps-control=0
overall-max-fps-n=60
overall-min-fps-n=5
overall-min-fps-d=1
"""


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (TRITON, "nvinferserver"),
        (METAMUX, "nvdsmetamux"),
        (ANALYTICS, "nvdsanalytics"),
        (DEWARPER, "nvdewarper"),
        (PREPROCESSING, "nvdspreprocess"),
    ],
)
def test_a_file_of_another_element_is_named_once(tmp_path: Path, text: str, element: str) -> None:
    path = tmp_path / "config.txt"
    path.write_text(text)
    (finding,) = check_files([path])
    assert finding.code == "not-a-config"
    assert element in finding.cause
    assert not finding.edits


def test_the_new_mux_s_file_has_keys_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mux.txt"
    path.write_text(MUX)
    assert not check_files([path])
    path.write_text(MUX + "overall-min-fps=5\nmax-same-source-frames=one\noverall-max-fps-d=0\n")
    found = [(finding.line, finding.code) for finding in check_files([path])]
    assert found == [(7, "unknown-key"), (8, "value"), (9, "value")]


def test_what_is_rendered_for_the_new_mux_is_right(write_reid: Callable[..., Path], tmp_path: Path) -> None:
    config = load_config(None, [f"embedding.model={write_reid(tmp_path / 'o.onnx')}", "deepstream.mux.new_mux=true"])
    rendered = render_configs(config, tmp_path / "configs")
    assert rendered.mux is not None
    assert not check_files([rendered.mux])


def test_keys_of_the_multi_view_tracker_of_9_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracker.yml"
    path.write_text(
        "BaseConfig:\n  minDetectorConfidence: 0.1\n  checkClassMatch: 1\n  useBatchNumForFrameId: 1\n"
        "TargetManagement:\n  maxTrajectoryBufferLength: -1\n  outputTerminatedTracks: 1\n"
        "ObjectModelProjection:\n  objectModelType: 1\n"
    )
    found = [(finding.line, finding.code, finding.edits) for finding in check_files([path])]
    assert found == [(4, "newer-key", ()), (6, "newer-key", ()), (9, "newer-key", ())]
