"""Processes that this package starts for itself: they find the package, begin quickly, and end as they say."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream import child
from reidstream.children import command_of, environment

ASKED = """
import gc, sys
print(__name__, sys.argv[1:], gc.get_threshold()[0] > 10_000)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that says how it runs and ends with the code that its second argument names."""
    (tmp_path / "asked_module.py").write_text(ASKED, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "asked_module"


@pytest.mark.parametrize("code", [0, 3])
def test_a_module_is_the_main_program_with_its_arguments_and_its_exit_code(asked: str, code: int) -> None:
    done = subprocess.run(
        command_of(asked, "--two words", str(code)), capture_output=True, text=True, env=environment(), check=False
    )
    assert done.stdout.strip() == f"__main__ ['--two words', '{code}'] True", done.stderr
    assert done.returncode == code


def test_who_lives_longer_has_garbage_looked_for_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, began = gc.get_threshold(), threading.Event()

    def lives(*_: object, **__: object) -> None:
        until = time.monotonic() + 30
        assert gc.get_threshold()[0] > usual[0]
        began.set()
        while gc.get_threshold() != usual and time.monotonic() < until:
            time.sleep(0.01)

    def timer(seconds: float, then: Callable[..., None], arguments: list[object]) -> threading.Thread:
        assert seconds == child._BEGINNING
        return threading.Thread(target=lambda: began.wait() and then(*arguments))

    monkeypatch.setattr("reidstream.child.threading.Timer", timer)
    monkeypatch.setattr("reidstream.child.runpy.run_module", lives)
    monkeypatch.setattr("reidstream.child.atexit.register", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["reidstream.child", "somebody"])
    try:
        child.main()
        assert gc.get_threshold() == usual
    finally:
        gc.set_threshold(*usual)


def version_said_in(folder: Path) -> str:
    command = command_of("reidstream", "--version")
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment(), cwd=folder, check=True).stdout


def test_a_package_runs_by_its_main_module(tmp_path: Path) -> None:
    assert version_said_in(tmp_path).startswith("reidstream ")


def test_no_file_in_the_current_folder_is_taken_for_a_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')", encoding="utf-8")
    assert version_said_in(tmp_path).startswith("reidstream ")


def test_it_is_run_by_this_interpreter() -> None:
    assert command_of("reidstream")[0] == sys.executable
