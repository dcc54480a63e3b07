"""From a similarity to the odds that two tracklets show one person, fitted to each gallery."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray

# Log-likelihood ratios are cut off here, high enough to tell somebody from their look-alike, ...
_LEAST, _MOST = -6.0, 8.0
# ... but no similarity is proof that it is anybody known: against nobody it counts as no more than this.
_PROOF = 4.0
# How alike two looks at one person are hangs by how clear both are. On 3,800 pairs of labelled tracklets, partly hidden
# people among them, (cosine - different) is .634 times the product of their clarity, to within .11 (without: .18);
# clarity is crops / (crops + this), each crop counted by its quality.
_HALF_CLEAR = 0.7
# The product of two clarities at which a gallery's usual values hold.
_USUAL = 0.65
# Same people's spread, against that of different people, is this much less the second number times the product; the
# third is the most, since else low similarities would speak for one person.
_POOR, _CLEAR, _EQUAL = 1.8, 1.2, 0.98
# However clear both looks are, one person is not expected to be more alike, nor, however poor, much less.
_ALIKE, _APART = 0.96, 0.05
# How many pairs of its own a gallery needs until they weigh as much as the defaults.
_PAIRS = 40.0
# The odds that the best candidate which no constraint excludes is the right person, before looking at the similarity:
# measured on labelled scenes (synthetic with look-alikes, PETS09-S2L1), where 9 of 10 such candidates were right.
BEST_CANDIDATE_ODDS = 10.0


@dataclass(frozen=True, slots=True)
class Defaults:
    """What similarities look like for one embedding model, before a gallery has any of its own.

    same, different: mean cosine of tracklets of one and of two people. spread: common standard deviation.
    within: mean cosine between prototypes of one tracklet.
    """

    same: float
    different: float
    spread: float
    within: float


# Measured on tracklets of synthetic scenes and labelled sequences; other models of the OSNet family lie close by.
GENERAL = Defaults(same=0.80, different=0.57, spread=0.10, within=0.80)

DEFAULTS_FILE = Path(__file__).with_name("model_defaults.json")
"""Defaults of the models that were measured, by the fingerprint of their embedding space; written by
benchmarks/calibration_defaults.py."""


@cache
def defaults_of(fingerprint: str) -> Defaults:
    """What a new gallery of this embedding space starts from; GENERAL for a model that was never measured."""
    held = json.loads(DEFAULTS_FILE.read_text(encoding="utf-8")).get(fingerprint)
    return GENERAL if held is None else Defaults(**{f.name: float(held[f.name]) for f in fields(Defaults)})


@dataclass(frozen=True, slots=True)
class Calibration:
    """How similarities of one gallery are read.

    same, different, spread: as in Defaults, moved towards the gallery's own pairs. negatives, positives: how many
    pairs of its own were seen. false_merges: share of known different pairs that lie above the midpoint.
    """

    same: float
    different: float
    spread: float
    negatives: int = 0
    positives: int = 0
    false_merges: float | None = None

    @property
    def midpoint(self) -> float:
        """The cosine at which both hypotheses are equally likely."""
        return (self.same + self.different) / 2

    @property
    def slope(self) -> float:
        """Log-likelihood ratio per unit of cosine: two normal distributions of equal spread."""
        return (self.same - self.different) / self.spread**2

    def threshold(self, false_merges: float) -> float | None:
        """The cosine that a join of two tracklets needs when this risk of a wrong one is accepted.

        None for a risk so small that no similarity is proof enough.
        """
        least = least_log_ratio(false_merges)
        return None if np.isinf(least) else self.midpoint + least / self.slope

    def log_ratio(
        self, similarity: npt.NDArray[np.floating], clarity: npt.NDArray[np.floating] | None = None
    ) -> npt.NDArray[np.float64]:
        """Log-likelihood ratio of "one person" against "two people" for cosines of any shape.

        clarity: the product of what both sides show of their person (see ``clarity_of``). Two clear looks at one
        person differ less, and two poor ones more, than usual. None: as usual.
        """
        x = np.asarray(similarity, np.float64)
        if clarity is None:
            ratio = self.slope * (x - self.midpoint)
        else:
            clear = np.asarray(clarity, np.float64)
            same = self.different + (self.same - self.different) * clear / _USUAL
            same = np.clip(same, self.different + _APART, max(_ALIKE, self.same))
            spread = self.spread * np.minimum(_POOR - _CLEAR * clear, _EQUAL)
            one, two = spread**-2, self.spread**-2
            # Beyond this the wider of the two normal distributions would win again.
            x = np.minimum(x, (same * one - self.different * two) / (one - two))
            ratio = ((x - self.different) ** 2 * two - (x - same) ** 2 * one) / 2 + np.log(self.spread / spread)
        cut: npt.NDArray[np.float64] = np.clip(ratio, _LEAST, _MOST)
        return cut


def clarity_of(strength: npt.NDArray[np.floating] | float) -> npt.NDArray[np.float64]:
    """How much a look shows of its person, 0..1, of the same shape.

    strength: how many crops it rests on, each counted by its quality.
    """
    crops = np.maximum(np.asarray(strength, np.float64), 1e-3)
    clarity: npt.NDArray[np.float64] = crops / (crops + _HALF_CLEAR)
    return clarity


def calibrated(
    negatives: FloatArray,
    within: FloatArray,
    labelled: FloatArray = np.zeros(0, np.float32),
    defaults: Defaults = GENERAL,
) -> Calibration:
    """A gallery's calibration from pairs whose answer is known for free.

    negatives: similarities of tracklets that cannot be one person (seen together). within: similarities between
    prototypes of one tracklet: the same person, but the same camera and minute, so only their shift against the
    model's usual value is taken over. labelled: similarities of pairs that people said are one person. All float32.
    """
    n = len(negatives)
    different = _moved(defaults.different, negatives)
    shift = _moved(defaults.within, within) - defaults.within
    same = defaults.same + 0.5 * shift
    if len(labelled):
        same = (same * _PAIRS + float(labelled.mean()) * len(labelled)) / (_PAIRS + len(labelled))
    spread = defaults.spread
    if n > 1:
        own = float(negatives.std())
        spread = float(np.sqrt((spread**2 * _PAIRS + own**2 * n) / (_PAIRS + n)))
    # A gallery of look-alikes must not turn the order round: "same" stays clearly above "different".
    same = max(same, different + spread)
    found = Calibration(same, different, spread, n, len(labelled))
    rate = float((negatives >= found.midpoint).mean()) if n else None
    return Calibration(same, different, spread, n, len(labelled), rate)


def least_log_ratio(false_merges: float) -> float:
    """The log-likelihood ratio that the best candidate needs for the accepted risk of a wrong join.

    Infinite for a risk so small that no similarity is proof enough.
    """
    least = float(np.log((1 - false_merges) / false_merges) - np.log(BEST_CANDIDATE_ODDS))
    return least if least <= _PROOF else float("inf")


def probabilities(log_ratios: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probability that each candidate is the person, float64 (k,), best candidates first or not.

    What is missing to 1 is the probability that it is nobody known. Candidates share what similarity gives them, so
    two people who look alike halve each other's probability.
    """
    weights = BEST_CANDIDATE_ODDS * np.exp(log_ratios)
    nobody = np.exp(max(0.0, float(np.max(log_ratios, initial=0.0)) - _PROOF))
    shares: npt.NDArray[np.float64] = weights / (nobody + weights.sum())
    return shares


def _moved(default: float, values: FloatArray) -> float:
    n = len(values)
    return float((default * _PAIRS + values.sum(dtype=np.float64)) / (_PAIRS + n))
