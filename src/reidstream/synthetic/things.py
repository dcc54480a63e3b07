"""Things that look like people: mannequins, coat stands, posters, displays, mirrors, birds, and shadows of nobody.

Each is a surface that is drawn among the people, so that they hide each other, and whose box is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.body import Body, make_body
from reidstream.synthetic.figure import standing
from reidstream.synthetic.furniture import box_quads, column_quads
from reidstream.synthetic.places import View
from reidstream.synthetic.wardrobe import random_look

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

KINDS = ("mannequin", "coat stand", "poster", "display", "mirror", "bird", "shadow")
_INDOOR = ("mannequin", "mannequin", "coat stand", "poster", "display", "mirror")
_OUTDOOR = ("mannequin", "poster", "display", "bird", "bird", "shadow")
"""What stands in a place: in halls and shops, and on squares and in courtyards."""
_IN_FRONT_OF_WALL = 0.6
"""Metres by which what hangs on a wall counts as nearer: walls seen from the side are nearer at one end."""
_WHITES = ((226, 228, 230), (160, 190, 214), (70, 72, 76), (120, 150, 180))
"""Skins of mannequins."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A thing as it is for a while. surface: what to draw; its figure is what the box is of. world: float32 (v, 3).

    key: the same for moments that look the same, None for those that do not come again.
    """

    surface: Body
    world: Floats
    key: int | None


@dataclass(frozen=True)
class Thing:
    """Something that is taken for people. at: its moment at a time in seconds, None while it is not there.

    ground: the spot that people keep away from, None where they need not. nearer: metres by which it counts as nearer.
    glass: of a mirror, float64 (4, 3), the corners of its glass. casts: only its shadow is there.
    """

    kind: str
    at: Callable[[float], Moment | None]
    ground: tuple[float, float] | None = None
    nearer: float = 0.0
    glass: Array | None = None
    casts: bool = False


def make_things(place: View, seconds: float) -> tuple[Thing, ...]:
    """What looks like people in this place, for a scene of so many seconds."""
    rng = np.random.default_rng([place.seed, 8])
    indoor = place.kind in {"hall", "shop"}
    site = _Site(place, rng, seconds)
    makers: dict[str, Callable[[], Thing | None]] = {
        "mannequin": site.mannequin,
        "coat stand": site.coat_stand,
        "poster": site.poster,
        "display": site.display,
        "mirror": site.mirror,
        "bird": site.bird,
        "shadow": site.shadow,
    }
    made = [makers[kind]() for kind in (_INDOOR if indoor else _OUTDOOR)]
    return tuple(thing for thing in made if thing is not None)


@dataclass
class _Site:
    """A place while things are put into it."""

    place: View
    rng: np.random.Generator
    seconds: float
    spots: list[tuple[float, float]] = field(default_factory=list)
    hung: list[float] = field(default_factory=list)

    def mannequin(self) -> Thing | None:
        """A body that never moves, dressed, with the skin of its material and without hair, on a plate."""
        spot = self._spot(0.9)
        if spot is None:
            return None
        look = random_look(self.rng)
        skin = _WHITES[self.rng.integers(len(_WHITES))]
        look = replace(look, skin=skin, hair_style="bald", bag="none", arms=("carry", "carry"))
        body = make_body(look)
        pose = body.stand[int(self.rng.integers(len(body.stand)))]
        world = standing(pose, np.array(spot), float(self.rng.uniform(-np.pi, np.pi)))
        world[:, 2] += 0.03
        plate, grey = column_quads((0.26, 0.26), (0.0, 0.03), (90, 92, 96))
        surface = _joined(body, world, plate + np.array([*spot, 0.0]), grey)
        return Thing("mannequin", _always(surface), ground=spot)

    def coat_stand(self) -> Thing | None:
        """A pole with coats of several colours and a hat on top."""
        spot = self._spot(0.9)
        if spot is None:
            return None
        parts = [
            column_quads((0.025, 0.02), (0.0, 1.75), (50, 70, 96), 8),
            column_quads((0.26, 0.2), (0, 0.05), (46, 60, 80)),
        ]
        coats = [random_look(self.rng).top_colour for _ in range(int(self.rng.integers(2, 5)))]
        turn = self.rng.uniform(0, 6.28)
        for number, colour in enumerate(coats):
            angle = turn + 2 * np.pi * number / len(coats)
            away = np.array([np.cos(angle), np.sin(angle), 0.0]) * 0.14
            low = self.rng.uniform(0.55, 0.85)
            for radius, heights in (((0.17, 0.15), (low, 1.3)), ((0.15, 0.05), (1.3, 1.55))):
                quads, albedo = column_quads(radius, heights, colour, 14)
                ripple = 1 + 0.1 * self.rng.normal(size=(len(albedo), 1))
                parts.append((quads + away, albedo * ripple))
        if self.rng.random() < 0.7:
            hat = column_quads((0.13, 0.09), (1.72, 1.86), random_look(self.rng).top_second, 14)
            parts += [hat, column_quads((0.19, 0.19), (1.70, 1.72), (40, 40, 44), 14)]
        quads = np.concatenate([quads for quads, _ in parts]) + np.array([*spot, 0.0])
        albedo = np.concatenate([albedo for _, albedo in parts])
        return Thing("coat stand", _always(_of_quads(quads, albedo)), ground=spot)

    def poster(self) -> Thing | None:
        """Somebody printed, on the rear wall or, life-size, on a board of their own."""
        return self._printed("poster", 1)

    def display(self) -> Thing | None:
        """A lit screen that shows one person after the other, some of them walking."""
        return self._printed("display", 3)

    def _printed(self, kind: str, slides: int) -> Thing | None:
        on_wall = self.rng.random() < 0.6
        if on_wall:
            x = self._wall_spot(1.3)
            if x is None:
                return None
            origin, heading, ground = np.array([x, self.place.back - 0.06, 0.35]), np.pi, None
        else:
            spot = self._spot(1.0)
            if spot is None:
                return None
            origin, ground = np.array([*spot, 0.12]), spot
            heading = np.pi + float(self.rng.uniform(-0.4, 0.4)) + np.arctan2(*spot)
        size = float(self.rng.uniform(0.85, 1.1))
        lit = 1.25 if kind == "display" else 1.0
        surfaces: list[Body] = []
        poses: list[list[Floats]] = []
        for _ in range(slides):
            body = make_body(random_look(self.rng))
            blue, green, red = (float(n) for n in self.rng.uniform(60, 235, 3))
            scale = size * 1.72 / body.height
            board, colours = box_quads((-0.5, 0.5), (-0.06, -0.04), (-0.08, 1.95 * size), (blue, green, red), 2)
            moving = slides > 1 and self.rng.random() < 0.5
            table = body.walk if moving else body.stand[:1]
            poses.append([])
            for pose in table:
                flat = pose * np.float32(scale)
                # Printed: no depth of its own, in front of the board.
                flat[:, 1] = flat[:, 1] * np.float32(0.04) + np.float32(0.02)
                world = np.concatenate([flat, board.reshape(-1, 3).astype(np.float32)])
                world = standing(world, origin[:2], heading)
                world[:, 2] += np.float32(origin[2])
                world[len(flat) :] = self._drawn_first(world[len(flat) :])
                poses[-1].append(world)
            surfaces.append(_with_quads(body, board, colours, lit))
        begin, length = float(self.rng.uniform(0, 5)), float(self.rng.uniform(3.0, 7.0))

        def at(time: float) -> Moment:
            slide = int((time + begin) / length) % slides
            step = int(time * 1.05 * len(poses[slide])) % len(poses[slide])
            return Moment(surfaces[slide], poses[slide][step], slide * 1000 + step)

        return Thing(kind, at, ground=ground, nearer=_IN_FRONT_OF_WALL if on_wall else 0.0)

    def mirror(self) -> Thing | None:
        """A mirror on the rear wall: whoever passes is seen in it, as far behind the wall."""
        x = self._wall_spot(1.8)
        if x is None:
            return None
        y, left, right, low, high = self.place.back - 0.05, x - 0.75, x + 0.75, 0.12, 2.15
        frame, wood = box_quads((left - 0.06, right + 0.06), (y, y + 0.04), (low - 0.06, high + 0.06), (60, 80, 100), 2)
        pane, grey = box_quads((left, right), (y - 0.02, y), (low, high), (178, 176, 168), 2)
        quads = np.concatenate([pane, self._drawn_first(frame.reshape(-1, 3)).reshape(-1, 4, 3)])
        glass = np.array([[left, y, low], [right, y, low], [right, y, high], [left, y, high]])
        moment = _of_quads(quads, np.concatenate([grey, wood]), len(pane))
        return Thing("mirror", _always(moment), nearer=_IN_FRONT_OF_WALL, glass=glass)

    def bird(self) -> Thing | None:
        """A pigeon that walks about, stands, pecks, and walks on."""
        home = self._spot(0.6, keep=False)
        if home is None:
            return None
        grey = float(self.rng.uniform(70, 150))
        surface, vertices = _bird((grey * 1.05, grey, grey * 0.97))
        steps = round(self.seconds * 10) + 2
        way, heading = np.empty((steps, 2)), np.empty(steps)
        at, towards, goal, rest = np.array(home), 0.0, np.array(home), 0.0
        for step in range(steps):
            away = goal - at
            if rest > 0:
                rest -= 0.1
            elif np.hypot(*away) < 0.1:
                goal = np.array(home) + self.rng.uniform(-1.8, 1.8, 2)
                rest = float(self.rng.uniform(0.5, 4.0))
            else:
                wanted = np.arctan2(away[0], away[1])
                towards += float(np.clip((wanted - towards + np.pi) % (2 * np.pi) - np.pi, -0.5, 0.5))
                at = at + 0.035 * np.array([np.sin(towards), np.cos(towards)])
            way[step], heading[step] = at, towards
        scale = np.float32(self.rng.uniform(0.9, 1.2))

        def now(time: float) -> Moment:
            step = min(time * 10, steps - 1.001)
            low, part = int(step), step - int(step)
            spot = way[low] * (1 - part) + way[low + 1] * part
            walks = np.hypot(*(way[low + 1] - way[low])) > 1e-6
            shape = vertices * scale
            if walks:
                # The head goes to and fro.
                head = shape[:, 1] > 0.1
                shape[head, 1] += np.float32(0.025 * np.sin(14 * time))
            return Moment(surface, standing(shape, spot, float(heading[low])), None)

        return Thing("bird", now)

    def shadow(self) -> Thing | None:
        """The shadow on the ground of somebody who is not to be seen: on a roof, behind the camera."""
        body = make_body(random_look(self.rng))
        spot = np.array(self.place.floor_spot(self.rng))
        speed, every = float(self.rng.uniform(0.9, 1.4)), float(self.rng.uniform(14, 22))
        heading = float(self.rng.choice([-1.0, 1.0])) * np.pi / 2 + float(self.rng.uniform(-0.3, 0.3))
        direction = np.array([np.sin(heading), np.cos(heading)])
        begin = float(self.rng.uniform(0, every))

        def at(time: float) -> Moment | None:
            along = ((time + begin) % every) * speed - 7.0
            if along > 7.0:
                return None
            pose = body.posed((along / body.stride) % 1.0, 1.0)
            return Moment(body, standing(pose, spot + along * direction, heading), None)

        return Thing("shadow", at, casts=True)

    def _drawn_first(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Points (v, 3) moved away from the camera, to be seen where they were, behind all that is in front of them."""
        eye = np.asarray(self.place.camera.position, points.dtype)
        moved: npt.NDArray[np.floating] = eye + (points - eye) * points.dtype.type(1.1)
        return moved

    def _spot(self, apart: float, keep: bool = True) -> tuple[float, float] | None:
        for _ in range(60):
            x, y = self.place.floor_spot(self.rng)
            ways = [portal.inside for portal in self.place.portals]
            if all(np.hypot(x - a, y - b) > apart + 0.4 for a, b in (*self.spots, *ways)):
                if keep:
                    self.spots.append((x, y))
                return x, y
        return None

    def _wall_spot(self, width: float) -> float | None:
        """The middle of a free part of the rear wall in the picture."""
        place = self.place
        for _ in range(60):
            pixel = np.array([self.rng.uniform(0.12, 0.88) * place.camera.size[0], place.camera.size[1] * 0.3])
            ray = place.camera.rays(pixel)
            x = float(place.camera.position[0] + ray[0] / ray[1] * (place.back - place.camera.position[1]))
            free = all(x + width / 2 < low or x - width / 2 > high for low, high in place.doors)
            if free and all(abs(x - other) > width for other in self.hung):
                self.hung.append(x)
                return x
        return None


