"""The pixels of a batch on the CPU, where NVIDIA has an NvBufSurface: BGR frames, one after the other."""

from __future__ import annotations

import ctypes as c
from functools import cache

import numpy as np
import numpy.typing as npt
import nvds
from nvds_layout import NvDsFrameMeta


class GstMapInfo(c.Structure):
    _fields_ = (
        ("memory", c.c_void_p),
        ("flags", c.c_int),
        ("data", c.c_void_p),
        ("size", c.c_size_t),
        ("maxsize", c.c_size_t),
        ("user_data", c.c_void_p * 4),
        ("reserved", c.c_void_p * 4),
    )


@cache
def _gstreamer() -> c.CDLL:
    library = c.CDLL("libgstreamer-1.0.so.0")
    library.gst_buffer_map.argtypes = [c.c_void_p, c.POINTER(GstMapInfo), c.c_int]
    library.gst_buffer_map.restype = c.c_int
    library.gst_buffer_unmap.argtypes = [c.c_void_p, c.POINTER(GstMapInfo)]
    library.gst_buffer_unmap.restype = None
    return library


def buffer_bytes(buffer: int) -> npt.NDArray[np.uint8]:
    """All bytes of a GstBuffer without a copy; valid as long as the buffer lives (system memory stays in place)."""
    info = GstMapInfo()
    if not _gstreamer().gst_buffer_map(buffer, c.byref(info), 1):
        raise RuntimeError("the buffer cannot be mapped")
    view = np.frombuffer((c.c_uint8 * info.size).from_address(info.data), np.uint8)
    _gstreamer().gst_buffer_unmap(buffer, c.byref(info))
    return view


def frame_pixels(buffer: int, frame: NvDsFrameMeta) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) BGR of one frame of a batch, in the size that the mux gave it."""
    batch = nvds.batch_of(buffer)
    assert batch is not None
    before = 0
    for _, other in nvds.frames_of(batch):
        if other.batch_id < frame.batch_id:
            before += other.pipeline_width * other.pipeline_height * 3
    height, width = frame.pipeline_height, frame.pipeline_width
    return buffer_bytes(buffer)[before : before + height * width * 3].reshape(height, width, 3)
