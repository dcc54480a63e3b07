"""The cameras of the synthetic world: where they hang, how they project, and what their sensors do to the light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over the ground plane z = 0 of its own place (x right, y away, z up; metres).

    size: (width, height) in pixels. focal: pixels. yaw: radians, turned to the right is positive. pitch: radians
    below the horizon. roll: radians.
    """

    size: tuple[int, int]
    focal: float
    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float = 0.0

    @cached_property
    def axes(self) -> Array:
        """(3, 3): the camera's right, down and forward axes in world coordinates, as rows."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        forward = np.array([sy * cp, cy * cp, -sp])
        right = np.array([cy, -sy, 0.0])
        down = np.cross(forward, right)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        return np.stack([cr * right + sr * down, cr * down - sr * right, forward])

    def to_camera(self, points: npt.NDArray[np.floating]) -> Array:
        """World points (..., 3) as (right, down, depth) in metres from the camera."""
        result: Array = (points - np.asarray(self.position, points.dtype)) @ self.axes.T.astype(points.dtype)
        return result

    def project(self, points: npt.NDArray[np.floating]) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...,) in metres of world points (..., 3). Depth below 0.1 is held at 0.1."""
        seen = self.to_camera(points)
        depth = np.maximum(seen[..., 2], 0.1)
        pixels = seen[..., :2] * (self.focal / depth)[..., None] + np.asarray(self.size, points.dtype) / 2
        return pixels, depth

    def rays(self, pixels: npt.NDArray[np.floating]) -> Array:
        """World directions (..., 3) through pixels (..., 2), with unit length along the optical axis."""
        plane = (pixels - np.asarray(self.size) / 2) / self.focal
        result: Array = plane[..., :1] * self.axes[0] + plane[..., 1:] * self.axes[1] + self.axes[2]
        return result

    def ground(self, pixels: npt.NDArray[np.floating]) -> Array:
        """Where pixels (..., 2) meet the ground, (..., 2) metres; NaN above the horizon."""
        ray = self.rays(pixels)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(ray[..., 2] < -1e-6, -self.position[2] / ray[..., 2], np.nan)
        result: Array = np.asarray(self.position)[:2] + ray[..., :2] * distance[..., None]
        return result


@dataclass(frozen=True, slots=True)
class Light:
    """Where the light comes from. direction: unit vector towards the light. sun, sky: strengths of the directed and
    the diffuse part. shadow: how dark shadows are, 0..1; softness: their blur in metres."""

    direction: tuple[float, float, float]
    sun: float
    sky: float
    shadow: float
    softness: float


@dataclass(frozen=True, slots=True)
class Sensor:
    """What happens between the light and the file.

    cast: factors on blue, green and red. gamma: tone curve (above 1 is darker in the middle). noise: standard
    deviation in grey levels. blur: Gaussian sigma in pixels. quality: H.264 constant rate factor (higher is worse).
    """

    cast: tuple[float, float, float]
    gamma: float
    noise: float
    blur: float
    quality: int

    def tone(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Colour cast and tone curve on BGR values (..., 3), 0..255."""
        cast = np.asarray(self.cast, np.float32) / np.float32(255)
        result: npt.NDArray[np.float32] = 255 * np.clip(values * cast, 0, 1) ** np.float32(self.gamma)
        return result
