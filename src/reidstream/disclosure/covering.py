"""Pictures in which one person alone can be recognised.

Others are drawn over with one flat colour, so that nothing of them is left in the file: blocks of average colour, as a
mosaic has, still tell a computer a face (McPherson, Shokri, Shmatikov: Defeating Image Obfuscation with Deep Learning,
2016) and anybody the clothes. Where the surroundings are not to be seen, they are a coarse mosaic of one moment that
stays as it is for the whole film: blocks over which people walk would tell more with every frame.
"""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np

from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray, IntArray

FLAT = (128, 128, 128)
"""What is drawn over others, BGR."""
_PADDING = 0.12
_LEAST_PADDING = 4.0
"""How much larger a box is drawn over on each side: parts of its width and height, and pixels at least."""
_BLOCKS = 24
"""Blocks of the surroundings along the longer side: somebody who fills a quarter of the height is three blocks."""

Box = tuple[float, float, float, float]


class Shown(StrEnum):
    """What of a picture stays as it is."""

    PERSON = "person"
    """The person alone; everything around them is a coarse mosaic, whoever is in it and was found there or not."""
    SCENE = "scene"
    """Everything but other people who were found."""


def surroundings_of(picture: Pixels, others: FloatArray) -> Pixels:
    """The mosaic of a picture, without the people in it who are known. others: float32 (n, 4), xyxy in its pixels."""
    height, width = picture.shape[:2]
    blocks = max(1, round(_BLOCKS * width / max(width, height))), max(1, round(_BLOCKS * height / max(width, height)))
    small = cv2.resize(without(picture, others), blocks, interpolation=cv2.INTER_AREA)
    mosaic: Pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8, copy=False)
    return mosaic


def alone(picture: Pixels, own: Box | None, others: FloatArray, surroundings: Pixels) -> Pixels:
    """Surroundings with the person in them, as far as nobody else stands there. own: None shows the surroundings."""
    shown = surroundings.copy()
    if own is None:
        return shown
    x1, y1, x2, y2 = inside(own, picture)
    shown[y1:y2, x1:x2] = without(picture, others)[y1:y2, x1:x2]
    return shown


def without(picture: Pixels, others: FloatArray) -> Pixels:
    """The picture with others drawn over. others: float32 (n, 4), xyxy in its pixels."""
    covered = picture.copy()
    for x1, y1, x2, y2 in padded(others, picture).tolist():
        covered[y1:y2, x1:x2] = FLAT
    return covered


def padded(boxes: FloatArray, picture: Pixels) -> IntArray:
    """What is drawn over for boxes: int64 (n, 4), xyxy, wider than each on all sides and inside the picture."""
    sides = np.maximum((boxes[:, 2:] - boxes[:, :2]) * _PADDING, _LEAST_PADDING)
    height, width = picture.shape[:2]
    low = np.floor(boxes[:, :2] - sides)
    high = np.ceil(boxes[:, 2:] + sides)
    limit = np.array([width, height, width, height], np.float32)
    found: IntArray = np.clip(np.concatenate([low, high], 1), 0, limit).astype(np.int64)
    return found


def inside(box: Box, picture: Pixels) -> tuple[int, int, int, int]:
    """The whole pixels inside a box and the picture; nothing, where there are none."""
    height, width = picture.shape[:2]
    x1, y1 = (int(np.clip(np.ceil(side), 0, most)) for side, most in zip(box[:2], (width, height), strict=True))
    x2, y2 = (int(np.clip(np.floor(side), 0, most)) for side, most in zip(box[2:], (width, height), strict=True))
    return x1, y1, max(x2, x1), max(y2, y1)
