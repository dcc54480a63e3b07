"""`reidstream deepstream selftest` on the stand-ins with the package's Re-ID model, and faults that it must see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidstream.config import load_config
from reidstream.engines.deepstream.selftest.comparing import likeness
from reidstream.engines.deepstream.selftest.plan import RunPlan, run
from reidstream.engines.deepstream.selftest.verdicts import crashed, of_clip, of_likeness
from tests.blobs import write_blobs
from tests.deepstream import blob_models, standins

pytestmark = pytest.mark.gstreamer


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    """A clip, settings that see its people and embed them with the package's own model, and a trtexec that writes."""
    folder = tmp_path_factory.mktemp("selftest")
    # One walks out of the picture, the other stays: a track ends inside the clip.
    clip = write_blobs(folder / "walk.mp4", [0, 1], 120, speed=4.0)
    settings = [text for text in blob_models.settings(folder) if not text.startswith("embedding.model")]
    settings += [
        f"deepstream.models={folder / 'models'}", "deepstream.mux.timeout_us=40000", "tracker.timeout=1.0",
        "deepstream.sgie.min_width=8",
    ]  # fmt: skip
    program = folder / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "open([a for a in sys.argv if a.startswith('--saveEngine=')][0][13:], 'w').write('engine')\n"
    )
    program.chmod(0o755)
    environment = standins.environment()
    environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
    return clip, settings, environment


def selftest(prepared: tuple[Path, list[str], dict[str, str]], folder: Path) -> tuple[int, dict[str, Any], str]:
    clip, settings, environment = prepared
    given = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "reidstream", "deepstream", "selftest", "--clip", str(clip), "--frames", "120"]
    run = subprocess.run(
        [*command, "--swaps", "12", "--out", str(folder), *given, "--json"],
        capture_output=True, text=True, env=environment, check=False, timeout=280,
    )  # fmt: skip
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert json.loads((folder / "selftest.json").read_text())["lines"] == report["lines"]
    return run.returncode, {line["title"]: line for line in report["lines"]}, run.stderr


def test_what_works_passes_and_what_is_not_here_is_said(
    prepared: tuple[Path, list[str], dict[str, str]], tmp_path: Path
) -> None:
    code, lines, error = selftest(prepared, tmp_path / "out")
    judged = {title: line["passed"] for title, line in lines.items()}
    crops = None if standins.real_pyds_file() else True
    assert judged == {
        "machine": False,  # there is neither a driver nor DeepStream
        "engines": True,
        "clip": True,
        "embeddings": True,
        "ended tracks": True,
        "crops": crops,
        "probe": True,
        "memory of the pipeline": None,
        "like the local engine": True,
        "like nvinfer's scaling": True,
        "swaps": True,
        "tracks of swapped cameras": True,
        "memory over the swaps": True,
    }, (lines, error)
    assert code == 1, "the machine's line failed"
    assert lines["engines"]["found"].count(".engine") == 3, "the detector's for one source and for two"
    assert "120 of 120 frames" in lines["clip"]["found"]
    assert "14 of 14 cameras" in lines["swaps"]["found"]


@pytest.fixture
def plan(prepared: tuple[Path, list[str], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPlan:
    """A run over the clip alone, whose process has the stand-ins."""
    clip, settings, environment = prepared
    for name in ("PYTHONPATH", "REIDSTREAM_STANDINS"):
        monkeypatch.setenv(name, environment[name])
    return RunPlan("clip", str(clip), str(tmp_path), None, tuple(settings))


def test_a_wrong_normalisation_is_seen(plan: RunPlan) -> None:
    """What nobody would see otherwise: people are found, tracked and embedded, only not as on the local engine."""
    wrong = 'deepstream.sgie.keys={"net-scale-factor"=0.0078,"offsets"="127.5;127.5;127.5"}'
    facts, how = run(replace(plan, overrides=(*plan.overrides, wrong)), 200)
    assert facts is not None, how
    config = load_config(None, list(plan.overrides))
    verdicts = {verdict.title: verdict.passed for verdict in of_clip(facts, 120, config)}
    assert verdicts["clip"] and verdicts["embeddings"]
    found = of_likeness(likeness(plan.samples, Path(plan.clip), config, facts["mux"]))
    assert [verdict.passed for verdict in found] == [False, False]


def test_a_run_that_dies_in_native_code_is_a_line_of_the_table(
    plan: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos.write(2, b'oh dear\\n')\nos.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    facts, how = run(plan, 200)
    assert facts is None
    assert "SIGSEGV" in how and "oh dear" in how
    line = crashed("clip", how)
    assert line.passed is False and line.found == how


def test_a_run_that_hangs_is_ended(plan: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    facts, how = run(plan, 0.5)
    assert facts is None and "no end within" in how
