"""Names that are not UTF-8, act on a terminal, or look like formulas: in files, sources, people and exports."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream import cli
from reidstream.cli import main
from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.engines.recording import RecordedEvents, Recorder
from reidstream.gallery import Gallery
from reidstream.pipeline import GalleryRun
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT

NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")
HOSTILE = "=cmd|' /C calc'!A1\x1b]0;gone\x07\nall is well\u202e"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, one of them of a name that is not UTF-8, under a hostile source name; a person of a hostile name."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    good = write_blobs(tmp_path / "good.mp4", [0], 40)
    odd = write_blobs(tmp_path / "other.mp4", [1], 40).rename(tmp_path / NOT_UTF8)
    missing = tmp_path / os.fsdecode(b"missing\xff.mp4")
    sources = [(HOSTILE, good), ("odd", odd), ("missing", missing)]
    engine = LocalEngine(
        Config(),
        [(name, SourceConfig(uri=str(path))) for name, path in sources],
        detector=BlobDetector(),
        embedder=ColourEmbedder(),
    )
    folder = tmp_path / "gallery"
    with Gallery.open(folder, write=True, create=True, space=engine.space, config=EXACT) as opened:
        summary = GalleryRun(engine, opened, Config(), settings="s").run()
    assert {name: source.state for name, source in summary.sources.items()} == {
        HOSTILE: "complete",
        "odd": "complete",
        "missing": "failed",
    }
    with pytest.MonkeyPatch.context() as patch:
        run(patch, "people", "label", "1", "--name", HOSTILE, "--notes", HOSTILE, "--gallery", str(folder))
    return folder


def run(patch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of a command."""
    patch.setattr(sys, "argv", ["reidstream", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


Command = Callable[..., str]


@pytest.fixture
def command(gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on the gallery; what it prints on both streams."""

    def call(*words: str, code: int = 0) -> str:
        found = run(monkeypatch, *words, "--gallery", str(gallery))
        text = "".join(capsys.readouterr())
        assert found == code, text
        return text

    return call


def test_a_name_that_is_not_utf8_costs_no_source_and_is_stored_readably(gallery: Path) -> None:
    with Gallery.open(gallery) as opened:
        uris = {recording.source: recording.uri for recording in opened.sources()}
        assert len(opened) == 2
    assert uris["odd"].endswith("caf\\xe9.mp4")


@pytest.mark.parametrize(
    "words",
    [
        ("gallery", "info"),
        ("gallery", "list"),
        ("gallery", "check"),
        ("people", "list"),
        ("people", "show", "1"),
        ("people", "history"),
        ("events",),
        ("gallery", "list", "--json"),
        ("people", "list", "--json"),
        ("people", "history", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_that_is_printed_acts_on_a_terminal(command: Command, words: tuple[str, ...]) -> None:
    shown = command(*words)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert not any(line.startswith("all is well") for line in shown.splitlines())


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "npz"])
def test_exports_may_be_called_anything(command: Command, tmp_path: Path, ending: str) -> None:
    out = tmp_path / os.fsdecode(b"out\xff." + ending.encode())
    assert "out\\xff" in command("gallery", "export", str(out))
    assert out.stat().st_size > 0


def test_an_exported_cell_is_no_formula(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command("gallery", "export", str(out))
    with out.open(newline="", encoding="utf-8") as file:
        sources = {row["source"] for row in csv.DictReader(file)}
    assert sources == {f"'{HOSTILE}", "odd"}
    exported = tmp_path / "out.json"
    command("gallery", "export", str(exported))
    assert HOSTILE in {row["source"] for row in json.loads(exported.read_text("utf-8"))["tracklets"]}


@pytest.mark.parametrize(("words", "code"), [(("gallery", "show"), 2), (("people", "show"), 1)])
def test_what_must_be_text_is_refused_without_a_traceback(command: Command, words: tuple[str, ...], code: int) -> None:
    assert "x\\" in command(*words, os.fsdecode(b"x\xff"), code=code)


def test_a_recording_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"rec\xff.parquet")
    with Recorder(path, ColourEmbedder.space) as recorder:
        recorder.close()
    assert list(RecordedEvents(path).events()) == []


def test_every_command_prints_through_the_terminal_console() -> None:
    """Rich's own console takes names for markup and lets escapes through."""
    folder = Path(cli.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for path in folder.glob("**/*.py")
        if path.name != "terminal.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"rich\.(console|markup) import|rich\.table import.*\bTable\b|(?<![.\w])print\(", line)
    ]
    assert found == []
