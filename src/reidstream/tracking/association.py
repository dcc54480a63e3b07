"""Which detection continues which track: the best assignment, and where it is in doubt, over many sources at once."""

from __future__ import annotations

import numpy as np

from reidstream.tracking.meeting import Mask, Meetings
from reidstream.tracking.solver import solver
from reidstream.tracking.thresholds import Thresholds
from reidstream.types import FloatArray, IntArray

NOBODY = -1

_FIRST = np.zeros(1, np.int64)
_solve = solver()


def assignment(tracks: IntArray, detections: IntArray, weights: FloatArray, source: IntArray) -> IntArray:
    """Which of the pairs make the greatest sum of weights, one pair more being worth 3, each track and each detection
    in one pair at most: int64 (k,), ascending.

    tracks, detections: int64 (p,), pairs in the order of tracks. weights: float32 (p,), greater than -3. source:
    int64, of each track: pairs of one source decide nothing about those of another, and what has one pair only and is
    in no other nothing about anything.
    """
    if not len(tracks):
        return np.zeros(0, np.int64)
    alone = (np.bincount(tracks)[tracks] == 1) & (np.bincount(detections)[detections] == 1)
    rest = (~alone).nonzero()[0]
    if len(rest):
        alone[rest[_contested(tracks[rest], detections[rest], weights[rest], source)]] = True
    chosen: IntArray = alone.nonzero()[0]
    return chosen


def _contested(tracks: IntArray, detections: IntArray, weights: FloatArray, source: IntArray) -> IntArray:
    """The same for pairs that share tracks or detections: a matrix for each source."""
    row, column = _numbered(tracks), _numbered(detections)
    belongs = source[tracks]
    if belongs[0] == belongs[-1]:
        return _best(row, column, weights)
    begins = np.concatenate([_FIRST, (belongs[1:] != belongs[:-1]).nonzero()[0] + 1])
    # Rows and columns of a source stand together, since sources do.
    row -= np.repeat(row[begins], np.diff(begins, append=len(row)))
    column -= np.repeat(np.minimum.reduceat(column, begins), np.diff(begins, append=len(row)))
    ends = [*begins[1:].tolist(), len(row)]
    return np.concatenate(
        [
            begin + _best(row[begin:end], column[begin:end], weights[begin:end])
            for begin, end in zip(begins.tolist(), ends, strict=True)
        ]
    )


def _best(row: IntArray, column: IntArray, weights: FloatArray) -> IntArray:
    """Of pairs of a row and a column that begin at 0, ascending by row: those of the best assignment."""
    shape = int(row[-1]) + 1, int(column.max()) + 1
    matrix, pair = np.zeros(shape), np.full(shape, NOBODY)
    matrix[row, column] = weights + 3
    pair[row, column] = np.arange(len(row))
    chosen: IntArray = pair[_solve(matrix, maximize=True)]
    # What is left for the others is no pair at all.
    pairs: IntArray = chosen[chosen != NOBODY]
    return pairs


def _numbered(things: IntArray) -> IntArray:
    """The same things, numbered without gaps in the same order."""
    there = np.zeros(int(things.max()) + 1, np.int64)
    there[things] = 1
    numbered: IntArray = (np.cumsum(there) - 1)[things]
    return numbered


def doubtful(meetings: Meetings, usable: Mask, fresh: Mask, sure: Mask, source: IntArray, limits: Thresholds) -> Mask:
    """Which detections motion alone cannot give to a track: bool (detections,).

    usable: bool (detections,), those that can have a track at all. fresh: bool (tracks,), seen just now. sure: the
    detections that would be missed if they stayed without a track. A pair of the best assignment is in doubt when it is
    weak, or when nearly as much overlap is had by exchanging it with another pair, or with a track or a sure detection
    that has no partner.
    """
    doubt = np.zeros(len(usable), bool)
    touching = ((meetings.fits >= limits.touch) & usable[meetings.detections]).nonzero()[0]
    tracks, detections, fits = meetings.tracks[touching], meetings.detections[touching], meetings.fits[touching]
    candidates = fresh[tracks].nonzero()[0]
    best = candidates[assignment(tracks[candidates], detections[candidates], fits[candidates], source)]
    if not len(best):
        return doubt
    partner = np.full(len(fresh), NOBODY)
    partner[tracks[best]] = detections[best]
    owner = np.full(len(usable), NOBODY)
    owner[detections[best]] = tracks[best]
    own = np.zeros(len(fresh), np.float32)
    own[tracks[best]] = fits[best]
    unsettled = np.zeros(len(fresh), bool)
    unsettled[tracks[best]] = fits[best] < limits.weak

    # Exchanged with another pair.
    mine, theirs = partner[tracks], owner[detections]
    pairs = ((mine != NOBODY) & (theirs != NOBODY) & (theirs != tracks)).nonzero()[0]
    a, b = tracks[pairs], theirs[pairs]
    close = own[a] + own[b] - fits[pairs] - meetings.fit(b, mine[pairs]) < limits.margin
    unsettled[a[close]] = unsettled[b[close]] = True
    # With a track that has no partner.
    pairs = ((mine == NOBODY) & (theirs != NOBODY) & fresh[tracks]).nonzero()[0]
    b = theirs[pairs]
    unsettled[b[own[b] - fits[pairs] < limits.margin]] = True
    # With a sure detection that has none.
    pairs = ((mine != NOBODY) & (theirs == NOBODY) & sure[detections]).nonzero()[0]
    pairs = pairs[own[tracks[pairs]] - fits[pairs] < limits.margin]
    doubt[detections[pairs]] = doubt[mine[pairs]] = True
    doubt[partner[unsettled]] = True
    return doubt
