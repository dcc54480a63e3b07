"""What the DeepStream tests need: NVIDIA's metadata libraries, a pyds (real where there is one), GStreamer."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

STANDIN = Path(__file__).parent / "standin"
sys.path.insert(0, str(STANDIN))


def _missing() -> str | None:
    """Why these tests cannot run here, or None."""
    if importlib.util.find_spec("gi") is None:
        return "PyGObject (gi) is not importable: apt packages and a link, see .ci/gstreamer"
    import gi

    try:
        gi.require_version("Gst", "1.0")
        gi.require_version("GstBase", "1.0")
    except ValueError as error:
        return f"GStreamer's introspection data is missing ({error}): see .ci/gstreamer"
    import nvds

    if nvds.library_folder() is None:
        return "NVIDIA's metadata libraries are missing: pip install --no-deps nvidia-deepstream-videodecode-cu13"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(item.fspath).is_relative_to(Path(__file__).parent)]
    needy = [item for item in here if item.get_closest_marker("gstreamer")]
    reason = _missing() if needy else None
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


def real_pyds_file() -> Path | None:
    """A real pyds: in the folder that REIDSTREAM_PYDS names, or installed."""
    if named := os.environ.get("REIDSTREAM_PYDS"):
        return next(iter(sorted(Path(named).glob("pyds*.so"))), None)
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != STANDIN]
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("pyds", path)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".so") else None


BINDINGS = ["stand-in", *(["real"] if real_pyds_file() else [])]


@pytest.fixture(scope="session")
def bindings() -> dict[str, ModuleType]:
    """Every pyds there is, by kind."""
    import nvds

    nvds.libraries()
    found = {"stand-in": _load("pyds_standin", STANDIN / "pyds.py")}
    if file := real_pyds_file():
        found["real"] = _load("pyds", file)
    return found


@pytest.fixture(params=BINDINGS)
def pyds(request: pytest.FixtureRequest, bindings: dict[str, ModuleType]) -> ModuleType:
    """The stand-in, and the real pyds as well where one can be imported."""
    return bindings[request.param]
