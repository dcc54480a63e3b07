"""How long people stayed: visits of one person at one place that follow each other closely are one stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidstream.numbers.visits import Floats, Ints


@dataclass(frozen=True, slots=True)
class StaysOf:
    """k stays, every array of length k.

    place, owner: where, whose. start, end: Unix seconds. rows: how many visits they are made of. surest: the largest
    probability of a visit to be its owner's. joined: how probably all of the visits are one person's.
    """

    place: Ints
    owner: Ints
    start: Floats
    end: Floats
    rows: Ints
    surest: Floats
    joined: Floats


def stays_of(place: Ints, owner: Ints, start: Floats, end: Floats, sure: Floats, within: float) -> StaysOf:
    """Stays made of n visits (arrays of length n): gaps of at most ``within`` seconds belong to a stay.

    Of the visits of a stay the surest stands for the person; each other one is the same person's with its probability.
    """
    order = np.lexsort((start, owner, place))
    place, owner, start, end, sure = place[order], owner[order], start[order], end[order], sure[order]
    if not len(place):
        none = np.zeros(0, np.int64)
        return StaysOf(none, none, start, end, none, sure, sure)
    same = (place[1:] == place[:-1]) & (owner[1:] == owner[:-1])
    line = np.concatenate([[0], np.cumsum(~same)])
    # Visits of one person may overlap: what counts is the latest end so far. Shifting each person's times beyond all
    # others lets one running maximum do it for everybody.
    low = min(start.min(), end.min())
    reach = end.max() - low + 1.0
    latest = np.maximum.accumulate(end - low + line * reach) - line * reach + low
    begins = np.concatenate([[True], ~same | (start[1:] - latest[:-1] > within)])
    first = np.flatnonzero(begins)
    surest = np.maximum.reduceat(sure, first)
    with np.errstate(divide="ignore"):
        product = np.exp(np.add.reduceat(np.log(sure), first))
    joined = np.where(surest > 0, product / np.where(surest > 0, surest, 1.0), 1.0)
    rows = np.diff(np.append(first, len(place)))
    return StaysOf(
        place[first],
        owner[first],
        start[first],
        np.maximum.reduceat(end, first),
        rows,
        surest,
        np.where(rows == 1, 1.0, np.clip(joined, 0.0, 1.0)),
    )
