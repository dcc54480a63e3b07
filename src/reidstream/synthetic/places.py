"""The places of the synthetic world: a square, a hall, a shop, a courtyard, each seen by one camera of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reidstream.synthetic.camera import Camera, Light, Sensor
from reidstream.synthetic.furniture import Furniture, make_furniture


@dataclass(frozen=True, slots=True)
class Portal:
    """Where people come and go. outside: a point the camera does not see. inside: the first point on the way in."""

    outside: tuple[float, float]
    inside: tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """One camera and what it looks at.

    site: where the place lies on the map of the whole site, metres. back: distance of the rear wall. wall_height:
    metres; the ceiling (indoors) or the sky begins there. doors: (from, to) in metres along the rear wall.
    """

    name: str
    kind: str
    site: tuple[float, float]
    camera: Camera
    light: Light
    sensor: Sensor
    back: float
    wall_height: float
    doors: tuple[tuple[float, float], ...]
    furniture: tuple[Furniture, ...]
    portals: tuple[Portal, ...]
    seed: int

    def floor_spot(self, rng: np.random.Generator) -> tuple[float, float]:
        """A point well inside the picture that no furniture stands on."""
        width, height = self.camera.size
        for _ in range(200):
            pixel = np.array([rng.uniform(0.12, 0.88) * width, rng.uniform(0.2, 0.95) * height])
            x, y = self.camera.ground(pixel)
            if not 2.5 < y - self.camera.position[1] < self.back - 0.8:
                continue
            if all(np.hypot(x - f.place[0], y - f.place[1]) > f.radius + 0.35 for f in self.furniture):
                return float(x), float(y)
        return 0.0, self.back / 2

    def kept_clear(self, spots: Sequence[tuple[float, float]]) -> View:
        """The place for people who walk about: they keep away from these spots, too."""
        none, grey = np.zeros((0, 4, 3)), np.zeros((0, 3))
        return replace(self, furniture=(*self.furniture, *(Furniture(none, grey, spot, 0.45) for spot in spots)))


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    outdoor: bool
    furniture: tuple[str, ...]
    cast: tuple[float, float, float]
    sun: float
    sky: float
    softness: float


_KINDS = (
    _Kind(
        "square",
        True,
        ("bench", "tree", "planter", "bin", "bollard", "bollard", "tree"),
        (0.95, 1.0, 1.05),
        0.62,
        0.52,
        0.06,
    ),
    _Kind("hall", False, ("pillar", "plant", "bench", "plant", "sign", "pillar"), (0.86, 1.0, 1.06), 0.3, 0.72, 0.3),
    _Kind("shop", False, ("shelf", "counter", "shelf", "sign", "plant", "table"), (1.0, 1.03, 0.94), 0.28, 0.7, 0.35),
    _Kind("courtyard", True, ("planter", "bench", "bin", "bollard", "table", "tree"), (1.1, 1.0, 0.9), 0.16, 0.74, 0.4),
)


def make_view(index: int, seed: int, size: tuple[int, int]) -> View:
    """The place seen by camera ``index`` of the world with this seed."""
    rng = np.random.default_rng([seed, 1, index])
    kind = _KINDS[index % len(_KINDS)]
    width, height = size
    back = float(rng.uniform(14, 18) if kind.outdoor else rng.uniform(11, 14))
    mount = float(rng.uniform(3.0, 4.4) if kind.outdoor else rng.uniform(2.5, 3.3))
    focal = width * float(rng.uniform(0.78, 1.0))
    # The bottom of the picture meets the ground a few metres away, the top is about where the rear wall ends.
    nearest = float(rng.uniform(3.2, 4.8))
    pitch = float(np.arctan2(mount, nearest) - np.arctan2(height / 2, focal))
    camera = Camera(size, focal, (0.0, 0.0, mount), float(rng.uniform(-0.42, 0.42)), pitch, float(rng.normal(0, 0.012)))
    azimuth = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0.6, 1.0) if kind.outdoor else 1.3
    light = Light(
        (float(np.cos(azimuth) * np.cos(slope)), float(np.sin(azimuth) * np.cos(slope)), float(np.sin(slope))),
        kind.sun * float(rng.uniform(0.9, 1.1)),
        kind.sky * float(rng.uniform(0.92, 1.08)),
        0.5 if kind.sun > 0.5 else 0.32,
        kind.softness,
    )
    b, g, r = np.asarray(kind.cast) * rng.uniform(0.95, 1.05, 3)
    sensor = Sensor(
        cast=(float(b), float(g), float(r)),
        gamma=float(rng.uniform(0.85, 1.15)),
        noise=float(rng.uniform(1.2, 4.0)),
        blur=float(rng.choice([0.0, 0.45, 0.6, 0.8])),
        quality=int(rng.integers(25, 33)),
    )
    doors = tuple(
        (float(at - 0.75), float(at + 0.75)) for at in _door_places(rng, camera, back, 1 if kind.outdoor else 2)
    )
    columns = int(np.ceil(np.sqrt(max(4, index + 1))))
    site = (34.0 * (index % columns) + float(rng.uniform(-6, 6)), 30.0 * (index // columns) + float(rng.uniform(-6, 6)))
    place = View(
        name=f"cam{index + 1}", kind=kind.name, site=site, camera=camera, light=light, sensor=sensor, back=back,
        wall_height=7.5 if kind.outdoor else 4.2, doors=doors, furniture=(), portals=_portals(camera, back, doors),
        seed=int(rng.integers(1 << 30)),
    )  # fmt: skip
    return _furnished(place, kind, rng)


def _door_places(rng: np.random.Generator, camera: Camera, back: float, count: int) -> list[float]:
    """Middles of doors in the part of the rear wall that the camera sees."""
    width, height = camera.size
    seen = []
    for share in (0.1, 0.9):
        ray = camera.rays(np.array([share * width, height * 0.3]))
        seen.append(float(camera.position[0] + ray[0] / ray[1] * (back - camera.position[1])))
    cuts = np.linspace(seen[0], seen[1], count + 1)
    return [
        float(rng.uniform(low + 0.3 * (high - low), high - 0.3 * (high - low)))
        for low, high in itertools.pairwise(cuts)
    ]


def _portals(camera: Camera, back: float, doors: tuple[tuple[float, float], ...]) -> tuple[Portal, ...]:
    """Both sides of the picture near and far, the doors, and the way under the camera."""
    portals = []
    forward = np.array([np.sin(camera.yaw), np.cos(camera.yaw)])
    right = np.array([forward[1], -forward[0]])
    half = camera.size[0] / 2 / camera.focal
    for along in (0.42, 0.72):
        distance = along * back
        for side in (-1, 1):
            middle = distance * forward
            edge = middle + side * right * (half * distance * 1.02 + 0.4)
            away = edge + side * right * 1.6
            if away[1] < back - 0.6 and edge[1] > 1.5:
                portals.append(Portal((float(away[0]), float(away[1])), (float(edge[0]), float(edge[1]))))
    for low, high in doors:
        middle_x = (low + high) / 2
        portals.append(Portal((middle_x, back + 1.3), (middle_x, back - 0.5)))
    behind = -1.4 * forward + 0.8 * right
    ahead = 2.2 * forward + 0.9 * right
    portals.append(Portal((float(behind[0]), float(behind[1])), (float(ahead[0]), float(ahead[1]))))
    return tuple(portals)


def _furnished(place: View, kind: _Kind, rng: np.random.Generator) -> View:
    """The place with its furniture set up away from doors and from each other."""
    for what in kind.furniture:
        for _ in range(60):
            x, y = place.floor_spot(rng)
            if what in {"tree", "pillar"} and y < 0.45 * place.back:
                continue
            piece = make_furniture(what, rng, x, y)
            clear_of_ways = all(np.hypot(x - p.inside[0], y - p.inside[1]) > piece.radius + 0.8 for p in place.portals)
            clear_of_others = all(
                np.hypot(x - f.place[0], y - f.place[1]) > f.radius + piece.radius + 0.5 for f in place.furniture
            )
            if clear_of_ways and clear_of_others:
                place = replace(place, furniture=(*place.furniture, piece))
                break
    return place
