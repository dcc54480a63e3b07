"""One camera's frames: people drawn into the empty place from back to front, with exact boxes and visibility."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body
from reidstream.synthetic.camera import Camera
from reidstream.synthetic.crowd import Visit
from reidstream.synthetic.figure import Sprite, draw, resolved, standing
from reidstream.synthetic.places import View
from reidstream.synthetic.scenery import Backdrop, make_backdrop

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]

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

    def __init__(self, place: View, bodies: dict[int, Body], seed: int) -> None:
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
        # The tone curve is applied to the empty place once and to colours before they are drawn: far fewer values
        # than a frame has pixels.
        toned = place.sensor.tone(self.backdrop.image.astype(np.float32))
        self._empty: Pixels = np.clip(toned, 0, 255).astype(np.uint8)
        small = (width // _SHADOW_SCALE, height // _SHADOW_SCALE)
        # Only the floor takes shadows: walls and furniture have a depth.
        floor = np.isinf(self.backdrop.depth).astype(np.float32) * np.float32(place.light.shadow)
        self._shadow_strength = cv2.resize(floor, small, interpolation=cv2.INTER_AREA)

    def frame(self, index: int, time: float, present: list[tuple[int, Visit]]) -> RenderedFrame:
        """The frame at ``time`` seconds; present: (number of the visit, visit) of those who may be there."""
        camera, light = self.place.camera, self.place.light
        sprites: list[tuple[float, int, int, Sprite]] = []
        shadows: list[tuple[Body, Floats]] = []
        for number, visit in present:
            moment = visit.at(time)
            if moment is None:
                continue
            place, heading, walking, distance = moment
            if _far_outside(camera, place):
                continue
            body = resolved(self.bodies[visit.person], camera, place)
            world = standing(body.posed(distance / body.stride, walking), place, heading)
            sprite = draw(body, world, camera, light, self.place.sensor.tone)
            shadows.append((body, world))
            if sprite is not None:
                sprites.append((sprite.depth, number, visit.person, sprite))
        sprites.sort(key=lambda item: -item[0])
        image = self._empty.copy()
        self._cast_shadows(image, shadows)
        owners = np.zeros(image.shape[:2], np.uint16)
        whole = [self._paste(image, owners, sprite, label + 1) for label, (_, _, _, sprite) in enumerate(sprites)]
        return self._finished(index, time, image, owners, whole, sprites)

    def _cast_shadows(self, image: Pixels, people: list[tuple[Body, Floats]]) -> None:
        """Darken the floor where bodies keep the light off."""
        camera, light = self.place.camera, self.place.light
        strength = self._shadow_strength
        mask = np.zeros(strength.shape, np.uint8)
        slope = np.asarray(light.direction[:2], np.float32) / np.float32(max(light.direction[2], 0.35))
        for body, world in people:
            flat = world.copy()
            flat[:, :2] -= world[:, 2:] * slope
            flat[:, 2] = 0
            pixels, depth = camera.project(flat)
            if float(depth.min()) < 0.5:
                continue
            points = np.rint(pixels * np.float32(16 / _SHADOW_SCALE)).astype(np.int32)
            for first, last in body.groups:
                cv2.fillConvexPoly(mask, cv2.convexHull(points[first:last]), 255, cv2.LINE_8, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), 0.8 + 6 * light.softness)
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            return
        keep = (255 - mask[y : y + h, x : x + w] * strength[y : y + h, x : x + w]).astype(np.uint8)
        x0, y0, x1, y1 = (n * _SHADOW_SCALE for n in (x, y, x + w, y + h))
        shade = cv2.resize(cv2.merge([keep, keep, keep]), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        region = image[y0:y1, x0:x1]
        region[:] = cv2.multiply(region, shade, scale=1 / 255)

    def _paste(self, image: Pixels, owners: Labels, sprite: Sprite, label: int) -> int:
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
        owners: Labels,
        whole: list[int],
        sprites: list[tuple[float, int, int, Sprite]],
    ) -> RenderedFrame:
        height, width = owners.shape
        labels = len(whole) + 1
        seen = cv2.calcHist([owners], [0], None, [labels], [0, labels]).ravel()[1:]
        rows = []
        for (_, number, person, sprite), total, visible in zip(sprites, whole, seen, strict=True):
            box = np.clip(sprite.box, 0, np.array([width, height, width, height], np.float32))
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
        """What lens and sensor add: blur and noise."""
        blur = self.place.sensor.blur
        if blur:
            image = cv2.GaussianBlur(image, (3, 3), blur)
        dy, dx = self._shifts[index % len(self._shifts)]
        noise = self._noise[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        result: Pixels = cv2.add(image, noise, dtype=cv2.CV_8U)
        return result


def _far_outside(camera: Camera, place: npt.NDArray[np.float64]) -> bool:
    """Whether a person standing there cannot touch the picture."""
    right, _, depth = camera.to_camera(np.array([place[0], place[1], 1.0]))
    return bool(depth < 0.6 or abs(right) - 1.0 > depth * camera.size[0] / 2 / camera.focal)