def _always(moment: Moment) -> Callable[[float], Moment]:
    return lambda time: moment


def _of_quads(quads: Array, albedo: Array, counting: int | None = None) -> Moment:
    """Quads (f, 4, 3), of which the first so many, or all, count in the box."""
    world = quads.reshape(-1, 3).astype(np.float32)
    figure = len(world) if counting is None else 4 * counting
    return Moment(_surface(world, _numbered(len(quads)), albedo, figure, ((0, len(world)),)), world, 0)


def _joined(body: Body, world: Floats, quads: Array, albedo: Array) -> Moment:
    """A body in one pose with quads that do not count in its box."""
    whole = np.concatenate([world, quads.reshape(-1, 3).astype(np.float32)])
    return Moment(_with_quads(body, quads, albedo, 1.0), whole, 0)


def _with_quads(body: Body, quads: Array, albedo: Array, lit: float) -> Body:
    count = body.walk.shape[1]
    faces = np.concatenate([body.faces, _numbered(len(quads)) + count], axis=1)
    colours = np.clip(np.concatenate([body.albedo, albedo.astype(np.float32)]) * lit, 0, 250)
    return _surface(body.walk[0], faces, colours, body.figure, body.groups, body.height)


def _numbered(count: int) -> npt.NDArray[np.int32]:
    return np.arange(4 * count, dtype=np.int32).reshape(count, 4).T.copy()


