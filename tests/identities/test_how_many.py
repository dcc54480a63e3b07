"""People are counted once, also those who came back and could not be recognised."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.identities.how_many import Likeliest, how_many
from reidstream.types import IntArray

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def pairs_of(person: IntArray, apart: float, seed: int = 1) -> tuple[IntArray, IntArray, Floats]:
    """All pairs and their log-likelihood ratios, one person's similarity ``apart`` deviations above strangers'."""
    i, j = np.triu_indices(len(person), 1)
    similarity = np.random.default_rng(seed).normal(apart * (person[i] == person[j]))
    return i, j, apart * similarity - apart**2 / 2


def counted(
    person: IntArray, apart: float = 3.0, begun: IntArray | None = None, never: bool = False, seed: int = 1
) -> float:
    """The estimate, beginning with nobody recognised."""
    n = len(person)
    rows = np.arange(n)
    pairs = pairs_of(person, apart, seed)
    certain = rows if begun is None else begun
    return how_many(Likeliest(rows, certain, *pairs, np.ones(n), np.full((n, n), never)))


def test_where_nobody_comes_back_everybody_is_one() -> None:
    assert counted(np.arange(80)) == pytest.approx(80, abs=2)


@pytest.mark.parametrize("visits", [2, 3])
def test_who_comes_back_counts_once_although_nobody_can_be_recognised_surely(visits: int) -> None:
    person = np.repeat(np.arange(40), visits)
    i, j, ratio = pairs_of(person, 3.0)
    # So many strangers are as likely one person as those who are: no single join can be made surely.
    same = person[i] == person[j]
    assert (ratio[~same] > np.quantile(ratio[same], 0.25)).sum() > 0.3 * same.sum()
    assert counted(person) == pytest.approx(40, rel=0.1)


def test_where_some_come_back_the_others_are_not_joined_for_that() -> None:
    person = np.concatenate([np.arange(80), np.arange(20)])
    assert np.mean([counted(person, seed=seed) for seed in range(5)]) == pytest.approx(80, rel=0.06)


def test_who_is_certainly_two_is_never_one() -> None:
    assert counted(np.zeros(6, np.int64), never=True) == 6
    assert counted(np.zeros(6, np.int64), 5.0) < 2


def test_parts_of_one_long_track_are_one_from_the_beginning() -> None:
    begun = np.repeat(np.arange(10), 3)
    assert counted(np.arange(30), begun=begun) == pytest.approx(10, abs=0.5)


def test_it_is_the_same_each_time() -> None:
    person = np.repeat(np.arange(15), 2)
    assert counted(person) == counted(person)


def test_how_many_few_people_are_hardly_depends_on_how_their_tracklets_are_ordered() -> None:
    person = np.repeat(np.arange(10), 3)
    i, j, ratio = pairs_of(person, 2.5, seed=2)
    rows = np.arange(len(person))
    found = []
    for order in range(10):
        place = np.random.default_rng(order).permutation(len(person))
        a, b = np.minimum(place[i], place[j]), np.maximum(place[i], place[j])
        two = np.zeros((len(person), len(person)), bool)
        found.append(how_many(Likeliest(rows, rows, a, b, ratio, np.ones(len(person)), two)))
    # So doubtful are these looks that with few draws it is a fifth of all people, by chance alone.
    assert np.std(found) < 0.15 * 10


def test_of_nobody_there_are_none() -> None:
    none = np.zeros(0, np.int64)
    assert how_many(Likeliest(none, none, none, none, np.zeros(0), np.zeros(0), np.zeros((0, 0), bool))) == 0.0
