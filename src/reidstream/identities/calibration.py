"""From a similarity to the odds that two tracklets show one person, fitted to each gallery without labels.

A tracklet is compared with its own strangers first. The nearest quarter of what it resembles, those left out that are
likely the same person, has a mean m and a standard deviation d; with them, a similarity s of tracklets i and j becomes

    z = ((s - m_i) / d_i + (s - m_j) / d_j) / 2

(symmetric score normalisation with an adaptive cohort, as in speaker verification). Where j was left out of i's
strangers to the degree p, for being likely the same person, it is put back for this, as one more of the n from whom m
and d were learnt: an internally studentised residual. With t = (s - m_i) / d_i and e = p / n, i's part of z is

    t / (1 + e) / sqrt((1 + e t^2 / (1 + e)) / (1 + e))

so that nobody is the more surely one person for having been taken for one. Where strangers were learnt before somebody
came (a tracklet that is decided online), p is how likely it is one person by them as they are; where they are those of
a small part of a gallery, which stand for all, nobody was left out of them. Two different people's z is distributed
alike in all galleries that were measured, whatever model, cameras and clothes: a shifted gamma distribution. One
person's s is normal; its mean rises with how clear both looks are. What this gives, the logarithm of the ratio of the
two densities, becomes odds through the share of pairs that are one person, which is estimated from the gallery itself,
together with that mean and deviation, by expectation-maximisation over all pairs that times and reviewers leave open.
It begins with what stands out from the lower half of what each tracklet resembles, which hardly holds anybody's own;
from there, strangers are learnt anew a few times only (``_LESSONS``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reidstream.expected_looks import ANY, ExpectedLooks
from reidstream.identities.lasting import diluted
from reidstream.identities.strangers import (
    Floats,
    Strangers,
    as_if_few_return,
    lower_half,
    nearest_strangers,
    shrunk,
)
from reidstream.types import FloatArray, IntArray

# Strangers' z: mean, standard deviation and skewness, measured on people of whom nobody returns (benchmarks.regimes:
# one gallery of 300 people, one street of 174, six unrelated places; two embedding models). The quantiles of .99 and
# .999 lay at 1.8 to 2.0 and 2.6 to 3.2 in all of them.
_MEAN, _DEVIATION, _SKEW = -2.47, 1.75, 0.33
_SHAPE = 4.0 / _SKEW**2
_SCALE = _DEVIATION / np.sqrt(_SHAPE)
# Medium clarity, and how much one person's similarity rises per unit of the product of both clarities.
_RISE, _MEDIUM = 0.3, 0.4
# In a space where nobody measured it, it may be lower, where the gallery says so, but stays so many of strangers'
# deviations above the usual one: where strangers resemble each other less than elsewhere, one person's looks do so,
# too. Where it was measured it holds: a gallery would pull it down to its look-alikes, who then pass for one person.
_ABOVE = 4.2
# These weigh as much as so many pairs, plus a share of the gallery's: so many strangers are look-alikes.
_PAIRS, _LOOKALIKES = 60.0, 0.004
# Before looking, somebody is expected to have this many others of their own; it weighs as much as this share of all
# pairs.
_OTHERS, _EXPECTED = 1.2, 0.05
# The odds that two boxes of one camera and time are one person after all.
_DOUBLED = 0.01
# What is the likeliest of all that is left is so much likelier (log-odds) than any pair that looks as much alike: in a
# logistic fit to 1,390 joins of benchmarks.regimes' part for choices it was 0.3 to 0.5, with a slope of 0.97.
_LIKELIEST = 0.3
# However unlike two looks are, somebody may have turned round; however alike, there may be a twin.
_LEAST, _MOST = -6.0, 30.0
# Clarity is crops / (crops + this), each crop counted by its quality.
_HALF_CLEAR = 0.7
_ROUNDS, _SETTLED = 80, 2e-3
# Strangers are learnt anew so often from who is taken for one person. Not until nothing changes: pairs of one person
# that are not believed make strangers look more alike, which makes more pairs be not believed, until nobody returns.
_LESSONS = 6
# How often the strangers among a sample are told from who is the same person.
_PASSES = 2
# Where expectation-maximisation begins: a pair whose z is above this may be one person, one of twice as much likely is.
_STANDS_OUT = 2.5


@dataclass(frozen=True, slots=True)
class Calibration:
    """How similarities of one gallery are read.

    same, spread: mean and standard deviation of one person's similarity at medium clarity. share: of the pairs that
    nothing excludes, 0..1, that are one person. tracklets: how many were looked at. usual, usual_spread: the mean and
    spread of the nearest strangers in this gallery. together: pairs seen together, so two people; alike: how many of
    them look more like one person than like two.
    """

    same: float = ANY.same
    spread: float = ANY.same_spread
    share: float = 0.02
    tracklets: int = 0
    usual: float = ANY.strangers
    usual_spread: float = ANY.strangers_spread
    together: int = 0
    alike: int = 0

    @classmethod
    def of(cls, expected: ExpectedLooks) -> Calibration:
        """How similarities are read in a gallery of which nothing is known yet."""
        return cls(
            expected.same, expected.same_spread, usual=expected.strangers, usual_spread=expected.strangers_spread
        )

    @property
    def group_size(self) -> float:
        """How many tracklets the person of a tracklet has, on average over tracklets."""
        return 1.0 + self.share * max(self.tracklets - 1, 0)

    @property
    def prior(self) -> float:
        """The log-odds that two tracklets, or groups, that are each other's likeliest are one person, but for looks."""
        return self.anybody + _LIKELIEST

    @property
    def anybody(self) -> float:
        """The log-odds that any two tracklets are one person, but for looks."""
        return float(np.log(self.share) - np.log1p(-self.share))

    def grown(self, tracklets: int) -> Calibration:
        """The same for a gallery of more tracklets, of whose people each has as many as here."""
        share = min((self.group_size - 1.0) / max(tracklets - 1, 1), 0.5) if tracklets > 1 else self.share
        return replace(self, share=max(share, 1e-9), tracklets=tracklets)

    def log_ratio(self, similarity: npt.NDArray[np.floating], z: Floats, growth: Floats, clarity: Floats) -> Floats:
        """Log-likelihood ratios of one person against two, float64 of the common shape.

        z, growth: see ``Strangers.standing``. clarity: the product of both tracklets' (see ``clarity_of``).
        """
        same = self.same + _RISE * (clarity - _MEDIUM)
        # Nobody is less likely the same person for being more alike than expected.
        s = np.minimum(np.asarray(similarity, np.float64), same)
        one = -0.5 * ((s - same) / self.spread) ** 2 - np.log(self.spread * growth) - 0.5 * np.log(2 * np.pi)
        # A poor look rules nobody out.
        least = _LEAST * np.minimum(clarity / _MEDIUM, 1.0)
        cut: Floats = np.clip(one - _log_stranger(z), least, _MOST)
        return cut

    def read(
        self, similarity: npt.NDArray[np.floating], strangers: Strangers, i: IntArray, j: IntArray, clarity: Floats
    ) -> Floats:
        """Log-likelihood ratios of pairs (i, j), float64 of the common shape, whose strangers are known already.

        Whoever is likely the same person is not among these strangers, so they are put back (``Strangers.standing``).
        """
        likely = self.likely(self.log_ratio(similarity, *strangers.standing(similarity, i, j), clarity))
        return self.log_ratio(similarity, *strangers.standing(similarity, i, j, likely), clarity)

    def likely(self, ratio: Floats) -> Floats:
        """How probably pairs of these log-likelihood ratios are one person, of all pairs; float64 of the same shape."""
        found: Floats = 1.0 / (1.0 + np.exp(-self.anybody - ratio))
        return found

    def threshold(self, odds: float) -> float | None:
        """The similarity of two usual tracklets at which these log-odds are reached; None if never."""
        s = np.linspace(0.0, 1.0, 1001)
        z, growth = (s - self.usual) / self.usual_spread, np.full(len(s), 1 / self.usual_spread)
        enough = self.prior + self.log_ratio(s, z, growth, np.full(len(s), _MEDIUM)) >= odds
        enough &= s > self.usual
        return float(s[enough.argmax()]) if enough.any() else None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration, each tracklet's strangers, and the log-likelihood ratios of the pairs that it was fitted to."""

    calibration: Calibration
    strangers: Strangers
    ratio: Floats


