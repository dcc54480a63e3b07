"""A camera's password goes to the camera and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reidstream.gallery import Gallery
from tests.rtsp import PASSWORD, Server

pytestmark = pytest.mark.gstreamer


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "reidstream", "run", *words, "--gallery", "g", "--verbose"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)


def files_with_the_password(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_run_prints_and_stores_no_password(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, server.url, "--max-seconds", "4", "--record", "events.parquet")
    assert done.returncode == 0, done.stderr.decode()
    assert PASSWORD.encode() not in done.stdout + done.stderr
    assert files_with_the_password(tmp_path) == []
    with Gallery.open(tmp_path / "g") as gallery:
        assert len(gallery.sources()) == 1
    # The search itself can find something.
    (tmp_path / "note").write_text(server.url)
    assert files_with_the_password(tmp_path) == [tmp_path / "note"]


def test_a_run_that_fails_prints_and_stores_no_password(server: Server, tmp_path: Path) -> None:
    cameras = tmp_path / "site" / "cameras.toml"
    cameras.parent.mkdir()
    wrong = server.url.replace("cam:", "someone:")
    cameras.write_text(f'[[sources]]\nuri = "{wrong}"\ntimeout = 3\n\n[[sources]]\nuri = "{server.url}x"\n')
    done = run(tmp_path, "site/cameras.toml")
    assert done.returncode == 1
    text = (done.stdout + done.stderr).decode()
    assert "name or password is wrong" in text
    assert "no such stream" in text
    assert PASSWORD not in text
    assert files_with_the_password(tmp_path) == [cameras]
