"""A decoded video frame as a picture: its YUV is kept, and converted only as far as somebody asks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from reidstream.sources.frame import Pixels
from reidstream.sources.planes import YuvPlanes


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture has to be turned to be upright: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, frame: Any) -> Orientation:
        """What the display matrix of a decoded ``av.VideoFrame`` says; other angles than quarter turns are ignored.

        The matrix (ISO/IEC 14496-12, 8.3.2) maps stored to shown coordinates: x' = a x + c y, y' = b x + d y, with
        a, b, c, d at positions 0, 1, 3, 4.
        """
        data = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return _UPRIGHT
        a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
        return cls.from_matrix(a, b, c, d)

    @classmethod
    def from_matrix(cls, a: int, b: int, c: int, d: int) -> Orientation:
        """The quarter turns and mirrorings among the maps x' = a x + c y, y' = b x + d y."""
        if a == d == 0 and b and c:
            return cls(True, c < 0, b < 0)
        if b == c == 0 and a and d:
            return cls(False, a < 0, d < 0)
        return _UPRIGHT

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size a stored picture has when upright, and the other way round."""
        return (height, width) if self.transposed else (width, height)

    def stored_box(self, box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
        """A box of the upright picture (``width`` x ``height``) in the stored picture's pixels."""
        x1, y1, x2, y2 = box
        if self.mirrored_x:
            x1, x2 = width - x2, width - x1
        if self.mirrored_y:
            y1, y2 = height - y2, height - y1
        return (y1, x1, y2, x2) if self.transposed else (x1, y1, x2, y2)

    def upright(self, pixels: Pixels) -> Pixels:
        """Stored pixels (h, w, 3), turned."""
        if self == _UPRIGHT:
            return pixels
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        return np.ascontiguousarray(pixels[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1])


_UPRIGHT = Orientation()


class VideoPicture:
    """A Picture over an ``av.VideoFrame``. Safe to use from several threads.

    Planar YUV of 8 and 10 bits and NV12 are converted here, box by box; for every other format the whole frame goes
    once through swscale. ``crop`` gives exactly the pixels that ``bgr`` has in the box.
    """

    __slots__ = ("_bgr", "_frame", "_lock", "_orientation", "_planes", "_size")

    def __init__(self, frame: Any, orientation: Orientation | None = None) -> None:
        self._frame = frame
        self._orientation = Orientation.of(frame) if orientation is None else orientation
        self._planes = YuvPlanes.of(frame)
        self._size = self._orientation.size(frame.width, frame.height)
        self._bgr: Pixels | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def bgr(self) -> Pixels:
        # The lock also keeps two threads from converting one frame at a time: swscale changes it meanwhile.
        with self._lock:
            if self._bgr is None:
                stored = (
                    self._frame.to_ndarray(format="bgr24", threads=1)
                    if self._planes is None
                    else self._planes.crop(0, 0, self._frame.width, self._frame.height)
                )
                self._bgr = self._orientation.upright(stored)
                self._bgr.flags.writeable = False
            return self._bgr

    def scaled(self, width: int, height: int) -> Pixels:
        if (width, height) == self._size:
            return self.bgr()
        if self._planes is None:
            scaled: Pixels = cv2.resize(self.bgr(), (width, height), interpolation=cv2.INTER_LINEAR)
            return scaled
        return self._orientation.upright(self._planes.scaled(*self._orientation.size(width, height)))

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        width, height = self._size
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise ValueError(f"box ({x1}, {y1}, {x2}, {y2}) must lie inside the picture of {width}x{height}")
        if self._planes is None or self._bgr is not None:
            return self.bgr()[y1:y2, x1:x2]
        stored = self._orientation.stored_box((x1, y1, x2, y2), width, height)
        return self._orientation.upright(self._planes.crop(*stored))
