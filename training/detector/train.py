"""The training loop of the detector."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import torch

from training.course import Course
from training.detector.network import grid, load_published
from training.detector.objective import losses
from training.detector.scenes import Album, Cutouts, scenes

WEIGHTS = {"box": 3.0, "objectness": 1.0, "person": 1.0, "teach": 2.0, "shape": 1.0}


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides its data."""

    seconds: float = 395
    batch: int = 64
    rate: float = 2e-4
    decay: float = 1e-4
    sides: tuple[int, ...] = (352, 416, 416, 480)
    average: float = 0.9995
    seed: int = 11


def train(
    start: Path, album: Album, cutouts: Cutouts | None, recipe: Recipe, out: Path, slot: float, device: torch.device
) -> bool:
    """Train from the published weights ``start``, or go on from ``out/detector.pt``; whether the training is done.

    Every half minute and at the end ``out/detector.pt`` holds what is needed to go on, and ``out/detector.csv`` gets a
    row.
    """
    torch.manual_seed(recipe.seed)
    draw = random.Random(recipe.seed)
    network = load_published(start).to(device, memory_format=torch.channels_last)
    teacher = copy.deepcopy(network).eval().requires_grad_(False)
    plain = [p for p in network.parameters() if p.ndim == 1]
    matrices = [p for p in network.parameters() if p.ndim > 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.decay}, {"params": plain, "weight_decay": 0.0}], lr=recipe.rate
    )
    course = Course(
        network,
        optimiser,
        out / "detector.pt",
        recipe,
        slot,
    )
    grids = {side: grid(side, side, device) for side in set(recipe.sides)}
    for _ in course.steps():
        side = draw.choice(recipe.sides)
        with torch.no_grad():
            pictures, people, kinds = scenes(album, cutouts, recipe.batch, side)
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            raw = network(pictures)
            with torch.no_grad():
                taught = teacher(pictures)
        course.take(losses(raw, taught, *grids[side], people, kinds), WEIGHTS, longest=10.0)
    return course.finished
