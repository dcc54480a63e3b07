"""How long looks last: who comes another day mostly wears something else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.types import IntArray

Floats = npt.NDArray[np.float64]

# Clothes last a shift; from then on half of what is left changes every so often. After a night of fifteen hours three
# in ten still wear the same, after a day one in 25, and never fewer than one in fifty: some do wear the same again.
# Estimates, not measurements: none of the labelled data spans two days.
_SHIFT, _HALF, _LEAST = 10 * 3600.0, 3 * 3600.0, 0.02
# Looks that last less surely than this prove nothing: they make suggestions.
PROOF = 0.5


def lasting(start: Floats, end: Floats, i: IntArray, j: IntArray, clothes: str) -> Floats:
    """float64 of the common shape of i and j: how probably one person looks alike in both tracklets.

    start, end: float64 (n,), wall seconds. i, j: rows. clothes: "change", or "stay", where it is 1.
    """
    gap = np.maximum(np.maximum(start[i], start[j]) - np.minimum(end[i], end[j]), 0.0)
    return lasting_over(gap, clothes)


def lasting_over(gap: Floats, clothes: str) -> Floats:
    """The same for gaps in seconds."""
    if clothes == "stay":
        return np.ones(gap.shape)
    found: Floats = np.clip(np.exp2(-(gap - _SHIFT) / _HALF), _LEAST, 1.0)
    return found


def diluted(ratio: Floats, kept: Floats) -> Floats:
    """Log-likelihood ratios of one person against two, where one person looks alike only as probably as ``kept``.

    Who wears something else looks like anybody: the likelihood is a mixture of both.
    """
    found: Floats = np.where(kept < 1.0, np.log(kept * np.exp(np.minimum(ratio, 30.0)) + (1.0 - kept)), ratio)
    return found
