"""The course of a training: rate and clock, running means, checkpoints, and going on where a slot before stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from training.clock import Average, Clock, Curve, cosine, save

_REPORTED_EVERY = 30.0
"""Seconds between two checkpoints."""


class Pace(Protocol):
    """What a recipe says of its course: the whole time, pictures a step, the highest learning rate, and how slowly the
    mean follows that is shipped."""

    @property
    def seconds(self) -> float: ...

    @property
    def batch(self) -> int: ...

    @property
    def rate(self) -> float: ...

    @property
    def average(self) -> float: ...


class Course:
    """Steps of a training until its time, or its slot of time, is over.

    out: the checkpoint, beside which a CSV file of the same name gets a row with each. slot: see ``Clock``.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        out: Path,
        pace: Pace,
        slot: float,
    ) -> None:
        self._network, self._optimiser, self._out = network, optimiser, out
        self._rate, self._batch = pace.rate, pace.batch
        self._average = Average(network, pace.average)
        used = 0.0
        self._step = 0
        if out.exists():
            device = next(network.parameters()).device
            stored = torch.load(out, map_location=device, weights_only=True)
            network.load_state_dict(stored["network"])
            optimiser.load_state_dict(stored["optimiser"])
            self._step, used = stored["step"], stored["used"]
            self._average.resume(stored["average"], self._step)
        self._clock, self._curve = Clock(pace.seconds, slot, used), Curve(out.with_suffix(".csv"))
        self._since, self._seen = self._clock.used, 0
        self._sums: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        return self._clock.progress >= 1

    def steps(self) -> Iterator[None]:
        """One item a step, which is to end with ``take``."""
        while not self._clock.over:
            for group in self._optimiser.param_groups:
                group["lr"] = self._rate * cosine(self._clock.progress)
            yield
            if self._clock.used - self._since > _REPORTED_EVERY:
                self._report()
        self._report()

    def take(self, parts: Mapping[str, Tensor], weights: Mapping[str, float], longest: float) -> None:
        """One step down the weighted sum of the parts. longest: to which length gradients are cut."""
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), longest)
        self._optimiser.step()
        self._average.update()
        self._step, self._seen = self._step + 1, self._seen + self._batch
        for name, part in parts.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(part)) + part.detach()

    def _report(self) -> None:
        spent = max(self._clock.used - self._since, 1e-9)
        steps = max(self._seen // self._batch, 1)
        row = {name: round(float(value) / steps, 4) for name, value in self._sums.items()}
        speed = round(self._seen / spent)
        self._curve.add({"step": self._step, "seconds": round(self._clock.used, 1), "per_second": speed, **row})
        state = {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}
        progress = {"step": self._step, "used": self._clock.used, "progress": self._clock.progress}
        save(self._out, {**state, "average": self._average.state, **progress})
        self._since, self._seen, self._sums = self._clock.used, 0, {}
