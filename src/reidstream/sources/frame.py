"""One frame of one source: when it was, and its pixels in the forms that are asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


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
