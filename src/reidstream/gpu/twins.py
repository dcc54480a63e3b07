"""The kernels in NumPy: what they are compared with on a GPU, and what is known to be right where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.boxes import whole_pixels
from reidstream.sharpness import sharpness_sums
from reidstream.sources.frame import Pixels
from reidstream.sources.picture import Orientation
from reidstream.types import FloatArray

_Tap = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]


def cut_out(
    row: np.void, luma: npt.NDArray[Any], chroma: npt.NDArray[Any], size: tuple[int, int], grey: int = 114
) -> Pixels:
    """One row of a network's input, uint8 (height, width, 3), BGR; see kernels/cut_out.cu.

    row: of ``cuts.CUT``; its addresses and pitch are not looked at. luma: uint8, or uint16 with ten bits on top (h, w);
    chroma: the same type (h, w, 2), rounded up. size: width and height of the input.
    """
    out = np.full((size[1], size[0], 3), grey, np.uint8)
    place_left, place_top, columns, lines = (
        int(row[name]) for name in ("place_left", "place_top", "place_width", "place_height")
    )
    if row["whole"]:
        matrix = row["matrix"].reshape(3, 4).astype(np.int64)
        across, down = (lines, columns) if row["transposed"] else (columns, lines)
        planes = [luma, chroma[:, :, 0], chroma[:, :, 1]]
        found = _upright(row, _bgr(matrix, *(_scaled(plane, (across, down)) for plane in planes)))
    else:
        crop = copy_out(row, luma, chroma)
        found = np.stack([_resized(crop[:, :, channel], (columns, lines)) for channel in range(3)], axis=-1)
    out[place_top : place_top + lines, place_left : place_left + columns] = found
    return out


def copy_out(row: np.void, luma: npt.NDArray[Any], chroma: npt.NDArray[Any]) -> Pixels:
    """The box of a row of ``cuts.CUT`` as it is, upright, uint8 (h, w, 3), BGR; see ``cut_out``."""
    left, top = int(row["left"]), int(row["top"])
    y, x = np.ogrid[top : top + int(row["height"]), left : left + int(row["width"])]
    colours = [_bytes(chroma[:, :, channel])[y >> 1, x >> 1] for channel in range(2)]
    matrix = row["matrix"].reshape(3, 4).astype(np.int64)
    return np.ascontiguousarray(_upright(row, _bgr(matrix, _bytes(luma)[y, x], *colours)).astype(np.uint8))


def judged(row: np.void, luma: npt.NDArray[Any], chroma: npt.NDArray[Any], box: FloatArray) -> tuple[int, int, int]:
    """How sharp a person is, see ``sharpness.sharpness_sums``; row: the whole picture. box: float32 (4,), upright."""
    width, height = int(row["picture_width"]), int(row["picture_height"])
    turned = Orientation(*(bool(row[name]) for name in ("transposed", "mirrored_x", "mirrored_y")))
    size = turned.size(width, height)
    left, top, right, bottom = turned.stored_box(whole_pixels(box, size), *size)
    part = row.copy()
    part["left"], part["top"], part["width"], part["height"] = left, top, right - left, bottom - top
    return sharpness_sums(copy_out(part, luma, chroma))


def _upright(row: np.void, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if row["transposed"]:
        stored = stored.transpose(1, 0, 2)
    return stored[:: -1 if row["mirrored_y"] else 1, :: -1 if row["mirrored_x"] else 1]


def _tap(places: int, samples: int, across: bool) -> _Tap:
    """Two neighbours for each place along an axis, and the weight of the second.

    Across, whatever lies outside has the outermost sample's weight alone; down, both become the outermost line.
    """
    at = ((np.arange(places) + 0.5) * (1.0 / (places / samples)) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    weight = at - np.floor(at)
    if across:
        weight[(first < 0) | (first >= samples - 1)] = 0
    return np.clip(first, 0, samples - 1), np.clip(first + 1, 0, samples - 1), weight


def _in_2048ths(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    whole: npt.NDArray[np.int64] = np.rint(weight * np.float32(2048)).astype(np.int64)
    return whole


def _resized(plane: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """As OpenCV resizes bytes, bilinearly in whole numbers. size: width and height."""
    (x0, x1, across), (y0, y1, down) = _tap(size[0], plane.shape[1], True), _tap(size[1], plane.shape[0], False)
    samples, one = plane.astype(np.int64), np.float32(1)
    lines = samples[:, x0] * _in_2048ths(one - across) + samples[:, x1] * _in_2048ths(across)
    above = (_in_2048ths(one - down)[:, None] * (lines[y0] >> 4)) >> 16
    below = (_in_2048ths(down)[:, None] * (lines[y1] >> 4)) >> 16
    resized: npt.NDArray[np.int64] = (above + below + 2) >> 2
    return resized


def _scaled(plane: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    if plane.dtype == np.uint8:
        return _resized(plane, size)
    (x0, x1, across), (y0, y1, down) = _tap(size[0], plane.shape[1], True), _tap(size[1], plane.shape[0], False)
    samples, one = (plane >> 6).astype(np.float32), np.float32(1)
    lines = samples[:, x0] * (one - across) + samples[:, x1] * across
    smooth = np.rint(lines[y0] * (one - down)[:, None] + lines[y1] * down[:, None])
    scaled: npt.NDArray[np.int64] = np.minimum(np.rint(smooth * np.float32(0.25)), 255).astype(np.int64)
    return scaled


def _bytes(plane: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    samples = plane if plane.dtype == np.uint8 else np.minimum(np.rint((plane >> 6) * np.float32(0.25)), 255)
    whole: npt.NDArray[np.int64] = samples.astype(np.int64)
    return whole


def _bgr(matrix: npt.NDArray[np.int64], luma: Any, u: Any, v: Any) -> npt.NDArray[np.int64]:
    """As OpenCV transforms bytes, in 1024ths."""
    channels = [(m[0] * luma + m[1] * u + m[2] * v + m[3]) >> 10 for m in matrix]
    pixels: npt.NDArray[np.int64] = np.clip(np.stack(channels, axis=-1), 0, 255)
    return pixels