@dataclass(frozen=True, slots=True)
class Pairs:
    """m pairs of n tracklets.

    i, j: int64 (m,), rows. similarity: float32 (m,). clarity: float64 (m,), the product of both. open: bool (m,),
    whether nothing says yet if they are one person. certain: bool (m,), of those that are not open, people said so or
    they are parts of one track; the rest was seen in two places at once. free: how many pairs of all are open. kept:
    float64 (m,), how probably one person looks alike in both (see ``lasting``).
    """

    i: IntArray
    j: IntArray
    similarity: FloatArray
    clarity: Floats
    open: npt.NDArray[np.bool_]
    certain: npt.NDArray[np.bool_]
    free: float
    n: int
    kept: Floats


def clarity_of(strength: npt.NDArray[np.floating] | float) -> Floats:
    """How much a look shows of its person, 0..1, of the same shape.

    strength: how many crops it rests on, each counted by its quality.
    """
    crops = np.maximum(np.asarray(strength, np.float64), 1e-3)
    clarity: Floats = crops / (crops + _HALF_CLEAR)
    return clarity


def medium_clarity(similarity: Floats, clarity: Floats) -> Floats:
    """What one person's similarities would be if both looks were of medium clarity. clarity: the product of both."""
    level: Floats = similarity - _RISE * (clarity - _MEDIUM)
    return level


