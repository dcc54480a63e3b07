"""What the doctor says about machines: this one, and ones that are broken in known ways."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import load_config
from reidstream.doctor import Check, Question, Result, Status, examine, gstreamer, inference, nvidia, software
from reidstream.doctor.checks import CHECKS
from reidstream.doctor.child import ask_python, run
from reidstream.runtime import Missing

QUESTION = Question(load_config())


def _program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched first for programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_answers_on_this_machine(check: Check) -> None:
    (line,) = examine([check], QUESTION).lines
    assert line.status in Status and line.found
    if line.status in (Status.WARNING, Status.FAILURE):
        assert line.advice
    assert check.about and check.remedy


@pytest.mark.parametrize("id", ["python", "packages", "sqlite", "chromadb", "disk", "video", "onnxruntime"])
def test_what_the_local_engine_needs_is_really_tried_and_works(id: str) -> None:
    check = next(check for check in CHECKS if check.id == id)
    assert check.run(QUESTION).status in (Status.OK, Status.WARNING)


def test_what_is_absent_counts_only_for_those_who_need_it() -> None:
    absent = Check("x", "X", "x", "do this", ("deepstream",), lambda question: Result(Status.ABSENT, "none"))
    (local,) = examine([absent], QUESTION).lines
    assert (local.status, local.advice) == (Status.ABSENT, "")
    report = examine([absent], Question(load_config(), "deepstream"))
    assert (report.lines[0].status, report.lines[0].advice) == (Status.FAILURE, "do this")
    assert not report.healthy


def test_what_fails_for_others_does_not_stand_in_the_way() -> None:
    broken = Check("x", "X", "x", "do this", ("deepstream",), lambda question: Result(Status.FAILURE, "broken"))
    report = examine([broken], QUESTION)
    assert (report.lines[0].status, report.healthy) == (Status.WARNING, True)


def test_a_check_that_breaks_does_not_take_the_others_with_it() -> None:
    def explode(question: Question) -> Result:
        raise RuntimeError("unforeseen")

    checks = [
        Check("a", "A", "a", "do", ("local",), explode),
        Check("b", "B", "b", "do", ("local",), lambda question: Result(Status.OK, "fine")),
    ]
    report = examine(checks, QUESTION)
    assert [line.status for line in report.lines] == [Status.FAILURE, Status.OK]
    assert "RuntimeError: unforeseen" in report.lines[0].found


def test_a_child_that_crashes_hangs_or_babbles_is_an_answer() -> None:
    assert "signal 11" in ask_python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")["error"]
    assert "within 1 s" in ask_python("import time; time.sleep(30)", timeout=1)["error"]
    assert "unexpected answer" in ask_python("print('hello')")["error"]
    assert "ValueError: no" in ask_python("raise ValueError('no')")["error"]
    assert "not installed" in run(["no-such-program-anywhere"])["error"]


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 10, 1, "final", 0))
    assert software.python(QUESTION).status is Status.FAILURE


def test_a_package_that_cannot_be_imported_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = software.packages(QUESTION)
    assert result.status is Status.FAILURE
    assert result.advice == "python -m pip install opencv-python-headless"


def test_packages_that_overwrite_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_installed", lambda name: "1.0")
    assert "opencv-python and opencv-python-headless" in software.packages(QUESTION).found


@pytest.mark.parametrize(("free", "status"), [(0.5, Status.FAILURE), (3, Status.WARNING), (50, Status.OK)])
def test_a_full_disk_is_seen(free: float, status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(software.shutil, "disk_usage", lambda path: usage(0, 0, int(free * 2**30)))
    assert software.disk(QUESTION).status is status


@pytest.mark.setting("local.device")
def test_a_provider_that_is_not_there_is_a_failure_and_not_a_silent_fall_back() -> None:
    result = inference.providers(Question(load_config(None, ["local.device=cuda"])))
    if result.status is Status.FAILURE:
        assert "reidstream setup cuda" in result.advice or "driver" in result.found
        assert inference.models(Question(load_config(None, ["local.device=cuda"]))).status is Status.FAILURE
    else:
        assert "cuda is asked for" in result.found


def test_models_that_are_missing_are_named() -> None:
    result = inference.models(Question(load_config(None, ["embedding.model=absent.onnx"])))
    assert result.status is Status.FAILURE and "absent.onnx" in result.found


def test_out_of_the_box_the_local_engine_can_run() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["healthy"]) == (0, True), answer
    models = next(line for line in answer["checks"] if line["id"] == "models")
    assert "embedded models have the right checksum" in models["found"]


def test_an_embedded_model_that_was_changed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.onnx").write_bytes(b"changed")
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(f'[models.own]\ntask = "reid"\nfile = "own.onnx"\nsha256 = "{"0" * 64}"\n')
    monkeypatch.setattr("reidstream.models.manifest.PACKAGE_MANIFEST", manifest)
    result = inference.models(QUESTION)
    assert result.status is Status.FAILURE and "own.onnx" in result.found and "sha256" in result.found


@pytest.mark.shared
def test_this_machine_is_healthy_with_real_models(shared_data: Path) -> None:
    models = shared_data.parent / "models"
    settings = [
        f"embedding.model={models / 'osnet_x0_25_msmt17.onnx'}",
        f"detector.model={models / 'yolox_nano_416x416.onnx'}",
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["healthy"]) == (0, True)
    assert {line["id"] for line in answer["checks"]} == {check.id for check in CHECKS}


def test_the_drivers_answer_is_read(programs: Path) -> None:
    _program(programs, "nvidia-smi", "echo '570.133.20, NVIDIA H200, 143771 MiB'")
    result = nvidia.driver(QUESTION)
    assert result == Result(Status.OK, "570.133.20; NVIDIA H200 (143771 MiB)")
    _program(programs, "nvidia-smi", "echo '535.104, Tesla T4, 15360 MiB'")
    assert nvidia.driver(QUESTION).status is Status.WARNING
    _program(programs, "nvidia-smi", "true")
    assert nvidia.driver(QUESTION).status is Status.FAILURE


@pytest.mark.parametrize(
    ("text", "status"), [("Version: DeepStream 8.0.0\n", Status.OK), ("Version: DeepStream 7.1.0\n", Status.WARNING)]
)
def test_the_sdks_version_is_read(text: str, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(nvidia, "SDK", tmp_path)
    assert nvidia.deepstream(QUESTION).status is status


@pytest.mark.parametrize(
    ("pyds", "sdk", "status"),
    [
        ("__version__ = '1.2.2'\nclass NvDsTargetMiscDataBatch: pass", "8.0.0", Status.OK),
        ("__version__ = '1.2.2'", "8.0.0", Status.WARNING),
        ("__version__ = '1.2.0'\nclass NvDsTargetMiscDataBatch: pass", "8.0.0", Status.FAILURE),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "8.0.0", Status.FAILURE),
        ("raise ImportError('libnvds_meta.so')", "8.0.0", Status.ABSENT),
    ],
)
def test_pyds_must_be_that_of_the_sdk(
    pyds: str, sdk: str, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text(f"Version: DeepStream {sdk}\n")
    (tmp_path / "pyds.py").write_text(pyds)
    monkeypatch.setattr(nvidia, "SDK", tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    question = Question(load_config(None, ["deepstream.metadata=pyds"]), "deepstream")
    assert nvidia.metadata_access(question).status is status


@pytest.mark.parametrize(
    ("pyds", "kind", "library", "status"),
    [
        ("raise ImportError('no pyds')", "auto", '{"file": "libnvds_meta.so", "versions": "9.0 and 9.1"}', Status.OK),
        ("raise ImportError('no pyds')", "auto", '{"absent": "cannot be loaded"}', Status.ABSENT),
        ("raise ImportError('no pyds')", "pyds", '{"file": "libnvds_meta.so", "versions": "8.0"}', Status.ABSENT),
        ("class NvDsTargetMiscDataBatch: pass", "auto", '{"absent": "cannot be loaded"}', Status.OK),
        ("raise SystemExit('not asked')", "memory", '{"file": "libnvds_meta.so", "versions": "8.0"}', Status.OK),
        ("raise SystemExit('not asked')", "memory", "not an answer", Status.FAILURE),
    ],
)
def test_without_pyds_the_library_is_asked(
    pyds: str, kind: str, library: str, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyds.py").write_text(pyds)
    monkeypatch.setattr(nvidia, "SDK", tmp_path)
    monkeypatch.setattr(nvidia, "_METADATA", f"print({library!r})")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    question = Question(load_config(None, [f"deepstream.metadata={kind}"]), "deepstream")
    assert nvidia.metadata_access(question).status is status


@pytest.mark.parametrize(
    ("limit", "settings", "status"),
    [
        (-1, ["deepstream.mux.batch=16"], Status.OK),
        (64 * 2**30, ["deepstream.mux.batch=16"], Status.WARNING),
        (2 * 2**30, ["deepstream.mux.batch=16"], Status.FAILURE),
        (2 * 2**30, ["deepstream.mux.batch=1"], Status.WARNING),
        (2 * 2**30, ["deepstream.mux.batch=16", "deepstream.tracker.max_targets=20"], Status.WARNING),
        (2 * 2**30, ["deepstream.mux.batch=16", "deepstream.tracker.terminated_tracks=false"], Status.WARNING),
    ],
)
def test_a_limit_of_address_space_is_compared_with_what_the_tracker_reserves(
    limit: int, settings: list[str], status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia.resource, "getrlimit", lambda which: (limit, -1))
    result = nvidia.address_space(Question(load_config(None, settings), "deepstream"))
    assert result.status is status
    assert ("limited to" in result.found) == (limit != -1)


def test_gstreamer_that_this_python_does_not_see_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gi.py").write_text("raise ImportError('no gi')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(gstreamer, "_SYSTEM_GI", tmp_path)
    result = gstreamer.gstreamer(QUESTION)
    assert result.status is Status.ABSENT and "--system-site-packages" in result.advice
    assert gstreamer.elements(QUESTION).status is Status.ABSENT
    assert nvidia.nvdec(QUESTION).status is Status.ABSENT


@pytest.mark.gstreamer
def test_the_decoder_is_tried_on_a_real_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pipeline with a decoder of the CPU, and with an element that is no decoder."""
    if importlib.util.find_spec("gi") is None:
        pytest.skip("PyGObject (gi) is not importable")
    monkeypatch.setattr(nvidia, "DECODERS", ("avdec_h264", "openh264dec"))
    result = nvidia.nvdec(QUESTION)
    assert result.status is Status.OK and "decoded 12 frames" in result.found
    monkeypatch.setattr(nvidia, "DECODERS", ("jpegdec",))
    assert nvidia.nvdec(QUESTION).status is Status.FAILURE


