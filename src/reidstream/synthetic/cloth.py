"""The colours of cloth, skin and hair over the surface of a body part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from reidstream.synthetic.wardrobe import Colour, Look

Grid = npt.NDArray[np.float64]
Paint = Callable[[Grid, Grid], Grid]


def patterned(look: Look, around: Grid, up: Grid) -> Grid:
    """The top's cloth at ``around`` (metres around the body) and ``up`` (metres), BGR (m, 3)."""
    first, second = np.asarray(look.top_colour), np.asarray(look.top_second)
    size = look.pattern_size
    share = np.zeros(len(around))
    if look.pattern == "striped":
        share = (np.mod(up, 2 * size) < size).astype(float)
    elif look.pattern == "vertical_stripes":
        share = (np.mod(around, size * 1.6) < size * 0.8).astype(float)
    elif look.pattern == "checked":
        share = 0.5 * (np.mod(up, 2 * size) < size) + 0.5 * (np.mod(around, 2 * size) < size)
    elif look.pattern == "two_tone":
        share = (up > 0.42).astype(float)
    elif look.pattern == "dotted":
        share = ((np.mod(up, size * 1.3) < size * 0.55) & (np.mod(around, size * 1.3) < size * 0.55)).astype(float)
    result: Grid = first + share[:, None] * (second - first)
    return result


def torso_paint(look: Look, lowest: float) -> Paint:
    """The torso from ``lowest`` (share of pelvis to neck) up to the neck, clothes above and below the waist."""
    hem = {"coat": -9.0, "dress": -9.0, "shirt": 0.1, "jacket": 0.02}.get(look.top, 0.06)
    collar = {"t-shirt": 0.955, "dress": 0.93, "shirt": 0.985}.get(look.top, 1.1)
    height = look.build.height

    def paint(t: Grid, a: Grid) -> Grid:
        level = lowest + t * (1 - lowest)
        colour = patterned(look, a * 0.15 * height / 1.7, level * 0.31 * height)
        front = np.sin(a)
        if look.pattern == "print":
            logo = (front > 0.8) & (level > 0.5) & (level < 0.78)
            colour[logo] = look.top_second
        if look.top in {"jacket", "coat"} and look.wear % 3:
            colour[(front > 0.93) & (level > 0.05)] = look.top_second
            colour[(front > 0.8) & (front <= 0.93)] *= 0.82
        elif look.top in {"shirt", "hoodie", "jacket", "coat", "vest"}:
            colour[front > 0.975] *= 0.75
        if look.top == "vest":
            colour *= np.where(np.mod(level, 0.16) < 0.045, 0.72, 1.0)[:, None]
        if look.top == "hoodie":
            colour[(front < -0.2) & (level > 0.8)] *= 0.85
            colour[(front > 0.6) & (level > 0.14) & (level < 0.36)] *= 0.9
        below = level < hem
        colour[below] = look.bottom_colour
        colour[(level >= hem - 0.035) & (level < hem)] = (34, 36, 40)
        skin = level > collar - 0.06 * np.clip(front, 0, 1) * (look.top in {"t-shirt", "dress", "shirt"})
        colour[skin] = np.asarray(look.skin) * 0.92
        return colour

    return paint


def arm_paint(look: Look) -> Paint:
    """The arm from the wrist (0) to the shoulder (1)."""
    sleeve = np.asarray(look.top_second if look.top == "vest" else look.top_colour)

    def paint(t: Grid, a: Grid) -> Grid:
        if look.pattern in {"striped", "checked", "dotted"}:
            colour = patterned(look, a * 0.05, t * 0.33 * look.build.height)
        else:
            colour = np.full((len(t), 3), sleeve, float)
        bare = t < 1 - look.sleeve
        colour[bare] = np.asarray(look.skin) * 0.98
        cuff = (t >= 1 - look.sleeve) & (t < 1 - look.sleeve + 0.06)
        colour[cuff] *= 0.84
        colour[(np.abs(t - 0.47) < 0.05) & ~bare] *= 0.88
        return colour

    return paint


