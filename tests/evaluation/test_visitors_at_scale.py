"""The large gallery that deciding is timed on holds people as a place has them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.identities_at_scale import SECONDS_BETWEEN, SECONDS_SEEN, visitors


@pytest.mark.parametrize(("tracklets", "persons"), [(6000, 1200), (400, 80), (60, 3)])
def test_nobody_is_in_two_places_at_once(tracklets: int, persons: int) -> None:
    who = visitors(tracklets, persons, np.random.default_rng(0))
    beside = min(round(SECONDS_SEEN / SECONDS_BETWEEN), persons - 1)
    for later in range(1, beside):
        assert (who[later:] != who[:-later]).all()
    assert who.min() >= 0
    assert who.max() < persons


def test_no_two_people_hold_most_of_what_there_is_to_find() -> None:
    times = np.bincount(visitors(6000, 1200, np.random.default_rng(0)))
    pairs = times * (times - 1) // 2
    assert pairs.max() < 0.01 * pairs.sum()
    assert times.mean() == pytest.approx(5, rel=0.1)
