"""Groups that online decisions made are put right: rows move between chains, and chains join."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.identities.refining import _Groups
from tests.identities.given_rows import given_rows


def groups(
    seed: int, n: int = 9, labels: list[int] | None = None, *, timed: bool = True
) -> tuple[_Groups, np.ndarray, np.ndarray]:
    """Groups of n rows at random, the times between them and their weights."""
    rng = np.random.default_rng(seed)
    raw = np.exp(rng.normal(size=(n, n)))
    weight = rng.uniform(0.3, 1.0, n)
    alike = ((raw + raw.T) * weight * weight[:, None]).astype(np.float32)
    np.fill_diagonal(alike, 0.0)
    time = rng.normal(size=(n, n)).astype(np.float32) * timed
    label = rng.integers(0, 4, n) if labels is None else np.array(labels)
    start = rng.uniform(0, 100, n)
    return _Groups(label, alike, weight, given_rows(start), time, 0.5), alike, weight


def together(held: _Groups) -> None:
    """Every row is in the chain of its label, in the order of time, and in no other."""
    rows = sorted(row for chain in held._chains.values() for row in chain)
    assert rows == list(range(len(held.label)))
    for label, chain in held._chains.items():
        assert chain == sorted(chain, key=held._ranks.__getitem__)
        assert {int(held.label[row]) for row in chain} == {label}


@given(st.integers(0, 10_000))
def test_what_times_say_of_a_row_is_what_a_chain_says_with_and_without_it(seed: int) -> None:
    held, alike, weight = groups(seed)
    for row in range(9):
        for label, chain in held._chains.items():
            rest = [other for other in chain if other != row]
            more = held._times(held._with(rest, [row])) - held._times(rest)
            assert held._added(rest, row) == pytest.approx(more, abs=1e-5)
            if rest:
                mean = alike[row, rest].sum() / (weight[rest].sum() * weight[row])
                assert held._alike(row)[label] == pytest.approx(np.log(mean), abs=1e-5)
            else:
                assert held._alike(row)[label] == -np.inf


@given(st.integers(0, 10_000))
def test_joining_ends_when_no_two_chains_are_likely_enough_one(seed: int) -> None:
    held, _, _ = groups(seed, labels=list(range(9)), timed=False)
    before = len(held._chains)
    joined = held.join()
    together(held)
    assert len(held._chains) == before - joined
    names = sorted(held._chains)
    likely = {pair for pair in held._candidate_pairs() if held._gain(*pair) >= 0.5}
    assert likely == set()
    for a in names:
        for b in names:
            if a < b:
                assert held._gain(a, b) == pytest.approx(held._gain(b, a), abs=1e-4)


@given(st.integers(0, 10_000))
def test_moving_rows_keeps_each_in_one_chain_and_leaves_the_fixed(seed: int) -> None:
    held, _, _ = groups(seed)
    fixed = np.arange(9) % 3 == 0
    before = held.label.copy()
    held.move_each(fixed)
    together(held)
    assert (held.label[fixed] == before[fixed]).all()


@pytest.mark.parametrize("count", [2, 3])
def test_a_row_that_fits_its_own_chain_best_stays_there(count: int) -> None:
    n = 2 * count
    who = np.repeat([0, 1], count)
    alike = np.where(who[:, None] == who[None, :], 20.0, 0.01).astype(np.float32)
    np.fill_diagonal(alike, 0.0)
    # A row's time to itself is never asked for.
    time = np.where(np.eye(n, dtype=bool), -50.0, 0.0).astype(np.float32)
    held = _Groups(who, alike, np.ones(n), given_rows(np.arange(n, dtype=float)), time, 0.0)
    assert held.move_each(np.zeros(n, bool)) == 0
    # Whoever is in the wrong one goes over.
    wrong = who.copy()
    wrong[0] = 1
    held = _Groups(wrong, alike, np.ones(n), given_rows(np.arange(n, dtype=float)), time, 0.0)
    assert held.move_each(np.zeros(n, bool)) == 1
    assert (held.label == who).all()


def test_nobody_moves_to_or_joins_whom_they_certainly_are_not() -> None:
    alike = np.full((3, 3), 20.0, np.float32)
    np.fill_diagonal(alike, 0.0)
    excluded = np.zeros((3, 3), bool)
    excluded[0, 1] = excluded[1, 0] = True
    silent = np.zeros((3, 3), np.float32)
    held = _Groups(np.array([0, 1, 2]), alike, np.ones(3), given_rows(np.arange(3.0), excluded), silent, 0.0)
    held.join()
    assert held.label[0] != held.label[1]
    assert held.label[2] in (held.label[0], held.label[1])
    assert held.move_each(np.zeros(3, bool)) == 0
