from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from reidstream.cli import main


def reidstream(*arguments: str | Path) -> int:
    """The exit code of a command line."""
    sys.argv = ["reidstream", *map(str, arguments)]
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_does_the_whole_job_and_can_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert reidstream("demo", "--out", out, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert first["people_found"] >= 0.9 * first["people"]
    assert first["visits_found"] >= 0.85 * first["visits"]
    assert first["tracklets_per_visit"] <= 2
    assert first["mixed"] <= 0.15 * first["tracklets"]
    assert first["search"][0]["right"]
    # It shows people, and says who was looked for.
    shown = (out / "people.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<h2>person \d+ ", shown)) == first["gallery_people"] >= 10
    assert len(re.findall(r"\d visits? at cam\d", shown)) == first["gallery_people"]
    assert first["answer"]["person"] is not None
    number = first["answer"]["person"]["number"]
    assert f"who it is: person {number} " in (out / "found.html").read_text(encoding="utf-8")
    assert {path.name for path in out.iterdir()} == {
        *("scene", "gallery", "clips", "people.html", "found.html", "query.jpg"),
    }
    assert all((out / "clips" / f"cam{n}.mp4").stat().st_size > 10_000 for n in (1, 2, 3))

    assert reidstream("demo", "--out", out) == 0
    again = capsys.readouterr().out
    assert "there already" in again
    assert f"people found: {first['people_found']} of {first['people']}" in again
    assert "reidstream run YOUR_VIDEO" in again
    assert f"who it is: person {number} " in again


def test_the_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert reidstream("demo", "--out", tmp_path) == 2
    assert "thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
