"""8-bit and 10-bit YUV planes to BGR, for the part of the picture and the size that is asked for.

Converting a whole 1080p frame only to shrink it costs more than shrinking the planes first. The conversion follows
ITU-R BT.601-7, BT.709-6 and BT.2020-2: with R'G'B' in 0..1, Y = Kr R + Kg G + Kb B, Cb = (B - Y) / (2 (1 - Kb)),
Cr = (R - Y) / (2 (1 - Kr)); in limited range Y spans 16..235 and chroma 16..240.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.sources.frame import Pixels

Samples = npt.NDArray[Any]

# FFmpeg's AVColorSpace numbers (libavutil/pixfmt.h) to (Kr, Kb). Everything else, unspecified included, is taken as
# BT.601, as swscale does.
_BT601 = (0.299, 0.114)
_COEFFICIENTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""
_BAND_PIXELS = 2**17
"""Pixels converted at a time: the intermediate planes of such a band stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a pixel format lies in memory: shifts of the chroma planes, interleaved chroma, full range by name, bits."""

    shift_x: int
    shift_y: int
    interleaved: bool = False
    full_range: bool = False
    bits: int = 8


_LAYOUTS = {
    "yuv420p": _Layout(1, 1),
    "yuv422p": _Layout(1, 0),
    "yuv444p": _Layout(0, 0),
    "yuvj420p": _Layout(1, 1, full_range=True),
    "yuvj422p": _Layout(1, 0, full_range=True),
    "yuvj444p": _Layout(0, 0, full_range=True),
    "nv12": _Layout(1, 1, interleaved=True),
    "yuv420p10le": _Layout(1, 1, bits=10),
    "yuv422p10le": _Layout(1, 0, bits=10),
    "yuv444p10le": _Layout(0, 0, bits=10),
}

# By bytes of a sample.
_INTERLEAVED = {1: _Layout(1, 1, interleaved=True), 2: _Layout(1, 1, interleaved=True, bits=10)}


def matrix_of(frame: Any, full_range: bool = False) -> npt.NDArray[np.float32]:
    """The matrix for a decoded ``av.VideoFrame``, by its colour space and range; see ``yuv_matrix``.

    full_range: its pixel format says so already.
    """
    return yuv_matrix(frame.colorspace, full_range or frame.color_range == _FULL_RANGE)


@cache
def yuv_matrix(colorspace: int, full_range: bool) -> npt.NDArray[np.float32]:
    """float32 (3, 4): (Y, U, V, 1) in 0..255 to (B, G, R) in 0..255."""
    kr, kb = _COEFFICIENTS.get(colorspace, _BT601)
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    linear = np.array(
        [
            [luma, 2 * (1 - kb) * chroma, 0],
            [luma, -2 * kb * (1 - kb) / kg * chroma, -2 * kr * (1 - kr) / kg * chroma],
            [luma, 0, 2 * (1 - kr) * chroma],
        ]
    )
    offset = -linear @ np.array([black, 128, 128])
    return np.column_stack([linear, offset]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class YuvPlanes:
    """The planes of one picture, as views of the decoder's memory.

    luma: uint8 or uint16 (height, width). chroma: one array (h, w, 2) or two arrays (h, w), h and w rounded up.
    """

    luma: Samples
    chroma: tuple[Samples, ...]
    layout: _Layout
    matrix: npt.NDArray[np.float32]

    @classmethod
    def of(cls, frame: Any) -> YuvPlanes | None:
        """The planes of a decoded ``av.VideoFrame``; None when its pixel format is not one of those known here."""
        layout = _LAYOUTS.get(frame.format.name)
        if layout is None:
            return None
        luma, *chroma = frame.planes
        channels = 2 if layout.interleaved else 1
        height = -(-frame.height >> layout.shift_y) if layout.shift_y else frame.height
        width = -(-frame.width >> layout.shift_x) if layout.shift_x else frame.width
        return cls(
            _view(luma, frame.width, frame.height, 1, layout.bits),
            tuple(_view(plane, width, height, channels, layout.bits) for plane in chroma),
            layout,
            matrix_of(frame, layout.full_range),
        )

    @classmethod
    def interleaved(cls, luma: Samples, chroma: Samples, matrix: npt.NDArray[np.float32]) -> YuvPlanes:
        """Planes as GPUs decode them: uint8, or uint16 with ten bits; chroma (h, w, 2), rounded up."""
        return cls(luma, (chroma,), _INTERLEAVED[luma.dtype.itemsize], matrix)

    def scaled(self, width: int, height: int) -> Pixels:
        """The whole picture as BGR uint8 (height, width, 3), each plane resized bilinearly like ``cv2.resize``."""
        size = (width, height)
        planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (self.luma, *self.chroma)]
        return self._bgr([_eight_bits(plane) for plane in planes])

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        """The box as BGR uint8 (y2 - y1, x2 - x1, 3); each chroma sample colours the pixels that share it."""
        out = np.empty((y2 - y1, x2 - x1, 3), np.uint8)
        sx, sy = self.layout.shift_x, self.layout.shift_y
        cx1, cx2 = x1 >> sx, ((x2 - 1) >> sx) + 1
        left, width = x1 - (cx1 << sx), x2 - x1
        rows = max(2, _BAND_PIXELS // width)
        for top in range(y1, y2, rows):
            bottom = min(top + rows, y2)
            cy1, cy2 = top >> sy, ((bottom - 1) >> sy) + 1
            chroma = [_eight_bits(plane[cy1:cy2, cx1:cx2]) for plane in self.chroma]
            if self.layout.interleaved:
                chroma = list(cv2.split(chroma[0]))
            above, height = top - (cy1 << sy), bottom - top
            parts = [_doubled(plane, sx, sy)[above : above + height, left : left + width] for plane in chroma]
            merged = cv2.merge([_eight_bits(self.luma[top:bottom, x1:x2]), *parts])
            cv2.transform(merged, self.matrix, out[top - y1 : bottom - y1])
        return out

    def _bgr(self, planes: list[Any]) -> Pixels:
        bgr: Pixels = cv2.transform(cv2.merge(planes), self.matrix)
        return bgr


def _doubled(plane: Pixels, horizontally: int, vertically: int) -> Pixels:
    """Each sample twice in the directions asked for; a third of the cost of cv2's nearest-neighbour resize."""
    if horizontally:
        plane = cv2.merge([plane, plane]).reshape(plane.shape[0], -1)
    return plane.repeat(2, axis=0) if vertically else plane


def _eight_bits(samples: Any) -> Any:
    """10-bit samples rounded to 8 bits (black stays 16, mid-grey 128); 8-bit samples as they are."""
    return samples if samples.dtype == np.uint8 else cv2.convertScaleAbs(samples, alpha=0.25)


def _view(plane: Any, width: int, height: int, channels: int, bits: int) -> Samples:
    sample = np.dtype(np.uint8 if bits == 8 else "<u2")
    rows = np.frombuffer(plane, sample).reshape(-1, plane.line_size // sample.itemsize)[:height, : width * channels]
    return rows if channels == 1 else rows.reshape(height, width, channels)
