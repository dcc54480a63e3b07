"""What a person of the synthetic world looks like: build, hair, clothes, shoes and bags."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]
"""BGR, 0..255: how much of white light a surface gives back."""

SKIN: tuple[Colour, ...] = (
    (172, 200, 232),
    (150, 182, 224),
    (128, 164, 212),
    (104, 142, 196),
    (82, 118, 172),
    (62, 92, 140),
    (46, 68, 108),
    (36, 52, 84),
)
HAIR: tuple[Colour, ...] = (
    (22, 22, 26),
    (30, 36, 48),
    (36, 52, 78),
    (48, 74, 112),
    (92, 142, 188),
    (130, 180, 214),
    (40, 66, 132),
    (150, 152, 156),
)
NEUTRALS: tuple[Colour, ...] = (
    (30, 28, 28),
    (48, 46, 46),
    (92, 90, 88),
    (140, 138, 136),
    (226, 226, 224),
    (196, 206, 214),
    (86, 56, 34),
    (70, 96, 122),
    (120, 156, 182),
)
DENIM: tuple[Colour, ...] = ((110, 72, 48), (138, 98, 70), (74, 48, 34), (168, 138, 112), (52, 44, 42))
SHOES: tuple[Colour, ...] = (
    (30, 30, 32),
    (230, 230, 228),
    (46, 66, 100),
    (120, 120, 122),
    (60, 50, 150),
    (130, 80, 40),
    (70, 110, 160),
)


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions of a body. height: metres. The others are factors around 1 (belly: metres added in front)."""

    height: float
    girth: float
    shoulders: float
    hips: float
    legs: float
    belly: float


@dataclass(frozen=True, slots=True)
class Look:
    """Everything about a person's appearance that stays the same from camera to camera.

    sleeve: how much of the arm is covered, 0 at the shoulder to 1 at the wrist. hem: how far the bottoms reach down
    the leg, 0..1. looseness: how far trousers stand off the leg, as a factor. wear: amount of folds and shading
    noise of the cloth, and its seed.
    """

    build: Build
    skin: Colour
    hair: Colour
    hair_style: str
    top: str
    top_colour: Colour
    top_second: Colour
    pattern: str
    pattern_size: float
    sleeve: float
    bottom: str
    bottom_colour: Colour
    hem: float
    looseness: float
    shoes: Colour
    bag: str
    bag_colour: Colour
    arms: tuple[str, str]
    wear: int

    def describe(self) -> str:
        """A short line for people: what somebody would say who has seen this person."""
        top = f"{colour_name(self.top_colour)} {self.top}"
        if self.pattern != "plain":
            top += f" ({self.pattern.replace('_', ' ')}, {colour_name(self.top_second)})"
        parts = [top]
        if self.top != "dress":
            parts.append(f"{colour_name(self.bottom_colour)} {self.bottom}")
        parts.append(f"{self.hair_style} hair" if self.hair_style not in {"bald", "cap", "beanie"} else self.hair_style)
        if self.bag != "none":
            parts.append(f"{colour_name(self.bag_colour)} {self.bag}")
        return ", ".join(parts)


