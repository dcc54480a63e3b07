"""How bodies walk and stand: joint positions over the gait cycle.

Segment lengths are fractions of the body's height after Drillis & Contini (1966), as tabulated by Winter,
*Biomechanics and Motor Control of Human Movement*. Joint angles over the cycle are smooth approximations of
the sagittal curves in the same book: the hip swings between about 30 degrees of flexion and 15 of extension, the knee
bends twice (loading at 14 % of the cycle, swing at 73 %), the heel rises before toe-off at 60 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.wardrobe import Build

Array = npt.NDArray[np.float64]

HEAD, NECK, SHOULDER, HIP = 0.870, 0.835, 0.806, 0.525
UPPER_ARM, FOREARM, HAND = 0.186, 0.146, 0.095
FOOT_HEIGHT, FOOT_LENGTH = 0.042, 0.152


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Joints in metres over K moments, each (K, 3): x to the body's right, y forward, z up, feet on z = 0.

    Pairs are (left, right).
    """

    pelvis: Array
    neck: Array
    head: Array
    crown: Array
    hips: tuple[Array, Array]
    knees: tuple[Array, Array]
    ankles: tuple[Array, Array]
    heels: tuple[Array, Array]
    toes: tuple[Array, Array]
    shoulders: tuple[Array, Array]
    elbows: tuple[Array, Array]
    wrists: tuple[Array, Array]
    fingers: tuple[Array, Array]
    across: Array
    """Unit vectors from the left to the right shoulder."""


def stride_length(build: Build) -> float:
    """Metres covered in one full cycle (two steps) at an easy pace: about 0.82 of the height."""
    return 0.82 * build.height * build.legs


def skeleton(build: Build, arms: tuple[str, str], cycle: Array, swing: float, seated: bool = False) -> Skeleton:
    """The joints at the moments ``cycle`` (0..1; 0 is the left heel's strike).

    swing: 1 for walking, 0 for standing at ease (then the cycle only shifts the weight a little).
    arms: what the (left, right) arm does: swing, pocket, phone, strap, carry. seated: thighs forward, on a seat as
    high as the knees.
    """
    h = build.height
    leg = (HIP - FOOT_HEIGHT) * h * build.legs
    thigh, shank = leg * 0.5, leg * 0.5
    k = len(cycle)
    zero = np.zeros(k)
    left, right = (
        (_seated_leg(cycle), _seated_leg(-cycle)) if seated else (_leg(cycle, swing), _leg((cycle + 0.5) % 1, swing))
    )
    half_hip = 0.052 * h * build.hips
    hips, knees, ankles, heels, toes = [], [], [], [], []
    for side, (hip, knee, foot) in ((-1.0, left), (1.0, right)):
        joint = np.stack([zero + side * half_hip, zero, zero], -1)
        bend = joint + thigh * _sagittal(hip)
        ankle = bend + shank * _sagittal(hip - knee)
        ankle[:, 0] -= side * 0.012 * h * (1 if swing else -1)
        forward = np.stack([zero + side * 0.16, np.cos(foot), np.sin(foot)], -1)
        down = np.stack([zero, np.sin(foot), -np.cos(foot)], -1)
        sole = ankle + FOOT_HEIGHT * h * down
        hips.append(joint)
        knees.append(bend)
        ankles.append(ankle)
        heels.append(sole - 0.04 * h * forward)
        toes.append(sole + (FOOT_LENGTH - 0.04) * h * forward)
    # The pelvis is as high as its lowest foot lets it be.
    lift = -np.min([part[:, 2] for part in (*heels, *toes)], axis=0)
    sway = 0.012 * h * np.sin(2 * np.pi * cycle) * (1 if swing else 0.6)
    move = np.stack([sway, zero, lift], -1)
    for parts in (hips, knees, ankles, heels, toes):
        parts[:] = [part + move for part in parts]
    if swing:  # feet do not sway with the pelvis
        for parts in (ankles, heels, toes):
            for part in parts:
                part[:, 0] -= sway

    pelvis = move + np.array([0, 0, 0.0])
    lean = np.radians(3.5 * swing)
    spine = (NECK - HIP) * h * (2 - build.legs)
    neck = pelvis + spine * np.array([0, np.sin(lean), np.cos(lean)])
    head = neck + (HEAD - NECK) * h * np.array([0, 0.35, 1.0])
    crown = head + (1 - HEAD) * h * np.array([0, 0.02, 1.0])
    twist = np.radians(7 * swing) * np.cos(2 * np.pi * cycle)
    across = np.stack([np.cos(twist), np.sin(twist), zero], -1)
    shoulders, elbows, wrists, fingers = [], [], [], []
    for side, style, offset in ((-1.0, arms[0], 0.5), (1.0, arms[1], 0.0)):
        shoulder = neck + side * 0.108 * h * build.shoulders * across - np.array([0, 0, (NECK - SHOULDER) * h])
        pose = _arm(style, (cycle + offset) % 1, swing, build.girth)
        upper, lower, inward = pose
        out = np.tan(np.radians(7 + 8 * max(0.0, build.girth - 1)))
        direction = _sagittal(upper) + np.stack([zero + side * out, zero, zero], -1)
        elbow = shoulder + UPPER_ARM * h * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        direction = _sagittal(upper + lower) - np.stack([zero + side * inward, zero, zero], -1)
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        wrist = elbow + FOREARM * h * direction
        shoulders.append(shoulder)
        elbows.append(elbow)
        wrists.append(wrist)
        fingers.append(wrist + HAND * h * direction)
    return Skeleton(
        pelvis, neck, head, crown,
        _pair(hips), _pair(knees), _pair(ankles), _pair(heels), _pair(toes),
        _pair(shoulders), _pair(elbows), _pair(wrists), _pair(fingers), across,
    )  # fmt: skip


