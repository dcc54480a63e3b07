"""What the tracks of a source look like, and what a cosine means in this source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray, IntArray

_BLEND = 0.2
"""Weight of a new embedding in a track's appearance: about the last five count."""
_SAME, _DIFFERENT = 0.80, 0.48
"""Mean cosine of one person's crops within three seconds, and of two people's (OSNet x0.25 of MSMT17, two scenes)."""
_PRIOR = 30
"""How many measured cosines those figures are worth before a source and its model have shown their own."""
_MEMORY = 500
"""How many cosines are remembered at most, because the light changes."""
_LEAST_CONTRAST = 0.1
"""Smallest difference of the two means that is believed."""


class _Mean:
    """A running mean of cosines that starts from a guess and forgets."""

    def __init__(self, guess: float) -> None:
        self.value = guess
        self._weight = float(_PRIOR)

    def add(self, cosines: FloatArray) -> None:
        if len(cosines):
            self._weight = min(self._weight + len(cosines), max(_MEMORY, len(cosines)))
            self.value += (float(cosines.mean()) - self.value) * len(cosines) / self._weight


class Appearance:
    """One unit-length vector per track, zero while nothing is known, and the typical cosines of this source.

    Cosines of two people differ from model to model and camera to camera, so they are learnt from pairs that motion
    alone has decided: ``agreement`` is 1 at the mean cosine of a track with itself, -1 at that of two people.
    """

    def __init__(self) -> None:
        self._vectors = np.zeros((0, 0), np.float32)
        self.known = np.zeros(0, bool)
        self._same, self._different = _Mean(_SAME), _Mean(_DIFFERENT)

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

    def cosines(self, embeddings: FloatArray) -> FloatArray:
        """float32 (tracks, embeddings); meaningless for tracks that are not ``known``."""
        if not self._vectors.shape[1]:
            return np.zeros((len(self._vectors), len(embeddings)), np.float32)
        cosines: FloatArray = self._vectors @ embeddings.T
        return cosines

    def agreement(self, cosines: FloatArray) -> FloatArray:
        """float32 (tracks, embeddings) in -2..1.5; 0 for tracks of which nothing is known."""
        same, different = self._same.value, self._different.value
        half = max(same - different, _LEAST_CONTRAST) / 2
        agreement: FloatArray = np.clip((cosines - (same + different) / 2) / half, -2, 1.5).astype(np.float32)
        agreement[~self.known] = 0
        return agreement

    def calibrate(self, same: FloatArray, different: FloatArray) -> None:
        """Cosines of tracks with embeddings that are surely theirs, and with those that are surely somebody else's."""
        self._same.add(same)
        self._different.add(different)
