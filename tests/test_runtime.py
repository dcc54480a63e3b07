"""Which ONNX Runtime is loaded, and setting up the one for CUDA."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.errors import DeviceError, MissingDependency
from reidstream.runtime import choice, cuda, cuda_folder, gpu_is_shared, missing_for_cuda, onnxruntime, setting_up
from reidstream.runtime.setting_up import REQUIREMENTS, set_up_cuda


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own, on a machine for which there are packages."""
    monkeypatch.setattr(choice.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(setting_up.platform, "system", lambda: "Linux")
    monkeypatch.setattr(setting_up.platform, "machine", lambda: "x86_64")
    return tmp_path


def _installs(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """An installer that does this; its arguments begin with --target FOLDER."""
    monkeypatch.setattr(setting_up, "_installer", lambda: [sys.executable, "-c", f"import pathlib, sys\n{code}"])


GOOD = "folder = pathlib.Path(sys.argv[2]) / 'onnxruntime'; folder.mkdir(); (folder / '__init__.py').write_text('')"


@pytest.mark.usefixtures("environment")
def test_it_is_installed_beside_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _installs(monkeypatch, GOOD)
    assert set_up_cuda() == cuda_folder()
    assert [entry.name for entry in cuda_folder().iterdir()] == ["onnxruntime"]
    _installs(monkeypatch, "sys.exit(1)")
    assert CliRunner().invoke(app, ["setup", "cuda"]).exit_code == 0
    with pytest.raises(DeviceError, match="could not be installed"):
        set_up_cuda(replace=True)


def test_an_installation_that_fails_leaves_nothing(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installs(monkeypatch, f"{GOOD}; sys.exit(3)")
    with pytest.raises(DeviceError, match="ended with 3"):
        set_up_cuda()
    assert not [path for path in environment.rglob("*") if path.is_file()]


def test_other_machines_and_environments_without_installer_are_told(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting_up.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(setting_up.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependency, match="needs pip or uv"):
        set_up_cuda()
    monkeypatch.setattr(setting_up.platform, "machine", lambda: "aarch64")
    with pytest.raises(DeviceError, match="this is Linux aarch64"):
        set_up_cuda()


def test_exactly_one_runtime_and_its_libraries_are_pinned() -> None:
    names = re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in names if name.startswith("onnxruntime")] == ["onnxruntime-gpu"]
    assert all(name.startswith(("nvidia-", "cuda-")) for name in names if name != "onnxruntime-gpu")
    assert {"nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-curand"} <= set(names)


def test_what_is_missing_for_cuda_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "`reidstream setup cuda`" in str(missing_for_cuda()[-1])


@pytest.mark.usefixtures("environment")
def test_a_runtime_that_was_set_up_is_the_one_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    package = cuda_folder() / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("mark = 'beside'")
    with pytest.raises(DeviceError, match="has already loaded the one of"):
        onnxruntime()
    monkeypatch.delitem(sys.modules, "onnxruntime")
    before = list(sys.path)
    assert onnxruntime().mark == "beside"
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "onnxruntime")
    (package / "__init__.py").write_text("raise ImportError('libonnxruntime is broken')")
    choice.importlib.invalidate_caches()
    with pytest.raises(MissingDependency, match=r"is broken.*reidstream setup cuda --replace"):
        onnxruntime()


def test_a_gpu_is_shared_where_the_service_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not gpu_is_shared()
    # What it leaves behind.
    (tmp_path / "control").touch()
    assert not gpu_is_shared()
    (tmp_path / "nvidia-cuda-mps-control.pid").touch()
    assert gpu_is_shared()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "")
    monkeypatch.setattr(cuda, "_SERVICE", str(tmp_path))
    assert gpu_is_shared()
