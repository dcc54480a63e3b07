"""Finding who looks most alike, in small and in large galleries."""

from __future__ import annotations

import numpy as np

from reidstream.identities.similarity import candidates


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
