"""Drawing one posed body as a small picture with soft edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body
from reidstream.synthetic.camera import Camera, Light

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Tone = Callable[[Floats], Floats]
"""The sensor's colour cast and tone curve on BGR values (n, 3), 0..255."""

SUBPIXEL_BITS = 3
_COARSE_BELOW = 150.0
_SMOOTH_BELOW = 420


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn person. rgba: uint8 (h, w, 4), BGR multiplied by alpha. corner: its top left pixel in the frame (may lie
    outside). box: xyxy of the person without bags, not clipped. depth: metres from the camera along its axis."""

    rgba: Pixels
    corner: tuple[int, int]
    box: Floats
    depth: float


def resolved(body: Body, camera: Camera, place: npt.NDArray[np.float64]) -> Body:
    """The body in the resolution that the distance to the camera asks for."""
    depth = float(camera.to_camera(np.array([place[0], place[1], 1.0]))[2])
    small = body.height * camera.focal < _COARSE_BELOW * max(depth, 0.1)
    return body.coarse if small and body.coarse is not None else body


def standing(vertices: Floats, place: npt.NDArray[np.float64], heading: float) -> Floats:
    """Body vertices (v, 3) put on the ground at ``place`` (2,), facing ``heading`` (radians from +y towards +x)."""
    c, s = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    world = np.empty_like(vertices)
    world[:, 0] = vertices[:, 0] * c + vertices[:, 1] * s + np.float32(place[0])
    world[:, 1] = vertices[:, 1] * c - vertices[:, 0] * s + np.float32(place[1])
    world[:, 2] = vertices[:, 2]
    return world


def draw(body: Body, world: Floats, camera: Camera, light: Light, tone: Tone) -> Sprite | None:
    """The body with vertices ``world`` (v, 3) as the camera sees it; None when it is not in front of the camera."""
    pixels, depth = camera.project(world)
    if float(depth.min()) < 0.4:
        return None
    figure = pixels[: body.figure]
    box = np.concatenate([figure.min(0), figure.max(0)])
    low = np.floor(pixels.min(0)).astype(int) - 1
    width, height = (int(n) for n in np.ceil(pixels.max(0)).astype(int) + 2 - low)
    scale = 2 if height < _SMOOTH_BELOW else 1
    canvas = np.zeros((height * scale, width * scale, 4), np.uint8)

    faces = body.faces
    one, two = pixels[faces[2]] - pixels[faces[0]], pixels[faces[3]] - pixels[faces[1]]
    facing = np.flatnonzero(one[:, 0] * two[:, 1] < one[:, 1] * two[:, 0])
    facing = facing[np.argsort(-depth[faces[:, facing]].sum(0))]
    faces = faces[:, facing]
    colours = np.empty((len(facing), 4), np.float32)
    colours[:, :3] = tone(body.albedo[facing] * _lit(world[faces], light, body.height)[:, None])
    colours[:, 3] = 255
    corners = (pixels - low.astype(np.float32)) * np.float32(scale << SUBPIXEL_BITS)
    polygons = np.ascontiguousarray(np.rint(corners).astype(np.int32)[faces].transpose(1, 0, 2))
    fill = cv2.fillConvexPoly
    for polygon, colour in zip(polygons, colours.tolist(), strict=True):
        fill(canvas, polygon, colour, cv2.LINE_8, SUBPIXEL_BITS)
    if scale > 1:
        # Facets would show; on real cloth and skin shades run into each other.
        canvas = cv2.GaussianBlur(canvas, (3, 3), 0.9)
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return Sprite(canvas, (int(low[0]), int(low[1])), box, float(depth.mean()))


def _lit(quads: Floats, light: Light, height: float) -> Floats:
    """How much light falls on quads (4, f, 3): sky from above, sun from its side, less down between the legs."""
    a, b = quads[2] - quads[0], quads[3] - quads[1]
    x = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    y = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    z = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-12)
    sx, sy, sz = light.direction
    sun = np.maximum((x * sx + y * sy + z * sz) / length, 0)
    lit = light.sky * (0.74 + 0.26 * z / length) + light.sun * sun
    result: Floats = lit * (0.86 + 0.14 * np.minimum((quads[0, :, 2] + quads[2, :, 2]) / (1.2 * height), 1))
    return result
