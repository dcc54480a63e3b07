"""What the DeepStream tests need: NVIDIA's metadata libraries, a pyds (real where there is one), GStreamer."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from reidstream.engines.deepstream.metadata.bindings import Bindings
from tests.deepstream import standins
from tests.deepstream.standins import STANDIN, missing, real_pyds_file
from tests.rtsp import PROBE, Server

BINDINGS = ["stand-in", "memory", *(["real"] if real_pyds_file() else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(item.fspath).is_relative_to(Path(__file__).parent)]
    needy = [item for item in here if item.get_closest_marker("gstreamer")]
    reason = missing() if needy else None
    if reason is not None:
        for item in needy:
            item.add_marker(pytest.mark.skip(reason=reason))


def _load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bindings() -> dict[str, Bindings]:
    """Every pyds there is, by kind, and NVIDIA's library for reading without one."""
    import nvds

    from reidstream.engines.deepstream.metadata import open_bindings

    nvds.libraries()
    found: dict[str, Bindings] = {
        "stand-in": _load("pyds_standin", STANDIN / "pyds.py"),
        "memory": open_bindings("memory"),
    }
    if file := real_pyds_file():
        found["real"] = _load("pyds", file)
    return found


@pytest.fixture(params=BINDINGS)
def reads_with(request: pytest.FixtureRequest, bindings: dict[str, Bindings]) -> Bindings:
    """The stand-in for pyds, NVIDIA's library, and the real pyds as well where one can be imported."""
    return bindings[request.param]


@pytest.fixture(params=[kind for kind in BINDINGS if kind != "memory"])
def pyds(request: pytest.FixtureRequest, bindings: dict[str, Bindings]) -> Bindings:
    """The stand-in, and the real pyds as well where one can be imported."""
    return bindings[request.param]


@pytest.fixture
def elements() -> Iterator[None]:
    """The stand-ins; afterwards everything that was attached to a buffer must have been given back."""
    standins.register()
    import nvds

    yield
    gc.collect()
    assert nvds.ledger.alive == 0


@pytest.fixture
def server() -> Iterator[Server]:
    """A camera on loopback."""
    if subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=False).returncode:
        pytest.skip("GstRtspServer is missing (Debian: gir1.2-gst-rtsp-server-1.0)")
    server = Server(sys.executable)
    yield server
    server.kill()
