"""How much a join needs, so that no more than the accepted risk of all joins is expected wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidstream.identities.constraints import Cameras, HumanLinks, TimeTable
from reidstream.identities.linkage import Linkage

ALONE = math.log(9.0)


def joined(odds: list[float], risk: float = 0.1, enough: float | None = None) -> tuple[float, int]:
    """What a join needs and how many there were, of pairs with these log-odds that share nobody."""
    n = 2 * len(odds)
    times = 100.0 * np.arange(n)
    table = TimeTable(np.zeros(n, np.int64), times, times + 1, Cameras.independent(1), 0.5)
    linkage = Linkage(np.ones(n), table, np.arange(n), HumanLinks())
    linkage.add_pairs(np.arange(0, n, 2), np.arange(1, n, 2), np.array(odds))
    needed = linkage.run(0.0, risk, enough)
    return needed, n - len(np.unique(linkage.groups()))


@pytest.mark.parametrize(
    ("odds", "needed", "joins"),
    [
        # One that is wrong more often than accepted: none, and whoever is as sure as accepted may be joined later.
        ([1.0], ALONE, 0),
        ([1.0, 0.5], ALONE, 0),
        # The last that was accepted was far surer than it had to be.
        ([8.0, 0.5], ALONE, 1),
        # Sure ones make up for one that is less so.
        ([8.0, 7.0, 6.0, 1.0, 0.9], 1.0, 4),
        # None was left out.
        ([8.0, 4.0], 0.0, 2),
        ([], 0.0, 0),
    ],
)
def test_a_join_never_needs_more_than_one_alone_does(odds: list[float], needed: float, joins: int) -> None:
    assert joined(odds) == (pytest.approx(needed), joins)


def test_a_smaller_risk_asks_for_more() -> None:
    assert joined([1.0], 0.02)[0] == pytest.approx(math.log(49.0))
    assert joined([5.0, 1.0], enough=2.0) == (2.0, 1)
