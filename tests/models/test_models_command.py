"""``reidstream models`` as its users meet it, and its documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reidstream.cli.models import app
from reidstream.errors import ConfigError, ModelNotFound
from reidstream.models import ModelSpec, load_manifest

from .small_networks import small_reid

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "models.md"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_list_names_every_model_with_terms() -> None:
    text = call("list").stdout
    listed = json.loads(call("list", "--json").stdout)
    assert [entry["name"] for entry in listed] == list(load_manifest())
    for entry in listed:
        assert entry["name"] in text and entry["terms"] in text


def test_show_describes_names_and_files(tmp_path: Path) -> None:
    shown = json.loads(call("show", "person-reid", "--json").stdout)
    assert shown["embedding_size"] == 512 and shown["checksum"] == "right"
    assert "trained_data" not in shown and shown["training_data"] in call("show", "person-reid").stdout
    source = small_reid(tmp_path / "theirs.onnx")
    (tmp_path / "theirs.onnx.toml").write_text('terms = "mine"\n')
    shown = json.loads(call("show", str(source), "--json").stdout)
    assert shown["terms"] == "mine" and len(shown["sha256"]) == 64
    assert isinstance(call("show", "person-raid").exception, ModelNotFound)


def test_prepare_prints_parity_and_leaves_a_usable_model(tmp_path: Path) -> None:
    source, output = small_reid(tmp_path / "theirs.onnx"), tmp_path / "ours.onnx"
    options = ("--mean", "123,116,103", "--std", "58,57,61", "--training-data", "streets")
    text = call("prepare", str(source), "-o", str(output), *options).stdout
    assert re.search(r"parity on 32 synthetic crops: lowest cosine (1\.0|0\.9999)\d+, largest error", text)
    done = json.loads(call("prepare", str(source), "-o", str(output), *options, "--force", "--json").stdout)
    assert done["parity"]["lowest_cosine"] > 0.9999 and done["spec"]["training_data"] == "streets"
    assert json.loads(call("show", str(output), "--json").stdout)["sha256"] == done["sha256"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--mean", "1,2,3"], "--mean and --std belong together"),
        (["--mean", "1,2", "--std", "1,1,1"], "--mean must be three numbers"),
        (["--mean", "a,b,c", "--std", "1,1,1"], "--mean must be three numbers"),
        (["--mean", "1,2,3", "--std", "1,0,1"], "--std must not hold zeros"),
        (["--color", "grey"], "--color"),
        (["--size", "256"], "--size must look like 256x128"),
        (["--task", "pose"], "--task must be reid or detector"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options: list[str], problem: str) -> None:
    source = small_reid(tmp_path / "theirs.onnx")
    error = call("prepare", str(source), "-o", str(tmp_path / "ours.onnx"), *options).exception
    assert isinstance(error, ConfigError) and problem in str(error)


def test_fetching_an_unknown_name_fetches_nothing(folders: dict[str, Path]) -> None:
    assert isinstance(call("fetch", "yolox_nano", "nothing").exception, ModelNotFound)
    assert not folders["cache"].exists()


def test_fetching_an_embedded_model_needs_no_network() -> None:
    (done,) = json.loads(call("fetch", "person-reid", "--json").stdout)
    assert done["fetched"] is False and Path(done["path"]).is_file()


def test_errors_reach_the_shell_without_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reidstream", "models", "show", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.startswith("error: no model is called 'nothing'")
    assert "Traceback" not in done.stderr


def test_every_command_shows_an_example() -> None:
    for command in app.registered_commands:
        assert command.callback is not None and "Example: reidstream models" in (command.callback.__doc__ or "")


def test_documentation_names_every_command_field_and_model() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"reidstream models {command.name}" in text
    for name in (*ModelSpec.model_fields, *load_manifest()):
        assert f"`{name}`" in text, f"{name} is not in {DOCUMENTATION.name}"
