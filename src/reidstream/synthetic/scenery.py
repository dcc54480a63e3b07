"""The picture of an empty place: floor, walls, sky and furniture, and how far away each pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.synthetic.places import View

Array = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """image: uint8 (h, w, 3) BGR. depth: float32 (h, w), metres along the optical axis to what hides a person who is
    farther away; infinite where nothing does (floor, sky)."""

    image: Pixels
    depth: Array


_OVERSAMPLING = 2
_FLOORS = {"square": "slabs", "hall": "tiles", "shop": "planks", "courtyard": "asphalt"}


def make_backdrop(place: View) -> Backdrop:
    """Draw the empty place once: rays against floor, rear wall and ceiling, then the furniture on top."""
    rng = np.random.default_rng(place.seed)
    camera = place.camera
    width, height = camera.size
    n = _OVERSAMPLING
    xs = (np.arange(width * n, dtype=np.float32) + 0.5) / n
    ys = (np.arange(height * n, dtype=np.float32) + 0.5) / n
    grid = np.stack(np.meshgrid(xs, ys), -1)
    ray = camera.rays(grid).astype(np.float32)
    mount = camera.position[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        to_floor = np.where(ray[..., 2] < -1e-5, -mount / ray[..., 2], np.inf)
        to_wall = np.where(ray[..., 1] > 1e-5, place.back / ray[..., 1], np.inf)
        to_top = np.where(ray[..., 2] > 1e-5, (place.wall_height - mount) / ray[..., 2], np.inf)
    grain = _grain(rng)
    image = np.zeros((*ray.shape[:2], 3), np.float32)
    depth = np.full(ray.shape[:2], np.inf, np.float32)
    floor = (to_floor <= to_wall) & (to_floor < to_top)
    wall = ~floor & (to_wall <= to_top)
    top = ~floor & ~wall
    at = ray[floor][:, :2] * to_floor[floor][:, None]
    image[floor] = _floor(rng, _FLOORS[place.kind], at[:, 0], at[:, 1], to_floor[floor], place, grain)
    across = ray[wall][:, 0] * to_wall[wall]
    up = mount + ray[wall][:, 2] * to_wall[wall]
    image[wall], opening = _wall(rng, place, across, up, grain)
    depth[wall] = np.where(opening, np.inf, to_wall[wall])
    if top.any():
        image[top] = _overhead(rng, place, ray[top], to_top[top], grain)
    _furniture(place, image, depth, rng)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    near = depth.reshape(height, n, width, n).min(axis=(1, 3))
    haze = cv2.resize(rng.normal(size=(5, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    small *= (1 + 0.05 * haze)[..., None]
    return Backdrop(np.clip(small, 0, 255).astype(np.uint8), near)


def _grain(rng: np.random.Generator) -> Array:
    """(512, 512) noise of unit size that repeats seamlessly, with detail at every scale."""
    total = np.zeros((512, 512), np.float32)
    for octave in range(1, 8):
        cells = 2**octave
        noise = np.tile(rng.normal(size=(cells, cells)).astype(np.float32), (3, 3))
        large = cv2.resize(noise, (1536, 1536), interpolation=cv2.INTER_LINEAR)[512:1024, 512:1024]
        total += large * 0.8 ** (octave - 1)
    result: Array = (total / total.std()).astype(np.float32)
    return result


def _sample(grain: Array, x: Array, y: Array, per_metre: float) -> Array:
    column = (x * per_metre).astype(np.int32) & 511
    row = (y * per_metre).astype(np.int32) & 511
    result: Array = grain[row, column]
    return result


def _hashed(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """One random number (-1..1) per integer cell."""
    table = rng.uniform(-1, 1, 4096).astype(np.float32)
    result: Array = table[(np.floor(x).astype(np.int64) * 7919 + np.floor(y).astype(np.int64) * 104729) & 4095]
    return result


def _lines(value: Array, width: Array | float) -> Array:
    """1 on the lines between integer cells, 0 elsewhere; width in cells."""
    edge = np.abs(np.mod(value, 1) - 0.5)
    result: Array = np.clip((edge - (0.5 - width)) / np.maximum(width, 1e-6) * 2, 0, 1).astype(np.float32)
    return result


def _floor(rng: np.random.Generator, kind: str, x: Array, y: Array, away: Array, place: View, grain: Array) -> Array:
    fade = np.clip(9 / away, 0.15, 1)  # far joints blur into the surface
    fine = _sample(grain, x, y, 190) * 3.5 * fade
    broad = _sample(grain, x, y, 23) * 5
    tone = rng.uniform(0.85, 1.12)
    if kind == "slabs":
        size = rng.uniform(0.55, 0.9)
        u, v = x / size, y / size
        base = np.array([150, 156, 160]) * tone
        value = 9 * _hashed(rng, u, v) + broad + fine - 45 * fade * np.maximum(_lines(u, 0.025), _lines(v, 0.025))
    elif kind == "tiles":
        size = rng.uniform(0.4, 0.6)
        u, v = x / size, y / size
        base = np.array([176, 188, 194]) * tone
        dark = (np.floor(u) + np.floor(v)) % 2 * rng.choice([0.0, -26.0])
        value = 4 * _hashed(rng, u, v) + dark + 0.5 * broad + 0.5 * fine
        value -= 40 * fade * np.maximum(_lines(u, 0.02), _lines(v, 0.02))
        value += 14 * np.exp(-(((x / 1.7) % 2 - 1) ** 2) / 0.12)  # lamps mirrored in the polish
    elif kind == "planks":
        u, v = x / 0.16, y / 1.4 + 0.37 * np.floor(x / 0.16)
        base = np.array([92, 128, 160]) * tone
        streak = _sample(grain, x * 9, y * 0.7, 90) * 7
        value = 13 * _hashed(rng, u, v) + streak + 0.6 * broad
        value -= 38 * fade * np.maximum(_lines(u, 0.03), _lines(v, 0.004))
    else:
        base = np.array([104, 102, 100]) * tone
        patches = np.where(_sample(grain, x, y, 9) > 1.1, -10, 0)
        value = broad * 1.3 + fine * 2.6 + patches
        mark = (np.abs(np.mod(x + 0.3 * y, 5.2) - 2.6) < 0.06) & (_sample(grain, x, y, 60) > -1.2)
        value = np.where(mark, value + 75, value)
    wall_gap = np.clip((place.back - y) / 0.5, 0, 1)
    pool = 1 + 0.07 * np.sin(x * 0.5 + rng.uniform(0, 6)) * np.cos(y * 0.4)
    lit = place.light.sky + place.light.sun * place.light.direction[2]
    result: Array = ((base[None] + value[:, None]) * (pool * (0.7 + 0.3 * wall_gap) * lit)[:, None]).astype(np.float32)
    return result


def _wall(
    rng: np.random.Generator, place: View, x: Array, z: Array, grain: Array
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The rear wall at (x, z) metres, and which of it is open (doorways)."""
    rough = _sample(grain, x, z, 60) * 2.5 + _sample(grain, x, z, 15) * 4
    if place.kind == "courtyard":
        v = z / 0.085
        u = x / 0.26 + 0.5 * (np.floor(v) % 2)
        colour = np.array([70, 88, 142]) + (16 * _hashed(rng, u, v) + rough)[:, None]
        joint = np.maximum(_lines(u, 0.035), _lines(v, 0.1))[:, None]
        colour = colour * (1 - joint) + np.array([150, 156, 160]) * joint
    else:
        paint = {"square": (150, 172, 186), "hall": (196, 204, 206), "shop": (170, 196, 208)}[place.kind]
        panels = _lines(x / 1.9, 0.006) + _lines(z / 1.4, 0.008)
        colour = np.asarray(paint) + (rough - 30 * panels)[:, None]
    if place.kind in {"square", "courtyard"}:
        u, v = np.mod(x, 2.4), np.mod(z - 1.1, 2.6)
        frame = (u > 0.5) & (u < 1.9) & (v < 1.5) & (z > 1.1)
        glass = (u > 0.58) & (u < 1.82) & (v > 0.08) & (v < 1.42) & (z > 1.1) & (np.abs(u - 1.2) > 0.03)
        colour[frame] = (196, 200, 204)
        shine = 62 + 40 * _hashed(rng, x / 2.4, (z - 1.1) / 2.6) + 22 * np.mod(0.6 * u + v, 0.9)
        colour[glass] = np.stack([shine * 1.12, shine * 1.04, shine], -1)[glass]
    else:
        poster = (np.mod(x, 3.1) > 1.2) & (np.mod(x, 3.1) < 2.1) & (z > 1.2) & (z < 2.35)
        hue = np.stack([120 + 70 * _hashed(rng, x / 3.1, 0 * z + k) for k in range(3)], -1)
        art = 24 * _sample(grain, x, z, 25)[:, None]
        colour[poster] = (hue + art)[poster]
    skirting = z < 0.14
    colour[skirting] *= 0.6
    opening = np.zeros(len(x), bool)
    for low, high in place.doors:
        frame = (x > low - 0.09) & (x < high + 0.09) & (z < 2.34)
        colour[frame] = (70, 84, 96)
        inside = (x > low) & (x < high) & (z < 2.25)
        colour[inside] = (34, 38, 42) + (14 * (2.25 - z[inside]) / 2.25 * (1 + 0.3 * np.sin(4 * x[inside])))[:, None]
        opening |= inside
    lit = place.light.sky + place.light.sun * max(0.1, -place.light.direction[1])
    ground_gap = np.clip(z / 0.4, 0, 1)
    result: Array = (colour * (lit * (0.75 + 0.25 * ground_gap))[:, None]).astype(np.float32)
    return result, opening