def leg_paint(look: Look, skirted: bool) -> Paint:
    """The leg from the ankle (0) to the hip (1)."""
    hem = 0.0 if skirted else look.hem
    tights = np.array([38.0, 36, 36]) if skirted and look.wear % 2 else np.asarray(look.skin) * 0.97

    def paint(t: Grid, a: Grid) -> Grid:
        colour = np.full((len(t), 3), look.bottom_colour, float)
        bare = t < 1 - hem
        if look.bottom == "jeans":
            colour *= (1 + 0.22 * np.exp(-(((t - 0.72) / 0.13) ** 2)) * np.clip(np.sin(a), 0, 1))[:, None]
        if look.bottom == "joggers":
            colour[np.abs(np.cos(a)) > 0.86] = (225, 225, 225)
        colour[(np.abs(t - 0.48) < 0.035) & ~bare] *= 0.84
        colour[bare] = tights
        if look.bottom == "shorts" or skirted:
            colour[t < 0.07] = (210, 210, 210)
        return colour * np.interp(t, [0, 0.7, 1], [0.92, 1.0, 0.8])[:, None]

    return paint


def skirt_paint(look: Look) -> Paint:
    """Cloth hanging from the waist, from the hem (0) up."""

    def paint(t: Grid, a: Grid) -> Grid:
        if look.top in {"dress", "coat"}:
            colour = patterned(look, a * 0.16, (t - 1) * 0.45)
            if look.top == "coat":
                colour[np.sin(a) > 0.97] *= 0.55
        else:
            colour = np.full((len(t), 3), look.bottom_colour, float)
        pleats = 1 + 0.1 * np.sin(9 * a + look.wear % 7) * (1 - t)
        return colour * pleats[:, None] * np.interp(t, [0, 0.06, 0.2], [0.82, 0.95, 1])[:, None]

    return paint


def head_paint(look: Look) -> Paint:
    """The head from under the chin (0) to the crown (1): eyes, brows, mouth, ears, and cropped hair behind."""
    skin = np.asarray(look.skin)
    bearded = look.wear % 4 == 0 and look.hair_style in {"short", "bald", "cap", "beanie"}

    def paint(t: Grid, a: Grid) -> Grid:
        level = -0.03 + 1.04 * t
        colour = np.full((len(t), 3), skin, float)
        front, side = np.sin(a), np.cos(a)
        eyes = (np.abs(level - 0.5) < 0.045) & (np.abs(np.abs(side) - 0.4) < 0.17) & (front > 0)
        brows = (np.abs(level - 0.585) < 0.035) & (np.abs(np.abs(side) - 0.42) < 0.25) & (front > 0)
        mouth = (np.abs(level - 0.215) < 0.035) & (np.abs(side) < 0.32) & (front > 0)
        cheeks = (np.abs(level - 0.34) < 0.08) & (np.abs(np.abs(side) - 0.5) < 0.2) & (front > 0)
        colour[cheeks] = skin * (0.95, 0.97, 1.04)
        if bearded:
            colour[(level < 0.3) & (front > 0.1)] = 0.45 * skin + 0.55 * np.asarray(look.hair)
        colour[eyes] = 0.35 * skin
        colour[brows] = 0.45 * skin + 0.45 * np.asarray(look.hair)
        colour[mouth] = skin * (0.62, 0.6, 0.84)
        colour[level < 0.06] *= 0.72
        if look.hair_style != "bald":
            colour[(front < 0.1) & (level > 0.3) & (level < 0.8)] = look.hair
        return colour

    return paint


def hair_paint(look: Look, lowest: float) -> Paint:
    """Hair (or what covers it), lit a little more towards the crown, in strands."""
    base: Colour = look.hair
    if look.hair_style in {"cap", "beanie"}:
        base = look.top_second

    def paint(t: Grid, a: Grid) -> Grid:
        strands = 1 + 0.12 * np.sin(11 * a + 3 * np.sin(5 * t))
        shine = 1 + 0.25 * np.exp(-(((lowest + t * (1.05 - lowest) - 0.82) / 0.1) ** 2))
        result: Grid = np.asarray(base) * (strands * shine)[:, None]
        return result

    return paint


def bag_paint(look: Look) -> Paint:
    """A bag with a darker rim and a pocket."""

    def paint(t: Grid, a: Grid) -> Grid:
        colour = np.full((len(t), 3), look.bag_colour, float)
        colour[(t < 0.18) | (t > 0.86)] *= 0.75
        outside = -np.sin(a) if look.bag == "backpack" else np.abs(np.cos(a))
        colour[(outside > 0.6) & (t > 0.2) & (t < 0.5)] *= 0.86
        return colour

    return paint
