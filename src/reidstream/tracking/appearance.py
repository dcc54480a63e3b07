"""What the tracks of a source look like."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray, IntArray

_BLEND = 0.25
"""Weight of a new embedding in a track's appearance: about the last four count."""


class Appearance:
    """One unit-length vector per track, zero while nothing is known."""

    def __init__(self) -> None:
        self._vectors = np.zeros((0, 0), np.float32)
        self.known = np.zeros(0, bool)

    def append(self, count: int) -> None:
        """Add tracks of which nothing is known."""
        self._vectors = np.concatenate([self._vectors, np.zeros((count, self._vectors.shape[1]), np.float32)])
        self.known = np.concatenate([self.known, np.zeros(count, bool)])

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget the tracks where ``rows`` is False."""
        self._vectors, self.known = self._vectors[rows], self.known[rows]

    def learn(self, rows: IntArray, embeddings: FloatArray) -> None:
        """Blend embeddings float32 (m, d), unit length, into the tracks' vectors; no row twice."""
        if not len(rows):
            return
        if not self._vectors.shape[1]:
            self._vectors = np.zeros((len(self._vectors), embeddings.shape[1]), np.float32)
        weight = np.where(self.known[rows], np.float32(_BLEND), np.float32(1))[:, None]
        blended = self._vectors[rows] * (1 - weight) + embeddings * weight
        self._vectors[rows] = blended / np.maximum(np.linalg.norm(blended, axis=1, keepdims=True), 1e-6)
        self.known[rows] = True

    def similarity(self, rows: IntArray, embeddings: FloatArray) -> FloatArray:
        """Cosines float32 (tracks, embeddings); 0 for tracks of which nothing is known."""
        if not self._vectors.shape[1]:
            return np.zeros((len(rows), len(embeddings)), np.float32)
        cosines: FloatArray = self._vectors[rows] @ embeddings.T
        return cosines
