"""A run that read nothing leaves nothing behind, and a replay makes the gallery that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, GalleryConfig, SourceConfig
from reidstream.errors import GalleryCorrupt
from reidstream.gallery import Gallery
from reidstream.identities.archive import export_gallery
from reidstream.pipeline import build_gallery, open_replay
from tests.blobs import write_blobs
from tests.pipeline.job import bring_in


@pytest.mark.parametrize("name", ["typo.mp4", "notes.txt", "rtsp://127.0.0.1:9/stream"])
def test_a_run_of_nothing_but_mistakes_makes_no_gallery(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    source = name if "://" in name else str(tmp_path / name)
    summary = build_gallery([SourceConfig(uri=source, timeout=0.2)], gallery=tmp_path / "shop")
    assert [s.state for s in summary.sources.values()] == ["failed"]
    assert not (tmp_path / "shop").exists()


def test_a_gallery_that_was_there_stays(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "east.mp4", [0], 40)
    bring_in([video], tmp_path / "shop")
    bring_in([tmp_path / "typo.mp4"], tmp_path / "shop")
    with Gallery.open(tmp_path / "shop") as opened:
        assert len(opened) == 1


@pytest.mark.setting("gallery.index")
def test_a_replay_keeps_the_index_that_was_asked_for(tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "east.mp4", [0], 40)
    bring_in([video], tmp_path / "shop", record=tmp_path / "events.parquet")
    config = Config(gallery=GalleryConfig(index="exact"))
    with open_replay(tmp_path / "events.parquet", config, tmp_path / "again") as job:
        job.run()
    with Gallery.open(tmp_path / "again") as opened:
        assert opened.facts().index == "exact"
        assert len(opened) == 1
        export_gallery(opened, tmp_path / "export")
    command = ["gallery", "import", str(tmp_path / "export"), "--gallery", str(tmp_path / "other")]
    done = CliRunner().invoke(app, [*command, "--set", "gallery.index=exact"])
    assert done.exit_code == 0, done.output
    with Gallery.open(tmp_path / "other") as opened:
        assert opened.facts().index == "exact"


def test_an_import_that_fails_leaves_no_new_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_blobs(tmp_path / "east.mp4", [0], 40)
    bring_in([video], tmp_path / "shop")
    with Gallery.open(tmp_path / "shop") as opened:
        export_gallery(opened, tmp_path / "export")

    def fail(*_: object) -> None:
        raise GalleryCorrupt("the archive changed while it was read")

    monkeypatch.setattr("reidstream.identities.archive.add_archived", fail)
    done = CliRunner().invoke(app, ["gallery", "import", str(tmp_path / "export"), "--gallery", str(tmp_path / "new")])
    assert isinstance(done.exception, GalleryCorrupt)
    assert not (tmp_path / "new").exists()
