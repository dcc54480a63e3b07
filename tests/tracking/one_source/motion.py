"""How boxes move: a Kalman filter for all tracks of a source at once, in seconds and body heights.

Centre x, centre y, width and height of a box are filtered independently, each with its own velocity. That is the
same as the usual eight-dimensional filter, whose matrices have no terms between the four, but every formula is an
elementwise operation on arrays of shape (tracks, 4) and no matrix is inverted.

All noise is measured in heights of the box, so that near and far people and any resolution are treated alike, and per
second, so that any frame rate is. Figures are from ground truth and YOLOX-nano detections of street and square
scenes: centres scatter by .03 to .07 heights around the truth, sizes by .06 to .15; people walk at .6 to 1.1 heights
per second (99 %: 1.3) and change velocity by about .5 heights per second every second.
"""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray

_MEASURED = np.array([0.05, 0.05, 0.12, 0.10], np.float32)
"""Standard deviation of a sure detection, in heights, for cx, cy, w, h."""
_SPEED = np.array([0.7, 0.35, 0.1, 0.15], np.float32)
"""Standard deviation of the velocity of a track seen once, heights per second."""
_JERK = np.array([0.5, 0.35, 0.07, 0.08], np.float32) ** 2
"""Spectral density of white acceleration, heights squared per second cubed."""
_MEMORY = np.array([4.0, 2.0, 0.5, 0.5], np.float32)
"""Seconds after which a velocity that was not confirmed has fallen to 1/e: people stop, boxes do not keep growing."""


class Motion:
    """State of n tracks. position, velocity: float32 (n, 4) of cx, cy, w, h in pixels and pixels per second."""

    __slots__ = ("_pp", "_pv", "_vv", "position", "velocity")

    def __init__(self) -> None:
        empty = np.zeros((0, 4), np.float32)
        self.position, self.velocity = empty, empty
        self._pp, self._pv, self._vv = empty, empty, empty

    def __len__(self) -> int:
        return len(self.position)

    def append(self, boxes: FloatArray) -> None:
        """Add tracks seen once, at rest."""
        measured = centred(boxes)
        height = measured[:, 3:]
        self.position = np.concatenate([self.position, measured])
        self.velocity = np.concatenate([self.velocity, np.zeros_like(measured)])
        self._pp = np.concatenate([self._pp, (_MEASURED * height) ** 2])
        self._pv = np.concatenate([self._pv, np.zeros_like(measured)])
        self._vv = np.concatenate([self._vv, (_SPEED * height) ** 2])

    def keep(self, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Forget the tracks where ``rows`` is False."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name)[rows])

    def predict(self, seconds: float) -> None:
        """Move all tracks forward in time (Bar-Shalom et al. 2001, 6.2.2: white noise acceleration)."""
        if seconds <= 0 or not len(self):
            return
        fade = np.exp(-seconds / _MEMORY)
        reach = _MEMORY * (1 - fade)
        noise = _JERK * self._height() ** 2
        self.position = self.position + self.velocity * reach
        self.velocity = self.velocity * fade
        self._pp = self._pp + 2 * reach * self._pv + reach**2 * self._vv + noise * (seconds**3 / 3)
        self._pv = fade * (self._pv + reach * self._vv) + noise * (seconds**2 / 2)
        self._vv = fade**2 * self._vv + noise * seconds

    def update(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]], boxes: FloatArray, scores: FloatArray) -> None:
        """Correct the given tracks by a box each; an unsure box counts less (as in NSA Kalman, Du et al. 2021)."""
        if not len(rows):
            return
        measured = centred(boxes)
        height = self._height()[rows]
        noise = (_MEASURED * height * (1.5 - scores[:, None])) ** 2
        pp, pv, vv = self._pp[rows], self._pv[rows], self._vv[rows]
        difference = measured - self.position[rows]
        total = pp + noise
        gain, gain_v = pp / total, pv / total
        self.position[rows] += gain * difference
        self.velocity[rows] += gain_v * difference
        self._pp[rows] = (1 - gain) * pp
        self._pv[rows] = (1 - gain) * pv
        self._vv[rows] = vv - gain_v * pv

    def boxes(self) -> FloatArray:
        """float32 (n, 4), xyxy."""
        sides = np.maximum(self.position[:, 2:], 1)
        centres = self.position[:, :2]
        return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)

    def deviation(self) -> FloatArray:
        """float32 (n, 4): standard deviation of position and size in pixels."""
        return np.sqrt(self._pp)

    def _height(self) -> FloatArray:
        return np.maximum(self.position[:, 3:], 1)


def centred(boxes: FloatArray) -> FloatArray:
    """xyxy (n, 4) as cx, cy, w, h."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2] + sides / 2, sides], axis=1)
