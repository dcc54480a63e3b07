"""Plausible mistakes of a first hour: each has its exit code, and a message that says what was expected and found.

0 done, 1 failed, 2 wrong usage. No message is a traceback, and no mistake changes anything.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidstream.cli import main
from reidstream.gallery import Gallery
from reidstream.identities.people import history, list_people

# Words of a command line, exit code, what the message must say (a pattern).
MISTAKES: list[tuple[str, int, str]] = [
    # The command line itself.
    ("runn entrance.mp4", 2, "No such command 'runn'.*Did you mean 'run'"),
    ("run entrance.mp4 --galery shop", 2, "No such option: --galery.*--gallery"),
    ("run entrance.mp4 --engine deepsteam", 2, "deepsteam.*local.*deepstream"),
    ("run entrance.mp4 --detect-every 0", 2, "--detect-every.*greater than or equal to 1|0 is not in the range"),
    ("run entrance.mp4 --detect-every often", 2, "--detect-every.*valid int"),
    ("search", 2, "Missing argument"),
    ("people merge 3", 2, "Missing argument"),
    ("gallery list --limit 0", 2, "--limit.*greater than or equal to 1|0 is not in the range"),
    ("events --since 41", 2, "--since takes a time.*--after 41"),
    ("events --since 2026-01-31 --after 3", 2, "exclude each other"),
    # Sources.
    ("run --gallery new", 2, "nothing to read: name a video"),
    ("run missing.mp4 --gallery new", 1, "missing.*missing.mp4.*(no such file|not there|does not exist)"),
    ("run 'missing*.mp4' --gallery new", 2, r"missing\*\.mp4.*matches no video"),
    ("run empty --gallery new", 2, r"empty.*holds no video \(.*\.mp4.*folder of images \(.*\.jpg"),
    ("run notes.txt --gallery new", 1, "notes: .*notes.txt"),
    ("run https://example.org/a.mp4 --gallery new", 2, "https://.*expected a video file, a folder of images, rtsp://"),
    ("run entrance.mp4 ./entrance.mp4 --gallery new", 2, "entrance.mp4 is given more than once"),
    ("run missing.toml", 2, "no configuration file at missing.toml"),
    ("run cameras.toml --gallery new", 2, r"sources\.0\.url: no such key; did you mean uri\?"),
    ("run '' --gallery new", 2, "a source must not be empty"),
    # Settings.
    ("run entrance.mp4 --set tracker.timout=3", 2, r"tracker\.timout: no such key; did you mean timeout\?"),
    ("run entrance.mp4 --set trakcer.timeout=3", 2, "did you mean tracker"),
    ("run entrance.mp4 --set timeout=3", 2, "did you mean.*tracker.timeout"),
    ("run entrance.mp4 --set tracker.timeout=-1", 2, r"greater than 0 \(found -1\)"),
    ("run entrance.mp4 --set tracker.timeout=long", 2, r"valid number.*\(found 'long'\)"),
    ("run entrance.mp4 --set tracker.timeout", 2, "must look like section.key=value"),
    ("run entrance.mp4 --set tracker.appearance=perhaps", 2, "valid boolean.*'perhaps'"),
    ("run entrance.mp4 --set local.device=gpu --gallery new", 2, "local.device.*found 'gpu'"),
    ("run entrance.mp4 --config notes.txt", 2, "notes.txt cannot be read as TOML"),
    ("people resolve --gallery shop --false-merges 3", 2, r"false_merges.*(found 3|found '3')"),
    # Models.
    ("run entrance.mp4 --detector person-detectr --gallery new", 1, "did you mean person-detector"),
    ("run entrance.mp4 --reid person-detector --gallery new", 1, "is a detector, but a Re-ID model is needed"),
    ("run entrance.mp4 --reid missing.onnx --gallery new", 1, "no model file at missing.onnx"),
    ("run entrance.mp4 --detector notes.onnx --gallery new", 1, "notes.onnx"),
    ("models show nothing-like-it", 1, "no model is called 'nothing-like-it'"),
    # Galleries.
    ("gallery info --gallery missing", 1, "missing"),
    ("gallery info --gallery notes.txt", 1, "notes.txt"),
    ("run entrance.mp4 --gallery photos", 1, "photos holds other things"),
    ("people list --gallery empty", 1, "empty"),
    ("gallery list --gallery shop --source hal", 2, "no source 'hal'.*did you mean hall"),
    ("gallery list --gallery shop --since yesterday", 2, "2026-01-31T17:00.*got 'yesterday'"),
    ("gallery list --gallery shop --from half", 2, "90, 1:30 or 0:01:30, got 'half'"),
    ("gallery show zzzz --gallery shop", 1, "no tracklet.*zzzz"),
    ("gallery show 0 --gallery shop", 1, "0"),
    ("gallery export out.xlsx --gallery shop", 1, r"ending must be one of .*\.parquet.*got 'out.xlsx'"),
    ("gallery export notes.txt/out.csv --gallery shop", 1, "notes.txt"),
    ("gallery import missing --gallery new", 1, "missing"),
    ("gallery import photos --gallery new", 1, "photos"),
    ("gallery sheet notes.txt/sheet.html --gallery shop", 1, "notes.txt"),
    # Searching.
    ("search missing.jpg --gallery shop", 1, "'missing.jpg' is neither a file nor the beginning of one tracklet's id"),
    ("search notes.txt --gallery shop", 1, "notes.txt is not a picture that can be read"),
    ("search person.jpg --gallery shop --box 1,2,3", 2, "x1,y1,x2,y2"),
    ("search person.jpg --gallery shop --box 9000,9000,9100,9200", 1, "not inside person.jpg, which has 960x540"),
    ("search person.jpg --gallery shop --whole --box 1,2,30,40", 2, "exclude each other"),
    ("search photos --gallery shop", 2, "--out"),
    ("search photos --gallery shop --out answers.xlsx", 2, r"\.parquet, \.csv, \.json; got 'answers.xlsx'"),
    ("search empty --gallery shop --out a.csv", 1, "no photos in empty; looked for .jpg"),
    ("search person.jpg --gallery missing", 1, "missing"),
    # People.
    ("people show 77 --gallery shop", 1, "no person called '77'; people are named by number, name or id"),
    ("people show Grase --gallery shop", 1, "no person called 'Grase'; did you mean Grace"),
    ("people label 2 --gallery shop", 2, "give --name or --notes"),
    ("people label 2 --name 4 --gallery shop", 1, "cannot be called '4'"),
    ("people label 2 --name Grace --gallery shop", 1, "another person is called 'Grace' already"),
    ("people merge 3 3 --gallery shop", 1, "3"),
    ("people split 3 0101 --gallery shop", 1, "0101"),
    ("people undo 99 --gallery shop", 1, "99"),
    ("people resolve --topology missing.toml --gallery shop", 2, "missing.toml"),
    # Others.
    ("demo --out photos", 2, "photos holds .*not the demo's; choose another folder"),
    ("events --gallery shop --secret-env NO_SUCH", 2, "--to"),
    ("events --gallery shop --to example.org", 2, "https://"),
    ("doctor log missing.log", 1, "missing.log"),
    ("run entrance.mp4 --render seen.gif --gallery new", 2, r"must end with one of \.mp4"),
    ("run entrance.mp4 --render missing/seen.mp4 --gallery new", 2, "no folder missing"),
    ("run entrance.mp4 --replay events.parquet --gallery new", 2, "--replay takes its events from the recording"),
    ("run --replay missing.parquet --gallery new", 1, "missing.parquet: no such recording"),
]


@pytest.fixture(scope="module")
def place(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The prepared folder with some more that may be taken for something else."""
    folder = tmp_path_factory.mktemp("mistakes") / "place"
    shutil.copytree(prepared, folder)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("not what you think\n", encoding="utf-8")
    (folder / "notes.onnx").write_text("not what you think\n", encoding="utf-8")
    (folder / "cameras.toml").write_text('[[sources]]\nurl = "entrance.mp4"\n', encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def test_there_are_sixty_and_each_is_one_of_its_own() -> None:
    words = [line for line, _, _ in MISTAKES]
    assert len(words) >= 60
    assert len(set(words)) == len(words)


def state(place: Path) -> list[object]:
    """What a mistake may not change: the user's files, and what the gallery says."""
    files = sorted(path for path in place.iterdir() if path.is_file())
    with Gallery.open(place / "shop") as gallery:
        ids = sorted(tracklet.id for tracklet in gallery.tracklets())
        return [[(path.name, path.stat().st_mtime_ns) for path in files], ids, list_people(gallery), history(gallery)]


@pytest.mark.parametrize(("line", "code", "message"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_answered(
    place: Path,
    line: str,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import shlex

    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "argv", ["reidstream", *shlex.split(line)])
    before = state(place)
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert re.search(message, said, re.DOTALL), said
    assert end.value.code == code, said
    assert state(place) == before
    shutil.rmtree(place / "new", ignore_errors=True)
