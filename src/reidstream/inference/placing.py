"""Bringing pictures into the size that a network wants: in the processor's memory, or by saying what a GPU cuts out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from reidstream.gpu.cuts import Box, Cut
from reidstream.gpu.picture import DevicePicture
from reidstream.sources.frame import Picture, Pixels

PAD = 114
"""The grey beside pictures that keep their proportions, as in the training of YOLOX and of Ultralytics' models."""

Image = Pixels | Cut
"""One row of a network's input: uint8 (height, width, 3), BGR, or what the GPU writes there."""


def placed(picture: Picture, place: Box, size: tuple[int, int], cuts: bool) -> Image:
    """The whole picture, scaled into ``place`` (left, top, width, height) of an input of ``size``, grey around it.

    cuts: the network takes what lies on the GPU; a picture that lies there then stays.
    """
    if cuts and isinstance(picture, DevicePicture):
        return picture.cut((0, 0, *picture.size), place)
    left, top, width, height = place
    if (width, height) == size:
        return picture.scaled(width, height)
    canvas = np.full((size[1], size[0], 3), PAD, np.uint8)
    canvas[top : top + height, left : left + width] = picture.scaled(width, height)
    return canvas


def cropped(pictures: Sequence[Picture], boxes: Sequence[Box], size: tuple[int, int], cuts: bool) -> list[Image]:
    """A box (left, top, right, bottom) inside each of these pictures, stretched to ``size``; see ``placed``."""
    place = (0, 0, *size)
    return [
        picture.cut(box, place) if cuts and isinstance(picture, DevicePicture) else stretched(picture.crop(*box), size)
        for picture, box in zip(pictures, boxes, strict=True)
    ]


def stretched(crop: Pixels, size: tuple[int, int]) -> Pixels:
    """A crop in another size, bilinear. Raises ValueError for anything but a picture with pixels in it."""
    if crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
        raise ValueError(f"a crop must have shape (height, width, 3) with pixels in it, got {crop.shape}")
    fitted: Pixels = cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return fitted