def shares(odds: Floats) -> Floats:
    """The probability that each candidate is the person, float64 (k,); what is missing to 1 is that of nobody known.

    odds: float64 (k,), log-odds of each for itself. Two people who look alike halve each other's probability.
    """
    weights = np.exp(np.minimum(odds, 30.0))
    found: Floats = weights / (1.0 + weights.sum())
    return found


def strangers_among(
    similarity: Floats,
    sample: Strangers,
    calibration: Calibration,
    clarity: float,
    own: npt.NDArray[np.bool_] | None = None,
) -> Strangers:
    """The strangers of k tracklets, from what they resemble of a sample of the gallery: without whom there are likely
    the same person.

    similarity: float64 (k, c). sample: strangers of the c tracklets of the sample; calibration: how it is read.
    clarity: the product of clarities of a usual pair. own: bool (k, c), where a tracklet meets itself.
    """
    k, c = similarity.shape
    usual = calibration.usual, calibration.usual_spread
    found, *_ = shrunk(*lower_half(similarity), usual=usual)
    rows = c + np.arange(k)[:, None]
    looks = np.full(similarity.shape, clarity)
    likely: Floats | float = 0.0
    for _ in range(_PASSES):
        both = Strangers(
            np.concatenate([sample.mean, found.mean]),
            np.concatenate([sample.spread, found.spread]),
            np.concatenate([sample.count, found.count]),
        )
        z, growth = both.standing(similarity, np.arange(c)[None, :], rows, likely)
        likely = calibration.likely(calibration.log_ratio(similarity, z, growth, looks))
        weight = 1.0 - likely
        if own is not None:
            weight[own] = 0.0
        found, *_ = shrunk(*nearest_strangers(similarity, weight), usual=usual)
    return found


