"""One camera's frames: people drawn into the empty place from back to front, with exact boxes and visibility."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body
from reidstream.synthetic.camera import Camera, Light
from reidstream.synthetic.crowd import Visit
from reidstream.synthetic.figure import Sprite, draw, resolved, standing
from reidstream.synthetic.places import View
from reidstream.synthetic.scenery import Backdrop, make_backdrop
from reidstream.synthetic.things import Thing

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]

_SHADOW_SCALE = 4
_SMALLEST = 6
REFLECTED = 1_000_000
"""Numbers of things from here on are those of visits seen in a mirror."""


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """One frame with its truth.

    index: from 0. time: seconds. image: uint8 (h, w, 3) BGR. persons: int64 (n,). visits: int64 (n,), which visit of
    the world (two visits of one person to one camera are two tracks). boxes: float32 (n, 4), xyxy of the whole
    person without bags, clipped to the frame. visibility: float32 (n,), the share of the person's whole
    silhouette that can be seen: neither hidden by people or things nor outside the frame. things: int64 (k,), numbers
    of the place's things; those of the people in mirrors come after them, ``REFLECTED`` + visit. thing_boxes,
    thing_visibility: of what looks like a person.
    """

    index: int
    time: float
    image: Pixels
    persons: npt.NDArray[np.int64]
    visits: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.float32]
    things: npt.NDArray[np.int64]
    thing_boxes: npt.NDArray[np.float32]
    thing_visibility: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A sprite and whose it is: person -1 for a thing, whose number stands for the visit's."""

    depth: float
    number: int
    person: int
    sprite: Sprite


