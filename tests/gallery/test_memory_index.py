"""The index in memory for large galleries: who is nearest, with and without filters, and what is forgotten."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from reidstream.gallery.index import memory
from reidstream.gallery.index.memory import AXES, MemoryIndex
from reidstream.types import FloatArray

SIZE = 160


def looks(n: int, seed: int = 0, people: int = 400) -> FloatArray:
    """Vectors float32 (n, 160) of some people, along few directions mostly, as those of real people are."""
    rng = np.random.default_rng(seed)
    spread = 1.0 / (1.0 + np.arange(SIZE))
    means = 0.3 + np.random.default_rng(99).normal(size=(people, SIZE)) * spread
    vectors = means[rng.integers(0, people, n)] + 0.4 * rng.normal(size=(n, SIZE)) * spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def filled(vectors: FloatArray, columns: npt.NDArray[np.float64] | None = None) -> MemoryIndex:
    index = MemoryIndex(SIZE, 0 if columns is None else columns.shape[1])
    for begin in range(0, len(vectors), 3000):
        part = slice(begin, begin + 3000)
        ids = [str(n) for n in range(begin, min(begin + 3000, len(vectors)))]
        index.upsert(ids, vectors[part], None if columns is None else columns[part])
    return index


def nearest(vectors: FloatArray, query: FloatArray, k: int, among: npt.NDArray[np.bool_]) -> list[str]:
    places = np.flatnonzero(among)
    return [str(n) for n in places[np.argsort(-(vectors[places] @ query), kind="stable")[:k]]]


@pytest.mark.parametrize(("part", "k"), [(1, 10), (1, 300), (2, 10), (5, 10), (50, 10)])
def test_of_many_the_nearest_are_found_whatever_a_filter_leaves(part: int, k: int) -> None:
    vectors = looks(20_000)
    columns = (np.arange(20_000) % part).astype(np.float64)[:, None]
    index = filled(vectors, columns)
    among = columns[:, 0] == 0
    for query in looks(25, seed=1):
        found = index.search(query[None], k, None if part == 1 else index.columns[:, 0] == 0)[0]
        # Those that are alike to the last bit may change places.
        np.testing.assert_allclose(found.similarities, np.sort(vectors[among] @ query)[::-1][:k], atol=1e-6)
        np.testing.assert_allclose(index.vectors(found.ids) @ query, found.similarities, atol=1e-6)
        assert all(among[int(id)] for id in found.ids)


def test_most_are_compared_along_the_strongest_axes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    greatest = memory._greatest

    def watched(values: FloatArray, wanted: int) -> tuple[float, memory.Places]:
        least, places = greatest(values, wanted)
        looked_at.append(len(places))
        return least, places

    monkeypatch.setattr(memory, "_greatest", watched)
    index = filled(looks(20_000))
    index.search(looks(20, seed=1), 10)
    assert len(looked_at) >= 20
    assert np.median(looked_at) < 1000


def test_when_the_axes_say_little_as_many_are_compared_as_it_takes() -> None:
    """Vectors in all directions alike: what is nearest along a few of them says hardly anything."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(12_000, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = filled(vectors)
    queries = rng.normal(size=(20, SIZE)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    everything = np.ones(len(vectors), bool)
    missed = sum(
        len(set(nearest(vectors, query, 10, everything)) - set(index.search(query[None], 10)[0].ids))
        for query in queries
    )
    assert missed <= 2


def test_what_is_removed_leaves_no_trace_and_others_stay_where_a_filter_finds_them() -> None:
    vectors = looks(9000)
    columns = np.stack([np.arange(9000) % 3, np.arange(9000)], axis=1).astype(np.float64)
    index = filled(vectors, columns)
    gone = [str(n) for n in range(0, 9000, 4)]
    index.remove([*gone, "unknown", gone[0]])
    kept = [n for n in range(9000) if n % 4]
    assert len(index) == len(kept)
    assert set(index.ids()) == {str(n) for n in kept}
    for place, id in index.placed():
        assert index.columns[place].tolist() == columns[int(id)].tolist()
    among = np.zeros(9000, bool)
    among[kept] = True
    for query in (*vectors[[0, 4, 8000]], *looks(5, seed=2)):
        assert index.search(query[None], 10)[0].ids == nearest(vectors, query, 10, among)
    # Not in the memory either: neither whole nor along the axes.
    assert not index._vectors[len(index) :].any()
    assert not index._along[len(index) :].any()
    assert not index._columns[len(index) :].any()
    assert all(id is None for id in index._ids[len(index) :])
    index.upsert(["0"], vectors[:1], columns[:1])
    assert index.search(vectors[:1], 1)[0].ids == ["0"]


def test_a_new_vector_takes_the_place_of_the_former_along_the_axes_too() -> None:
    vectors = looks(9000)
    index = filled(vectors)
    index.upsert(["17"], vectors[4000:4001])
    assert set(index.search(vectors[4000:4001], 2)[0].ids) == {"17", "4000"}
    assert index._along.shape[1] == AXES < SIZE


def test_nothing_that_a_filter_leaves_is_nothing_found() -> None:
    index = filled(looks(10))
    assert index.search(looks(1), 5, np.zeros(10, bool))[0].ids == []
