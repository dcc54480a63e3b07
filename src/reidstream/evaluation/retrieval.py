"""How well a Re-ID model finds people again: mAP, CMC and mINP by the rules of Market-1501.

Every query image is compared with all gallery images (Zheng et al., "Scalable Person Re-identification: A Benchmark",
ICCV 2015). Gallery images of the same person from the same camera neither help nor hurt; images of nobody (person -1,
bad detections) are left out; person 0 (distractors) is nobody's answer. A query whose person no other camera has seen
has no answer and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.gallery.reranking import Reranking
from reidstream.types import FloatArray, IntArray

JUNK = -1
RANKS = (1, 5, 10, 20)
# Queries that are ranked together: with 20,000 gallery images this is some 100 MB.
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """All shares are 0..1.

    queries: with an answer in the gallery; unanswerable: without. gallery: images, junk left out. mean_ap: mean
    average precision. mean_inp: mean inverse negative penalty, the share of right images down to the last right one
    (Ye et al., "Deep Learning for Person Re-identification", TPAMI 2021). cmc: float64 (r,), share of queries with
    a right image among the first 1, 2, ... r. average_precision: float64 (queries + unanswerable,), NaN without answer.
    """

    queries: int
    unanswerable: int
    gallery: int
    mean_ap: float
    mean_inp: float
    cmc: npt.NDArray[np.float64]
    average_precision: npt.NDArray[np.float64]

    def rank(self, k: int) -> float:
        """Rank-k: the share of queries with a right image among the first k (or all, if there are fewer)."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def as_dict(self) -> dict[str, Any]:
        """The figures for a report."""
        counts = {"queries": self.queries, "unanswerable": self.unanswerable, "gallery": self.gallery}
        ranks = {f"rank{k}": self.rank(k) for k in RANKS}
        return {**counts, "mAP": self.mean_ap, "mINP": self.mean_inp, **ranks}


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """n images of known people. persons, cameras: int64 (n,). vectors: float32 (n, d), unit length."""

    persons: IntArray
    cameras: IntArray
    vectors: FloatArray

    def __post_init__(self) -> None:
        if not len(self.persons) == len(self.cameras) == len(self.vectors) or self.vectors.ndim != 2:
            raise ValueError(
                f"persons, cameras and vectors must have shapes (n,), (n,) and (n, d), "
                f"got {self.persons.shape}, {self.cameras.shape} and {self.vectors.shape}"
            )

    def __len__(self) -> int:
        return len(self.persons)


def score_retrieval(
    queries: LabelledImages, gallery: LabelledImages, max_rank: int = 50, reranking: Reranking | None = None
) -> RetrievalScores:
    """Score a model's vectors. Raises ValueError when no query has an answer.

    Equally similar images keep the gallery's order. reranking: puts the first candidates of each query, those of the
    query's own camera included, into another order before they are scored.
    """
    kept = np.flatnonzero(gallery.persons != JUNK)
    persons, cameras, vectors = gallery.persons[kept], gallery.cameras[kept], gallery.vectors[kept]
    n, width = len(queries), min(max_rank, len(kept))
    precision, penalty = np.full(n, np.nan), np.full(n, np.nan)
    first = np.zeros(n, np.int64)
    for begin in range(0, n, _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        order = np.argsort(-(queries.vectors[rows] @ vectors.T), axis=1, kind="stable")
        if reranking is not None:
            for query, ranked in zip(queries.vectors[rows], order, strict=True):
                ranked[: reranking.candidates] = _reranked(query, vectors, ranked, reranking)
        same = persons[order] == queries.persons[rows, None]
        counted = ~(same & (cameras[order] == queries.cameras[rows, None]))
        precision[rows], penalty[rows], first[rows] = _ranked(same & counted, counted)
    answered = ~np.isnan(precision)
    if not answered.any():
        raise ValueError("no query has an answer: nobody in it is in the gallery as seen by another camera")
    cmc = (first[answered, None] <= np.arange(1, width + 1)).mean(axis=0)
    return RetrievalScores(
        queries=int(answered.sum()),
        unanswerable=int((~answered).sum()),
        gallery=len(kept),
        mean_ap=float(precision[answered].mean()),
        mean_inp=float(penalty[answered].mean()),
        cmc=cmc,
        average_precision=precision,
    )


def answers(
    queries: LabelledImages, gallery: LabelledImages, row: int, most: int, reranking: Reranking | None = None
) -> list[tuple[int, float, bool]]:
    """The first answers to one query: (gallery row, cosine, whether it is the person), best first."""
    similarity = gallery.vectors @ queries.vectors[row]
    same = gallery.persons == queries.persons[row]
    order = np.argsort(-similarity, kind="stable")
    order = order[gallery.persons[order] != JUNK]
    if reranking is not None:
        order[: reranking.candidates] = _reranked(queries.vectors[row], gallery.vectors, order, reranking)
    order = order[~(same & (gallery.cameras == queries.cameras[row]))[order]][:most]
    return [(int(k), float(similarity[k]), bool(same[k])) for k in order]


def _reranked(
    query: FloatArray, vectors: FloatArray, order: npt.NDArray[np.intp], reranking: Reranking
) -> npt.NDArray[np.intp]:
    """The first candidates of an order of rows, in their new order."""
    first = order[: reranking.candidates]
    return first[np.argsort(reranking.distances(query, vectors[first]), kind="stable")]


def _ranked(
    right: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], IntArray]:
    """Average precision and inverse negative penalty (NaN without an answer), and the first right rank, per row.

    right, counted: bool (q, g) in the order of rank: which images are right, and which hold a rank at all.
    """
    place = np.cumsum(counted, axis=1)
    hits = np.cumsum(right, axis=1)
    total = hits[:, -1] if right.shape[1] else np.zeros(len(right), np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(right, hits / np.maximum(place, 1), 0.0).sum(axis=1) / total
        last = np.where(right, place, 0).max(axis=1, initial=0)
        penalty = total / last
    first = np.where(right, place, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    return precision, penalty, first.astype(np.int64)
