"""What is known of each open track: arrays with one column per track, of one source or of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reidstream.tracking import motion
from reidstream.types import FloatArray, IntArray

Seconds = npt.NDArray[np.float64]

UNCONFIRMED = 0
"""The id of a track that was not confirmed yet; ids are given at confirmation, from 1."""
UNKNOWN = -1
"""The face of a track that was never looked at."""

_FIRST, _LAST, _DUE = range(3)
_EVIDENCE, _SUSPICION = range(2)
_ID, _HITS, _FACE = range(3)
_BOX = motion.ROWS


class TrackTable:
    """Open tracks, confirmed or not, in the order in which they started; those of one source stand together.

    state: float32 (6, 4, n), as in ``motion``, then the box that was last detected.
    """

    __slots__ = ("_marks", "_sums", "_times", "state")

    def __init__(
        self,
        state: FloatArray,
        times: Seconds,
        sums: FloatArray,
        marks: IntArray,
    ) -> None:
        self.state, self._times, self._sums, self._marks = state, times, sums, marks

    @classmethod
    def empty(cls) -> TrackTable:
        return cls.started(np.zeros((4, 0), np.float32), np.zeros(0, np.float32), np.zeros(0))

    @classmethod
    def started(cls, boxes: FloatArray, scores: FloatArray, times: Seconds) -> TrackTable:
        """Tracks seen once: boxes float32 (4, n), scores (n,), seconds (n,)."""
        marks = np.empty((3, len(scores)), np.int64)
        marks[:] = [[UNCONFIRMED], [1], [UNKNOWN]]
        return cls(
            np.concatenate([motion.at_rest(boxes), boxes[None]]),
            np.array([times] * 3),
            np.array([scores, np.zeros_like(scores)]),
            marks,
        )

    @classmethod
    def joined(cls, tables: Sequence[TrackTable]) -> TrackTable:
        """The tracks of several tables, one table after the other; of one table, that table."""
        if len(tables) == 1:
            return tables[0]
        return cls(
            np.concatenate([table.state for table in tables], axis=2),
            np.concatenate([table._times for table in tables], axis=1),
            np.concatenate([table._sums for table in tables], axis=1),
            np.concatenate([table._marks for table in tables], axis=1),
        )

    def __len__(self) -> int:
        return len(self._marks[_ID])

    def __getitem__(self, columns: slice | IntArray | npt.NDArray[np.bool_]) -> TrackTable:
        """Some of the tracks; a slice shares their memory."""
        return TrackTable(
            self.state[:, :, columns], self._times[:, columns], self._sums[:, columns], self._marks[:, columns]
        )

    def copy(self) -> TrackTable:
        """The same tracks in memory of their own."""
        return TrackTable(self.state.copy(), self._times.copy(), self._sums.copy(), self._marks.copy())

    @property
    def ids(self) -> IntArray:
        ids: IntArray = self._marks[_ID]
        return ids

    @property
    def hits(self) -> IntArray:
        """Detections joined."""
        hits: IntArray = self._marks[_HITS]
        return hits

    @property
    def faces(self) -> IntArray:
        """Where the source's ``Appearance`` keeps what the track looks like, or UNKNOWN."""
        faces: IntArray = self._marks[_FACE]
        return faces

    @property
    def first(self) -> Seconds:
        """Seconds when first seen."""
        first: Seconds = self._times[_FIRST]
        return first

    @property
    def last(self) -> Seconds:
        """Seconds when last seen."""
        last: Seconds = self._times[_LAST]
        return last

    @property
    def due(self) -> Seconds:
        """Seconds when the next look at the track is due."""
        due: Seconds = self._times[_DUE]
        return due

    @property
    def evidence(self) -> FloatArray:
        """The sum of the scores of the detections joined."""
        evidence: FloatArray = self._sums[_EVIDENCE]
        return evidence

    @property
    def suspicion(self) -> FloatArray:
        """How much its latest looks spoke against its being one person, 0 when nothing does."""
        suspicion: FloatArray = self._sums[_SUSPICION]
        return suspicion

    @property
    def box(self) -> FloatArray:
        """float32 (4, n): the last detection."""
        box: FloatArray = self.state[_BOX]
        return box

    def join(self, tracks: IntArray, boxes: FloatArray, scores: FloatArray, times: Seconds) -> None:
        """Continue each of ``tracks`` with a detection: boxes float32 (4, m), scores (m,), seconds (m,)."""
        motion.correct(self.state, tracks, boxes, scores)
        self.box[:, tracks] = boxes
        self.last[tracks] = times
        self.hits[tracks] += 1
        self.evidence[tracks] += scores
