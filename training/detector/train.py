"""The training loop of the detector."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import torch

from training.clock import Average, Clock, Curve, cosine, save
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

    Every minute and at the end, ``out/detector.pt`` holds all that is needed to go on, and ``out/detector.csv`` a row.
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
    average = Average(network, recipe.average)
    checkpoint, step, used = out / "detector.pt", 0, 0.0
    if checkpoint.exists():
        stored = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        step, used = stored["step"], stored["used"]
        average.resume(stored["average"], step)
    clock, curve, grids = Clock(recipe.seconds, slot, used), Curve(out / "detector.csv"), {}
    since, seen, sums = clock.used, 0, {}

    def report() -> None:
        nonlocal since, seen, sums
        spent = clock.used - since
        row = {k: round(float(v) / max(seen // recipe.batch, 1), 4) for k, v in sums.items()}
        curve.add({"step": step, "seconds": round(clock.used, 1), "per_second": round(seen / spent), **row})
        everything = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average.state}
        save(checkpoint, {**everything, "step": step, "used": clock.used, "progress": clock.progress})
        since, seen, sums = clock.used, 0, {}

    while not clock.over:
        factor = cosine(clock.progress)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * factor
        side = draw.choice(recipe.sides)
        if side not in grids:
            grids[side] = grid(side, side, device)
        with torch.no_grad():
            pictures, people, kinds = scenes(album, cutouts, recipe.batch, side)
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            raw = network(pictures)
            with torch.no_grad():
                taught = teacher(pictures)
        parts = losses(raw, taught, *grids[side], people, kinds)
        total = sum(WEIGHTS[name] * part for name, part in parts.items())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        average.update()
        step, seen = step + 1, seen + recipe.batch
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.detach()
        if clock.used - since > 30:
            report()
    report()
    return clock.progress >= 1
