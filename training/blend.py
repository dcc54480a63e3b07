"""Weights of several trainings, and of the network they began from, as one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def blended(start: State, trained: Sequence[State], share: float) -> dict[str, Tensor]:
    """``share`` of the mean of the trained weights and the rest of the weights they began from, statistics too.

    Networks trained from one start stay in one valley: their mean is at least as good as each (Wortsman et al. 2022,
    "Model soups"), and a mean with the start keeps more of what the start knew ("Robust fine-tuning", same year).
    """
    if not trained:
        raise ValueError("there are no trained weights to blend")
    mixed = {}
    for name, first in start.items():
        if first.is_floating_point():
            mean = torch.stack([state[name].float() for state in trained]).mean(0)
            mixed[name] = (1 - share) * first + share * mean
        else:
            mixed[name] = first
    return mixed


def averages(checkpoints: Sequence[Path]) -> list[State]:
    """The averaged weights of finished trainings; a checkpoint that is missing or unfinished is a ValueError."""
    states = []
    for path in checkpoints:
        if not path.exists():
            raise ValueError(f"{path}: this training has not been started; run --only train until it says it is done")
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored["progress"] < 1:
            raise ValueError(f"{path}: trained for {stored['progress']:.0%} of its time; run --only train again")
        states.append(stored["average"])
    return states