def test_a_clip_is_written_and_read_back(tmp_path: Path) -> None:
    import av

    assert inference.write_clip(tmp_path / "clip.mkv", "mjpeg")
    with av.open(str(tmp_path / "clip.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    assert not inference.write_clip(tmp_path / "clip.mkv", "no-such-codec")


def test_a_gallery_is_opened_and_its_owner_named(tmp_path: Path) -> None:
    from reidstream.gallery import Gallery
    from reidstream.types import EmbeddingSpace

    folder = tmp_path / "people"
    question = Question(load_config(), gallery=folder)
    assert software.gallery(question).status is Status.WARNING
    space = EmbeddingSpace("ab" * 16, "test", 8)
    with Gallery.open(folder, write=True, create=True, space=space):
        result = software.gallery(question)
        assert result.status is Status.WARNING and f"process {os.getpid()}" in result.found
    assert software.gallery(question) == Result(Status.OK, f"{folder}: 0 tracklets, nobody is writing")
    database = next(path for path in folder.iterdir() if path.suffix in (".db", ".sqlite", ".sqlite3"))
    database.write_bytes(np.random.default_rng(1).bytes(4096))
    assert software.gallery(question).status is Status.FAILURE


def test_the_screen_says_what_to_do_and_sets_the_exit_code() -> None:
    result = CliRunner().invoke(app, ["doctor", "--engine", "deepstream"])
    assert result.exit_code == (0 if nvidia.deepstream_version() else 1)
    if result.exit_code:
        assert "the deepstream engine cannot run here" in result.stdout
        assert "docker/README.md" in result.stdout


def test_a_gpu_without_its_decoder_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reidstream.runtime.missing_for_cuda", tuple)
    monkeypatch.setattr("reidstream.runtime.missing_for_decoding", lambda: Missing("no decoder", "add video"))
    result = inference.providers(Question(load_config(None, ["local.device=cuda"])))
    assert (result.status, result.advice) == (Status.WARNING, "add video")
    assert "no decoder: video is decoded on the processor" in result.found
    on_processor = load_config(None, ["local.device=cuda", "local.decode=cpu"])
    assert inference.providers(Question(on_processor)).status is Status.OK
