"""The vector index: which stored vectors are most like these? Derived from the rows, made anew at will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray

_BLOCK = 1024
"""Vectors the exact index makes room for at first; it doubles from there."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """What an index answers to one query: ids and cosine similarities float32 (n,), the most similar first."""

    ids: list[str]
    similarities: FloatArray


class VectorIndex(Protocol):
    """Ids and their unit-length vectors, searched by cosine similarity."""

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Add vectors float32 (n, d), or replace those whose ids are known. Complete when it returns."""

    def remove(self, ids: Sequence[str]) -> None:
        """Forget these ids; unknown ones are no error."""

    def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
        """The k nearest (all, when there are fewer) to each of the queries float32 (q, d)."""

    def ids(self) -> list[str]:
        """Every id, in no particular order."""

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """float32 (n, d), in the order of the ids. KeyError for an unknown one."""

    def __len__(self) -> int: ...

    def save(self) -> None:
        """Write to its files whatever is not there yet."""

    def close(self) -> None:
        """Let go of files and connections."""


class ExactIndex:
    """Every vector is compared with every query: never wrong, 2 KiB of memory per 512-dimensional vector."""

    def __init__(self, size: int) -> None:
        """``size``: number of dimensions."""
        self._vectors = np.zeros((_BLOCK, size), np.float32)
        self._ids: npt.NDArray[np.object_] = np.empty(_BLOCK, object)
        self._place: dict[str, int] = {}

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        checked_shape(ids, vectors, self._vectors.shape[1])
        known = len(self._place)
        # Of an id that is given twice the later vector stays, as in two calls.
        places = np.array([self._place.setdefault(i, len(self._place)) for i in ids], np.intp)
        room = len(self._vectors)
        while room < len(self._place):
            room *= 2
        if room > len(self._vectors):
            self._vectors = np.concatenate(
                [self._vectors[:known], np.zeros((room - known, self._vectors.shape[1]), np.float32)]
            )
            self._ids = np.concatenate([self._ids[:known], np.empty(room - known, object)])
        self._vectors[places] = vectors
        self._ids[places] = ids

    def remove(self, ids: Sequence[str]) -> None:
        gone = {i for i in ids if i in self._place}
        if not gone:
            return
        n = len(self._place)
        stay = np.array([i not in gone for i in self._ids[:n]], bool)
        kept = int(stay.sum())
        self._vectors[:kept] = self._vectors[:n][stay]
        self._vectors[kept:] = 0
        self._ids[:kept] = self._ids[:n][stay]
        self._ids[kept:] = None
        self._place = {i: place for place, i in enumerate(self._ids[:kept])}

    def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
        n = len(self._place)
        if n == 0 or k <= 0:
            return [Nearest([], np.zeros(0, np.float32)) for _ in vectors]
        # One query at a time: a matrix of all similarities would not fit for many queries on a large gallery.
        return [self._nearest(self._vectors[:n] @ query, k) for query in np.asarray(vectors, np.float32)]

    def _nearest(self, similarities: FloatArray, k: int) -> Nearest:
        best = largest(similarities, k)
        return Nearest(self._ids[best].tolist(), similarities[best])

    def ids(self) -> list[str]:
        return list(self._place)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        return self._vectors[np.array([self._place[i] for i in ids], np.intp)]

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, tracklet: str) -> bool:
        return tracklet in self._place

    def save(self) -> None:
        """There are no files."""

    def close(self) -> None:
        """Nothing is held."""


def largest(similarities: FloatArray, k: int) -> npt.NDArray[np.intp]:
    """Places of the k largest (all, when there are fewer), the largest first."""
    n = len(similarities)
    best = np.argpartition(-similarities, k - 1)[:k] if k < n else np.arange(n)
    return best[np.argsort(-similarities[best], kind="stable")]


def checked_shape(ids: Sequence[str], vectors: FloatArray, size: int) -> None:
    """Raise ValueError unless there is a vector of that size for each id."""
    if vectors.shape != (len(ids), size):
        raise ValueError(f"vectors must have shape ({len(ids)}, {size}), got {vectors.shape}")
