"""The pairs that are most alike, against comparing everybody with everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.identities import most_alike as module
from reidstream.identities.most_alike import most_alike
from reidstream.types import FloatArray


def looks(count: int, seed: int, size: int = 6) -> FloatArray:
    vectors = np.random.default_rng(seed).normal(size=(count, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def slowly(means: FloatArray, most: int, each: int) -> list[tuple[int, int]]:
    """The same, pair by pair: of a row only the best with earlier ones, and the best with later ones, count."""
    cosines = means @ means.T
    pairs = sorted(
        ((i, j) for i in range(len(means)) for j in range(i + 1, len(means))), key=lambda pair: -cosines[pair]
    )
    later, earlier = [0] * len(means), [0] * len(means)
    found = []
    for i, j in pairs:
        if later[i] < each and earlier[j] < each:
            found.append((i, j))
        later[i] += 1
        earlier[j] += 1
    return found[:most]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 5), st.integers(0, 1000))
def test_nobody_is_in_more_pairs_than_asked_for_and_the_most_alike_come_first(
    count: int, most: int, each: int, seed: int
) -> None:
    means = looks(count, seed)
    found, wanted = most_alike(means, most, each), slowly(means, most, each)
    assert found == wanted[: len(found)]
    # Only so many of the best pairs are looked at.
    if count * (count - 1) / 2 <= module._MORE * most:
        assert len(found) == len(wanted)


@pytest.mark.parametrize("each", [1, 3])
def test_one_who_is_like_everybody_is_in_few_pairs(each: int) -> None:
    means = looks(60, 1)
    means[1:30] = means[0] + 0.01 * means[1:30]
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pairs = np.array(most_alike(means, 500, each))
    assert np.bincount(pairs[:, 0]).max() == each
    assert np.bincount(pairs[:, 1]).max() == each


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many kept from each block as the best few need."""
    means = looks(50, 3)
    at_once = most_alike(means, 12, 4)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert most_alike(means, 12, 4) == at_once
