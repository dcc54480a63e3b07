"""The order of answers after k-reciprocal re-ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.gallery import Gallery
from reidstream.gallery.reranking import MOST_CANDIDATES, Reranking, search_reranked
from reidstream.types import FloatArray
from tests.gallery.conftest import Filled, some_tracklets, unit


def looks(people: int, each: int, noise: float, seed: int, size: int = 16) -> FloatArray:
    """float32 (people * each, size): looks of people one after the other."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(people, size)).astype(np.float32))
    return unit(np.repeat(centres, each, axis=0) + noise * rng.normal(size=(people * each, size)).astype(np.float32))


def as_in_the_paper(query: FloatArray, candidates: FloatArray, k1: int, k2: int, weight: float) -> list[float]:
    """Sets and loops, formula by formula: (1)-(5) k-reciprocal sets, (7) encoding, (10) Jaccard, (11) k2, (12) sum."""
    vectors = np.concatenate([query[None], candidates])
    plain = np.maximum(1 - vectors @ vectors.T, 0)
    np.fill_diagonal(plain, -1)
    n = len(vectors)
    order = [sorted(range(n), key=lambda j, i=i: (plain[i, j], j)) for i in range(n)]
    np.fill_diagonal(plain, 0)

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoded = np.zeros((n, n))
    for i in range(n):
        mine = reciprocal(i, k1)
        grown = set(mine)
        for j in mine:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & mine) > 2 / 3 * len(theirs):
                grown |= theirs
        for j in grown:
            encoded[i, j] = np.exp(-plain[i, j])
        encoded[i] /= encoded[i].sum()
    averaged = np.array([np.mean([encoded[j] for j in order[i][:k2]], axis=0) for i in range(n)])
    distances = []
    for j in range(1, n):
        jaccard = 1 - np.minimum(averaged[0], averaged[j]).sum() / np.maximum(averaged[0], averaged[j]).sum()
        distances.append((1 - weight) * jaccard + weight * plain[0, j])
    return distances


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 1000), st.integers(1, 9), st.floats(0, 1))
def test_distances_are_those_of_the_paper(people: int, each: int, seed: int, k1: int, weight: float) -> None:
    held = looks(people, each, 0.3, seed)
    query = looks(people, 1, 0.3, seed)[0]
    k2 = max(1, k1 // 3)
    found = Reranking(k1, k2, weight).distances(query, held)
    assert found == pytest.approx(as_in_the_paper(query, held, k1, k2, weight), abs=1e-5)


def test_who_looks_alike_in_turn_comes_first() -> None:
    # A chain of one person turning around, and a stranger who is nearer to the query than the chain's end.
    angles = np.radians([8, 16, 24, 32, 40])
    chain = np.stack([np.cos(angles), np.sin(angles), np.zeros(5)], axis=1)
    stranger = np.array([[np.cos(np.radians(30)), 0, np.sin(np.radians(30))]])
    others = np.array([[np.cos(np.radians(36)), 0.05 * k, np.sin(np.radians(36))] for k in range(1, 5)])
    held = unit(np.concatenate([chain, stranger, others]).astype(np.float32))
    query = np.array([1, 0, 0], np.float32)
    plain = np.argsort(-(held @ query), kind="stable").tolist()
    order = np.argsort(Reranking(k1=5, k2=2, weight=0.1).distances(query, held), kind="stable").tolist()
    assert plain.index(5) < plain.index(4)
    assert order[:5] == [0, 1, 2, 3, 4]


def test_a_search_has_the_same_answers_in_another_order_with_cosines(filled: Filled) -> None:
    with Gallery.open(filled(some_tracklets(60))) as gallery:
        ids, vectors = gallery.vectors()
        plain = gallery.search(vectors[:3], 40)
        ranked = search_reranked(gallery, vectors[:3], 40, Reranking(k1=8, k2=3, candidates=30))
        short = search_reranked(gallery, vectors[:3], 5, Reranking(k1=8, k2=3, candidates=30))
    for before, after, first in zip(plain, ranked, short, strict=True):
        assert set(before[:30]) == set(after[:30])
        assert after[30:] == before[30:]
        assert first == after[:5]
    assert ranked[0][0].tracklet == ids[0]


def test_an_empty_gallery_and_a_single_candidate_are_no_trouble(filled: Filled) -> None:
    with Gallery.open(filled([])) as gallery:
        assert search_reranked(gallery, looks(1, 1, 0, 0, 32), 5, Reranking()) == [[]]
    alone = looks(1, 2, 0.3, 0)
    assert Reranking().distances(alone[0], alone[1:]).shape == (1,)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"k1": 3, "k2": 4}, "1 <= k2 <= k1"),
        ({"weight": 1.5}, "weight must be in"),
        ({"candidates": MOST_CANDIDATES + 1}, "candidates must be in"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Reranking(**wrong)  # type: ignore[arg-type]
