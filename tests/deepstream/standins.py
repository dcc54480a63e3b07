"""Getting ready to run the engine on stand-ins: what other test folders import."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

STANDIN = Path(__file__).parent / "standin"


def real_pyds_file() -> Path | None:
    """A real pyds: in the folder that REIDSTREAM_PYDS names, or installed."""
    if named := os.environ.get("REIDSTREAM_PYDS"):
        return next(iter(sorted(Path(named).glob("pyds*.so"))), None)
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != STANDIN]
    spec = PathFinder.find_spec("pyds", path)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".so") else None


def missing() -> str | None:
    """Why tests on stand-ins cannot run here, or None."""
    if importlib.util.find_spec("gi") is None:
        return "PyGObject (gi) is not importable: apt packages and a link, see .ci/gstreamer"
    import gi

    try:
        gi.require_version("Gst", "1.0")
        gi.require_version("GstBase", "1.0")
    except ValueError as error:
        return f"GStreamer's introspection data is missing ({error}): see .ci/gstreamer"
    if str(STANDIN) not in sys.path:
        sys.path.append(str(STANDIN))
    import nvds

    if nvds.library_folder() is None:
        return "NVIDIA's metadata libraries are missing: pip install --no-deps nvidia-deepstream-videodecode-cu13"
    return None


def register() -> None:
    """The stand-in elements for this process, and a pyds to import: the real one where there is one. Skips if not."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    real = real_pyds_file()
    if real is not None and str(real.parent) not in sys.path:
        sys.path.insert(0, str(real.parent))
    import nvds
    import standin_elements

    # Before a real pyds, which would load its own copy of the libraries from wherever it was built.
    nvds.libraries()
    standin_elements.register()


def environment() -> dict[str, str]:
    """The environment of a child process in which the engine runs on stand-ins."""
    source = str(Path(__file__).parents[2] / "src")
    real = real_pyds_file()
    path = [source, *([str(real.parent)] if real else []), str(STANDIN)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "REIDSTREAM_STANDINS": "1"}


def crops() -> str:
    """The setting for crops: the encoder of a real pyds needs a GPU."""
    return f"deepstream.crops={'false' if real_pyds_file() else 'true'}"
