"""Whose clock is ahead of whose, from the people whom cameras share.

Who goes from one camera to another takes about as long there as others take back. Where the clock of the second is
ahead by d seconds, everybody seems to take d longer there and d less back, so that d is half the difference of the two
medians. All pairs of cameras are then put together by least squares: a clock whose camera shares nobody with the
reference is measured through a third, and pairs that contradict each other are believed less. Which visits are one
person's is judged by looks alone: what times say is in question. Where people go one way only, nothing can be told; how
long that takes and how far the clock is ahead look the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.constraints import Cameras, HumanLinks, groups_of
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import compared
from reidstream.types import IntArray

# Clocks are compared as far as they differ by no more than this, by walks that take no longer than that. Seconds.
_FURTHEST, _LONGEST = 300.0, 120.0
# So likely (log-odds) two visits must be one person's, so many walks it takes each way; and so many of the newest
# tracklets are enough.
_LIKELY, _WALKS, _NEWEST = 2.0, 8, 2000
_ROUNDS = 50
# No difference of clocks is known better than this. Seconds.
_LEAST_ERROR = 0.05
# The standard error of a median is this times the mean absolute deviation, by the root of their number, where errors
# are normal.
_MEDIAN_ERROR = 1.2533 * 1.4826

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the clock of a camera is ahead of the reference's, in seconds; None where that cannot be told.

    error: standard error. there, back: walks to this camera and from it, from and to any other, that it rests on. told:
    what is corrected for already.
    """

    camera: str
    reference: str
    ahead: float | None
    error: float | None
    there: int
    back: int
    told: float

    @property
    def differs(self) -> bool:
        """Whether it is surely ahead or behind: by three standard errors, and by a second."""
        return self.ahead is not None and self.error is not None and abs(self.ahead) > max(3 * self.error, 1.0)


def clocks_of(gallery: Gallery, config: IdentityConfig) -> list[Clock]:
    """The clocks of all cameras of a gallery beside that of the one that shares most people with the others."""
    rows = gallery.rows()
    ids = rows.id.tolist()[-_NEWEST:]
    return measured(evidence_of(gallery, ids, config.clocks), config)


def measured(evidence: Evidence, config: IdentityConfig) -> list[Clock]:
    """The same for evidence that is corrected by what ``config.clocks`` says: what is still left to correct."""
    names = evidence.cameras
    count = len(names)
    pairs, read, _ = compared(evidence, config, HumanLinks(), Cameras.independent(count))
    likely = (read.ratio + read.calibration.prior > _LIKELY) & (evidence.camera[pairs.i] != evidence.camera[pairs.j])
    i, j = pairs.i[likely], pairs.j[likely]
    found = {}
    for a in range(count):
        for b in range(count):
            if a != b:
                one = np.concatenate([i, j]), np.concatenate([j, i])
                ours = (evidence.camera[one[0]] == a) & (evidence.camera[one[1]] == b)
                p, q = one[0][ours], one[1][ours]
                found[a, b] = _ahead(p, q, evidence.start[q] - evidence.end[p], evidence.start[p] - evidence.end[q])
    if not count:
        return []
    reference = max(range(count), key=lambda a: (sum(min(found[a, b][2:]) for b in range(count) if a != b), -a))
    walks = [(a, b) for a in range(count) for b in range(a + 1, count) if np.isfinite(found[a, b][0])]
    between = {pair: found[pair][:2] for pair in walks}
    ahead, error = offsets(count, between, reference)
    clocks = []
    for b in range(count):
        if b != reference:
            # What it rests on goes to and comes from whichever other camera.
            resting = [found[b, a][2:] for a in range(count) if (min(a, b), max(a, b)) in between]
            there, back = found[reference, b][2:] if not resting else np.sum(resting, axis=0).tolist()[::-1]
            known = np.isfinite(ahead[b])
            clocks.append(
                Clock(
                    names[b],
                    names[reference],
                    float(ahead[b]) if known else None,
                    float(error[b]) if known else None,
                    there,
                    back,
                    config.clocks.get(names[b], 0.0) - config.clocks.get(names[reference], 0.0),
                )
            )
    return clocks


