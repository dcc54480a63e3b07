"""Things that stand about and hide people: benches, plants, columns, shelves, bins, tables, screens."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Furniture:
    """A thing on the ground. quads: (f, 4, 3) metres, counter-clockwise from outside. albedo: (f, 3) BGR 0..255.
    place: its middle on the ground (x, y). radius: metres that people keep away from its middle. kind: what it is.
    turn: radians, counter-clockwise."""

    quads: Array
    albedo: Array
    place: tuple[float, float]
    radius: float
    kind: str = ""
    turn: float = 0.0


def make_furniture(kind: str, rng: np.random.Generator, x: float, y: float) -> Furniture:
    """One piece of the given kind, standing at (x, y) and turned at random."""
    parts, radius = _MAKERS[kind](rng)
    quads = np.concatenate([quads for quads, _ in parts])
    albedo = np.concatenate([albedo for _, albedo in parts])
    turn = rng.uniform(-0.4, 0.4)
    c, s = np.cos(turn), np.sin(turn)
    turned = quads.copy()
    turned[..., 0] = quads[..., 0] * c - quads[..., 1] * s + x
    turned[..., 1] = quads[..., 0] * s + quads[..., 1] * c + y
    albedo = np.clip(albedo * (1 + 0.05 * rng.normal(size=(len(albedo), 1))), 0, 250)
    return Furniture(turned, albedo, (x, y), radius, kind, float(turn))


Part = tuple[Array, Array]
Parts = tuple[list[Part], float]


def box_quads(
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    colour: tuple[float, float, float],
    cells: int = 3,
) -> Part:
    """A box of quads; its sides are cut into ``cells`` x ``cells`` so that they can vary in tone."""
    corner = np.array([[x[i & 1], y[i >> 1 & 1], z[i >> 2 & 1]] for i in range(8)])
    sides = [(0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6), (4, 5, 7, 6)]
    step = np.linspace(0, 1, cells + 1)
    quads = []
    for a, b, c, d in sides:
        grid = [
            [(1 - v) * ((1 - u) * corner[a] + u * corner[b]) + v * ((1 - u) * corner[d] + u * corner[c]) for u in step]
            for v in step
        ]
        quads += [
            [grid[i][j], grid[i][j + 1], grid[i + 1][j + 1], grid[i + 1][j]] for i in range(cells) for j in range(cells)
        ]
    return np.array(quads), np.tile(np.asarray(colour, float), (len(quads), 1))


def column_quads(
    radius: tuple[float, float], z: tuple[float, float], colour: tuple[float, float, float], n: int = 20
) -> Part:
    """A round body from the lower to the upper radius, closed on top."""
    angle = 2 * np.pi * np.arange(n + 1) / n
    levels = np.linspace(0, 1, 7)
    rings = [
        np.stack([np.cos(angle) * r, np.sin(angle) * r, np.full(n + 1, h)], -1)
        for r, h in ((radius[0] + t * (radius[1] - radius[0]), z[0] + t * (z[1] - z[0])) for t in levels)
    ]
    quads = [[low[j], low[j + 1], up[j + 1], up[j]] for low, up in itertools.pairwise(rings) for j in range(n)]
    top = np.array([0, 0, z[1]])
    quads += [[rings[-1][j], rings[-1][j + 1], top, top] for j in range(n)]
    return np.array(quads), np.tile(np.asarray(colour, float), (len(quads), 1))


def _leaves(rng: np.random.Generator, count: int, centre: float, size: tuple[float, float], leaf: float) -> Part:
    """A cloud of leaves around (0, 0, centre); size: its radius and half its height in metres."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    at = direction * rng.uniform(0.45, 1, (count, 1)) * np.array([size[0], size[0], size[1]]) + np.array([0, 0, centre])
    one = rng.normal(size=(count, 3))
    one *= leaf / np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(one, direction) * 0.5
    quads = np.stack([at - one, at - two, at + one, at + two], 1)
    green = np.array([40, 92, 56]) * rng.uniform(0.55, 1.35, (count, 1)) + rng.normal(0, 6, (count, 3))
    # Seen from either side.
    return np.concatenate([quads, quads[:, ::-1]]), np.concatenate([green, green * 0.8])


def _tint(rng: np.random.Generator, *choices: tuple[float, float, float]) -> tuple[float, float, float]:
    b, g, r = np.clip(np.asarray(choices[rng.integers(len(choices))]) * rng.uniform(0.85, 1.15), 5, 245)
    return float(b), float(g), float(r)


def _bench(rng: np.random.Generator) -> Parts:
    wood = _tint(rng, (58, 92, 132), (80, 116, 150), (90, 90, 92))
    slats = [box_quads((-0.85, 0.85), (-0.25 + 0.13 * i, -0.15 + 0.13 * i), (0.42, 0.46), wood, 2) for i in range(4)]
    back = [box_quads((-0.85, 0.85), (0.27, 0.31), (0.52 + 0.14 * i, 0.62 + 0.14 * i), wood, 2) for i in range(3)]
    legs = [box_quads((s - 0.04, s + 0.04), (-0.24, 0.28), (0, 0.42), (50, 50, 52), 2) for s in (-0.7, 0.7)]
    return [*legs, *slats, *back], 1.0


