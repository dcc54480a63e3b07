"""A second look at who was seen: person or thing, by what the Re-ID network saw already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidstream.types import FloatArray

_THING = -1.5
"""Mean log odds of a track's crops below which it is a thing. Half of the things that were never trained on lie there,
and of people in four recordings that were not trained on either none to 1.5 % of single crops, half hidden ones above
all; none of the tracks of people whose truth is known does."""
_CROPS = 3
"""So many crops at least: one or two may be of the border between two people."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A line through an embedding space, people on one side and things on the other.

    weights: float32 (d,). bias: log odds at zero.
    """

    weights: FloatArray
    bias: float

    def says_thing(self, embeddings: FloatArray) -> bool:
        """Whether the crops of a track, float32 (n, d), are those of a thing."""
        if len(embeddings) < _CROPS:
            return False
        return float(np.mean(embeddings @ self.weights)) + self.bias < _THING
