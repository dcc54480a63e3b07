"""`reidstream deepstream config` and `check` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import ConfigError

Writer = Callable[..., Path]


def test_rendered_files_pass_the_check(tmp_path: Path, write_reid: Writer, write_detector: Writer) -> None:
    reid = write_reid(tmp_path / "osnet.onnx")
    detector = write_detector(tmp_path / "peoplenet.onnx")
    runner = CliRunner()
    settings = [
        f"embedding.model={reid}",
        "deepstream.pgie.preset=peoplenet",
        f"deepstream.pgie.model={detector}",
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    configs = tmp_path / "configs"
    result = runner.invoke(app, ["deepstream", "config", str(configs), *arguments, "--json"])
    assert result.exit_code == 0
    rendered = json.loads(result.stdout)
    assert rendered["person_class_id"] == 0
    files = [name for name in rendered["files"] if not name.endswith(".toml")]
    result = runner.invoke(app, ["deepstream", "check", *files, "--json"])
    found = json.loads(result.stdout)["findings"]
    # The test's detector says that it is a YOLOX with BGR input, which a PeopleNet is not.
    wrong = [finding for finding in found if not finding["file"].endswith("pgie.txt")]
    assert wrong == []


def test_findings_are_printed_with_line_cause_and_cure(tmp_path: Path) -> None:
    path = tmp_path / "sgie.txt"
    path.write_text("[property]\ngie-unique-id=2\nprocess-mode=2\nnetwork-typ=100\noutput-tensor-meta=1\n")
    result = CliRunner().invoke(app, ["deepstream", "check", str(path)])
    assert result.exit_code == 1
    assert f"{path}:4: warning [unknown-key]" in result.stdout
    assert "did you mean network-type?" in result.stdout


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["deepstream", "check", str(tmp_path / "absent.txt")])
    assert isinstance(result.exception, ConfigError)
    assert "absent.txt cannot be read" in str(result.exception)


def test_a_video_instead_of_a_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"\0" * (5 * 2**20))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        CliRunner().invoke(app, ["deepstream", "check", str(path)], catch_exceptions=False)


@pytest.mark.parametrize(
    "words",
    [
        ["deepstream"],
        ["deepstream", "config"],
        ["deepstream", "check"],
        ["deepstream", "build"],
        ["doctor"],
        ["doctor", "log"],
    ],
)
def test_help_shows_an_example(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert f"Example: reidstream {words[0]}" in result.stdout.replace("\n ", " ")
