"""The kernels in NumPy: what they compute, where there is no GPU, and what they are compared with where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.sources.frame import Pixels

_Tap = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]


def cut_out(
    row: np.void, luma: npt.NDArray[Any], chroma: npt.NDArray[Any], size: tuple[int, int], grey: int = 114
) -> Pixels:
    """One row of a network's input, uint8 (height, width, 3), BGR; see kernels/cut_out.cu.

    row: of ``cuts.CUT``; its addresses and pitch are not looked at. luma: uint8 or uint16 (h, w), chroma: the same type
    (h, w, 2), rounded up. size: width and height of the input.
    """
    out = np.full((size[1], size[0], 3), grey, np.uint8)
    columns, lines = int(row["place_width"]), int(row["place_height"])
    if row["transposed"]:
        columns, lines = lines, columns
    x, y = _taps(columns, int(row["width"])), _taps(lines, int(row["height"]))
    matrix = row["matrix"].reshape(3, 4)
    if row["whole"]:
        half_x, half_y = _taps(columns, chroma.shape[1]), _taps(lines, chroma.shape[0])
        planes = [_smooth(_bytes(luma), x, y)]
        planes += [_smooth(_bytes(chroma[:, :, channel]), half_x, half_y) for channel in range(2)]
        found = _bgr(matrix, *planes)
    else:
        left, top = int(row["left"]), int(row["top"])
        corners = [[_pixels(matrix, luma, chroma, left + at_x, top + at_y) for at_x in x[:2]] for at_y in y[:2]]
        (a, b), (c, d) = corners
        across, down = x[2][None, :, None], y[2][:, None, None]
        found = np.rint(_between(_between(a, b, across), _between(c, d, across), down))
    if row["transposed"]:
        found = found.transpose(1, 0, 2)
    found = found[:: -1 if row["mirrored_y"] else 1, :: -1 if row["mirrored_x"] else 1]
    left, top = int(row["place_left"]), int(row["place_top"])
    out[top : top + found.shape[0], left : left + found.shape[1]] = found.astype(np.uint8)
    return out


def _taps(places: int, samples: int) -> _Tap:
    """Two neighbours for each place along an axis, and the weight of the second."""
    half, step = np.float32(0.5), np.float32(samples) / np.float32(places)
    at = (np.arange(places, dtype=np.float32) + half) * step - half
    first = np.floor(at).astype(np.int64)
    weight = at - np.floor(at)
    weight[(first < 0) | (first >= samples - 1)] = 0
    first = np.clip(first, 0, samples - 1)
    return first, np.minimum(first + 1, samples - 1), weight


def _between(a: Any, b: Any, weight: Any) -> Any:
    return a * (np.float32(1) - weight) + b * weight


def _bytes(plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    samples = plane.astype(np.float32)
    return samples if plane.dtype == np.uint8 else np.rint(samples * np.float32(1 / 256))


def _smooth(plane: npt.NDArray[np.float32], x: _Tap, y: _Tap) -> npt.NDArray[np.float32]:
    weights = x[2][None, :]
    above, below = (_between(plane[at][:, x[0]], plane[at][:, x[1]], weights) for at in y[:2])
    smooth: npt.NDArray[np.float32] = np.rint(_between(above, below, y[2][:, None]))
    return smooth


def _pixels(matrix: Any, luma: Any, chroma: Any, x: Any, y: Any) -> npt.NDArray[np.float32]:
    u, v = (_bytes(chroma[:, :, channel])[np.ix_(y >> 1, x >> 1)] for channel in range(2))
    return _bgr(matrix, _bytes(luma)[np.ix_(y, x)], u, v)


def _bgr(matrix: Any, luma: Any, u: Any, v: Any) -> npt.NDArray[np.float32]:
    channels = [m[0] * luma + m[1] * u + m[2] * v + m[3] for m in matrix]
    pixels: npt.NDArray[np.float32] = np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255)
    return pixels
