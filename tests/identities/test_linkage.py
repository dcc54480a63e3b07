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


@pytest.mark.parametrize("seed", range(12))
def test_from_a_table_of_all_the_same_are_joined_as_by_neighbours(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pairs that were not compared, groups to begin with, people seen at once and people said to be two."""
    rng = np.random.default_rng(seed)
    n = 40
    i, j = np.triu_indices(n, 1)
    compared = rng.random(len(i)) < 0.8
    i, j, ratio = i[compared], j[compared], rng.normal(-1.0, 3.0, int(compared.sum()))
    times, label = rng.uniform(0, 600, n), np.minimum(np.arange(n), rng.integers(5, n, n))
    label = label[label]
    table = TimeTable(rng.integers(0, 2, n), times, times + 15, Cameras.independent(2), 0.5)
    said = HumanLinks(different=rng.integers(0, n, (4, 2)))

    def grouped(rows: int) -> tuple[float, list[int]]:
        monkeypatch.setattr("reidstream.identities.linkage._IN_A_TABLE", rows)
        linkage = Linkage(weights, table, label, said)
        linkage.add_pairs(i, j, ratio)
        return linkage.run(-1.0, 0.3, 0.5 if seed % 2 else None), linkage.groups().tolist()

    weights = rng.uniform(0.2, 1.0, n)
    (needed, groups), (by_neighbours, the_same) = grouped(n), grouped(n - 1)
    assert groups == the_same
    assert needed == pytest.approx(by_neighbours)
    assert 1 < len(set(groups)) < len(set(label.tolist()))
