"""One camera's frames: people drawn into the empty place from back to front, with exact boxes and visibility."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body
from reidstream.synthetic.camera import Camera, Light, Sensor
from reidstream.synthetic.crowd import Visit
from reidstream.synthetic.figure import Sprite, draw, standing
from reidstream.synthetic.places import Place
from reidstream.synthetic.scenery import Backdrop, make_backdrop

Pixels = npt.NDArray[np.uint8]

_SHADOW_SCALE = 4
_SMALLEST = 6


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """One frame with its truth.

    index: from 0. time: seconds. image: uint8 (h, w, 3) BGR. persons: int64 (n,). visits: int64 (n,), which visit of
    the world (two visits of one person to one camera are two tracks). boxes: float32 (n, 4), xyxy of the whole
    person without bags, clipped to the frame. visibility: float32 (n,), the share of the person's whole
    silhouette that can be seen: neither hidden by people or things nor outside the frame.
    """

    index: int
    time: float
    image: Pixels
    persons: npt.NDArray[np.int64]
    visits: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.float32]


class Painter:
    """Draws the frames of one place. Bodies are shared between the painters of one process."""

    def __init__(self, place: Place, bodies: dict[int, Body], seed: int) -> None:
        self.place = place
        self.bodies = bodies
        self.backdrop: Backdrop = make_backdrop(place)
        rng = np.random.default_rng([seed, 5])
        width, height = place.camera.size
        noise = rng.normal(0, place.sensor.noise, (height + 64, width + 64, 1)) + rng.normal(
            0, 0.35 * place.sensor.noise, (height + 64, width + 64, 3)
        )
        self._noise = noise.astype(np.int16)
        self._shifts = rng.integers(0, 64, (4096, 2))
        self._tone = _tone_curves(place.sensor)

    def frame(self, index: int, time: float, present: list[tuple[int, Visit]]) -> RenderedFrame:
        """The frame at ``time`` seconds; present: (number of the visit, visit) of those who may be there."""
        camera, light = self.place.camera, self.place.light
        sprites: list[tuple[float, int, int, Sprite]] = []
        shadows: list[tuple[Body, npt.NDArray[np.float64]]] = []
        for number, visit in present:
            moment = visit.at(time)
            if moment is None:
                continue
            place, heading, walking, distance = moment
            if _far_outside(camera, place):
                continue
            body = self.bodies[visit.person]
            world = standing(body.posed(distance / body.stride, walking), place, heading)
            sprite = draw(body, world, camera, light)
            shadows.append((body, world))
            if sprite is not None:
                sprites.append((sprite.depth, number, visit.person, sprite))
        sprites.sort(key=lambda item: -item[0])
        image = self.backdrop.image.copy()
        _cast_shadows(image, shadows, camera, light, self.backdrop)
        owners = np.zeros(image.shape[:2], np.uint8)
        whole = [self._paste(image, owners, sprite, label + 1) for label, (_, _, _, sprite) in enumerate(sprites)]
        return self._finished(index, time, image, owners, whole, sprites)

    def _paste(self, image: Pixels, owners: Pixels, sprite: Sprite, label: int) -> int:
        """Put a sprite into the image where nothing nearer stands; returns the pixels of its whole silhouette."""
        alpha = sprite.rgba[..., 3]
        whole = int(cv2.countNonZero(cv2.compare(alpha, 127, cv2.CMP_GT)))
        height, width = image.shape[:2]
        x, y = sprite.corner
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + alpha.shape[1], width), min(y + alpha.shape[0], height)
        if x1 <= x0 or y1 <= y0:
            return whole
        part = sprite.rgba[y0 - y : y1 - y, x0 - x : x1 - x]
        free = cv2.compare(self.backdrop.depth[y0:y1, x0:x1], sprite.depth, cv2.CMP_GT)
        part = cv2.bitwise_and(part, cv2.merge([free, free, free, free]))
        alpha = part[..., 3]
        ground = image[y0:y1, x0:x1]
        keep = cv2.bitwise_not(alpha)
        ground[:] = cv2.add(cv2.multiply(ground, cv2.merge([keep, keep, keep]), scale=1 / 255), part[..., :3])
        owners[y0:y1, x0:x1][alpha > 127] = label
        return whole

    def _finished(
        self,
        index: int,
        time: float,
        image: Pixels,
        owners: Pixels,
        whole: list[int],
        sprites: list[tuple[float, int, int, Sprite]],
    ) -> RenderedFrame:
        height, width = owners.shape
        seen = np.bincount(owners.ravel(), minlength=len(whole) + 1)[1:]
        rows = []
        for (_, number, person, sprite), total, visible in zip(sprites, whole, seen, strict=True):
            box = np.clip(sprite.box, 0, [width, height, width, height])
            if box[2] - box[0] >= _SMALLEST and box[3] - box[1] >= _SMALLEST and total:
                rows.append((number, person, box, visible / total))
        rows.sort(key=lambda row: row[0])
        return RenderedFrame(
            index=index,
            time=time,
            image=self._sensed(image, index),
            persons=np.array([row[1] for row in rows], np.int64),
            visits=np.array([row[0] for row in rows], np.int64),
            boxes=np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
            visibility=np.array([row[3] for row in rows], np.float32),
        )

    def _sensed(self, image: Pixels, index: int) -> Pixels:
        """What the sensor makes of it: lens blur, colour cast and tone curve, noise."""
        blur = self.place.sensor.blur
        if blur:
            image = cv2.GaussianBlur(image, (3, 3), blur)
        image = cv2.LUT(image, self._tone)
        dy, dx = self._shifts[index % len(self._shifts)]
        noise = self._noise[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        result: Pixels = cv2.add(image, noise, dtype=cv2.CV_8U)
        return result


def _far_outside(camera: Camera, place: npt.NDArray[np.float64]) -> bool:
    """Whether a person standing there cannot touch the picture."""
    right, _, depth = camera.to_camera(np.array([place[0], place[1], 1.0]))
    return bool(depth < 0.6 or abs(right) - 1.0 > depth * camera.size[0] / 2 / camera.focal)


def _cast_shadows(
    image: Pixels, people: list[tuple[Body, npt.NDArray[np.float64]]], camera: Camera, light: Light, backdrop: Backdrop
) -> None:
    """Darken the floor where bodies keep the light off, and right under the feet."""
    if not people:
        return
    height, width = image.shape[:2]
    small = (width // _SHADOW_SCALE, height // _SHADOW_SCALE)
    mask = np.zeros((small[1], small[0]), np.uint8)
    slope = np.asarray(light.direction[:2]) / max(light.direction[2], 0.35)
    for body, world in people:
        flat = world.copy()
        flat[:, :2] -= world[:, 2:] * slope
        flat[:, 2] = 0
        pixels, depth = camera.project(flat)
        if depth.min() < 0.5:
            continue
        points = np.rint(pixels * (16 / _SHADOW_SCALE)).astype(np.int32)
        for first, last in body.groups:
            cv2.fillConvexPoly(mask, cv2.convexHull(points[first:last]), 255, cv2.LINE_8, 4)
    sigma = 0.8 + 6 * light.softness
    mask = cv2.GaussianBlur(mask, (0, 0), sigma)
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    x0, y0, x1, y1 = (n * _SHADOW_SCALE for n in (x, y, x + w, y + h))
    shade = cv2.resize(mask[y : y + h, x : x + w], (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    # Only the floor is darkened: walls and furniture have a depth.
    floor = np.isinf(backdrop.depth[y0:y1, x0:x1])
    keep = 255 - (shade * (light.shadow * floor)).astype(np.uint8)
    region = image[y0:y1, x0:x1]
    region[:] = cv2.multiply(region, cv2.merge([keep, keep, keep]), scale=1 / 255)


def _tone_curves(sensor: Sensor) -> Pixels:
    """(1, 256, 3): colour cast and gamma as one table per channel."""
    level = np.arange(256)[:, None] / 255 * np.asarray(sensor.cast)
    curve: Pixels = np.clip(255 * np.clip(level, 0, 1) ** sensor.gamma, 0, 255).astype(np.uint8)[None]
    return curve
