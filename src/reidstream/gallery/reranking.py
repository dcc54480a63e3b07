"""Putting the first answers of a search into a better order by whom they, in turn, look like.

k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017):
two vectors that are among each other's nearest, and share those, belong together even where their cosine is lower than
that of a look-alike. The paper compares everything with everything; here only the query and its first candidates are,
so that the cost of a query does not grow with the gallery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reidstream.gallery.rows import EVERYTHING, Filter
from reidstream.types import FloatArray, Match

if TYPE_CHECKING:
    from reidstream.gallery.gallery import Gallery

MOST_CANDIDATES = 1000
"""Bound of what one query costs: memory and time grow with its square and its cube."""

_SHARED = 2 / 3
# How much of a neighbour's own neighbourhood must lie in mine for it to be added (section 3.2 of the paper).


@dataclass(frozen=True, slots=True)
class Reranking:
    """How to re-rank; k1, k2 and weight (the paper's lambda) are the paper's defaults.

    k1: neighbours that may be reciprocal. k2: neighbours whose encodings are averaged. weight: 0..1, share of the plain
    distance in the final one. candidates: the first answers that are put into a new order, at most MOST_CANDIDATES.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3
    candidates: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.k2 <= self.k1:
            raise ValueError(f"k2 and k1 must be whole numbers with 1 <= k2 <= k1, got k1={self.k1}, k2={self.k2}")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight must be in 0..1, got {self.weight:g}")
        if not 2 <= self.candidates <= MOST_CANDIDATES:
            raise ValueError(f"candidates must be in 2..{MOST_CANDIDATES}, got {self.candidates}")

    def distances(self, query: FloatArray, candidates: FloatArray) -> npt.NDArray[np.float64]:
        """float64 (n,), 0 or more: how far each candidate is from the query; the least is the best answer.

        query: float32 (d,), candidates: float32 (n, d), unit length. The plain distance is 1 - cosine, without the
        paper's division by the greatest distance of each row, which would depend on how many candidates there are.
        """
        vectors = np.concatenate([query[None], candidates]).astype(np.float32, copy=False)
        n = len(vectors)
        plain = np.maximum(1.0 - vectors @ vectors.T, 0.0)
        # Each is its own nearest, also where there are copies of it.
        np.fill_diagonal(plain, -1.0)
        order = np.argsort(plain, axis=1, kind="stable")
        np.fill_diagonal(plain, 0.0)
        mutual = _reciprocal(order, self.k1)
        near = _reciprocal(order, round(self.k1 / 2))
        # A neighbour whose own closest neighbours are mostly mine brings them along.
        shared = mutual @ near.T
        brings = (mutual > 0) & (shared > _SHARED * near.sum(axis=1)[None, :])
        kept = (mutual > 0) | (brings.astype(np.float32) @ near > 0)
        encoded = np.where(kept, np.exp(-plain), 0.0)
        encoded /= encoded.sum(axis=1, keepdims=True)
        if self.k2 > 1:
            encoded = encoded[order[:, : min(self.k2, n)]].mean(axis=1)
        overlap = np.minimum(encoded[0], encoded[1:]).sum(axis=1, dtype=np.float64)
        jaccard = 1.0 - overlap / (2.0 - overlap)
        distances: npt.NDArray[np.float64] = (1.0 - self.weight) * jaccard + self.weight * plain[0, 1:]
        return distances


def search_reranked(
    gallery: Gallery, vectors: FloatArray, k: int, reranking: Reranking, where: Filter = EVERYTHING
) -> list[list[Match]]:
    """As ``Gallery.search``, the first candidates of each query in their new order; similarities remain cosines."""
    queries = np.atleast_2d(vectors)
    answers = gallery.search(queries, max(k, reranking.candidates), where)
    ids = sorted({match.tracklet for matches in answers for match in matches[: reranking.candidates]})
    _, held = gallery.vectors(ids)
    place = {tracklet: row for row, tracklet in enumerate(ids)}
    ranked = []
    for query, matches in zip(queries, answers, strict=True):
        first = matches[: reranking.candidates]
        rows = [place[match.tracklet] for match in first]
        order = np.argsort(reranking.distances(query, held[rows]), kind="stable")
        ranked.append([*(first[i] for i in order.tolist()), *matches[reranking.candidates :]][:k])
    return ranked


def _reciprocal(order: npt.NDArray[np.intp], k: int) -> FloatArray:
    """float32 (n, n), 1 where each is among the other's k nearest (or is the other), else 0.

    order: (n, n), the nearest of each row first, itself included.
    """
    forward = np.zeros(order.shape, bool)
    np.put_along_axis(forward, order[:, : k + 1], True, axis=1)
    reciprocal: FloatArray = (forward & forward.T).astype(np.float32)
    return reciprocal
