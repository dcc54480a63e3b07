"""The list of cameras that a run follows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reidstream.engines.deepstream.running import camera_list
from reidstream.engines.deepstream.running.camera_list import CameraList


def write(path: Path, *names: str) -> None:
    path.write_text("".join(f'[[sources]]\nname = "{name}"\nuri = "rtsp://10.0.0.7/{name}"\n' for name in names))
    # Two writes may fall into one tick of the file system's clock.
    written = path.stat().st_mtime_ns
    os.utime(path, ns=(written, written + 1_000_000 * len(path.read_text())))


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    write(tmp_path / "cameras.toml", "door", "till")
    return tmp_path / "cameras.toml"


def test_what_it_says_at_the_start_asks_for_nothing(listed: Path) -> None:
    steps = CameraList(listed).steps({"door", "till"})
    assert (steps.gone, steps.new) == ((), ())


def test_a_change_takes_out_and_brings_in(listed: Path) -> None:
    cameras = CameraList(listed)
    write(listed, "till", "yard")
    steps = cameras.steps({"door", "till"})
    assert steps.gone == ("door",)
    assert [config.name for config in steps.new] == ["yard"]
    assert cameras.steps({"till", "yard"}).new == ()


def test_a_broken_list_changes_nothing(listed: Path, caplog: pytest.LogCaptureFixture) -> None:
    cameras = CameraList(listed)
    listed.write_text("[[sources]\nbroken")
    steps = cameras.steps({"door", "till"})
    assert (steps.gone, steps.new) == ((), ())
    assert "left as it was" in caplog.text
    listed.unlink()
    assert cameras.steps({"door", "till"}).gone == ()


def test_a_camera_that_has_ended_is_taken_up_again_after_a_minute(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(camera_list.time, "monotonic", lambda: clock[0])
    cameras = CameraList(listed)
    (door, _) = cameras._cameras.values()
    cameras.ended(door)
    assert cameras.steps({"till"}).new == ()
    clock[0] += 61
    assert [config.name for config in cameras.steps({"till"}).new] == ["door"]
    assert cameras.steps({"till"}).new == (), "once for each end"


def test_what_is_not_on_the_list_is_left_to_its_end(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_list, "_AGAIN", 0.0)
    cameras = CameraList(listed)
    (door, till) = cameras._cameras.values()
    write(listed, "till")
    cameras.ended(door)
    assert cameras.steps({"till"}).new == ()
    cameras.ended(till)
    assert [config.name for config in cameras.steps(set()).new] == ["till"]
