"""Pooling: what enters, what comes out, and that order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.tracklets.pooling import pool, seam
from reidstream.types import FloatArray


def looks_of(person: int, count: int, noise: float = 0.35, size: int = 64, seed: int = 0) -> FloatArray:
    """Unit vectors of one person: a direction of their own plus noise of the given length."""
    direction = np.random.default_rng(1000 + person).normal(size=size)
    direction /= np.linalg.norm(direction)
    vectors = direction + np.random.default_rng([seed, person]).normal(size=(count, size)) * noise / np.sqrt(size)
    unit: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_pooling_ignores_the_order_of_samples(count: int, seed: int) -> None:
    embeddings = np.concatenate([looks_of(1, count, 0.8, seed=seed), looks_of(2, count // 3, 0.8, seed=seed)])
    quality = np.random.default_rng(seed).uniform(0, 1, len(embeddings)).astype(np.float32)
    order = np.random.default_rng(seed + 1).permutation(len(embeddings))
    one, other = pool(embeddings, quality), pool(embeddings[order], quality[order])
    assert np.array_equal(one.embedding, other.embedding)
    assert np.array_equal(one.used[order], other.used)
    assert np.array_equal(one.prototypes, other.prototypes)
    assert one.purity == other.purity


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**31), st.floats(0.0, 3.0))
def test_what_comes_out_is_unit_length_and_within_bounds(count: int, seed: int, noise: float) -> None:
    pooled = pool(looks_of(1, count, noise, seed=seed), np.ones(count, np.float32))
    assert np.linalg.norm(pooled.embedding) == pytest.approx(1, abs=1e-5)
    assert np.allclose(np.linalg.norm(pooled.prototypes, axis=1), 1, atol=1e-5)
    assert 1 <= len(pooled.prototypes) <= 4
    assert pooled.weights.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(pooled.weights) <= 1e-6).all()
    assert 0 <= pooled.purity <= 1
    assert pooled.used.any()


def test_a_single_stranger_among_many_is_left_out() -> None:
    embeddings = np.concatenate([looks_of(1, 7), looks_of(2, 1)])
    pooled = pool(embeddings, np.ones(8, np.float32))
    assert pooled.used.tolist() == [True] * 7 + [False]
    assert pooled.embedding @ pool(looks_of(1, 7), np.ones(7, np.float32)).embedding == pytest.approx(1, abs=1e-4)


def test_better_crops_weigh_more() -> None:
    pair = np.stack([looks_of(1, 1)[0], looks_of(2, 1)[0]])
    pooled = pool(pair, np.array([0.9, 0.1], np.float32))
    assert pooled.embedding @ pair[0] > 0.95 > 0.5 > pooled.embedding @ pair[1]


def test_two_people_in_one_track_lower_its_purity_in_any_order() -> None:
    quality = np.ones(8, np.float32)
    assert pool(looks_of(1, 8), quality).purity == 1.0
    mixed = np.concatenate([looks_of(1, 4), looks_of(2, 4)])
    assert pool(mixed, quality).purity < 0.2
    assert pool(mixed[[0, 4, 1, 5, 2, 6, 3, 7]], quality).purity < 0.2


def test_the_seam_lies_where_the_second_person_begins() -> None:
    quality = np.ones(9, np.float32)
    assert seam(np.concatenate([looks_of(1, 4), looks_of(2, 5)]), quality) == 4
    assert seam(looks_of(1, 9, noise=0.6), quality) is None


def test_two_people_in_turns_have_no_seam() -> None:
    mixed = np.stack([looks_of(1 + i % 2, 8)[i] for i in range(8)])
    assert seam(mixed, np.ones(8, np.float32)) is None


def test_vectors_that_cancel_out_still_give_a_unit_vector() -> None:
    vector = looks_of(1, 1)
    pooled = pool(np.concatenate([vector, -vector]), np.array([0.5, 0.5], np.float32))
    assert np.linalg.norm(pooled.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("embeddings", "quality", "message"),
    [
        (np.zeros((0, 8), np.float32), np.zeros(0, np.float32), "expected"),
        (np.zeros((2, 8), np.float32), np.zeros(3, np.float32), "expected"),
        (np.full((2, 8), np.nan, np.float32), np.ones(2, np.float32), "finite"),
    ],
)
def test_bad_arrays_are_refused(embeddings: FloatArray, quality: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool(embeddings, quality)