def _pair(parts: list[Array]) -> tuple[Array, Array]:
    return parts[0], parts[1]


def _sagittal(angle: Array) -> Array:
    """Unit vectors that hang down and are turned forward by ``angle`` radians."""
    return np.stack([np.zeros_like(angle), np.sin(angle), -np.cos(angle)], -1)


def _bump(cycle: Array, at: float, width: float) -> Array:
    away = np.abs((cycle - at + 0.5) % 1 - 0.5)
    return np.exp(-((away / width) ** 2))


def _leg(cycle: Array, swing: float) -> tuple[Array, Array, Array]:
    """Hip flexion, knee flexion and the foot's pitch (toes up is positive), radians."""
    hip = 7 + 22 * np.cos(2 * np.pi * (cycle - 0.96))
    knee = 6 + 12 * _bump(cycle, 0.14, 0.09) + 54 * _bump(cycle, 0.72, 0.13)
    foot = 17 * _bump(cycle, 0.98, 0.07) - 50 * _bump(cycle, 0.60, 0.10) - 16 * _bump(cycle, 0.74, 0.10)
    rest = 1.5 * np.sin(2 * np.pi * cycle)
    return (
        np.radians(swing * hip + (1 - swing) * (1 + rest)),
        np.radians(swing * knee + (1 - swing) * (3 + rest)),
        np.radians(swing * foot),
    )


def _seated_leg(cycle: Array) -> tuple[Array, Array, Array]:
    """The same for a leg of somebody who sits; the foot is moved a little now and then."""
    moved = 6 * np.tanh(3 * np.sin(2 * np.pi * cycle))
    return np.radians(83 + 0 * moved), np.radians(83 + moved), np.radians(0 * moved)


def _arm(style: str, cycle: Array, swing: float, girth: float) -> tuple[Array, Array, float]:
    """Shoulder flexion and elbow flexion in radians, and how far the forearm points inwards."""
    wave = np.cos(2 * np.pi * cycle)
    still = 0.25 * swing
    if style == "phone":
        return np.radians(24 + 3 * wave * swing), np.radians(98 + 4 * wave * swing), 0.35
    if style == "pocket":
        return np.radians(-16 + 4 * wave * still), np.radians(46 + 4 * wave * still), 0.05
    if style == "strap":
        return np.radians(18 + 3 * wave * still), np.radians(128 + 3 * wave * still), 0.3
    if style == "carry":
        return np.radians(3 + 9 * wave * swing), np.radians(6 + 3 * wave * swing), 0.0
    return np.radians(3 + 20 * wave * swing), np.radians(14 + (12 + 12 * wave) * swing), 0.08
