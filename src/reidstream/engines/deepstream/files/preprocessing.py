"""A model's preprocessing in the one form that nvinfer knows: ``y = net-scale-factor * (x - offset[channel])``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidstream.models.spec import Preprocessing

COLOR_FORMAT = {"RGB": 0, "BGR": 1}
"""nvinfer's model-color-format."""


@dataclass(frozen=True, slots=True)
class ScalarPreprocessing:
    """One scale for all channels, one offset per channel.

    error: the largest deviation from the exact preprocessing over x in 0..255, relative to the exact output's
    range on that channel; 0 when the form is exact.
    """

    scale: float
    offsets: tuple[float, float, float]
    error: float

    @property
    def identity(self) -> bool:
        return self.scale == 1.0 and self.offsets == (0.0, 0.0, 0.0)


def nearest_scalar(preprocessing: Preprocessing) -> ScalarPreprocessing:
    """The nearest form that nvinfer can express, as NVIDIA's TAO Re-ID configuration does it.

    The offsets are the means, the scale is one over the mean of the standard deviations (ImageNet: 1/57.63).
    It is exact when all channels have the same standard deviation.
    """
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    scale = float(1.0 / std.mean())
    ends = np.array([0.0, 255.0])[:, None] - mean
    error = float(np.max(np.abs(ends * scale - ends / std) / (255.0 / std)))
    # Rounding in the mean of equal numbers is no deviation.
    return ScalarPreprocessing(scale, (float(mean[0]), float(mean[1]), float(mean[2])), 0.0 if error < 1e-9 else error)
