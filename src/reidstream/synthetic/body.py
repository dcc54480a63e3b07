"""A person's surface: quads around the limbs, posed over a whole gait cycle, each with the colour of its cloth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.synthetic import cloth
from reidstream.synthetic.gait import Skeleton, skeleton, stride_length
from reidstream.synthetic.wardrobe import Look

Array = npt.NDArray[np.float64]
Grid = npt.NDArray[np.float64]
Paint = Callable[[Grid, Grid], Grid]
"""(how far along the tube 0..1, angle: 0 right, pi/2 front, pi left) of m quads -> BGR (m, 3)."""

WALK_STEPS = 32
STAND_STEPS = 8


@dataclass(frozen=True, slots=True)
class Body:
    """A posed surface, ready to be drawn.

    walk: float32 (32, v, 3), stand: float32 (8, v, 3): vertices in metres over one cycle; x right, y forward, z up.
    faces: int32 (4, f), counter-clockwise from outside. albedo: float32 (f, 3), BGR 0..255.
    groups: vertex ranges of convex-ish parts, for shadows. figure: how many of the first vertices belong to the person
    (bags come after them and do not count in the box).
    stride: metres per cycle. coarse: the same with about a third of the faces, for people who are far away.
    """

    walk: npt.NDArray[np.float32]
    stand: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    albedo: npt.NDArray[np.float32]
    groups: tuple[tuple[int, int], ...]
    figure: int
    stride: float
    height: float
    coarse: Body | None = None

    def posed(self, cycle: float, walking: float, idle: float | None = None) -> npt.NDArray[np.float32]:
        """The vertices at a point of the cycle (0..1); ``walking`` blends from standing (0) to walking (1).

        idle: the point of the cycle of standing, where it is another.
        """
        if walking <= 0:
            return _between(self.stand, cycle if idle is None else idle)
        walk = _between(self.walk, cycle)
        if walking >= 1:
            return walk
        return walking * walk + (1 - walking) * _between(self.stand, cycle if idle is None else idle)


def _between(table: npt.NDArray[np.float32], cycle: float) -> npt.NDArray[np.float32]:
    at = cycle % 1.0 * len(table)
    low = int(at) % len(table)
    part = np.float32(at - int(at))
    result: npt.NDArray[np.float32] = table[low] + part * (table[(low + 1) % len(table)] - table[low])
    return result


def make_body(look: Look, staying: Skeleton | None = None) -> Body:
    """The surface of one person, in both gaits and both resolutions. staying: another way of standing."""
    walk = skeleton(look.build, look.arms, np.arange(WALK_STEPS) / WALK_STEPS, 1.0)
    stand = staying or skeleton(look.build, look.arms, np.arange(STAND_STEPS) / STAND_STEPS, 0.0)
    return _sewn(look, walk, stand, 1.0, _sewn(look, walk, stand, 0.55, None))


def _sewn(look: Look, walking: Skeleton, standing: Skeleton, detail: float, coarse: Body | None) -> Body:
    walk, stand = _Tailor(look, walking, detail), _Tailor(look, standing, detail)
    for tailor in (walk, stand):
        tailor.dress()
    return Body(
        walk=np.concatenate(walk.vertices, axis=1).astype(np.float32),
        stand=np.concatenate(stand.vertices, axis=1).astype(np.float32),
        faces=np.ascontiguousarray(np.concatenate(walk.faces).T.astype(np.int32)),
        albedo=np.clip(np.concatenate(walk.albedo), 4, 250).astype(np.float32),
        groups=tuple(walk.groups),
        figure=walk.figure,
        stride=stride_length(look.build),
        height=look.build.height,
        coarse=coarse,
    )


class _Tailor:
    """Sews tubes around a skeleton. Every tube runs upwards (or forwards), so angles mean the same on all of them."""

    def __init__(self, look: Look, bones: Skeleton, detail: float) -> None:
        self.look = look
        self.detail = detail
        self.bones = bones
        self.h = look.build.height
        self.vertices: list[Array] = []
        self.faces: list[npt.NDArray[np.int64]] = []
        self.albedo: list[Array] = []
        self.groups: list[tuple[int, int]] = []
        self.count = 0
        self.figure = 0

    def dress(self) -> None:
        """All of a person, from the feet up, then what is carried."""
        for side in (0, 1):
            self._foot(side)
            self._leg(side)
        if self._skirt_length() > 0:
            self._skirt()
        self._torso()
        for side in (0, 1):
            self._arm(side)
        self._head()
        self.figure = self.count
        self._bag()

    def tube(
        self,
        path: Array,
        across: Array | tuple[float, float, float],
        wide: Array | list[float],
        deep: Array | list[float],
        paint: Paint,
        n: int,
        keep: Callable[[Grid, Grid], npt.NDArray[np.bool_]] | None = None,
        folds: float = 0.0,
        box: float = 1.0,
    ) -> None:
        """Rings with half-axes ``wide`` (towards ``across``) and ``deep`` around ``path`` (k, r, 3), joined by quads.

        across: (3,) or (k, 3). wide, deep: metres, (r,) or (k, r). keep: which quads to make. folds: depth of the
        cloth's folds as a share of the radius. box: exponent of a superellipse, below 1 is boxier.
        """
        rng = np.random.default_rng([self.look.wear, len(self.groups)])
        k, rings, _ = path.shape
        picked = np.unique(np.rint(np.linspace(0, rings - 1, max(4, round(self.detail * rings)))).astype(int))
        r = len(picked)
        n = max(6, 2 * round(self.detail * n / 2))
        wide = np.broadcast_to(np.asarray(wide, float), (k, rings))[:, picked, None, None]
        deep = np.broadcast_to(np.asarray(deep, float), (k, rings))[:, picked, None, None]
        path = path[:, picked]
        along = np.gradient(path, axis=1)
        along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
        side = np.broadcast_to(np.asarray(across, float).reshape(-1, 1, 3), (k, r, 3))
        side = side - (side * along).sum(-1, keepdims=True) * along
        side = side / np.linalg.norm(side, axis=-1, keepdims=True)
        front = np.cross(along, side)
        angle = 2 * np.pi * np.arange(n) / n
        c, s = np.cos(angle), np.sin(angle)
        c, s = np.sign(c) * np.abs(c) ** box, np.sign(s) * np.abs(s) ** box
        ripple = 1 + folds * _smooth_noise(rng, r, n)
        shape = wide * side[:, :, None] * (c * ripple)[None, ..., None]
        shape = shape + deep * front[:, :, None] * (s * ripple)[None, ..., None]
        self.vertices.append((path[:, :, None] + shape).reshape(k, r * n, 3))

        ring = np.arange(r - 1)[:, None] * n
        here, there = np.arange(n)[None], (np.arange(n)[None] + 1) % n
        faces = np.stack([ring + here, ring + there, ring + n + there, ring + n + here], -1)
        middles = (picked[:-1] + picked[1:]) / 2 / (rings - 1)
        t = np.broadcast_to(middles[:, None], (r - 1, n))
        a = np.broadcast_to((angle + np.pi / n)[None], (r - 1, n))
        colour = paint(t.ravel(), a.ravel())
        shade = 1 + (0.025 + 0.7 * folds) * _smooth_noise(rng, r - 1, n) + 0.012 * rng.normal(size=(r - 1, n))
        colour = colour * shade.reshape(-1, 1)
        chosen = np.ones((r - 1) * n, bool) if keep is None else keep(t.ravel(), a.ravel())
        self.faces.append(faces.reshape(-1, 4)[chosen] + self.count)
        self.albedo.append(colour[chosen])
        self.groups.append((self.count, self.count + r * n))
        self.count += r * n

    def _foot(self, side: int) -> None:
        b, h = self.bones, self.h
        heel, toe = b.heels[side], b.toes[side]
        ankle = b.ankles[side]
        t = np.array([-0.06, 0.0, 0.12, 0.3, 0.5, 0.7, 0.9, 1.0])
        high = np.array([0.008, 0.021, 0.026, 0.028, 0.022, 0.016, 0.012, 0.003]) * h
        wide = np.array([0.008, 0.02, 0.023, 0.023, 0.026, 0.028, 0.022, 0.006]) * h
        forward = toe - heel
        up = ankle - (heel + 0.27 * forward)
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        path = heel[:, None] + t[None, :, None] * forward[:, None] + high[None, :, None] * up[:, None]
        sole = np.asarray(self.look.shoes) * (0.5 if min(self.look.shoes) > 90 else 1.6)
        shoe = np.asarray(self.look.shoes)
        # On a forward tube pi/2 points down.
        self.tube(
            path, b.across, wide, high, lambda _, a: np.where((np.sin(a) > 0.75)[:, None], sole, shoe), n=10, box=0.85
        )

    def _leg(self, side: int) -> None:
        b, h, look = self.bones, self.h, self.look
        hip, knee, ankle = b.hips[side], b.knees[side], b.ankles[side]
        low, high = np.linspace(-0.08, 0.95, 9), np.linspace(0.04, 1.06, 9)
        path = np.concatenate(
            [
                ankle[:, None] + low[None, :, None] * (knee - ankle)[:, None],
                knee[:, None] + high[None, :, None] * (hip - knee)[:, None],
            ],
            axis=1,
        )
        t = np.linspace(0, 1, 18)
        girth = 0.5 + 0.5 * look.build.girth
        radius = np.interp(
            t, [0, 0.06, 0.18, 0.33, 0.46, 0.52, 0.7, 0.9, 1],
            np.array([0.021, 0.021, 0.028, 0.034, 0.029, 0.032, 0.043, 0.051, 0.046]) * h * girth,
        )  # fmt: skip
        covered = t >= 1 - look.hem
        skirted = look.top == "dress" or look.bottom == "skirt"
        if not skirted:
            loose = look.looseness + (0.25 if look.bottom == "shorts" else 0.0)
            fall = np.interp(t, [0, 0.3, 0.6, 1], [0.034, 0.036, 0.044, 0.05]) * h * girth
            cloth_radius = np.maximum(radius * 1.05, loose * (0.35 * radius + 0.65 * fall) / 1.05)
            radius = np.where(covered, cloth_radius, radius)
        radius[0] *= 0.5
        # What a skirt or coat covers is not made at all: drawn quad by quad, it would show through.
        limit = 1.03 - self._skirt_length()

        def below(along: Grid, angle: Grid) -> npt.NDArray[np.bool_]:
            return along < limit

        paint = cloth.leg_paint(look, skirted)
        self.tube(path, b.across, radius * 0.94, radius * 1.02, paint, n=12, folds=0.05, keep=below)

    def _skirt_length(self) -> float:
        """How far down the leg a skirt, dress or coat hangs, 0..1; 0 when there is none."""
        look = self.look
        if look.top == "coat":
            return 0.52
        if look.top == "dress":
            return max(0.4, look.hem - 0.25)
        return look.hem if look.bottom == "skirt" else 0.0

    def _skirt(self) -> None:
        """Cloth that hangs from the waist around both legs: a skirt, a dress's lower half, a coat's."""
        b, h, look = self.bones, self.h, self.look
        hem = self._skirt_length()
        flare = {"coat": 1.12, "dress": 1.25}.get(look.top, 1.2)
        r = 9
        t = np.linspace(0, 1, r)
        # Where each leg is at the ring's height, down to the hem (as a share of the leg below the hip).
        down = hem * (1 - t)
        legs = []
        for side in (0, 1):
            upper = (
                b.hips[side][:, None]
                + (2 * np.minimum(down, 0.5))[None, :, None] * (b.knees[side] - b.hips[side])[:, None]
            )
            lower = (2 * np.maximum(down - 0.5, 0))[None, :, None] * (b.ankles[side] - b.knees[side])[:, None]
            legs.append(upper + lower)
        middle = (legs[0] + legs[1]) / 2
        top = b.pelvis[:, None] + np.array([0, 0, 0.11 * h])
        path = np.where((t > 0.8)[None, :, None], middle + (top - middle) * ((t - 0.8) / 0.2)[None, :, None], middle)
        spread = np.abs(legs[0] - legs[1]) / 2
        body = np.interp(t, [0, 0.75, 1], [0.075 * flare, 0.098 * look.build.hips, 0.086 * look.build.girth]) * h
        wide = np.maximum(body[None], spread[..., 0] + 0.045 * h)
        deep = np.maximum(0.78 * body[None], spread[..., 1] + 0.05 * h)
        self.tube(path, b.across, wide, deep, cloth.skirt_paint(look), n=16, folds=0.07)

    def _torso(self) -> None:
        b, h, look = self.bones, self.h, self.look
        build = look.build
        thick = {"coat": 1.12, "jacket": 1.1, "vest": 1.16, "hoodie": 1.1}.get(look.top, 1.02)
        keys = [-0.12, -0.06, 0.03, 0.16, 0.3, 0.45, 0.6, 0.75, 0.86, 0.93, 0.98, 1.0]
        wide = np.array([0.03, 0.08, 0.096, 0.094, 0.084, 0.088, 0.098, 0.106, 0.103, 0.082, 0.052, 0.034])
        deep = np.array([0.03, 0.06, 0.07, 0.068, 0.058, 0.061, 0.067, 0.07, 0.063, 0.05, 0.038, 0.032])
        chest = (build.girth + build.shoulders) / 2
        girths = [build.hips, build.hips, build.girth, chest, build.shoulders, 1]
        factor = np.interp(keys, [-0.1, 0.1, 0.35, 0.6, 0.9, 1.0], girths)
        covering = np.where(np.array(keys) < 0.96, thick, 1.0)
        t = np.linspace(keys[0], 1.0, 23)
        wide, deep = (np.interp(t, keys, axis * factor * covering * h) for axis in (wide, deep))
        belly = build.belly * np.exp(-(((t - 0.28) / 0.22) ** 2))
        deep = deep + belly / 2
        up = (b.neck - b.pelvis)[:, None]
        path = b.pelvis[:, None] + t[None, :, None] * up + np.stack([0 * t, belly / 2, 0 * t], -1)[None]
        across = _unit(b.across + np.array([1.5, 0, 0]))
        self.tube(path, across, wide, deep, cloth.torso_paint(look, float(keys[0])), n=20, folds=0.035, box=0.86)

    def _arm(self, side: int) -> None:
        b, h, look = self.bones, self.h, self.look
        shoulder, elbow, wrist, tip = b.shoulders[side], b.elbows[side], b.wrists[side], b.fingers[side]
        girth = 0.45 + 0.55 * look.build.girth
        thick = {"coat": 1.3, "jacket": 1.3, "hoodie": 1.3, "shirt": 1.15, "vest": 1.2}.get(look.top, 1.12)
        low, high = np.linspace(-0.03, 0.93, 7), np.linspace(0.05, 1.07, 8)
        path = np.concatenate(
            [
                wrist[:, None] + low[None, :, None] * (elbow - wrist)[:, None],
                elbow[:, None] + high[None, :, None] * (shoulder - elbow)[:, None],
            ],
            axis=1,
        )
        t = np.linspace(0, 1, 15)
        radius = np.interp(
            t,
            [0, 0.2, 0.42, 0.5, 0.75, 0.93, 1.0],
            np.array([0.016, 0.022, 0.025, 0.025, 0.03, 0.03, 0.009]) * h * girth,
        )
        radius = np.where(t >= 1 - look.sleeve, radius * thick, radius)
        self.tube(path, b.across, radius, radius, cloth.arm_paint(look), n=10, folds=0.05)
        t = np.array([0.0, 0.25, 0.5, 0.8, 1.0])
        hand = wrist[:, None] + (t[None, :, None] * 1.0 - 0.05) * (tip - wrist)[:, None]
        shape = np.array([0.014, 0.021, 0.022, 0.015, 0.005]) * h
        skin = np.asarray(look.skin) * 0.96
        self.tube(hand, b.across, shape * 0.62, shape, lambda t, a: np.full((len(t), 3), skin, float), n=8)

    def _head(self) -> None:
        b, h, look = self.bones, self.h, self.look
        neck = np.stack([b.neck - np.array([0, 0, 0.012 * h]), b.head + np.array([0, 0, 0.025 * h])], 1)
        neck = neck[:, :1] + np.linspace(0, 1, 4)[None, :, None] * (neck[:, 1:] - neck[:, :1])
        skin = np.asarray(look.skin) * 0.85
        self.tube(
            neck, b.across, [0.033 * h] * 4, [0.034 * h] * 4, lambda t, a: np.full((len(t), 3), skin, float), n=10
        )
        up = b.crown - b.head
        t = np.array([-0.03, 0.02, 0.08, 0.16, 0.26, 0.36, 0.45, 0.54, 0.64, 0.76, 0.86, 0.94, 0.99, 1.01])
        size = np.array(
            [0.006, 0.02, 0.027, 0.034, 0.038, 0.041, 0.0425, 0.0435, 0.0435, 0.042, 0.037, 0.027, 0.015, 0.003]
        )
        depth = np.array(
            [0.008, 0.024, 0.034, 0.043, 0.049, 0.052, 0.054, 0.056, 0.057, 0.055, 0.048, 0.036, 0.02, 0.004]
        )
        path = b.head[:, None] + t[None, :, None] * up[:, None]
        path = (
            path + np.array([0, 1, 0]) * np.interp(t, [0, 0.2, 0.6, 1], [0.022, 0.012, 0.0, -0.004])[None, :, None] * h
        )
        paint = cloth.head_paint(look)
        self.tube(path, (1, 0, 0), size * h, depth * h, paint, n=20)
        nose = b.head + 0.40 * up + np.array([0, 0.052 * h, 0])
        step = np.array([-0.14, -0.07, 0.02, 0.12])[None, :, None] * up[:, None]
        tilt = np.array([0.004, 0.009, 0.004, -0.004])[None, :, None] * h * np.array([0, 1, 0])
        tone = np.asarray(look.skin) * 1.02
        self.tube(
            nose[:, None] + step + tilt,
            (1, 0, 0),
            [0.003 * h, 0.008 * h, 0.006 * h, 0.002 * h],
            [0.003 * h, 0.008 * h, 0.007 * h, 0.003 * h],
            lambda t, a: np.full((len(t), 3), tone, float),
            n=6,
        )
        self._hair(up)

    def _hair(self, up: Array) -> None:
        b, h, look = self.bones, self.h, self.look
        style = look.hair_style
        if style == "bald":
            return
        lowest = {"long": -0.75, "bob": -0.12}.get(style, 0.22)
        t = np.linspace(lowest, 1.05, 14)
        puff = {"cap": 0.003, "beanie": 0.006}.get(style, 0.005 + 0.005 * (look.wear % 101) / 101) * h
        size = np.interp(
            t,
            [-0.8, -0.2, 0.2, 0.4, 0.6, 0.78, 0.88, 0.96, 1.05],
            np.array([0.034, 0.042, 0.042, 0.043, 0.0445, 0.0425, 0.037, 0.026, 0.002]) * h,
        )
        depth = np.interp(
            t,
            [-0.8, -0.2, 0.2, 0.4, 0.6, 0.78, 0.88, 0.96, 1.05],
            np.array([0.03, 0.04, 0.05, 0.053, 0.057, 0.055, 0.048, 0.036, 0.003]) * h,
        )
        back = np.interp(t, [-0.8, -0.2, 0.2, 0.6], np.array([-0.034, -0.02, -0.004, -0.002]) * h)
        path = b.head[:, None] + t[None, :, None] * up[:, None] + back[None, :, None] * np.array([0, 1, 0])
        span = 1.05 - lowest

        def keep(along: Grid, angle: Grid) -> npt.NDArray[np.bool_]:
            height = lowest + along * span
            facing = np.sin(angle)
            limit = {"cap": 0.62, "beanie": 0.6}.get(style, 0.78)
            hang = 0.62 if style in {"long", "bob"} else 0.35
            return (height > limit) | (facing < np.interp(height, [-0.8, 0.2, limit], [hang - 0.5, hang, hang + 0.3]))

        self.tube(
            path, (1, 0, 0), size + puff, depth + puff, cloth.hair_paint(look, lowest), n=20, keep=keep, folds=0.03
        )
        if style in {"bun", "ponytail"}:
            end = np.array([0, -0.075, 0.012]) if style == "bun" else np.array([0, -0.07, -0.13])
            start = b.head + 0.62 * up + np.array([0, -0.045 * h, 0])
            tail = start[:, None] + np.linspace(0, 1, 6)[None, :, None] * (end * h)
            shape = np.array(
                [0.01, 0.024, 0.03, 0.03, 0.022, 0.004] if style == "bun" else [0.012, 0.018, 0.02, 0.019, 0.014, 0.003]
            )
            self.tube(tail, (1, 0, 0), shape * h, shape * h, cloth.hair_paint(look, 0.0), n=8, folds=0.05)
        if style == "cap":
            brim = b.head + 0.66 * up + np.array([0, 0.04 * h, 0])
            path = brim[:, None] + np.linspace(0, 1, 4)[None, :, None] * np.array([0, 0.058 * h, -0.008 * h])
            shade = np.asarray(look.top_second) * 0.8
            self.tube(
                path,
                (1, 0, 0),
                np.array([0.042, 0.04, 0.03, 0.008]) * h,
                np.full(4, 0.004 * h),
                lambda t, a: np.full((len(t), 3), shade, float),
                n=8,
            )

    def _bag(self) -> None:
        b, h, look = self.bones, self.h, self.look
        if look.bag == "none":
            return
        paint = cloth.bag_paint(look)
        if look.bag == "backpack":
            t = np.linspace(0.34, 0.95, 8)
            back = np.array([0, -0.125 - 0.05 * (look.build.girth - 1), 0]) * h
            path = b.pelvis[:, None] + t[None, :, None] * (b.neck - b.pelvis)[:, None] + back
            shape = np.array([0.02, 0.075, 0.085, 0.087, 0.087, 0.083, 0.07, 0.015]) * h
            self.tube(path, b.across, shape, shape * 0.55, paint, n=12, folds=0.03, box=0.6)
            return
        if look.bag == "shoulder bag":
            centre = b.pelvis + h * np.array([0.125 * look.build.hips, -0.02, 0.02])
            size, tall = 0.075, 0.1
        else:
            centre = (b.wrists[1] + b.fingers[1]) / 2 - np.array([0, 0, 0.09 * h])
            size, tall = (0.085, 0.09) if look.bag == "handbag" else (0.1, 0.14)
        t = np.array([-0.02, 0.02, 0.3, 0.6, 0.9, 1.0])
        path = centre[:, None] + (t[None, :, None] - 0.5) * np.array([0, 0, 2 * tall * 0.75 * h])
        shape = np.array([0.3, 0.95, 1.0, 0.97, 0.9, 0.4]) * size * h
        self.tube(path, (1, 0, 0), shape * 0.4, shape, paint, n=12, folds=0.03, box=0.5)
        self._strap(centre, tall)

    def _strap(self, centre: Array, tall: float) -> None:
        b, h, look = self.bones, self.h, self.look
        start = centre + np.array([0, 0, 0.7 * tall * h])
        if look.bag == "shoulder bag":
            ends = [b.shoulders[0] + h * np.array([0.03, depth, 0.035]) for depth in (0.06, -0.06)]
        else:
            ends = [(b.wrists[1] + b.fingers[1]) / 2]
        colour = np.asarray(look.bag_colour) * 0.7
        for end in ends:
            path = start[:, None] + np.linspace(0, 1, 7)[None, :, None] * (end - start)[:, None]
            if look.bag == "shoulder bag":
                bow = np.sin(np.linspace(0, np.pi, 7)) * 0.055 * h * (1 if end is ends[0] else -1)
                path = path + bow[None, :, None] * np.array([0, 1, 0])
            width = np.full(7, 0.012 * h)
            self.tube(path, (0, 1, 0.3), width, width * 0.6, lambda t, a: np.full((len(t), 3), colour, float), n=4)


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Noise of about unit size that varies slowly along a tube and is periodic around it."""
    along = np.linspace(0, 1, rows)[:, None] if rows > 1 else np.zeros((1, 1))
    around = 2 * np.pi * np.arange(columns)[None] / columns
    total = np.zeros((rows, columns))
    for _ in range(5):
        frequency = rng.uniform(1.5, 7.0)
        turns = int(rng.integers(0, 4))
        total += np.sin(2 * np.pi * frequency * along + turns * around + rng.uniform(0, 2 * np.pi))
    return total / 2.2
