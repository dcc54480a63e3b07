"""How probable it is that two people who are known apart are one, by their looks and by when they were seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import select

from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.identities.calibration import Calibration, probabilities
from reidstream.identities.catalogue import Entry, Visit
from reidstream.identities.schema import links
from reidstream.types import FloatArray

# The newest visits of a person that are compared; more change nothing and cost time.
_COMPARED = 12
# Seconds that two visits to one camera must overlap to be of two people.
_OVERLAP = 0.5


def same_person(gallery: Gallery, calibration: Calibration, one: Entry, others: Sequence[Entry]) -> list[float]:
    """For each of the others the probability that they and ``one`` are the same, if there were no third.

    0 where somebody decided that they are two, or where a camera saw both at once.
    """
    if not others:
        return []
    shown = {entry.person.id: entry.visits[-_COMPARED:] for entry in (one, *others)}
    ids = list(dict.fromkeys(visit.tracklet for visits in shown.values() for visit in visits))
    held = gallery.prototypes(ids)
    order = np.argsort(held.owner, kind="stable")
    first = np.searchsorted(held.owner[order], np.arange(len(ids) + 1))
    looks = {t: held.vectors[order[first[n] : first[n + 1]]] for n, t in enumerate(ids)}
    apart = _said_apart(gallery, one, others)
    return [
        0.0
        if other.person.id in apart or _together(one.visits, other.visits)
        else _likelihood(calibration, shown[one.person.id], shown[other.person.id], looks)
        for other in others
    ]


def _likelihood(
    calibration: Calibration, some: Sequence[Visit], others: Sequence[Visit], looks: dict[str, FloatArray]
) -> float:
    mine = np.concatenate([looks[visit.tracklet] for visit in some])
    trust = max(visit.purity for visit in some)
    similarity = np.array([float((looks[visit.tracklet] @ mine.T).max()) for visit in others])
    weights = np.clip([min(visit.purity, trust) for visit in others], 0.1, 1.0)
    ratio = float((calibration.log_ratio(similarity) * weights).mean())
    return float(probabilities(np.array([ratio]))[0])


def _together(some: Sequence[Visit], others: Sequence[Visit]) -> bool:
    """Whether a camera saw both at once."""
    start, end = np.array([v.start for v in some]), np.array([v.end for v in some])
    source = np.array([v.source for v in some])
    return any(
        bool(((source == v.source) & (np.minimum(end, v.end) - np.maximum(start, v.start) >= _OVERLAP)).any())
        for v in others
    )


def _said_apart(gallery: Gallery, one: Entry, others: Sequence[Entry]) -> set[str]:
    """The people of the others of whom somebody decided that they are not ``one``."""
    owner = {visit.tracklet: entry.person.id for entry in others for visit in entry.visits}
    mine = [visit.tracklet for visit in one.visits]
    found: set[str] = set()
    with gallery.read() as connection:
        for some in in_chunks(mine):
            for near, far in ((links.c.a, links.c.b), (links.c.b, links.c.a)):
                query = select(far).where(links.c.kind == "different", near.in_(some))
                found.update(owner[t] for t in connection.execute(query).scalars() if t in owner)
    return found
