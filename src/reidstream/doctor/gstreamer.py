"""GStreamer, its Python bindings, and the elements that the DeepStream engine is made of."""

from __future__ import annotations

import sys
from pathlib import Path

from reidstream.doctor.child import ask_python
from reidstream.doctor.report import Question, Result, Status

ELEMENTS = ("nvurisrcbin", "nvstreammux", "nvinfer", "nvtracker")
_SYSTEM_GI = Path("/usr/lib/python3/dist-packages/gi")

_GST = """
import json
try:
    import gi
except ImportError as error:
    print(json.dumps({"absent": str(error)})); raise SystemExit
try:
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as error:
    print(json.dumps({"absent": str(error), "gi": gi.__version__})); raise SystemExit
Gst.init(None)
names = ("nvurisrcbin", "nvstreammux", "nvinfer", "nvtracker", "queue", "fakesink")
print(json.dumps({"gi": gi.__version__, "gst": ".".join(map(str, Gst.version()[:3])),
                  "elements": [name for name in names if Gst.ElementFactory.find(name)]}))
"""


def gstreamer(question: Question) -> Result:
    """gi imported, GStreamer initialised and its core elements found, in a process of its own."""
    answer = ask_python(_GST)
    if "absent" in answer:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        if "gi" not in answer and _SYSTEM_GI.is_dir():
            return Result(
                Status.ABSENT,
                f"gi is installed for the system's Python ({_SYSTEM_GI}), but not visible to this one ({version})",
                "make the environment with --system-site-packages, from the system's own Python",
            )
        return Result(Status.ABSENT, answer["absent"])
    if "error" in answer:
        return Result(Status.FAILURE, f"GStreamer does not start: {answer['error']}")
    missing = [name for name in ("queue", "fakesink") if name not in answer["elements"]]
    if missing:
        return Result(Status.FAILURE, f"GStreamer {answer['gst']} has no {', '.join(missing)}")
    return Result(Status.OK, f"GStreamer {answer['gst']}, PyGObject {answer['gi']}")


def elements(question: Question) -> Result:
    """DeepStream's elements in GStreamer's registry."""
    answer = ask_python(_GST)
    if "absent" in answer or "error" in answer:
        return Result(Status.ABSENT, "GStreamer cannot be asked")
    missing = [name for name in ELEMENTS if name not in answer["elements"]]
    if missing:
        return Result(Status.ABSENT, f"not registered: {', '.join(missing)}")
    return Result(Status.OK, ", ".join(ELEMENTS))