def offsets(
    count: int, between: Mapping[tuple[int, int], tuple[float, float]], reference: int
) -> tuple[Floats, Floats]:
    """How far each of ``count`` clocks is ahead of the reference's, and the standard errors: float64 (count,) each, NaN
    where nothing leads there.

    between: of pairs (a, b), how far b's clock is ahead of a's, and the standard error. All are put in at once, by
    least squares weighted with the errors; where they contradict each other by more than these allow, errors are the
    greater.
    """
    ahead, error = np.full(count, np.nan), np.full(count, np.nan)
    ahead[reference] = error[reference] = 0.0
    parts = groups_of(count, list(between))
    others = [c for c in np.flatnonzero(parts == parts[reference]).tolist() if c != reference]
    if not others:
        return ahead, error
    pairs = [pair for pair in between if parts[pair[0]] == parts[reference]]
    signs = np.zeros((len(pairs), count))
    signs[np.arange(len(pairs)), [b for _, b in pairs]] = 1.0
    signs[np.arange(len(pairs)), [a for a, _ in pairs]] = -1.0
    measured = np.array([between[pair][0] for pair in pairs])
    weight = 1.0 / np.maximum([between[pair][1] for pair in pairs], _LEAST_ERROR)
    design = signs[:, others] * weight[:, None]
    ahead[others], *_ = np.linalg.lstsq(design, measured * weight, rcond=None)
    left = (signs[:, others] @ ahead[others] - measured) * weight
    more = len(pairs) - len(others)
    contradiction = max(1.0, float((left**2).sum()) / more) if more else 1.0
    error[others] = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * contradiction)
    return ahead, error


def _ahead(p: IntArray, q: IntArray, there: Floats, back: Floats) -> tuple[float, float, int, int]:
    """How far the second clock is ahead, with its standard error and the number of walks each way; NaN: cannot be told.

    p, q: int64 (m,), visits to the first and to the second camera. there, back: float64 (m,), seconds from the end of
    the one to the beginning of the other, in either order.
    """
    best, most = np.nan, 0.0
    for d in sorted(np.arange(-_FURTHEST, _FURTHEST + 1, 1.0).tolist(), key=abs):
        onward, homeward = _walks(p, there - d), _walks(q, back + d)
        # Nobody is in two places at once.
        twice = np.count_nonzero((there - d < 0) & (back + d < 0))
        # Who walks both ways within a short time counts more than who happens to be seen before and after.
        worth = min(_density(there[onward] - d), _density(back[homeward] + d)) - twice
        if worth > most + 1e-9:
            best, most = d, worth
    if not np.isfinite(best):
        return np.nan, np.nan, 0, 0
    for _ in range(_ROUNDS):
        onward, homeward = _walks(p, there - best), _walks(q, back + best)
        if min(len(onward), len(homeward)) < _WALKS:
            return np.nan, np.nan, len(onward), len(homeward)
        step = (np.median(there[onward] - best) - np.median(back[homeward] + best)) / 2
        best += float(step)
        if abs(step) < 1e-3:
            break
    one, other = there[onward] - best, back[homeward] + best
    # Where the fast and the slow walks do not say the same, people do not take as long there as back.
    quartiles = (np.quantile(one, (0.25, 0.75)) - np.quantile(other, (0.25, 0.75))) / 2
    error = float(np.hypot(np.hypot(_error(one), _error(other)) / 2, np.abs(quartiles).max()))
    return best, error, len(one), len(other)


def _walks(begun: IntArray, gaps: Floats) -> IntArray:
    """Which pairs are walks, int64: of each visit that was left the one that was come to next."""
    possible = np.flatnonzero((gaps >= 0) & (gaps <= _LONGEST))
    order = possible[np.lexsort((gaps[possible], begun[possible]))]
    _, first = np.unique(begun[order], return_index=True)
    found: IntArray = order[first]
    return found


def _density(gaps: Floats) -> float:
    return float((1.0 - gaps / _LONGEST).sum())


def _error(gaps: Floats) -> float:
    """The standard error of the median of gaps."""
    return _MEDIAN_ERROR * float(np.median(np.abs(gaps - np.median(gaps)))) / float(np.sqrt(len(gaps)))
