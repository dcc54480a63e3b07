from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reidstream.cli import main

SMALL = ("--cameras", "1", "--people", "3", "--minutes", "0.02", "--size", "320x180", "--fps", "10", "--workers", "1")


def reidstream(*arguments: str | Path) -> int:
    """The exit code of a command line."""
    sys.argv = ["reidstream", *map(str, arguments)]
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_scene_is_made_and_summarised_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reidstream("synth", tmp_path / "scene", *SMALL, "--seed", "4", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cameras"] == ["cam1"]
    assert all(Path(video).stat().st_size > 1000 for video in summary["videos"])
    assert (tmp_path / "scene" / "cam1" / "gt" / "gt.txt").is_file()
    header = (tmp_path / "scene" / "identities.csv").read_text().splitlines()[0]
    assert header == "camera,track_id,person,first_frame,last_frame"


def test_things_are_put_in_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reidstream("synth", tmp_path / "scene", *SMALL, "--things", "--json") == 0
    assert json.loads(capsys.readouterr().out)["things"] > 0
    assert (tmp_path / "scene" / "things.csv").read_text().splitlines()[0] == "camera,thing_id,kind"
    assert (tmp_path / "scene" / "identities.csv").read_text().splitlines()[0].endswith(",posture")


def test_an_earlier_scene_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reidstream("synth", tmp_path / "scene", *SMALL) == 0
    assert reidstream("synth", tmp_path / "scene", *SMALL) == 2
    assert "not empty" in capsys.readouterr().err
    assert reidstream("synth", tmp_path / "scene", *SMALL, "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--size", "wide"), "960x540"), (("--size", "961x540"), "even"), (("--size", "10x10"), "160 to 3840")],
)
def test_a_wrong_size_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert reidstream("synth", tmp_path / "scene", *arguments) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "scene").exists()
