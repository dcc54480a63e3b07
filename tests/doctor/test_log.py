"""Every known error line is recognised, and a log is explained by the lines that matter."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.doctor.log import KNOWN_LINES, explained, known_line
from reidstream.doctor.log_lines import KnownLine
from reidstream.errors import ReIDStreamError

GUIDE_LINES = {
    "error: externally-managed-environment": "externally-managed",
    "× This environment is externally managed": "externally-managed",
    "ModuleNotFoundError: No module named 'scipy'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'cv2'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'tensorboard'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'onnxscript'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'gdown'": "torchreid-undeclared",
    "[E] Failed to open file: /path/to/osnet_x1_0.onnx.data": "weights-file",
    "Backend has maxBatchSize 1 whereas 16 has been requested": "engine-batch",
    "[E] deserialized backend context failed to match config params": "engine-params",
    "Failed to open file: models/osnet/osnet_x1_0.onnx": "no-onnx",
    "Failed to create NvDsInferContext instance": "context-failed",
    "Kernel died": "kernel-died",
}
"""What the notebook-style guide lists under troubleshooting."""


@pytest.mark.parametrize("known", KNOWN_LINES, ids=lambda known: known.id)
def test_each_entry_explains_its_own_sample(known: KnownLine) -> None:
    found = known_line(known.sample)
    assert found is not None and found.id == known.id
    assert known.cause.endswith(".") and known.cure.endswith(".")


def test_entries_have_names_of_their_own() -> None:
    assert len({known.id for known in KNOWN_LINES}) == len(KNOWN_LINES)


@pytest.mark.parametrize(("line", "id"), GUIDE_LINES.items())
def test_the_guides_own_errors_are_known(line: str, id: str) -> None:
    found = known_line(line)
    assert found is not None and found.id == id


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Use deserialized engine model: /srv/models/osnet.onnx_b16_gpu0_fp16.engine",
        "INFO: [FullDims Engine Info]: layers num: 2",
        "frame 100: 5 people, 60 frames/s",
        "Successfully installed reidstream-0.1.0",
    ],
)
def test_lines_of_a_good_run_are_left_alone(line: str) -> None:
    assert known_line(line) is None


def test_a_log_is_explained_in_its_own_order_with_counts() -> None:
    log = """0:00:01.2 nvinfer gstnvinfer.cpp:682: WARNING
\x1b[33mUnknown or legacy key specified 'batchsize' for group [property]\x1b[0m
WARNING: Backend has maxBatchSize 1 whereas 16 has been requested
WARNING: Backend has maxBatchSize 1 whereas 16 has been requested
error: Failed to create NvDsInferContext instance
"""
    found = explained(log.splitlines())
    assert [(one.known.id, one.line, one.count) for one in found] == [
        ("unknown-key", 2, 1),
        ("engine-batch", 3, 2),
        ("context-failed", 5, 1),
    ]
    assert "\x1b" not in found[0].text


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_text_can_be_read(lines: list[str]) -> None:
    explained(lines)


def test_patterns_do_not_run_away_on_long_lines() -> None:
    for known in KNOWN_LINES:
        re.compile(known.pattern)
    explained(["external data " * 20_000, "deserialize " * 20_000, "weights saved to " * 20_000])


def test_the_command_reads_files_and_standard_input(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"\xff\xfe junk\nUnique ID not set\n")
    runner = CliRunner()
    result = runner.invoke(app, ["doctor", "log", str(log)])
    assert result.exit_code == 0
    assert "line 2: Unique ID not set" in result.stdout and "gie-unique-id" in result.stdout
    result = runner.invoke(app, ["doctor", "log", "-", "--json"], input="Unique ID not set\n")
    assert [entry["id"] for entry in json.loads(result.stdout)] == ["unique-id"]
    result = runner.invoke(app, ["doctor", "log", "-"], input="all is well\n")
    assert "no line of this log is known" in result.stdout


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReIDStreamError, match="cannot be read"):
        CliRunner().invoke(app, ["doctor", "log", str(tmp_path / "absent")], catch_exceptions=False)