class Painter:
    """Draws the frames of one place. Bodies are shared between the painters of one process."""

    def __init__(self, place: View, bodies: dict[int, Body], seed: int, things: tuple[Thing, ...] = ()) -> None:
        self.place = place
        self.bodies = bodies
        self.things = things
        self._still: dict[tuple[int, int], Sprite | None] = {}
        """Sprites of things that look the same again and again."""
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
        sprites: list[_Drawn] = []
        shadows: list[tuple[Body, Floats]] = []
        there: list[tuple[int, Body, Floats]] = []
        for number, visit in present:
            moment = visit.at(time)
            if moment is None:
                continue
            place, heading, walking, distance, idle = moment
            if _far_outside(camera, place):
                continue
            body = resolved(self.bodies[visit.person], camera, place)
            world = standing(body.posed(distance / body.stride, walking, idle), place, heading)
            sprite = draw(body, world, camera, light, self.place.sensor.tone)
            shadows.append((body, world))
            there.append((number, body, world))
            if sprite is not None:
                sprites.append(_Drawn(sprite.depth, number, visit.person, sprite))
        shades = self._add_things(time, there, sprites, shadows)
        sprites.sort(key=lambda drawn: -drawn.depth)
        image = self._empty.copy()
        self._cast_shadows(image, shadows)
        owners = np.zeros(image.shape[:2], np.uint16)
        whole = [self._paste(image, owners, drawn.sprite, label + 1) for label, drawn in enumerate(sprites)]
        return self._finished(index, time, image, owners, whole, sprites, shades)

    def _add_things(
        self,
        time: float,
        people: list[tuple[int, Body, Floats]],
        sprites: list[_Drawn],
        shadows: list[tuple[Body, Floats]],
    ) -> list[tuple[int, Floats]]:
        """Draws the things and who is in the mirrors; returns number and box of those that are shadows alone."""
        camera, light, tone = self.place.camera, self.place.light, self.place.sensor.tone
        shades: list[tuple[int, Floats]] = []
        for number, thing in enumerate(self.things):
            moment = thing.at(time)
            if moment is None:
                continue
            if thing.casts:
                shadows.append((moment.surface, moment.world))
                pixels, depth = camera.project(_on_the_floor(moment.world, light))
                if float(depth.min()) >= 0.5:
                    shades.append((number, np.concatenate([pixels.min(0), pixels.max(0)])))
                continue
            key = None if moment.key is None else (number, moment.key)
            if key is None or key not in self._still:
                sprite = draw(moment.surface, moment.world, camera, light, tone)
                if key is not None:
                    self._still[key] = sprite
            else:
                sprite = self._still[key]
            if thing.ground is not None or thing.kind == "bird":
                shadows.append((moment.surface, moment.world))
            if sprite is None:
                continue
            middle = moment.world[: moment.surface.figure].mean(0)
            nearer = float(camera.to_camera(middle)[2]) - thing.nearer
            sprites.append(_Drawn(nearer, number, -1, replace(sprite, depth=nearer)))
            if thing.glass is not None:
                sprites += self._reflections(thing, nearer, people)
        return shades

    def _reflections(self, mirror: Thing, depth: float, people: list[tuple[int, Body, Floats]]) -> list[_Drawn]:
        """Who is seen in a mirror on the rear wall, cut off at its glass."""
        camera, light = self.place.camera, self.place.light
        assert mirror.glass is not None
        glass, _ = camera.project(mirror.glass.astype(np.float32))
        found = []
        for visit, body, world in people:
            behind = world.copy()
            behind[:, 1] = np.float32(2 * mirror.glass[0, 1]) - behind[:, 1]
            if behind[:, 1].min() < mirror.glass[0, 1]:
                continue
            # Left and right change places, and so does the order of corners.
            sprite = draw(replace(body, faces=body.faces[::-1]), behind, camera, light, self.place.sensor.tone)
            if sprite is None:
                continue
            mask = np.zeros(sprite.rgba.shape[:2], np.uint8)
            corners = np.rint((glass - np.array(sprite.corner)) * 16).astype(np.int32)
            cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_8, 4)
            rgba = cv2.bitwise_and(sprite.rgba, cv2.merge([mask] * 4))
            if cv2.countNonZero(rgba[..., 3]) < _SMALLEST**2:
                continue
            # A mirror takes some of the light.
            rgba[..., :3] = cv2.convertScaleAbs(rgba[..., :3], alpha=0.88)
            low, high = glass.min(0), glass.max(0)
            box = np.concatenate([np.maximum(sprite.box[:2], low), np.minimum(sprite.box[2:], high)])
            nearer = depth - 0.01
            number = REFLECTED + visit
            # Of two in the mirror the one farther behind it is hidden by the other.
            order = nearer - 0.001 / max(sprite.depth, 1.0)
            found.append(_Drawn(order, number, -1, Sprite(rgba, sprite.corner, box.astype(np.float32), nearer)))
        return found

    def _cast_shadows(self, image: Pixels, people: list[tuple[Body, Floats]]) -> None:
        """Darken the floor where bodies keep the light off."""
        camera, light = self.place.camera, self.place.light
        strength = self._shadow_strength
        mask = np.zeros(strength.shape, np.uint8)
        for body, world in people:
            pixels, depth = camera.project(_on_the_floor(world, light))
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
        sprites: list[_Drawn],
        shades: list[tuple[int, Floats]],
    ) -> RenderedFrame:
        height, width = owners.shape
        labels = len(whole) + 1
        seen = cv2.calcHist([owners], [0], None, [labels], [0, labels]).ravel()[1:]
        rows: list[tuple[int, int, Floats, float]] = []
        things: list[tuple[int, int, Floats, float]] = []
        frame = np.array([width, height, width, height], np.float32)
        for drawn, total, visible in zip(sprites, whole, seen, strict=True):
            box = np.clip(drawn.sprite.box, 0, frame)
            if box[2] - box[0] >= _SMALLEST and box[3] - box[1] >= _SMALLEST and total:
                (things if drawn.person < 0 else rows).append((drawn.number, drawn.person, box, visible / total))
        for number, whole_box in shades:
            box = np.clip(whole_box, 0, frame)
            if box[2] - box[0] >= _SMALLEST and box[3] - box[1] >= _SMALLEST:
                area, all_of_it = (float((b[2] - b[0]) * (b[3] - b[1])) for b in (box, whole_box))
                things.append((number, -1, box, area / max(all_of_it, 1e-6)))
        rows.sort(key=lambda row: row[0])
        things.sort(key=lambda row: row[0])
        return RenderedFrame(
            index=index,
            time=time,
            image=self._sensed(image, index),
            persons=np.array([row[1] for row in rows], np.int64),
            visits=np.array([row[0] for row in rows], np.int64),
            boxes=np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
            visibility=np.array([row[3] for row in rows], np.float32),
            things=np.array([row[0] for row in things], np.int64),
            thing_boxes=np.array([row[2] for row in things], np.float32).reshape(-1, 4),
            thing_visibility=np.array([row[3] for row in things], np.float32),
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


def _on_the_floor(world: Floats, light: Light) -> Floats:
    """Where the shadows of these points (v, 3) fall."""
    slope = np.asarray(light.direction[:2], np.float32) / np.float32(max(light.direction[2], 0.35))
    flat = world.copy()
    flat[:, :2] -= world[:, 2:] * slope
    flat[:, 2] = 0
    return flat


def _far_outside(camera: Camera, place: npt.NDArray[np.float64]) -> bool:
    """Whether a person standing there cannot touch the picture."""
    right, _, depth = camera.to_camera(np.array([place[0], place[1], 1.0]))
    return bool(depth < 0.6 or abs(right) - 1.0 > depth * camera.size[0] / 2 / camera.focal)
