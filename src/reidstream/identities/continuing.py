"""Tracks that go on where and when another ended: somebody was hidden or missed for a while and found again.

Of a tracklet p that ended and q that began g seconds later before the same camera, the odds that q is p going on are,
but for what looks say,

    odds(p, q) = share / (1 - share) * exp(-g / lost) / lost * near(q; p, g) / begins(q) / (1 + rivals)

near is the density of how far q begins from where p was going, in heights of the person, and of the difference of the
logarithms of their heights. begins(q) is how many others begin a second at such a place and of such a size: the
density of all beginnings before this camera but q's own, so that where many come in, somebody who comes in is hardly
anybody who was lost. rivals are the odds, with looks, of all others whom q may continue, and of all others who may
continue p. The share of tracks that go on and for how long they are lost are estimated from the gallery by
expectation-maximisation.

What is explained so must not count twice: the prior of all other pairs is estimated from pairs of which none goes on
from the other (``left_over``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.identities.calibration import Pairs, estimated_share
from reidstream.identities.constraints import groups_of
from reidstream.identities.evidence import Evidence
from reidstream.identities.linkage import UNLIKE
from reidstream.types import FloatArray, IntArray

# Nobody who is lost for longer is said to go on. A track may begin a little before the other ends. Seconds.
_LONGEST, _EARLY = 10.0, 0.1
# How people go on was measured on tracks of pedestrians on squares and in synthetic scenes (some 280 and 290 of them).
# Half of them are no further beside where they were going than this, in heights, and so much more a second; the others
# may be anywhere (a Cauchy density). Nobody goes on as before for much longer than these seconds.
_NEAR, _STRAY, _STRAIGHT = 0.02, 0.05, 3.0
# The mean difference of the logarithms of heights, and what a second adds to it (a Laplace density).
_SIZE, _GROWTH = 0.05, 0.02
# The kernel of the density of beginnings, in heights and in their logarithm.
_KERNEL, _KERNEL_SIZE = 0.7, 0.25
# Before any is seen, so many tracks go on, after so many seconds; it weighs as much as so many tracks.
_SHARE, _LOST, _WEIGHT = 0.3, 2.0, 10.0
_ROUNDS = 12
# No place is proof: somebody else may have stepped there, and been taken for another by the tracker with good reason.
_MOST = 6.0
# Of very many beginnings so many tell what all are like; for so many at once it is asked how many begin there.
_SAMPLED, _AT_ONCE = 1024, 512

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Continuations:
    """m pairs of rows: later[k] may be earlier[k] going on.

    log_odds: float64 (m,), but for looks. same: float64 (m,), how probable that is with them. share: of tracks, that
    go on. lost: seconds until they do, on average.
    """

    earlier: IntArray
    later: IntArray
    log_odds: Floats
    same: Floats
    share: float
    lost: float

    def worth(self, evidence: Evidence, prior: float) -> FloatArray:
        """float32 (m,): what is to be added to the pairs' log ratios, whose log-odds before looking are ``prior``.

        Parts of one track were taken apart because they look like two people, which is as sure as the less trusted.
        """
        p, q = self.earlier, self.later
        one = evidence.track[p] == evidence.track[q]
        doubt = np.where(one, 1 - np.minimum(evidence.trust[p], evidence.trust[q]), 1.0)
        # Who does not go on may be the same person as any other two may be.
        worth: FloatArray = (np.logaddexp(self.log_odds - prior, 0.0) * doubt).astype(np.float32)
        return worth


def continuations(evidence: Evidence, i: IntArray, j: IntArray, looks: Floats) -> Continuations:
    """The pairs of tracklets of which one may go on from the other.

    looks: float64 (m,), log-likelihood ratios of pairs i < j in ascending order; others are unlike.
    """
    p, q = _near(evidence)
    if not len(p):
        return Continuations(p, q, np.zeros(0), np.zeros(0), _SHARE, _LOST)
    n = len(evidence)
    gap = np.maximum(evidence.start[q] - evidence.end[p], 0.0)
    odds = _log_places(evidence, p, q, gap)
    keys, wanted = i * n + j, np.minimum(p, q) * n + np.maximum(p, q)
    ratio = np.full(len(p), UNLIKE)
    if len(keys):
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        ratio = np.where(keys[at] == wanted, looks[at], UNLIKE)
    share, lost, tracks = _SHARE, _LOST, len(np.unique(np.concatenate([p, q])))
    for _ in range(_ROUNDS):
        weight = np.exp(np.clip(_with_gaps(odds, gap, share, lost) + ratio, -30, 30))
        # Each goes on once, and from one.
        same = np.minimum(weight / (1 + np.bincount(p, weight)[p]), weight / (1 + np.bincount(q, weight)[q]))
        share = float((same.sum() + _SHARE * _WEIGHT) / (tracks + _WEIGHT))
        lost = float(((same * gap).sum() + _SHARE * _WEIGHT * _LOST) / (same.sum() + _SHARE * _WEIGHT))
    found = _with_gaps(odds, gap, share, lost)
    weight = np.exp(np.clip(found + ratio, -30, 30))
    rivals = np.bincount(p, weight)[p] + np.bincount(q, weight)[q] - 2 * weight
    found = np.minimum(found - np.log1p(np.maximum(rivals, 0.0)), _MOST)
    return Continuations(p, q, found, 1.0 / (1.0 + np.exp(-np.clip(found + ratio, -30, 30))), share, lost)


def left_over(found: Continuations, pairs: Pairs, looks: Floats) -> float:
    """How often two tracklets of which none goes on from the other are one person, as a part of how often any two are:
    0..1.

    looks: float64 (m,), log-likelihood ratios of the pairs.
    """
    surely = found.same > 0.5
    if not surely.any():
        return 1.0
    track = groups_of(pairs.n, list(zip(found.earlier[surely].tolist(), found.later[surely].tolist(), strict=True)))
    apart = pairs.open & (track[pairs.i] != track[pairs.j])
    free = max(pairs.free - float(pairs.open.sum() - apart.sum()), 1.0)
    return min(
        estimated_share(looks[apart], pairs.kept[apart], free, pairs.n)
        / estimated_share(looks[pairs.open], pairs.kept[pairs.open], pairs.free, pairs.n),
        1.0,
    )


def _with_gaps(odds: Floats, gap: Floats, share: float, lost: float) -> Floats:
    found: Floats = odds + np.log(share / (1 - share) / lost) - gap / lost
    return found


def _near(evidence: Evidence) -> tuple[IntArray, IntArray]:
    """Pairs of rows (earlier, later) of one camera, the later begun soon after the earlier ended."""
    known = (evidence.entry[:, 2] > evidence.entry[:, 0]) & (evidence.exit[:, 2] > evidence.exit[:, 0])
    earlier, later = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for camera in range(len(evidence.cameras)):
        rows = np.flatnonzero((evidence.camera == camera) & known)
        rows = rows[np.argsort(evidence.start[rows], kind="stable")]
        starts = evidence.start[rows]
        begin = np.searchsorted(starts, evidence.end[rows] - _EARLY, side="left")
        count = np.searchsorted(starts, evidence.end[rows] + _LONGEST, side="right") - begin
        first = np.repeat(np.arange(len(rows)), count)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        earlier.append(rows[first])
        later.append(rows[begin[first] + offset])
    p, q = np.concatenate(earlier), np.concatenate(later)
    kept = (p != q) & (evidence.start[p] < evidence.start[q]) & (evidence.end[p] < evidence.end[q])
    return p[kept], q[kept]


def _log_places(evidence: Evidence, p: IntArray, q: IntArray, gap: Floats) -> Floats:
    """float64 (m,): the logarithm of how densely those who go on from p begin where q does, beside how many others do
    a second."""
    place, size = _middles(evidence.entry)
    left, former = _middles(evidence.exit)
    height = (size[q] + former[p]) / 2
    straight = _STRAIGHT * -np.expm1(-gap / _STRAIGHT)
    going = left[p] + straight[:, None] * (evidence.leaving[p] + evidence.entering[q]) / 2
    beside = (((place[q] - going) / np.exp(height)[:, None]) ** 2).sum(axis=1)
    near, alike = _NEAR + _STRAY * gap, _SIZE + _GROWTH * gap
    density = np.log(near / (2 * np.pi)) - 1.5 * np.log(beside + near**2)
    density -= np.abs(size[q] - former[p]) / alike + np.log(2 * alike)
    # Both per square pixel.
    found: Floats = (density - 2 * height) - (_log_beginnings(evidence, place, size) - 2 * size)[q]
    return found


def _middles(boxes: FloatArray) -> tuple[Floats, Floats]:
    """The middles of boxes, float64 (n, 2) pixels, and the logarithms of their heights, float64 (n,)."""
    some = boxes.astype(np.float64)
    return (some[:, :2] + some[:, 2:]) / 2, np.log(np.maximum(some[:, 3] - some[:, 1], 1.0))


def _log_beginnings(evidence: Evidence, place: Floats, size: Floats) -> Floats:
    """float64 (n,): the logarithm of how many others begin a second at each row's place and of its size, per square
    height of the row and unit of the logarithm of heights. One more may begin anywhere."""
    found = np.zeros(len(evidence))
    for camera in range(len(evidence.cameras)):
        rows = np.flatnonzero((evidence.camera == camera) & (evidence.entry[:, 2] > evidence.entry[:, 0]))
        if not len(rows):
            continue
        span = max(float(evidence.end[rows].max() - evidence.start[rows].min()), 1.0)
        boxes = np.concatenate([evidence.entry[rows], evidence.exit[rows]])
        area = max(float((boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).prod()), 1.0)
        known = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLED)).astype(np.int64)]
        for begin in range(0, len(rows), _AT_ONCE):
            some = rows[begin : begin + _AT_ONCE]
            away = ((place[some, None] - place[None, known]) / np.exp(size[some, None, None])) ** 2
            taller = ((size[some, None] - size[None, known]) / _KERNEL_SIZE) ** 2
            density = np.exp(-0.5 * (away.sum(axis=2) / _KERNEL**2 + taller))
            density *= len(rows) / len(known) / ((2 * np.pi) ** 1.5 * _KERNEL**2 * _KERNEL_SIZE)
            density[some[:, None] == known[None, :]] = 0.0
            found[some] = np.log((density.sum(axis=1) + np.exp(2 * size[some]) / area) / span)
    return found
