"""Finding who looks most alike, in small and in large galleries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.grouping import score_grouping
from reidstream.identities import resolving
from reidstream.identities import similarity as similarity_module
from reidstream.identities.evidence import evidence_of
from reidstream.identities.resolving import resolve, strangers_of
from reidstream.identities.similarity import candidates, likeness
from tests.identities.conftest import Fill


def people(count: int, each: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around ``count`` directions, most of whose variance lies along few axes as OSNet's does."""
    rng = np.random.default_rng(seed)
    scale = np.exp(-np.arange(256) / 24).astype(np.float32)
    means = 0.6 + rng.normal(size=(count, 256)) * scale * 3
    vectors = np.repeat(means, each, axis=0) + rng.normal(size=(count * each, 256)) * scale
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_all_pairs_of_a_few_and_the_nearest_of_many() -> None:
    vectors = people(10, 3)
    assert len(candidates(vectors, 40)[0]) == 30 * 29 // 2
    i, j = candidates(vectors, 2)
    similarity = vectors @ vectors.T - 3 * np.eye(30, dtype=np.float32)
    nearest = {tuple(sorted((row, int(k)))) for row in range(30) for k in np.argsort(-similarity[row])[:2]}
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == nearest


def test_the_shortcuts_of_large_galleries_miss_hardly_anybody() -> None:
    vectors = people(2250, 4)
    i, j = candidates(vectors, 20)
    assert (i < j).all()
    found = set((i * len(vectors) + j).tolist())
    rows = np.arange(0, len(vectors), 97)
    similarity = vectors[rows] @ vectors.T
    similarity[np.arange(len(rows)), rows] = -2
    nearest = np.argsort(-similarity, axis=1)[:, :10]
    low, high = np.minimum(rows[:, None], nearest), np.maximum(rows[:, None], nearest)
    wanted = (low * len(vectors) + high).ravel().tolist()
    assert np.mean([pair in found for pair in wanted]) > 0.995


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(90, 200))
def test_what_is_put_in_order_by_a_sample_is_what_is_greatest(seed: int, most: int, n: int) -> None:
    block = np.random.default_rng(seed).normal(size=(4, n)).astype(np.float32)
    found = {}
    for many in (0, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(similarity_module, "_MANY", many)
            rows, columns = similarity_module._nearest(block.copy(), most)
            found[many] = sorted(zip(rows.tolist(), columns.tolist(), strict=True))
    assert found[0] == found[1000]
    assert len(found[0]) == 4 * most


def test_few_axes_are_taken_as_they_are() -> None:
    vectors = people(20, 3)[:, : similarity_module._AXES]
    assert similarity_module._strongest_axes(vectors) is vectors
    wide = people(20, 3)
    fewer = similarity_module._strongest_axes(wide)
    assert fewer.shape == (60, similarity_module._AXES)
    # Products stay nearly what they were.
    np.testing.assert_allclose(fewer @ fewer.T, wide @ wide.T, atol=0.02)


def test_in_a_large_gallery_those_who_return_are_as_surely_found_as_in_a_small_one(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers are learnt from a sample there, in which hardly anybody is of whom they are asked."""
    visits = [(k % 40, "ab"[k // 40 % 2], 30.0 * k, 30.0 * k + 5, 1.6) for k in range(120)]
    evidence = evidence_of(fill(visits))  # type: ignore[arg-type]
    person = [k % 40 for k in range(120)]
    assert np.isfinite(strangers_of(evidence, IdentityConfig()).count).all()
    small = score_grouping(resolve(evidence, IdentityConfig()).group, person).f1
    monkeypatch.setattr(resolving, "_ALL", 30)
    assert np.isinf(strangers_of(evidence, IdentityConfig()).count).all()
    large = score_grouping(resolve(evidence, IdentityConfig()).group, person).f1
    assert large > small - 0.1


def test_of_all_pairs_at_once_each_is_as_alike_as_if_it_was_asked_for_alone(fill: Fill) -> None:
    evidence = evidence_of(fill([(person, "a", 20.0 * person, 20.0 * person + 9) for person in range(12)]))
    i, j = np.triu_indices(12, 1)
    together = likeness(evidence, i, j)
    alone = np.array([likeness(evidence, i[k : k + 1], j[k : k + 1])[0] for k in range(len(i))])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.dtype == np.float32