def fitted(pairs: Pairs, known: tuple[Strangers, float, float] | None = None, expected: ExpectedLooks = ANY) -> Fitted:
    """The calibration of a gallery.

    known: strangers of all tracklets, the gallery's mean and spread, from ``shrunk``; None: learnt from the pairs,
    which must then be all pairs of the n tracklets. expected: what is usual in their embedding space.
    """
    n, i, j = pairs.n, pairs.i, pairs.j
    s = pairs.similarity.astype(np.float64)
    whole = np.zeros((n, n)) if known is None else np.zeros((0, 0))
    two = np.ones((n, n)) if known is None else np.zeros((0, 0))
    if known is None:
        whole[i, j] = whole[j, i] = s
        np.fill_diagonal(two, 0.0)
    strangers, usual, usual_spread = known or shrunk(*as_if_few_return(whole), expected=expected)
    posterior = np.clip((strangers.standing(s, i, j)[0] - _STANDS_OUT) / _STANDS_OUT, 0.0, 0.9)
    posterior[~pairs.open] = np.where(pairs.certain[~pairs.open], 1.0, _DOUBLED)
    held = _PAIRS + _LOOKALIKES * pairs.free
    # Of another day's pairs only so many can be seen to be one person.
    free = pairs.free * (float(pairs.kept.mean()) if len(i) else 1.0)
    before_looking, weight = _before_looking(n), _weight(free)
    ratio = np.zeros(len(i))
    seen = pairs.open & ~pairs.certain
    clashing = ~pairs.open & ~pairs.certain
    level = medium_clarity(s[seen], pairs.clarity[seen])
    for _ in range(_LESSONS if known is None else 1):
        if known is None:
            two[i, j] = two[j, i] = 1.0 - posterior
            strangers, usual, usual_spread = shrunk(*nearest_strangers(whole, two), expected=expected)
        z, growth = strangers.standing(s, i, j, np.where(pairs.open, posterior, 0.0))
        least = expected.same if expected.measured else min(expected.same, usual + _ABOVE * usual_spread)
        before = 0.0
        for _ in range(_ROUNDS):
            own = posterior[seen]
            total = own.sum()
            share = float((total + before_looking) / weight)
            mean = float((own * level).sum() / total) if total > 0 else expected.same
            same = (total * mean + held * max(min(mean, expected.same), least)) / (total + held)
            squares = (own * (level - same) ** 2).sum() + held * expected.same_spread**2
            spread = float(np.sqrt(squares / (total + held)))
            ratio = Calibration(same, spread).log_ratio(s, z, growth, pairs.clarity)
            likely = share * pairs.kept
            odds = np.where(clashing, np.log(_DOUBLED), np.log(likely) - np.log1p(-likely)) + ratio
            posterior = np.where(pairs.certain, 1.0, 1.0 / (1.0 + np.exp(-odds)))
            if abs(share - before) < _SETTLED * share:
                break
            before = share
    found = Calibration(
        same, spread, share, n, usual, usual_spread, int(clashing.sum()), int((ratio[clashing] > 0).sum())
    )
    return Fitted(found, strangers, diluted(ratio, pairs.kept))


def estimated_share(ratio: Floats, kept: Floats, free: float, n: int) -> float:
    """The share of pairs of n tracklets that are one person, by expectation-maximisation as in ``fitted``.

    ratio, kept: float64 (m,), log-likelihood ratios of those that are compared, and as in ``Pairs``. free: how many
    pairs that share is of.
    """
    share = (_before_looking(n) + 1.0) / _weight(free)
    for _ in range(_ROUNDS):
        before, likely = share, np.minimum(share * kept, 0.999)
        odds = np.log(likely) - np.log1p(-likely) + ratio
        share = float((1.0 / (1.0 + np.exp(-odds))).sum() + _before_looking(n)) / _weight(free)
        if abs(share - before) < _SETTLED * share:
            break
    return share


def _before_looking(n: int) -> float:
    """Of how many pairs of n tracklets it is expected before looking that they are one person."""
    return _EXPECTED * _OTHERS * n / 2 + 0.3


def _weight(free: float) -> float:
    """How many pairs the share is of, with those that are expected before looking."""
    return free * (1 + _EXPECTED) + 30.0


def read_as(pairs: Pairs, calibration: Calibration, strangers: Strangers) -> Fitted:
    """Pairs read by a calibration that was fitted to more of the same gallery."""
    ratio = calibration.read(pairs.similarity, strangers, pairs.i, pairs.j, pairs.clarity)
    return Fitted(calibration, strangers, diluted(ratio, pairs.kept))


def _log_stranger(z: Floats) -> Floats:
    """Log-density of two different people's z, below its peak that of the peak: who is less alike than strangers
    usually are is no less a stranger for that."""
    x = np.maximum((z - _MEAN) / _SCALE + _SHAPE, _SHAPE - 1.0)
    found: Floats = (_SHAPE - 1.0) * np.log(x) - x - math.lgamma(_SHAPE) - np.log(_SCALE)
    return found
