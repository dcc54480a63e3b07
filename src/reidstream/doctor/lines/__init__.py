"""The table of known lines, the special ones before the general: the first that fits counts."""

from __future__ import annotations

from reidstream.doctor.lines.application import APPLICATION_LINES
from reidstream.doctor.lines.container import CONTAINER_LINES
from reidstream.doctor.lines.export import EXPORT_LINES
from reidstream.doctor.lines.general import GENERAL_LINES
from reidstream.doctor.lines.gstreamer import GSTREAMER_LINES
from reidstream.doctor.lines.known_line import KnownLine
from reidstream.doctor.lines.nvinfer import NVINFER_LINES
from reidstream.doctor.lines.nvtracker import NVTRACKER_LINES
from reidstream.doctor.lines.onnx_runtime import ONNX_RUNTIME_LINES
from reidstream.doctor.lines.python import PYTHON_LINES
from reidstream.doctor.lines.rtsp import RTSP_LINES
from reidstream.doctor.lines.stores import STORE_LINES
from reidstream.doctor.lines.tensorrt import TENSORRT_LINES

KNOWN_LINES: tuple[KnownLine, ...] = (
    CONTAINER_LINES
    + PYTHON_LINES
    + STORE_LINES
    + EXPORT_LINES
    + ONNX_RUNTIME_LINES
    + TENSORRT_LINES
    + NVINFER_LINES
    + NVTRACKER_LINES
    + APPLICATION_LINES
    + RTSP_LINES
    + GSTREAMER_LINES
    + GENERAL_LINES
)
"""The whole table. docs/troubleshooting.md is made from it."""

__all__ = ["KNOWN_LINES", "KnownLine"]
