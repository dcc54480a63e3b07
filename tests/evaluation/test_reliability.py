"""Whether probabilities are true."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.evaluation.gallery_truth import TrackletTruth
from reidstream.evaluation.plots import reliability_diagram
from reidstream.evaluation.reliability import interval, memberships, reliability


def test_scores_of_a_handful_by_hand() -> None:
    found = reliability([0.9, 0.9, 0.1, 0.1], [True, False, False, False])
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    # Half right where .9 was said, none where .1 was said.
    assert found.error == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    assert [(b.count, b.right) for b in found.bins] == [(2, 0.0), (2, 0.5)]


def test_true_probabilities_have_no_error_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(0)
    said = rng.uniform(size=20_000)
    found = reliability(said, rng.uniform(size=20_000) < said)
    assert found.error < 0.02
    assert sum(b.least <= b.said <= b.most for b in found.bins) >= 9
    assert reliability(said**3, rng.uniform(size=20_000) < said).error > 0.1


def test_an_interval_narrows_with_the_number_of_cases_and_stays_between_0_and_1() -> None:
    # Wilson's interval for 8 of 10, as tabulated.
    assert interval(0.8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert interval(0.8, 1000)[0] > 0.77
    assert interval(1.0, 3)[1] == 1.0 and interval(0.0, 3)[0] == 0.0


def test_nothing_said_is_nothing_wrong_and_nonsense_is_refused() -> None:
    assert reliability([], []).bins == ()
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability([1.2], [True])
    with pytest.raises(ValueError, match="one length"):
        reliability([0.5, 0.5], [True])
    assert "nothing to draw" in reliability_diagram("Empty", [])


def _truth(tracklet: str, person: int | None) -> TrackletTruth:
    return TrackletTruth(tracklet, "a", person, 1.0, 10, 10, ())


def test_what_is_said_of_the_joined_and_of_those_alone() -> None:
    matched = [_truth("a", 1), _truth("b", 1), _truth("c", 2), _truth("d", 2), _truth("e", 3), _truth("f", None)]
    identities = {"a": "p", "b": "p", "c": "p", "d": "q", "e": "r", "f": "s"}
    said, right = memberships(matched, identities, dict.fromkeys("abcdef", 0.8))
    assert said == [0.8] * 5
    # c shares an identity with nobody of its person; d is alone though c is the same; e is alone and is.
    assert right == [True, True, False, False, True]
