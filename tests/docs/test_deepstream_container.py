"""The DeepStream container, as far as it can be judged without building it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from reidstream.cli.app import app
from reidstream.engines.deepstream.files.model_places import FOLDER_VARIABLE
from reidstream.engines.deepstream.running.alive import AliveFile

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker" / "Dockerfile.deepstream").read_text(encoding="utf-8")
LINES = [
    line
    for line in re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    if line.strip()
]


def stage(name: str) -> list[str]:
    """The instructions of a stage."""
    begin = next(i for i, line in enumerate(LINES) if line.startswith("FROM") and line.endswith(f"AS {name}"))
    end = next((i for i in range(begin + 1, len(LINES)) if LINES[i].startswith("FROM")), len(LINES))
    return LINES[begin:end]


def test_it_runs_without_rights_from_pinned_packages() -> None:
    for name in ("run", "notebook"):
        assert [line for line in stage(name) if line.startswith("USER")][-1] == "USER 10001"
        assert any("--require-hashes -r /tmp/requirements.txt" in line for line in stage(name))
    for source in (line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from" not in line):
        assert all((ROOT / name).exists() for name in source if "*" not in name), source
    assert LINES[-1] == "FROM run", "the image without Jupyter is what is built when nothing is said"


def test_the_folder_of_models_is_named_once() -> None:
    assert f"{FOLDER_VARIABLE}=/data/models" in TEXT
    compose = (ROOT / "docker" / "compose.yml").read_text(encoding="utf-8")
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docker").glob("*.md"))
    assert "deepstream.models=" not in compose + pages


def test_driver_capabilities_are_added_to_those_of_the_base_image() -> None:
    (line,) = [line for line in stage("run") if "NVIDIA_DRIVER_CAPABILITIES=" in line]
    (value,) = re.findall(r"NVIDIA_DRIVER_CAPABILITIES=(\S+)", line)
    for before, after in (
        ("graphics,utility", "graphics,utility,compute,utility,video"),
        ("", "compute,utility,video"),
    ):
        run = subprocess.run(
            ["/bin/sh", "-c", f'printf %s "{value}"'],
            env={"NVIDIA_DRIVER_CAPABILITIES": before},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == after


def test_both_architectures_have_a_checksum_of_their_own() -> None:
    sums = re.findall(r"^ARG PYDS_SHA256_\w+=([0-9a-f]{64})$", TEXT, re.MULTILINE)
    assert len(set(sums)) == 2


def test_without_pyds_nothing_of_it_is_fetched_or_installed(tmp_path: Path) -> None:
    (line,) = [line for line in stage("run") if line.startswith("RUN") and "/tmp/pyds" in line]
    folder = tmp_path / "pyds"
    folder.mkdir()
    command = line.removeprefix("RUN ").replace("/tmp/pyds", str(folder))
    run = subprocess.run(["/bin/bash", "-c", command], env={"PYDS_VERSION": "none", "PATH": "/bin"}, check=False)
    assert (run.returncode, folder.exists()) == (0, False)


@pytest.mark.parametrize(
    ("minutes", "host", "healthy"), [(0, "this", True), (5, "this", False), (5, "another", True), (None, "this", True)]
)
def test_a_run_that_takes_nothing_in_any_more_is_unhealthy(
    tmp_path: Path, minutes: int | None, host: str, healthy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an ended run left, and what another container writes into the same volume, says nothing of this one."""
    monkeypatch.setattr("reidstream.engines.deepstream.running.alive.socket.gethostname", lambda: host)
    folder = tmp_path / "people.deepstream"
    folder.mkdir()
    alive = AliveFile(folder)
    alive.sign(0.0)
    if minutes is None:
        alive.remove()
    else:
        written = (folder / "alive").stat().st_mtime - 60 * minutes
        os.utime(folder / "alive", (written, written))
    (tmp_path / "hostname").write_text("this\n")
    (line,) = [line for line in stage("run") if line.startswith("HEALTHCHECK")]
    command = json.loads(line.partition("CMD ")[2])
    command[-1] = command[-1].replace("/data", str(tmp_path)).replace("/etc/hostname", str(tmp_path / "hostname"))
    assert (subprocess.run(command, check=False).returncode == 0) == healthy


def test_what_compose_starts_is_there_and_starts_again() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text(encoding="utf-8"))["services"]
    assert {name: each["restart"] for name, each in services.items()} == dict.fromkeys(services, "unless-stopped")
    service = services["reidstream"]
    verb, *words = service["command"]
    known = {word for option in typer.main.get_command(app).commands[verb].params for word in option.opts}  # type: ignore[attr-defined]
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known
    context = ROOT / "docker" / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).is_file()


def test_the_notebook_is_in_the_image_and_tells_where_it_is() -> None:
    lines = stage("notebook")
    assert "COPY notebooks /opt/notebooks" in lines
    assert any("REIDSTREAM_ENGINE=deepstream" in line for line in lines)
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT")]
    assert "jupyter lab" in json.loads(entry.removeprefix("ENTRYPOINT "))[-1]
    page = (ROOT / "docs" / "deepstream.md").read_text(encoding="utf-8")
    assert "--target notebook -t reidstream:notebook" in page and "--network host" in page
