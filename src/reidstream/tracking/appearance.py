"""What the tracks of a source look like, and what a cosine means in this source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.tracking.table import UNKNOWN
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


def blend(vectors: FloatArray, known: npt.NDArray[np.bool_], embeddings: FloatArray) -> FloatArray:
    """float32 (m, d), unit length: embeddings blended into the vectors that were known, and themselves where not."""
    weight = np.where(known, np.float32(_BLEND), np.float32(1))[:, None]
    blended = vectors * (1 - weight) + embeddings * weight
    lengths = np.sqrt(np.einsum("md,md->m", blended, blended))
    result: FloatArray = blended / np.maximum(lengths, 1e-6)[:, None]
    return result


class _Mean:
    """A running mean of cosines that starts from a guess and forgets."""

    def __init__(self, guess: float) -> None:
        self.value = guess
        self._weight = float(_PRIOR)

    def add(self, total: float, count: int) -> None:
        if count:
            self._weight = min(self._weight + count, max(_MEMORY, count))
            self.value += (total / count - self.value) * count / self._weight


class Appearance:
    """One unit-length vector per face, and the typical cosines of this source.

    Cosines of two people differ from model to model and camera to camera, so they are learnt from pairs that motion
    alone has decided: agreement is 1 at the mean cosine of a track with itself, -1 at that of two people.
    """

    def __init__(self) -> None:
        self._vectors = np.zeros((0, 0), np.float32)
        self._free: list[int] = []
        self._same, self._different = _Mean(_SAME), _Mean(_DIFFERENT)

    @property
    def scale(self) -> tuple[float, float]:
        """The cosine at which agreement is 0, and how much more makes it 1."""
        same, different = self._same.value, self._different.value
        return (same + different) / 2, max(same - different, _LEAST_CONTRAST) / 2

    def cosines(self, faces: IntArray, embeddings: FloatArray) -> FloatArray:
        """float32 (faces, embeddings); meaningless where a face is UNKNOWN. embeddings: float32 (m, d), unit length."""
        if not len(self._vectors):
            return np.zeros((len(faces), len(embeddings)), np.float32)
        cosines: FloatArray = self._vectors[faces] @ embeddings.T
        return cosines

    def vectors(self, faces: IntArray, size: int) -> FloatArray:
        """float32 (faces, size): what they look like, anything where a face is UNKNOWN."""
        return self._vectors[faces] if len(self._vectors) else np.zeros((len(faces), size), np.float32)

    def learn(self, faces: IntArray, vectors: FloatArray) -> IntArray:
        """Let the faces, none of which comes twice, look like float32 (m, d) from now on.

        Returns the faces, int64 (m,), new ones where they were UNKNOWN.
        """
        if not len(faces):
            return faces
        new = (faces == UNKNOWN).nonzero()[0]
        if len(new):
            faces = faces.copy()
            faces[new] = self._new(len(new), vectors.shape[1])
        self._vectors[faces] = vectors
        return faces

    def forget(self, faces: IntArray) -> None:
        """The tracks of these faces have ended."""
        self._free.extend(faces[faces != UNKNOWN].tolist())

    def calibrate(self, same: tuple[float, int], different: tuple[float, int]) -> None:
        """Sum and number of cosines of tracks with embeddings that are surely theirs, and with those of others."""
        self._same.add(*same)
        self._different.add(*different)

    def _new(self, count: int, size: int) -> list[int]:
        if len(self._free) < count:
            old = len(self._vectors)
            grown = max(count, old, 8)
            vectors = np.zeros((old + grown, size), np.float32)
            if old:
                vectors[:old] = self._vectors
            self._vectors = vectors
            self._free.extend(range(old + grown - 1, old - 1, -1))
        return [self._free.pop() for _ in range(count)]
