"""The shape of a detector's input that fits the pictures it sees."""

from __future__ import annotations

STEP = 32
"""Sides of an input are multiples of the network's largest stride."""
WORTHWHILE = 1.25
"""People are shown larger by this factor, or the model's own shape is kept: of a square input, a picture of 4:3 leaves
a quarter empty, one of 16:9 nearly half, and people in it are 1.37 times as tall when its shape is followed."""


def fitting_shape(own: tuple[int, int], picture: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
    """Width and height of an input for pictures of this size, with about as many pixels as the model's own.

    own, picture: width and height in pixels. scale: of the input's sides against the model's own. A picture of
    1920x1080 takes 569x320 pixels of an input that follows its shape, and 416x234 of the 416x416 it has otherwise.
    """
    aspect = picture[0] / picture[1]
    height = max(STEP, round(scale * (own[0] * own[1] / aspect) ** 0.5 / STEP) * STEP)
    return max(STEP, round(height * aspect / STEP) * STEP), height


def shape_for(own: tuple[int, int], picture: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
    """The fitting shape where it shows people clearly larger than the model's own at that scale; else its own."""
    kept = fitting_shape(own, own, scale)
    fitting = fitting_shape(own, picture, scale)
    kept_ratio, ratio = (min(a / b for a, b in zip(shape, picture, strict=True)) for shape in (kept, fitting))
    return fitting if ratio >= WORTHWHILE * kept_ratio else kept
