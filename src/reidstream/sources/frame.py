"""One frame of one source: when it was, and its pixels in the forms that are asked of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_PADDING = 114
"""The grey that detectors are trained to take for nothing."""


class Picture(Protocol):
    """Pixels, converted only as far as somebody asks: a whole 1080p frame in BGR costs milliseconds."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after rotation."""

    def bgr(self) -> Pixels:
        """The whole picture, uint8 (height, width, 3), BGR. The caller must not write to it."""

    def scaled(self, width: int, height: int) -> Pixels:
        """The whole picture stretched to (height, width, 3), BGR, bilinear."""

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        """The pixels of a box inside the picture, uint8 (y2 - y1, x2 - x1, 3), BGR."""


@dataclass(frozen=True, slots=True)
class ArrayPicture:
    """A picture that already is a BGR array: uint8 (height, width, 3)."""

    array: Pixels

    @property
    def size(self) -> tuple[int, int]:
        return self.array.shape[1], self.array.shape[0]

    def bgr(self) -> Pixels:
        return self.array

    def scaled(self, width: int, height: int) -> Pixels:
        if (width, height) == self.size:
            return self.array
        scaled: Pixels = cv2.resize(self.array, (width, height), interpolation=cv2.INTER_LINEAR).astype(
            np.uint8, copy=False
        )
        return scaled

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        return self.array[y1:y2, x1:x2]


class FittedPicture:
    """A picture of another size than its source has, scaled to fit and padded with grey: nobody is stretched, and boxes
    stay in the source's pixels. Safe to use from several threads."""

    __slots__ = ("_array", "_lock", "_picture", "_size")

    def __init__(self, picture: Picture, size: tuple[int, int]) -> None:
        self._picture, self._size = picture, size
        self._array: Pixels | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def bgr(self) -> Pixels:
        with self._lock:
            if self._array is None:
                scale, left, top = fit(self._picture.size, self._size)
                width, height = (max(1, round(side * scale)) for side in self._picture.size)
                array = np.full((self._size[1], self._size[0], 3), _PADDING, np.uint8)
                left, top = int(left), int(top)
                array[top : top + height, left : left + width] = self._picture.scaled(width, height)
                array.flags.writeable = False
                self._array = array
            return self._array

    def scaled(self, width: int, height: int) -> Pixels:
        return ArrayPicture(self.bgr()).scaled(width, height)

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        return self.bgr()[y1:y2, x1:x2]


def fit(size: tuple[int, int], into: tuple[int, int]) -> tuple[float, float, float]:
    """The scale, and the left and upper margin in pixels, with which a picture fits into another size."""
    scale = min(into[0] / size[0], into[1] / size[1])
    width, height = (max(1, round(side * scale)) for side in size)
    return scale, float((into[0] - width) // 2), float((into[1] - height) // 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of one source.

    index: from 0. media_time: seconds since the source's first frame. wall_time: Unix seconds when it was recorded
    (live: when it arrived; files: the file's start plus the media time).
    """

    source: str
    index: int
    media_time: float
    wall_time: float
    picture: Picture
