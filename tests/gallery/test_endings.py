"""Runs that were killed, disks that are full, places where nothing can be written, and galleries that nobody filled."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import GalleryError, GalleryNotFound
from reidstream.gallery import Begin, Gallery, State
from reidstream.gallery.recordings import BROKEN_OFF
from reidstream.types import SourceEnded
from tests.exact import EXACT

from .conftest import SETTINGS, SPACE, Filled, some_tracklets, started


def test_a_recording_whose_run_was_killed_does_not_run_for_ever(filled: Filled) -> None:
    # What is filled was never ended, as a kill leaves it.
    path = filled(some_tracklets(3))
    with Gallery.open(path) as reader:
        assert [(r.state, r.error) for r in reader.sources()] == [(State.STOPPED, BROKEN_OFF)]
    with Gallery.open(path, write=True) as owner:
        assert [(r.state, r.error) for r in owner.sources()] == [(State.STOPPED, BROKEN_OFF)]
        assert owner.begin_source(started(), SETTINGS) is Begin.RESUMED
        with Gallery.open(path) as reader:
            # While somebody writes, it does run.
            assert [r.state for r in reader.sources()] == [State.RUNNING]
        owner.end_source(SourceEnded("door", 100, 1004.0))
    with Gallery.open(path) as reader:
        assert [(r.state, r.error) for r in reader.sources()] == [(State.COMPLETE, None)]
    shown = CliRunner().invoke(app, ["gallery", "info", "--gallery", str(path)])
    assert "running" not in shown.output


def test_on_postgres_too(postgres: str) -> None:
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=EXACT) as owner:
        owner.begin_source(started(), SETTINGS)
        with Gallery.open(postgres) as reader:
            assert [r.state for r in reader.sources()] == [State.RUNNING]
    with Gallery.open(postgres) as reader:
        assert [(r.state, r.error) for r in reader.sources()] == [(State.STOPPED, BROKEN_OFF)]


def test_a_full_disk_is_called_full_also_when_sqlite_says_less(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 30 * 1024
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10**9, 10**9 - free, free))

    def fail() -> None:
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))

    with Gallery.open(filled(some_tracklets(3)), write=True) as gallery:
        with pytest.raises(GalleryError, match=r"no space left for gallery .*30 KiB free.*safe"), gallery.write():
            fail()
        free = 10**9
        with pytest.raises(GalleryError, match=r"the disk under gallery .* fails"), gallery.write():
            fail()


READER = """
import sys
import numpy as np
from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
try:
    with Gallery.open(sys.argv[1]) as gallery:
        answers = gallery.search(gallery.vectors()[1][:1], 1)
        print(len(gallery), answers[0][0].tracklet, len(gallery.sources()))
except GalleryError as error:
    print(error)
"""


def read_without_rights(path: Path) -> str:
    """What a reader says who may not write, as on a read-only mount."""

    def obey_modes() -> None:
        if os.geteuid() == 0:
            # Root is asked for no rights unless it gives that up (PR_CAPBSET_DROP of CAP_DAC_OVERRIDE).
            assert ctypes.CDLL(None).prctl(24, 1, 0, 0, 0) == 0

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", READER, str(path)]
    done = subprocess.run(
        command, env=environment, preexec_fn=obey_modes, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_a_gallery_that_was_closed_cleanly_is_read_where_nothing_can_be_written(indexed: Filled) -> None:
    tracklets = some_tracklets(12)
    path = indexed(tracklets)
    path.chmod(0o500)
    try:
        assert read_without_rights(path) == f"12 {tracklets[0].id} 1\n"
        assert sorted(p.name for p in path.iterdir() if p.name.startswith("gallery.db")) == ["gallery.db"]
    finally:
        path.chmod(0o700)


def test_one_that_was_not_closed_cleanly_says_so_there(filled: Filled, tmp_path: Path) -> None:
    path = filled(some_tracklets(12))
    copy = tmp_path / "copy"
    with Gallery.open(path, write=True) as gallery:
        gallery.begin_source(started("yard", "content-yard"), SETTINGS)
        copy.mkdir()
        for name in ("gallery.db", "gallery.db-wal"):
            shutil.copy(path / name, copy / name)
    copy.chmod(0o500)
    try:
        assert "was not closed cleanly" in read_without_rights(copy)
    finally:
        copy.chmod(0o700)


@pytest.mark.usefixtures("unproven")
@pytest.mark.parametrize("there", [False, True])
def test_a_gallery_that_nothing_was_read_into_is_taken_away_again(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "shop"
    if there:
        path.mkdir()
    with (
        pytest.raises(KeyError),
        Gallery.open(path, write=True, create=True, space=SPACE, keep_empty=False, config=EXACT) as gallery,
    ):
        gallery.begin_source(started(), SETTINGS)
        gallery.end_source(SourceEnded("door", 0, 1000.0, error="no picture"))
        raise KeyError
    assert path.exists() == there
    assert not there or list(path.iterdir()) == []
    with Gallery.open(path, write=True, create=True, space=SPACE, keep_empty=False, config=EXACT) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(some_tracklets(1))
    with Gallery.open(path, write=True, create=True, space=SPACE, keep_empty=False, config=EXACT) as gallery:
        gallery.erase([some_tracklets(1)[0].id], contents=["content-door"])
    # It was not made by the one that emptied it.
    assert (path / "gallery.db").is_file()


def test_on_a_server_its_tables_are_taken_away_again(postgres: str) -> None:
    Gallery.open(postgres, write=True, create=True, space=SPACE, keep_empty=False, config=EXACT).close()
    with pytest.raises(GalleryNotFound, match="holds no gallery"):
        Gallery.open(postgres)
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=EXACT):
        pass
    Gallery.open(postgres).close()
