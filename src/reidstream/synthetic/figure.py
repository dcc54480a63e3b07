"""Drawing one posed body as a small picture with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body
from reidstream.synthetic.camera import Camera, Light

Pixels = npt.NDArray[np.uint8]

SUBPIXEL_BITS = 3


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn person. rgba: uint8 (h, w, 4), BGR multiplied by alpha. corner: its top left pixel in the frame (may lie
    outside). box: xyxy of the person without bags, not clipped. depth: metres from the camera along its axis."""

    rgba: Pixels
    corner: tuple[int, int]
    box: npt.NDArray[np.float64]
    depth: float


def standing(
    vertices: npt.NDArray[np.float32], place: npt.NDArray[np.float64], heading: float
) -> npt.NDArray[np.float64]:
    """Body vertices (v, 3) put on the ground at ``place`` (2,), facing ``heading`` (radians from +y towards +x)."""
    c, s = np.cos(heading), np.sin(heading)
    world = np.empty(vertices.shape, np.float64)
    world[:, 0] = vertices[:, 0] * c + vertices[:, 1] * s + place[0]
    world[:, 1] = vertices[:, 1] * c - vertices[:, 0] * s + place[1]
    world[:, 2] = vertices[:, 2]
    return world


def draw(body: Body, world: npt.NDArray[np.float64], camera: Camera, light: Light) -> Sprite | None:
    """The body with vertices ``world`` (v, 3) as the camera sees it; None when it is not in front of the camera."""
    pixels, depth = camera.project(world)
    if depth.min() < 0.4:
        return None
    figure = pixels[: body.figure]
    box = np.concatenate([figure.min(0), figure.max(0)])
    low = np.floor(pixels.min(0)).astype(int) - 1
    high = np.ceil(pixels.max(0)).astype(int) + 2
    width, height = (int(n) for n in high - low)
    scale = 2 if height < 420 else 1
    canvas = np.zeros((height * scale, width * scale, 4), np.uint8)

    corners = pixels[body.faces]
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    facing = np.flatnonzero(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0)
    faces = body.faces[facing]
    order = np.argsort(-depth[faces].sum(1))
    facing, faces = facing[order], faces[order]
    quads = world[faces]
    normal = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    lit = light.sky * (0.74 + 0.26 * normal[:, 2]) + light.sun * np.maximum(normal @ np.asarray(light.direction), 0)
    # Light bounced by the ground and the darker gap between the legs.
    lit *= 0.86 + 0.14 * np.minimum(quads[:, :, 2].mean(1) / (0.6 * body.height), 1)
    colours = np.empty((len(facing), 4))
    colours[:, :3] = np.clip(body.albedo[facing] * lit[:, None], 0, 255)
    colours[:, 3] = 255
    polygons = np.rint((corners[facing] - low) * (scale << SUBPIXEL_BITS)).astype(np.int32)
    fill = cv2.fillConvexPoly
    for polygon, colour in zip(polygons, colours.tolist(), strict=True):
        fill(canvas, polygon, colour, cv2.LINE_8, SUBPIXEL_BITS)
    if scale > 1:
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return Sprite(canvas, (int(low[0]), int(low[1])), box, float(depth.mean()))
