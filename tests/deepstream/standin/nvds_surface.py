"""The pixels of a batch on the CPU, where NVIDIA has an NvBufSurface: BGR frames, one after the other."""

from __future__ import annotations

import ctypes as c
from functools import cache

import numpy as np
import numpy.typing as npt
import nvds
from nvds_layout import NvDsFrameMeta

from reidstream.sources.picture import VideoPicture


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


def bgr_of_i420(data: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) of a frame in GStreamer's I420 layout, rows padded to four bytes; even sizes only.

    The conversion is that of the local sources: GStreamer 1.22 rounds every value down, two grey levels on average.
    """
    import av

    planes = []
    start = 0
    for w, h in ((width, height), (width // 2, height // 2), (width // 2, height // 2)):
        stride = (w + 3) // 4 * 4
        planes.append(data[start : start + stride * h].reshape(h, stride)[:, :w].reshape(-1))
        start += stride * h
    i420 = np.concatenate(planes).reshape(height * 3 // 2, width)
    return np.array(VideoPicture(av.VideoFrame.from_ndarray(i420, format="yuv420p")).bgr())


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
