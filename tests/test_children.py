"""Processes that this package starts for itself: they find the package, begin quickly, and end as they say."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reidstream import beginning
from reidstream.children import command_of, environment

ASKED = """
import gc, sys
import httpx
# httpx's own command line is not for children.
print(__name__, sys.argv[1:], gc.get_threshold()[0] > 10_000, "rich" in sys.modules)
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
    assert done.stdout.strip() == f"__main__ ['--two words', '{code}'] True False", done.stderr
    assert done.returncode == code


def test_who_lives_longer_has_garbage_looked_for_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Callable[..., object]] = []

    class Timer(threading.Timer):
        def start(self) -> None:
            assert self.interval == beginning._SECONDS and self.daemon
            started.append(lambda: self.function(*self.args))

    monkeypatch.setattr("reidstream.beginning.threading.Timer", Timer)
    monkeypatch.setattr("reidstream.beginning.atexit.register", lambda *_: None)
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        beginning.begin_quickly()
        assert gc.get_threshold()[0] > 10_000
        started[0]()
        assert gc.get_threshold() == (700, 10, 10)
    finally:
        gc.set_threshold(*before)


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
