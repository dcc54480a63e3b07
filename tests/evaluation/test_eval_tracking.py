"""``reidstream eval tracking`` on files, and on real video."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.evaluation.motchallenge import read_ground_truth, read_tracks
from reidstream.evaluation.tracking_cases import Switch, match_sequence


def _eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["eval", "tracking", *map(str, arguments)])


def _sequence(folder: Path, frames: int = 6) -> Path:
    truth = "".join(f"{frame},1,{10 * frame},20,40,80,1,-1,-1,-1\n" for frame in range(1, frames + 1))
    (folder / "gt").mkdir(parents=True)
    (folder / "gt" / "gt.txt").write_text(truth, encoding="ascii")
    return folder


def test_files_of_tracks_are_scored_per_sequence_and_together(tmp_path: Path) -> None:
    tracks = tmp_path / "tracks"
    tracks.mkdir()
    for name, shift in (("A", 0), ("B", 1000)):
        folder = _sequence(tmp_path / "truth" / name)
        shifted = (folder / "gt" / "gt.txt").read_text(encoding="ascii").replace(",20,", f",{20 + shift},")
        (tracks / f"{name}.txt").write_text(shifted, encoding="ascii")
    result = _eval(tmp_path / "truth", "--tracks", tracks, "--json", "--out", tmp_path / "report" / "all.json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report == json.loads((tmp_path / "report" / "all.json").read_text(encoding="utf-8"))
    assert report["sequences"]["A"]["hota"] == 1
    assert report["sequences"]["B"]["hota"] == 0
    assert report["combined"]["idf1"] == pytest.approx(0.5)
    table = _eval(tmp_path / "truth", "--tracks", tracks)
    assert all(word in table.stdout for word in ("HOTA", "IDF1", "all", "1.000", "0.500"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "found no gt/gt.txt" in str(_eval(tmp_path / "empty").exception)
    assert isinstance(_eval(tmp_path / "nowhere").exception, SourceNotFound)
    folder = _sequence(tmp_path / "A")
    assert "expected A.txt" in str(_eval(folder, "--tracks", tmp_path / "empty").exception)
    assert "expected a folder img1 or one video, found neither" in str(_eval(folder).exception)
    for option in ("--set=tracker.high=0.4", "--detector=a.onnx", "--reid=a.onnx"):
        assert isinstance(_eval(folder, "--tracks", tmp_path, option).exception, ConfigError)


def test_a_sequence_of_images_is_tracked_and_written(tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "A")
    (folder / "img1").mkdir()
    for frame in range(1, 7):
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), np.full((120, 160, 3), 90, np.uint8))
    result = _eval(folder, "--write", tmp_path / "found", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["sequences"]["A"]["misses"] == 6  # nobody is to be seen in grey pictures
    assert (tmp_path / "found" / "A.txt").read_text(encoding="ascii") == ""
    assert len(report["models"]["detector"]["sha256"]) == 64
    assert report["config"]["tracker"]["timeout"] == 2.0


def test_the_models_are_those_that_are_named(tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "A", frames=1)
    (folder / "img1").mkdir()
    cv2.imwrite(str(folder / "img1" / "000001.jpg"), np.full((120, 160, 3), 90, np.uint8))
    for option, model in (("--detector", "nobody.onnx"), ("--reid", "nobody.onnx")):
        assert "no model file at nobody.onnx" in str(_eval(folder, option, model).exception)


def _walk(folder: Path) -> Path:
    """Two people cross the picture; the tracks lose one of them halfway and see a ghost."""
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").mkdir()
    truth, found = [], []
    for frame in range(1, 21):
        image = np.full((240, 320, 3), 90, np.uint8)
        for person, y in ((1, 20), (2, 130)):
            x = 10 * frame
            cv2.rectangle(image, (x, y), (x + 30, y + 80), (40, 40, 200 if person == 1 else 20), -1)
            truth.append(f"{frame},{person},{x},{y},30,80,1,-1,-1,-1\n")
            if person == 2 and 8 < frame < 12:
                continue
            track = 7 if person == 1 else 8 if frame <= 8 else 9
            found.append(f"{frame},{track},{x + 1},{y},30,80,1,-1,-1,-1\n")
        found.append(f"{frame},5,270,150,30,80,1,-1,-1,-1\n")
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), image)
    (folder / "gt" / "gt.txt").write_text("".join(truth), encoding="ascii")
    (folder.parent / f"{folder.name}.txt").write_text("".join(found), encoding="ascii")
    return folder


def test_switches_misses_and_surplus_are_found_where_they_are(tmp_path: Path) -> None:
    folder = _walk(tmp_path / "W")
    truth = read_ground_truth(folder / "gt" / "gt.txt").people
    matches = match_sequence(truth, read_tracks(tmp_path / "W.txt"))
    assert matches.switches() == [Switch(person=2, earlier=8, frame=12, old=8, new=9, pieces=(8, 9))]
    assert matches.coverage() == {1: 1.0, 2: 17 / 20}
    assert matches.surplus()[5] == 20 - int((matches.tracks == 5).sum())
    report = json.loads(_eval(folder, "--tracks", tmp_path, "--json").stdout)
    assert report["combined"]["switches"] == len(matches.switches())


def test_the_page_shows_the_worst_frames(tmp_path: Path) -> None:
    folder = _walk(tmp_path / "<W>")
    done = _eval(folder, "--tracks", tmp_path, "--html", tmp_path / "r.html", "--out", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "&lt;W&gt;, person 2: track 8 (8 frames) becomes 9 (9 frames)" in page
    assert page.count("data:image/jpeg") == 2 + 3 + 3
    for words in ("85% of 20 boxes", "of 20 boxes on nobody", "Tracks per person", "HOTA", "<svg"):
        assert words in page
    assert "<W>" not in page
    assert "http" not in page
    assert json.loads((tmp_path / "r.json").read_text())["combined"]["switches"] == 1


def test_the_page_does_without_frames_that_are_not_at_hand(tmp_path: Path) -> None:
    folder = _walk(tmp_path / "W")
    shutil.rmtree(folder / "img1")
    assert _eval(folder, "--tracks", tmp_path, "--html", tmp_path / "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "data:image" not in page
    assert "no picture" in page


@pytest.mark.shared
def test_real_people_are_tracked_better_than_by_the_reference(shared_data: Path) -> None:
    models = shared_data.parent / "models"
    result = _eval(
        shared_data / "mot" / "TUD-Campus",
        "--json",
        "--set",
        f"detector.model={models / 'yolox_nano_416x416.onnx'}",
        "--set",
        f"embedding.model={models / 'osnet_x0_25_msmt17.onnx'}",
    )
    scores = json.loads(result.stdout)["combined"]
    # The best that ByteTrack, OC-SORT and BoT-SORT of trackers 2.6.1 reach when tuned to this sequence.
    assert scores["hota"] > 0.546
    assert scores["idf1"] > 0.791


def test_how_much_of_somebody_is_seen_stays_with_their_box_and_is_all_where_the_file_does_not_say(
    tmp_path: Path,
) -> None:
    file = tmp_path / "gt.txt"
    file.write_text("2,3,0,0,5,5,1,1,0.5\n1,4,10,20,30,40,1,1,0.75\n1,3,10,20,30,40,1,1,0.25\n1,9,0,0,9,9,0,1,1\n")
    truth = read_ground_truth(file)
    assert list(zip(truth.people.frames.tolist(), truth.people.ids.tolist(), truth.visibility, strict=True)) == [
        (1, 3, 0.25),
        (1, 4, 0.75),
        (2, 3, 0.5),
    ]
    file.write_text("1,3,10,20,30,40,1,-4.1,-7.3,0\n")
    assert read_ground_truth(file).visibility.tolist() == [1.0]
