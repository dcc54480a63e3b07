"""Who somebody is while they are still in view, and whether a photo shows them. Nothing is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.identities.calibration import clarity_of
from reidstream.identities.deciding import QUERY_STRENGTH, Decider, Decision
from reidstream.identities.remembered import Seen
from reidstream.identities.strangers import Nearest
from reidstream.types import FloatArray

_PROTOTYPES = 4
# Somebody this likely beside a photo's person counts against it.
_RIVAL = 0.01


@dataclass(frozen=True, slots=True)
class InView:
    """A track that goes on, or one that was stored. start, end: wall seconds. vectors: float32 (m, d), unit length, of
    its best crops; quality: float32 (m,), 0..1."""

    source: str
    start: float
    end: float
    vectors: FloatArray
    quality: FloatArray

    @property
    def mean(self) -> FloatArray:
        """float32 (d,), unit length: each crop as far as it can be trusted."""
        mean = (self.vectors * np.maximum(self.quality, 1e-3)[:, None]).sum(axis=0)
        unit: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
        return unit


def seen_of(decider: Decider, view: InView, ahead: float = 0.0) -> Seen:
    """What a decider is asked with. ahead: seconds that the camera's clock is ahead."""
    best = np.argsort(-view.quality, kind="stable")[:_PROTOTYPES]
    mean = view.mean
    # As of a stored track, whose purity is how far its crops agree with each other.
    agreeing = float(np.clip((view.vectors @ mean).mean(), 0.1, 1.0))
    strength = agreeing * float(view.quality.sum())
    return Seen(
        decider.camera(view.source),
        view.start - ahead,
        view.end - ahead,
        mean,
        view.vectors[best],
        float(clarity_of(strength)),
        decider.strangers_of(mean),
    )


def photos_shown(
    decider: Decider, photos: FloatArray, taken: npt.NDArray[np.float64], seen: Seen, decision: Decision
) -> list[float]:
    """How probable it is that somebody seen is whom each photo shows, in the order given.

    photos: float32 (k, d), unit length. taken: float64 (k,), Unix seconds at which each was there already: who comes
    another day mostly wears something else. A photo is read as one fair crop of somebody of whom nothing else is known,
    as likely as anybody to come. decision: who of the known it is: those whom the photo does not show count against it.
    """
    gaps = np.maximum(seen.start - taken, 0.0)
    found = []
    known = [(person, p) for person, p in decision.candidates if p >= _RIVAL]
    for vector, odds, own in zip(photos, *_odds(decider, photos, seen, gaps), strict=True):
        rivals = 0.0
        asked = Seen(-1, 0.0, 0.0, vector, vector[None], float(clarity_of(QUERY_STRENGTH)), own)
        for person, probability in known:
            if decider.alone(person, asked) < 0.5:
                rivals += probability / max(decision.nobody, 1e-9)
        likely = float(np.exp(min(odds, 30.0)))
        found.append(likely / (1.0 + likely + rivals))
    return found


def _odds(
    decider: Decider, photos: FloatArray, seen: Seen, gaps: npt.NDArray[np.float64]
) -> tuple[Sequence[float], list[Nearest]]:
    """Log-odds of each photo for itself, and its strangers."""
    if not len(photos):
        return [], []
    strangers = decider.strangers_of_all(photos)
    similarity = ((seen.prototypes @ photos.T).max(axis=0) + photos @ seen.vector) / 2
    return decider.odds_of(similarity.astype(np.float64), strangers, seen, gaps), strangers