def colour_name(colour: Colour) -> str:
    """The everyday name of a BGR colour."""
    b, g, r = (channel / 255 for channel in colour)
    hue, saturation, value = colorsys.rgb_to_hsv(r, g, b)
    if value < 0.22:
        return "black"
    if saturation < 0.16:
        return "white" if value > 0.78 else "grey"
    for limit, name in ((18, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (200, "turquoise"), (255, "blue")):
        if hue * 360 < limit:
            return "brown" if name in {"red", "orange"} and value < 0.5 and saturation < 0.75 else name
    return "purple" if hue * 360 < 300 else "pink" if hue * 360 < 345 else "red"


def make_wardrobe(rng: np.random.Generator, people: int, similar: float) -> tuple[list[Look], list[int | None]]:
    """``people`` looks, of which about the share ``similar`` (0..1) is dressed much like somebody else.

    Returns the looks, and for each the index of the person it was modelled on (None for an original).
    """
    looks: list[Look] = []
    models: list[int | None] = []
    for index in range(people):
        originals = [i for i, model in enumerate(models) if model is None]
        if originals and index >= 2 and rng.random() < similar:
            model = int(rng.choice(originals))
            looks.append(_double(rng, looks[model]))
            models.append(model)
        else:
            candidates = [random_look(rng) for _ in range(6)]
            looks.append(max(candidates, key=lambda look: _novelty(look, [looks[i] for i in originals])))
            models.append(None)
    return looks, models


def random_look(rng: np.random.Generator) -> Look:
    """Somebody dressed at random, yet as people dress: mostly quiet colours, jeans, hardly ever two patterns."""
    slight = rng.random() < 0.5
    build = Build(
        height=float(np.clip(rng.normal(1.66 if slight else 1.78, 0.07), 1.5, 1.98)),
        girth=float(np.clip(rng.normal(0.95 if slight else 1.04, 0.1), 0.8, 1.35)),
        shoulders=float(np.clip(rng.normal(0.93 if slight else 1.06, 0.05), 0.84, 1.2)),
        hips=float(np.clip(rng.normal(1.06 if slight else 0.97, 0.06), 0.88, 1.25)),
        legs=float(np.clip(rng.normal(1.0, 0.02), 0.95, 1.05)),
        belly=float(max(0.0, rng.normal(0.0, 0.03))),
    )
    top = _pick(
        rng, {"t-shirt": 5, "shirt": 4, "hoodie": 4, "jacket": 5, "coat": 3, "dress": 2 if slight else 0, "vest": 2}
    )
    pattern = "plain"
    if top in {"t-shirt", "shirt", "dress", "hoodie"}:
        pattern = _pick(
            rng, {"plain": 6, "striped": 2, "vertical_stripes": 1, "checked": 2, "print": 2, "two_tone": 2, "dotted": 1}
        )
    bottom = _pick(
        rng,
        {
            "jeans": 6,
            "trousers": 4,
            "shorts": 2,
            "leggings": 2 if slight else 0,
            "joggers": 2,
            "skirt": 2.5 if slight else 0,
        },
    )
    bottom_colour = DENIM[rng.integers(len(DENIM))] if bottom == "jeans" else _cloth(rng, vivid=0.25)
    styles = {"short": 5.0, "cap": 1.2, "beanie": 0.8, "bald": 0.3 if slight else 1.0}
    styles |= {"long": 4.0, "bun": 1.5, "ponytail": 2.0, "bob": 2.0} if slight else {"long": 0.5}
    bag = _pick(rng, {"none": 5, "backpack": 3, "shoulder bag": 2, "handbag": 1.5, "tote": 1})
    right = "carry" if bag in {"handbag", "tote"} else _pick(rng, {"swing": 7, "pocket": 1.5, "phone": 1.2})
    left = _pick(rng, {"swing": 8, "pocket": 1.5, "strap": 2.0 if bag == "backpack" else 0.0})
    return Look(
        build=build,
        skin=SKIN[rng.integers(len(SKIN))],
        hair=HAIR[rng.choice(len(HAIR), p=[0.24, 0.2, 0.16, 0.12, 0.08, 0.06, 0.06, 0.08])],
        hair_style=_pick(rng, styles),
        top=top,
        top_colour=_cloth(rng, vivid=0.6),
        top_second=_cloth(rng, vivid=0.4),
        pattern=pattern,
        pattern_size=float(rng.uniform(0.06, 0.12)),
        sleeve={"t-shirt": 0.32, "dress": float(rng.choice([0.1, 0.3, 0.95]))}.get(top, 0.97),
        bottom=bottom,
        bottom_colour=bottom_colour,
        hem={"shorts": 0.45, "skirt": float(rng.uniform(0.4, 0.75))}.get(bottom, 0.96),
        looseness=float(
            {"leggings": 1.0, "jeans": rng.uniform(1.08, 1.25), "trousers": rng.uniform(1.15, 1.4)}.get(bottom, 1.25)
        ),
        shoes=SHOES[rng.integers(len(SHOES))],
        bag=bag,
        bag_colour=_cloth(rng, vivid=0.4),
        arms=(left, right),
        wear=int(rng.integers(1 << 30)),
    )


def _double(rng: np.random.Generator, model: Look) -> Look:
    """Somebody else in nearly the same clothes: own body, face and hair, and one or two things that differ."""
    other = random_look(rng)
    double = replace(
        other,
        top=model.top,
        pattern=model.pattern,
        pattern_size=model.pattern_size,
        sleeve=model.sleeve,
        top_colour=_shifted(rng, model.top_colour, 10),
        top_second=model.top_second,
        bottom=model.bottom,
        bottom_colour=_shifted(rng, model.bottom_colour, 10),
        hem=model.hem,
        looseness=model.looseness,
    )
    what = rng.integers(3)
    if what == 0:
        return replace(double, shoes=model.shoes, hair_style=model.hair_style, hair=model.hair)
    if what == 1:
        return replace(double, bag=model.bag, bag_colour=model.bag_colour, arms=model.arms)
    return replace(double, bottom_colour=other.bottom_colour, shoes=model.shoes)


def _novelty(look: Look, others: list[Look]) -> float:
    """How far a look is from the nearest of the others, judged by the colours that can be seen from afar."""

    def visible(of: Look) -> np.ndarray:
        lower = of.top_colour if of.top == "dress" else of.bottom_colour
        return np.array([*of.top_colour, *lower, *(channel / 2 for channel in of.bag_colour)])

    return min((float(np.linalg.norm(visible(look) - visible(other))) for other in others), default=0.0)


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    values = np.array(list(weights.values()), float)
    return list(weights)[rng.choice(len(values), p=values / values.sum())]


def _cloth(rng: np.random.Generator, vivid: float) -> Colour:
    """A colour that clothes come in: with probability ``vivid`` a dyed one, else a neutral."""
    if rng.random() >= vivid:
        return _shifted(rng, NEUTRALS[rng.integers(len(NEUTRALS))], 8)
    hue = rng.choice([0.0, 0.03, 0.08, 0.13, 0.3, 0.38, 0.48, 0.56, 0.61, 0.66, 0.78, 0.92]) + rng.normal(0, 0.015)
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, rng.uniform(0.35, 0.75), rng.uniform(0.25, 0.8))
    return (255 * blue, 255 * green, 255 * red)


def _shifted(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    b, g, r = np.clip(np.asarray(colour) + rng.normal(0, by, 3), 8, 245)
    return (float(b), float(g), float(r))