def _plant(rng: np.random.Generator) -> Parts:
    pot = column_quads((0.22, 0.32), (0, 0.5), _tint(rng, (70, 96, 150), (120, 120, 122), (200, 204, 206)))
    return [pot, _leaves(rng, 260, 1.05, (0.5, 0.6), 0.13)], 0.7


def _tree(rng: np.random.Generator) -> Parts:
    trunk = column_quads((0.16, 0.11), (0, 2.4), (52, 70, 88))
    return [trunk, _leaves(rng, 520, 3.1, (1.3, 1.1), 0.2)], 0.55


def _pillar(rng: np.random.Generator) -> Parts:
    return [column_quads((0.28, 0.28), (0, 3.6), _tint(rng, (168, 176, 180), (140, 140, 140), (190, 196, 206)))], 0.7


def _bin(rng: np.random.Generator) -> Parts:
    body = column_quads((0.22, 0.24), (0, 0.85), _tint(rng, (60, 90, 50), (70, 70, 72), (120, 70, 40)))
    return [body, column_quads((0.25, 0.2), (0.85, 0.95), (40, 40, 42))], 0.55


def _table(rng: np.random.Generator) -> Parts:
    top = column_quads((0.42, 0.42), (0.7, 0.74), _tint(rng, (120, 150, 178), (200, 204, 208), (60, 80, 104)))
    stool = [_tint(rng, (60, 60, 140), (60, 60, 62), (140, 110, 60))] * 2
    seats = []
    for side, colour in zip((-0.7, 0.7), stool, strict=True):
        quads, albedo = column_quads((0.17, 0.17), (0.42, 0.47), colour)
        leg, grey = column_quads((0.03, 0.03), (0, 0.42), (90, 90, 92), 8)
        seats += [(quads + np.array([side, 0.1, 0]), albedo), (leg + np.array([side, 0.1, 0]), grey)]
    return [column_quads((0.05, 0.04), (0, 0.7), (90, 90, 92), 10), top, *seats], 1.05


def _shelf(rng: np.random.Generator) -> Parts:
    frame = _tint(rng, (190, 194, 196), (90, 116, 140))
    parts = [box_quads((-0.9, 0.9), (-0.25, 0.25), (0, 1.32), frame, 4)]
    for level in range(3):
        for at in np.arange(-0.84, 0.8, 0.14):
            goods = _tint(rng, (60, 60, 170), (170, 120, 50), (70, 150, 80), (60, 170, 200), (220, 220, 220))
            tall = rng.uniform(0.16, 0.3)
            parts.append(
                box_quads((at, at + 0.11), (-0.31, -0.25), (0.1 + 0.41 * level, 0.1 + 0.41 * level + tall), goods, 1)
            )
    return parts, 1.15


def _counter(rng: np.random.Generator) -> Parts:
    front = _tint(rng, (150, 130, 100), (90, 110, 140), (176, 180, 184))
    return [
        box_quads((-1.1, 1.1), (-0.3, 0.3), (0, 1.0), front, 4),
        box_quads((-1.15, 1.15), (-0.35, 0.35), (1.0, 1.05), (60, 66, 74), 3),
    ], 1.35


def _bollard(rng: np.random.Generator) -> Parts:
    return [column_quads((0.09, 0.09), (0, 0.9), _tint(rng, (60, 60, 62), (180, 180, 182)), 12)], 0.4


def _sign(rng: np.random.Generator) -> Parts:
    board = box_quads((-0.34, 0.34), (-0.04, 0.04), (0.1, 1.25), _tint(rng, (230, 230, 230), (80, 60, 40)), 2)
    poster = box_quads(
        (-0.27, 0.27), (-0.06, -0.04), (0.35, 1.15), _tint(rng, (70, 90, 200), (190, 120, 40), (70, 180, 210)), 3
    )
    return [board, poster], 0.6


def _planter(rng: np.random.Generator) -> Parts:
    trough = box_quads((-0.9, 0.9), (-0.25, 0.25), (0, 0.5), _tint(rng, (110, 114, 118), (60, 84, 116)), 4)
    bushes = []
    for at in (-0.6, 0.0, 0.6):
        quads, albedo = _leaves(rng, 140, 0.75, (0.36, 0.36), 0.1)
        bushes.append((quads + np.array([at, 0, 0]), albedo))
    return [trough, *bushes], 1.15


_MAKERS = {
    "bench": _bench, "plant": _plant, "tree": _tree, "pillar": _pillar, "bin": _bin, "table": _table, "shelf": _shelf,
    "counter": _counter, "bollard": _bollard, "sign": _sign, "planter": _planter,
}  # fmt: skip
