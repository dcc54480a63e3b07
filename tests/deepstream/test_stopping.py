"""How a run with DeepStream is stopped from outside: as a process, by signals and by the clock."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State
from tests.blobs import write_blobs
from tests.deepstream import blob_models, standins
from tests.rtsp import Server

pytestmark = pytest.mark.gstreamer


@contextmanager
def running(tmp_path: Path, source: str, *options: str, build: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """``reidstream run --engine deepstream`` on stand-ins. build: seconds that each network takes to get ready."""
    settings = [
        f"--set={text}"
        for text in (*blob_models.settings(tmp_path), "deepstream.mux.timeout_us=40000", 'gallery.index="exact"')
    ]
    command = [sys.executable, "-m", "reidstream", "run", source, "--engine", "deepstream", *options, *settings]
    environment = standins.environment() | ({"REIDSTREAM_STANDIN_BUILD": str(build)} if build else {})
    process = subprocess.Popen(
        [*command, "--gallery", str(tmp_path / "gallery")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}")


def wait_for_a_source(process: subprocess.Popen[str], gallery: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with Gallery.open(gallery) as opened:
                if opened.sources():
                    return
        except GalleryError:
            pass
        time.sleep(0.05)
    raise AssertionError("no source has started")


def test_max_seconds_ends_an_endless_camera(tmp_path: Path, server: Server) -> None:
    """It counts from the start of the run; a machine that is too busy to see a frame in that time gets longer."""
    for seconds in ("3", "20", "100"):
        with running(tmp_path, server.url, "--max-seconds", seconds, "--json") as process:
            out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        summary = json.loads(out)
        (source,) = summary["sources"]
        if source["frames"]:
            break
    assert summary["stopped"]
    assert source["state"] == "stopped"
    assert source["frames"] > 0


def test_one_interrupt_stores_the_people_in_view(tmp_path: Path) -> None:
    clip = write_blobs(tmp_path / "a.mp4", [0], 2500, speed=0.1)
    with running(tmp_path, str(clip)) as process:
        wait_for_a_source(process, tmp_path / "gallery")
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "finishing; press Ctrl-C again to stop at once" in err
    with Gallery.open(tmp_path / "gallery") as opened:
        assert {recording.state for recording in opened.sources()} == {State.STOPPED}
        assert len(opened) == 1


def test_an_interrupt_is_heard_while_engines_are_built(tmp_path: Path) -> None:
    clip = write_blobs(tmp_path / "a.mp4", [0], 100)
    with running(tmp_path, str(clip), build=3) as process:
        wait_for_line(process, "Trying to create engine")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    clip = write_blobs(tmp_path / "a.mp4", [0], 100)
    with running(tmp_path, str(clip), build=600) as process:
        wait_for_line(process, "Trying to create engine")
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "finishing")
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
