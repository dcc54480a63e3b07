"""Makes the stand-in elements known to GStreamer under NVIDIA's names, for this process."""

from __future__ import annotations

import os
import sys
from typing import Any


def register() -> None:
    """Idempotent; which nvstreammux it is follows USE_NEW_NVSTREAMMUX, as with NVIDIA's."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstBase", "1.0")
    from gi.repository import GLib, Gst

    Gst.init(None)
    GLib.log_set_handler("GStreamer", GLib.LogLevelFlags.LEVEL_CRITICAL, _log)
    from element_nvinfer import NvInfer
    from element_nvstreammux import NewNvStreamMux, NvStreamMux
    from element_nvtracker import NvTracker
    from element_nvurisrcbin import NvUriSrcBin

    new = os.environ.get("USE_NEW_NVSTREAMMUX") == "yes"
    elements = {
        "nvurisrcbin": NvUriSrcBin,
        "nvstreammux": NewNvStreamMux if new else NvStreamMux,
        "nvinfer": NvInfer,
        "nvtracker": NvTracker,
    }
    for name, kind in elements.items():
        if not Gst.Element.register(None, name, Gst.Rank.NONE, kind):
            raise RuntimeError(f"{name} could not be registered")


def _log(domain: str, _level: Any, message: str, *_: Any) -> None:
    # PyGObject takes the floating reference of every element written in Python; GStreamer remarks on it each time.
    if "should be floating" not in message:
        print(f"{domain} CRITICAL: {message}", file=sys.stderr)