def _overhead(rng: np.random.Generator, place: View, ray: Array, distance: Array, grain: Array) -> Array:
    """The sky or the ceiling."""
    if place.kind in {"square", "courtyard"}:
        cloud = _sample(grain, ray[:, 0] * 3, ray[:, 2] * 5, 40) * 9
        result: Array = (np.array([236, 222, 206])[None] + cloud[:, None]).astype(np.float32)
        return result
    x, y = ray[:, 0] * distance, ray[:, 1] * distance
    lamp = (np.abs(np.mod(x, 3.4) - 1.7) < 0.3) & (np.abs(np.mod(y, 2.2) - 1.1) < 0.75)
    value = 168 - 22 * np.maximum(_lines(x / 0.6, 0.02), _lines(y / 0.6, 0.02)) + 3 * _sample(grain, x, y, 60)
    value = np.where(lamp, 252, value * place.light.sky)
    return np.repeat(value[:, None], 3, axis=1).astype(np.float32)


def _furniture(place: View, image: Array, depth: Array, rng: np.random.Generator) -> None:
    """Paint the furniture with its contact shadows into image and depth (both oversampled)."""
    camera, light = place.camera, place.light
    direction = np.asarray(light.direction)
    pieces = sorted(place.furniture, key=lambda f: -float(camera.to_camera(np.array([*f.place, 0.0]))[2]))
    shade = np.zeros(image.shape[:2], np.uint8)
    for piece in pieces:
        flat = piece.quads.reshape(-1, 3).copy()
        flat[:, :2] -= flat[:, 2:] * direction[:2] / max(direction[2], 0.3)
        flat[:, 2] = 0
        pixels, away = camera.project(flat.reshape(-1, 4, 3))
        for quad in pixels[(away > 0.5).all(1)]:
            cv2.fillConvexPoly(shade, np.rint(quad * 16 * _OVERSAMPLING).astype(np.int32), 255, cv2.LINE_8, 4)
    soft = cv2.GaussianBlur(shade, (0, 0), 3 + 14 * light.softness)
    image *= (1 - light.shadow * 1.2 * (soft.astype(np.float32) / 255))[..., None]
    for piece in pieces:
        middle = float(camera.to_camera(np.array([*piece.place, 0.0]))[2])
        pixels, away = camera.project(piece.quads)
        normal = np.cross(piece.quads[:, 2] - piece.quads[:, 0], piece.quads[:, 3] - piece.quads[:, 1])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        lit = light.sky * (0.75 + 0.25 * normal[:, 2]) + light.sun * np.maximum(normal @ direction, 0)
        lit *= 0.7 + 0.3 * np.minimum(piece.quads[:, :, 2].mean(1) / 0.4, 1)
        one, two = pixels[:, 2] - pixels[:, 0], pixels[:, 3] - pixels[:, 1]
        facing = (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0) & (away > 0.5).all(1)
        colour = piece.albedo * lit[:, None] * (1 + 0.04 * rng.normal(size=(len(lit), 1)))
        for index in np.argsort(-away.mean(1)):
            if facing[index]:
                polygon = np.rint(pixels[index] * 16 * _OVERSAMPLING).astype(np.int32)
                cv2.fillConvexPoly(image, polygon, colour[index].tolist(), cv2.LINE_8, 4)
                cv2.fillConvexPoly(depth, polygon, middle, cv2.LINE_8, 4)
