"""Training by the clock: a schedule over seconds that survives being stopped, and a curve written as it goes."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import torch


class Clock:
    """Progress of a training that may take several slots of time.

    ``total`` seconds is the whole training, ``slot`` how many of them this process may use. The learning rate follows
    the share of the total that is used, so that stopping and resuming does not change the schedule.
    """

    def __init__(self, total: float, slot: float, used: float = 0.0) -> None:
        self._total = total
        self._before = used
        self._end_of_slot = min(total, used + slot)
        self._start = time.monotonic()

    @property
    def used(self) -> float:
        return self._before + time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """0 at the start of the training, 1 at its end."""
        return min(1.0, self.used / self._total)

    @property
    def over(self) -> bool:
        return self.used >= self._end_of_slot


def cosine(progress: float, warmup: float = 0.03, floor: float = 0.01) -> float:
    """The learning rate's factor: linear over the first ``warmup``, then half a cosine down to ``floor``."""
    if progress < warmup:
        return 0.05 + 0.95 * progress / warmup
    along = (progress - warmup) / (1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * along))


class Average:
    """A running mean of a network's parameters and statistics: what is exported."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}
        # The network's own tensors: steps and loading write into them.
        pairs = zip(self.state.values(), network.state_dict().values(), strict=True)
        self._pairs = [(mean, now) for mean, now in pairs if mean.is_floating_point()]
        self._steps = 0

    def resume(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Go on from a stored mean of so many steps; without their number the mean would start anew."""
        for name, value in state.items():
            self.state[name].copy_(value)
        self._steps = steps

    @torch.no_grad()
    def update(self) -> None:
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_([mean for mean, _ in self._pairs], [now for _, now in self._pairs], 1 - decay)


class Curve:
    """Rows of figures appended to a CSV file, and printed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, row: dict[str, Any]) -> None:
        fresh = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a process killed midway leaves the last whole one."""
    draft = path.with_suffix(".draft")
    torch.save(state, draft)
    draft.replace(path)
