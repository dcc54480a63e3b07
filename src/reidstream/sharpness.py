"""How sharp a picture of a person is."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray

SMALL = 48, 96
"""Width and height at which crops are looked at."""
# Mean squared Laplacian over the crop's grey-value variance, at 48x96 pixels, of a crop that counts as sharp.
# Measured on 996 Market-1501 training crops: median .50; the same crops blurred with sigma 2 (at 64x128): .03.
_SHARP = 0.4
# Variance of grey values below which there is nothing to be sharp.
_FLAT = 4.0


def sharpness(crop: npt.NDArray[np.uint8]) -> float:
    """How sharp a BGR crop is, 0..1; 1 for anything at least as sharp as a usual surveillance crop.

    The Laplacian's energy relative to the crop's own contrast, so that dark scenes do not count as blurred.
    """
    if crop.size == 0:
        return 0.0
    return float(sharpness_of(np.array(sharpness_sums(crop)))[()])


def sharpness_sums(crop: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    """What ``sharpness_of`` wants of a BGR crop with pixels in it: over its grey values at 48x96 pixels their sum, that
    of their squares, and that of the squares of their Laplacian."""
    small = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), SMALL, interpolation=cv2.INTER_AREA)
    energy = cv2.norm(cv2.Laplacian(small, cv2.CV_32F), cv2.NORM_L2SQR)
    return int(cv2.sumElems(small)[0]), round(cv2.norm(small, cv2.NORM_L2SQR)), round(energy)


def sharpness_of(sums: npt.NDArray[np.integer]) -> FloatArray:
    """float32 (n,) in 0..1 for sums (n, 3), or one number for (3,), see ``sharpness_sums``."""
    total, squares, energy = np.moveaxis(sums.astype(np.float64), -1, 0) / (SMALL[0] * SMALL[1])
    contrast = squares - total**2
    sharp = np.minimum(energy / np.maximum(contrast, _FLAT) / _SHARP, 1.0)
    found: FloatArray = np.where(contrast < _FLAT, 0.0, sharp).astype(np.float32)
    return found
