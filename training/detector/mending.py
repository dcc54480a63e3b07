"""A finished detector learns what is nobody, and keeps its answers everywhere else.

Training anew with such pictures costs people who are half hidden: the detector is another one then, everywhere. Here it
is held to what it says itself, on every cell of pictures that may show people (people pasted in front of them
included), while on pictures in which nobody is found the score sinks to that of the published YOLOX-nano, which knows
80 kinds of things, where this is lower. Steps are small, and nothing but these pictures pulls.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from training.course import Course
from training.detector.network import PersonDetector, load_published
from training.detector.scenes import Album, Cutouts, scenes

WEIGHTS = {"keep": 1.0, "box": 2.0, "nobody": 0.3}
# Weight of a cell besides the detector's own score there: background is most of all cells.
_KEPT, _EMPTY = 0.1, 0.02
_LEAST = 1e-4


@dataclass(frozen=True)
class Recipe:
    """What mending depends on besides its data. nobody: pictures of nobody in a batch."""

    seconds: float = 180
    batch: int = 64
    nobody: int = 12
    rate: float = 5e-5
    sides: tuple[int, ...] = (352, 416, 416, 480)
    average: float = 0.998
    seed: int = 5


def mend(
    start: PersonDetector,
    published: Path,
    album: Album,
    nobody: Album,
    cutouts: Cutouts | None,
    recipe: Recipe,
    out: Path,
    slot: float,
    device: torch.device,
) -> bool:
    """Mend ``start``, or go on from ``out/mended.pt``; whether it is done.

    published: YOLOX-nano's ONNX file. nobody: pictures without people. Raises ValueError when that has none.
    """
    if not bool((nobody.chances > 0).any()):
        raise ValueError("there are no pictures of nobody to learn from: name a folder of such (--pictures)")
    torch.manual_seed(recipe.seed)
    draw = random.Random(recipe.seed)
    network = start.to(device, memory_format=torch.channels_last)
    before = copy.deepcopy(network).eval().requires_grad_(False)
    knowing = load_published(published).to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    course = Course(
        network,
        torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.0),
        out / "mended.pt",
        recipe,
        slot,
    )
    people = recipe.batch - recipe.nobody
    for _ in course.steps():
        side = draw.choice(recipe.sides)
        with torch.no_grad():
            shown = [scenes(album, cutouts, people, side)[0], scenes(nobody, None, recipe.nobody, side)[0]]
            pictures = torch.cat(shown).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            raw = network(pictures).float()
            with torch.no_grad():
                kept, known = before(pictures).float(), knowing(pictures[people:]).float()
        parts = kept_losses(raw[:people], kept[:people])
        course.take({**parts, "nobody": nobody_loss(raw[people:], kept[people:], known)}, WEIGHTS, longest=5.0)
    return course.finished


def empty_only(album: Album) -> Album:
    """The same album, of which only pictures without a labelled person are drawn."""
    album.chances = album.chances * (album.kinds != 1).all(1).float()
    return album


def kept_losses(raw: Tensor, kept: Tensor) -> dict[str, Tensor]:
    """How far logits (n, anchors, 6) are from what they were: scores of all cells, boxes where anybody is seen."""
    weight = _KEPT + _score(kept)
    apart = _divergence(raw[..., 4], kept[..., 4]) + _divergence(raw[..., 5], kept[..., 5])
    box = functional.smooth_l1_loss(raw[..., :4], kept[..., :4], reduction="none", beta=0.1).sum(-1)
    return {"keep": (apart * weight).sum(1).mean(), "box": (box * _score(kept)).sum(1).mean()}


def nobody_loss(raw: Tensor, kept: Tensor, known: Tensor) -> Tensor:
    """How far scores are above the lower of what the detector said and what the published network says.

    All are logits (n, anchors, 6) on the same pictures.
    """
    target = torch.minimum(_score(kept), _score(known)).clamp(min=_LEAST)
    log_score = functional.logsigmoid(raw[..., 4]) + functional.logsigmoid(raw[..., 5])
    score = log_score.exp().clamp(max=1 - _LEAST)
    apart = target * (target.log() - log_score) + (1 - target) * (torch.log1p(-target) - torch.log1p(-score))
    return (apart * (_EMPTY + target + _score(kept))).sum(1).mean()


def _score(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits[..., 4]) * torch.sigmoid(logits[..., 5])


def _divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two coins, by their logits."""
    chance = torch.sigmoid(wanted)
    own = functional.binary_cross_entropy_with_logits(wanted, chance, reduction="none")
    return functional.binary_cross_entropy_with_logits(logits, chance, reduction="none") - own
