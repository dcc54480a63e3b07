"""Whether probabilities are true: of all that was said to be so sure, how much was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.evaluation.gallery_truth import TrackletTruth

BINS = 10
# Of a normal distribution, 95 % lies within so many standard deviations.
_SURE = 1.96


@dataclass(frozen=True, slots=True)
class Bin:
    """Statements whose probability lies between low and high.

    count: how many. said: their mean probability. right: the share that is so. least, most: the 95 % interval of that
    share (Wilson's score interval).
    """

    low: float
    high: float
    count: int
    said: float
    right: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """count: statements. brier: mean squared difference between what was said and what is so (Brier, 1950), 0..1.
    error: expected calibration error, the mean distance of said and right over bins, by count. bins: those that are
    not empty."""

    count: int
    brier: float
    error: float
    bins: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures for a report."""
        return asdict(self)


def reliability(said: npt.ArrayLike, right: npt.ArrayLike) -> Reliability:
    """Compare probabilities with what is so.

    said: float (n,), 0..1. right: bool (n,). Raises ValueError for anything else.
    """
    p, y = np.asarray(said, np.float64), np.asarray(right, bool).astype(np.float64)
    if p.shape != y.shape or p.ndim != 1:
        raise ValueError(f"said and right must be of one length, found shapes {p.shape} and {y.shape}")
    if not len(p):
        return Reliability(0, 0.0, 0.0, ())
    if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"said must be probabilities between 0 and 1, found {p.min():g} to {p.max():g}")
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    bins = []
    for k in np.unique(place).tolist():
        own = place == k
        share, count = float(y[own].mean()), int(own.sum())
        least, most = interval(share, count)
        bins.append(Bin(k / BINS, (k + 1) / BINS, count, float(p[own].mean()), share, least, most))
    error = sum(b.count * abs(b.said - b.right) for b in bins) / len(p)
    return Reliability(len(p), float(((p - y) ** 2).mean()), float(error), tuple(bins))


def interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in ``count`` cases (Wilson, 1927)."""
    z = _SURE**2 / count
    middle = (share + z / 2) / (1 + z)
    half = _SURE / (1 + z) * float(np.sqrt(share * (1 - share) / count + z / (4 * count)))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def memberships(
    matched: Sequence[TrackletTruth], identities: Mapping[str, str], probability: Mapping[str, float]
) -> tuple[list[float], list[bool]]:
    """What was said of each tracklet of somebody, and whether it is so.

    Of a tracklet that shares its identity it is said that another of its person does; of one that is alone, that no
    other is of its person. identities, probability: by tracklet; who has neither is left out.
    """
    somebody = [t for t in matched if not t.excused and t.person is not None and t.tracklet in probability]
    _, group = np.unique([identities[t.tracklet] for t in somebody], return_inverse=True)
    _, person = np.unique([t.person for t in somebody if t.person is not None], return_inverse=True)
    everybody = [identities[t.tracklet] for t in matched if t.tracklet in identities]
    shared = {identity for identity, count in zip(*np.unique(everybody, return_counts=True), strict=True) if count > 1}
    both = np.unique(np.stack([group, person]), axis=1, return_inverse=True)[1].reshape(-1)
    own, mine = np.bincount(both)[both] > 1, np.bincount(person)[person] > 1
    said = [probability[t.tracklet] for t in somebody]
    right = [bool(own[k]) if identities[t.tracklet] in shared else not bool(mine[k]) for k, t in enumerate(somebody)]
    return said, right
