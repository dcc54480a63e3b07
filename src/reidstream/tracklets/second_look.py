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
_UPRIGHT = 1.5
"""Least height of a box in widths: the line was learnt from people who stand. Turned by 90 degrees, four of five tracks
of people would be taken for things, and of people cut off at the hips one in thirty."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A line through an embedding space, people on one side and things on the other.

    weights: float32 (d,). bias: log odds at zero.
    """

    weights: FloatArray
    bias: float

    def says_thing(self, embeddings: FloatArray, boxes: FloatArray) -> bool:
        """Whether the crops of a track are those of a thing. embeddings: float32 (n, d); boxes: float32 (n, 4), xyxy.

        Nothing is said of who lies, sits behind a counter or is seen from above.
        """
        upright = boxes[:, 3] - boxes[:, 1] >= _UPRIGHT * (boxes[:, 2] - boxes[:, 0])
        if upright.sum() < _CROPS:
            return False
        return float(np.mean(embeddings[upright] @ self.weights)) + self.bias < _THING
