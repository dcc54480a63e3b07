"""What is remembered of tracklets and people while they are decided one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reidstream.types import FloatArray

# Strangers are learnt from so many of the tracklets that were stored last.
_SAMPLED = 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """One tracklet as it counts here. start, end: wall seconds. vector: float32 (d,). prototypes: float32 (p, d).

    clarity: 0..1. strangers: mean and spread of its similarity to others; None where it was not learnt yet.
    """

    camera: int
    start: float
    end: float
    vector: FloatArray
    prototypes: FloatArray
    clarity: float
    strangers: tuple[float, float] | None = None
    id: str = ""


@dataclass(slots=True)
class Known:
    """What is remembered of one person."""

    id: str
    total: FloatArray
    tracklets: list[str] = field(default_factory=list)
    vectors: list[FloatArray] = field(default_factory=list)
    prototypes: list[FloatArray] = field(default_factory=list)
    clarity: list[float] = field(default_factory=list)
    strangers: list[tuple[float, float]] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


class Sample:
    """The vectors of the tracklets that were stored last, float32 (k, size), and each one's strangers."""

    def __init__(self, size: int) -> None:
        self._vectors = np.zeros((_SAMPLED, size), np.float32)
        self._tracklets: list[str] = []
        self.strangers: list[tuple[float, float]] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self.strangers)

    @property
    def vectors(self) -> FloatArray:
        return self._vectors[: len(self.strangers)]

    def put(self, tracklet: str, vector: FloatArray, strangers: tuple[float, float]) -> None:
        """Add one; the oldest goes when there are too many."""
        self._vectors[self._next] = vector
        if len(self.strangers) < _SAMPLED:
            self.strangers.append(strangers)
            self._tracklets.append(tracklet)
        else:
            self.strangers[self._next], self._tracklets[self._next] = strangers, tracklet
        self._next = (self._next + 1) % _SAMPLED

    def learn(self, strangers: dict[str, tuple[float, float]]) -> None:
        """Take over what is known better now, by tracklet."""
        self.strangers = [strangers.get(t, own) for t, own in zip(self._tracklets, self.strangers, strict=True)]