def _surface(
    vertices: Floats,
    faces: npt.NDArray[np.int32],
    albedo: npt.NDArray[np.floating],
    figure: int,
    groups: Sequence[tuple[int, int]],
    height: float = 1.75,
) -> Body:
    return Body(
        walk=vertices[None],
        stand=vertices[None],
        faces=faces,
        albedo=albedo.astype(np.float32),
        groups=tuple(groups),
        figure=figure,
        stride=1.0,
        height=height,
    )


def _bird(colour: tuple[float, float, float]) -> tuple[Body, Floats]:
    """A pigeon of 30 cm at the origin, looking along +y."""
    parts = []
    dark = tuple(0.55 * part for part in colour)
    for middle, half, tone in (
        ((0.0, 0.0, 0.14), (0.065, 0.13, 0.07), colour),
        ((0.0, -0.15, 0.14), (0.035, 0.08, 0.02), dark),
        ((0.0, 0.13, 0.24), (0.03, 0.035, 0.035), dark),
        ((0.0, 0.115, 0.195), (0.035, 0.03, 0.05), (70.0, 110.0, 80.0)),
        ((0.0, 0.175, 0.235), (0.008, 0.02, 0.008), (60.0, 80.0, 90.0)),
    ):
        quads, albedo = column_quads((1.0, 1.0), (-1.0, 1.0), (tone[0], tone[1], tone[2]), 10)
        # A column made round.
        ring = np.sqrt(np.clip(1 - np.square(quads[..., 2:]), 0.02, 1))
        quads = np.concatenate([quads[..., :2] * ring, quads[..., 2:]], -1) * np.array(half) + np.array(middle)
        parts.append((quads, albedo))
    for side in (-0.025, 0.025):
        legs, albedo = column_quads((0.006, 0.006), (0.0, 0.09), (70.0, 80.0, 190.0), 6)
        parts.append((legs + np.array([side, 0.01, 0.0]), albedo))
    quads = np.concatenate([quads for quads, _ in parts])
    moment = _of_quads(quads, np.concatenate([albedo for _, albedo in parts]))
    return moment.surface, moment.world
