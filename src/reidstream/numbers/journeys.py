"""From where to where people went: how many, how long it took, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reidstream.gallery import Gallery
from reidstream.numbers.dwelling import stays_of
from reidstream.numbers.sureness import LEVEL, counts
from reidstream.numbers.visits import Asked, Floats, read_visits

OUTSIDE = ""
"""In place of a camera: people came from nowhere that is seen, or went there."""


@dataclass(frozen=True, slots=True)
class Flow:
    """People who went from one camera to another (or the same again, after a while), one after the other.

    origin, target: cameras; "" where somebody came from outside, or went there. people: how often is expected, with the
    interval of LEVEL (low, high). decided: how often, as people stand. seconds: median of the time in between.
    """

    origin: str
    target: str
    people: float
    people_low: int
    people_high: int
    decided: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Journeys:
    """All flows, and undecided: visits that belong to no journey, because it is undecided whose they are.

    within: seconds within which somebody is on the way. without_person: visits that wait to be given a person.
    """

    within: float
    undecided: int
    without_person: int
    flows: tuple[Flow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "within": self.within,
            "interval": LEVEL,
            "undecided": self.undecided,
            "without_person": self.without_person,
            "flows": [asdict(flow) for flow in self.flows],
        }


def journeys(gallery: Gallery, asked: Asked) -> Journeys:
    """How people went from camera to camera.

    Of a person's stays the surest stands for the person; a way between two stays is theirs as probably as both are.
    Where it is not, one journey ends at the one camera and another one begins at the other.
    """
    visits = read_visits(gallery, asked)
    known = np.flatnonzero(visits.decided)
    known = known[np.lexsort((visits.start[known], visits.owner[known]))]
    camera, owner = visits.camera[known], visits.owner[known]
    # Who is at another camera in between has left, however soon they come back.
    moved = (camera[1:] != camera[:-1]) | (owner[1:] != owner[:-1])
    run = np.concatenate([[0], np.cumsum(moved)]) if len(known) else known
    held = stays_of(run, owner, visits.start[known], visits.end[known], visits.sure[known], asked.stay)
    at = camera[np.searchsorted(run, held.place)]
    order = np.lexsort((held.end, held.start, held.owner))
    camera, owner = at[order], held.owner[order]
    start, end = held.start[order], held.end[order]
    sure = _anchored(owner, held.surest[order])
    n = len(owner)
    gap = np.maximum(start[1:] - end[:-1], 0.0) if n else np.zeros(0)
    on = (owner[1:] == owner[:-1]) & (gap <= asked.journey) if n else np.zeros(0, bool)
    way = np.flatnonzero(on)
    probable = sure[way] * sure[way + 1]
    arrived, left = np.zeros(n), np.zeros(n)
    arrived[way + 1], left[way] = probable, probable
    count = len(visits.cameras)
    # Of a stay with a way to it, a journey begins there only if that was somebody else.
    origin = np.concatenate([camera[way], np.full(n, count), camera])
    target = np.concatenate([camera[way + 1], camera, np.full(n, count)])
    event = np.concatenate([probable, 1.0 - arrived, 1.0 - left])
    took = np.concatenate([gap[way], np.full(2 * n, np.nan)])
    pairs, pair = np.unique(origin * (count + 1) + target, return_inverse=True)
    expected = counts(pair, event, len(pairs))
    names = (*visits.cameras, OUTSIDE)
    flows = []
    for number, key in enumerate(pairs.tolist()):
        own = pair == number
        times = took[own & ~np.isnan(took)]
        if expected.high[number] or expected.expected[number] > 0:
            flows.append(
                Flow(
                    names[key // (count + 1)],
                    names[key % (count + 1)],
                    round(float(expected.expected[number]), 3),
                    int(expected.low[number]),
                    int(expected.high[number]),
                    int((event[own] >= 0.5).sum()),
                    round(float(np.median(times)), 1) if len(times) else None,
                )
            )
    flows.sort(key=lambda flow: (-flow.people, flow.origin, flow.target))
    return Journeys(asked.journey, int((~visits.decided).sum()), visits.without, tuple(flows))


def _anchored(owner: Any, sure: Floats) -> Floats:
    """The probabilities, with 1 for the surest of each person; owner: sorted."""
    found = sure.copy()
    if len(owner):
        order = np.lexsort((-sure, owner))
        sorted_owner = owner[order]
        first = np.concatenate([[True], sorted_owner[1:] != sorted_owner[:-1]])
        found[order[first]] = 1.0
    return found
