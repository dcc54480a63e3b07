"""A decoded picture in the GPU's memory, as a Picture that anybody can use."""

from __future__ import annotations

import threading

from reidstream.gpu.cuts import Box, Cut
from reidstream.gpu.driver import Gpu
from reidstream.gpu.surfaces import Surface, to_host
from reidstream.sources.frame import Pixels
from reidstream.sources.picture import Orientation


class DevicePicture:
    """A Picture over a Surface. Safe to use from several threads.

    What networks see is cut out on the GPU (``cut``). Whatever is asked for in the processor's memory is copied there,
    only as much as the box needs, and converted as a picture of the processor's decoder is.
    """

    __slots__ = ("_bgr", "_gpu", "_lock", "_orientation", "_size", "_surface")

    def __init__(self, gpu: Gpu, surface: Surface, orientation: Orientation) -> None:
        self._gpu = gpu
        self._surface = surface
        self._orientation = orientation
        self._size = orientation.size(*surface.size)
        self._bgr: Pixels | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def gpu(self) -> Gpu:
        """In whose memory it lies."""
        return self._gpu

    def cut(self, box: Box, place: Box) -> Cut:
        """A box, in upright pixels and inside the picture, for a place of a network's input."""
        whole = box == (0, 0, *self._size) and place[2:] != self._size
        return Cut(self._surface, self._orientation, self._stored(box), place, whole)

    def bgr(self) -> Pixels:
        with self._lock:
            if self._bgr is None:
                self._bgr = self._crop((0, 0, *self._size))
                self._bgr.flags.writeable = False
            return self._bgr

    def scaled(self, width: int, height: int) -> Pixels:
        if (width, height) == self._size:
            return self.bgr()
        planes = to_host(self._gpu, self._surface, (0, 0, *self._surface.size))
        return self._orientation.upright(planes.scaled(*self._orientation.size(width, height)))

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        width, height = self._size
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise ValueError(f"box ({x1}, {y1}, {x2}, {y2}) must lie inside the picture of {width}x{height}")
        return self._crop((x1, y1, x2, y2)) if self._bgr is None else self._bgr[y1:y2, x1:x2]

    def _crop(self, box: Box) -> Pixels:
        left, top, right, bottom = self._stored(box)
        planes = to_host(self._gpu, self._surface, (left, top, right, bottom))
        even_left, even_top = left & ~1, top & ~1
        inside = left - even_left, top - even_top, right - even_left, bottom - even_top
        return self._orientation.upright(planes.crop(*inside))

    def _stored(self, box: Box) -> Box:
        return self._orientation.stored_box(box, *self._size)
