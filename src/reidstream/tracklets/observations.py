"""The log of what was observed in one source, and the path of one track through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reidstream.types import FloatArray, IntArray, Observed

_CHUNK = 128


@dataclass(frozen=True, slots=True)
class TrackPath:
    """Where one track was, in the order of time.

    frames: int64 (n,). media, wall: float64 (n,) seconds. boxes: float32 (n, 4).
    confidence: mean confidence of the boxes that a detector found, 0 if there was none.
    """

    frames: IntArray
    media: npt.NDArray[np.float64]
    wall: npt.NDArray[np.float64]
    boxes: FloatArray
    confidences: FloatArray

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def confidence(self) -> float:
        found = self.confidences[self.confidences >= 0]
        return float(found.mean()) if len(found) else 0.0

    def to_last_detection(self) -> TrackPath:
        """The path without the boxes at its end that were only predicted; all of it when none was detected."""
        found = np.flatnonzero(self.confidences >= 0)
        return self if not len(found) else self._rows(np.arange(int(found[-1]) + 1))

    def travel(self) -> float:
        """How far the box moved or changed its size, in heights: the widest of the ranges in which 90 % of the detected
        centres, heights and widths lie. 0 when fewer than two were detected."""
        boxes = self.boxes[self.confidences >= 0]
        if len(boxes) < 2:
            return 0.0
        sides = boxes[:, 2:] - boxes[:, :2]
        facts = np.concatenate([boxes[:, :2] + sides / 2, sides], axis=1)
        low, high = np.quantile(facts, [0.05, 0.95], axis=0)
        return float((high - low).max() / max(float(np.median(sides[:, 1])), 1.0))

    def split(self, media: float) -> tuple[TrackPath, TrackPath]:
        """The path up to and after a media time."""
        cut = int(np.searchsorted(self.media, media, side="right"))
        return self._rows(np.arange(cut)), self._rows(np.arange(cut, len(self)))

    def thinned(self, most: int) -> TrackPath:
        """The path with at most ``most`` points, evenly chosen, first and last among them."""
        if len(self) <= most:
            return self
        return self._rows(np.linspace(0, len(self) - 1, most).round().astype(np.int64))

    def _rows(self, rows: IntArray) -> TrackPath:
        return TrackPath(self.frames[rows], self.media[rows], self.wall[rows], self.boxes[rows], self.confidences[rows])


@dataclass(frozen=True, slots=True)
class _Block:
    """Many observed boxes as columns, in the order of time."""

    ids: npt.NDArray[np.uint64]
    path: TrackPath


class ObservationLog:
    """All boxes seen in one source since the oldest open track began.

    Frames are kept as they come and joined into blocks of columns, so that a track's path is a few array operations
    and remembering costs no Python object per box.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._recent: list[Observed] = []

    def append(self, observed: Observed) -> None:
        if len(observed.track_ids) == 0:
            return
        self._recent.append(observed)
        if len(self._recent) >= _CHUNK:
            self._blocks.append(_joined(self._recent))
            self._recent = []

    def path(self, track_id: int, since: float) -> TrackPath:
        """The path of a track from media time ``since`` on. Raises KeyError if it was not seen."""
        blocks = self._blocks + ([_joined(self._recent)] if self._recent else [])
        wanted = np.uint64(track_id)
        found = []
        for block in blocks:
            if block.path.media[-1] < since:
                continue
            rows = np.flatnonzero((block.ids == wanted) & (block.path.media >= since))
            if len(rows):
                found.append(block.path._rows(rows))
        if not found:
            raise KeyError(track_id)
        return _concatenated(found)

    def detected(self, since: float) -> IntArray:
        """The frames from media time ``since`` on in which anything was detected: int64, ascending.

        A frame that is missing was not looked at, or showed nobody but predicted boxes.
        """
        blocks = self._blocks + ([_joined(self._recent)] if self._recent else [])
        paths = [block.path for block in blocks if block.path.media[-1] >= since]
        frames = [path.frames[(path.media >= since) & (path.confidences >= 0)] for path in paths]
        return np.unique(np.concatenate(frames)) if frames else np.zeros(0, np.int64)

    def forget_before(self, media: float) -> None:
        """Drop blocks in which everything is older than ``media``."""
        while self._blocks and self._blocks[0].path.media[-1] < media:
            self._blocks.pop(0)
        if not self._blocks and self._recent and self._recent[-1].media_time < media:
            self._recent = []


def _joined(frames: list[Observed]) -> _Block:
    counts = [len(f.track_ids) for f in frames]
    return _Block(
        np.concatenate([f.track_ids for f in frames]),
        TrackPath(
            np.repeat(np.array([f.frame for f in frames], np.int64), counts),
            np.repeat(np.array([f.media_time for f in frames]), counts),
            np.repeat(np.array([f.wall_time for f in frames]), counts),
            np.concatenate([f.boxes for f in frames]),
            np.concatenate([f.confidences for f in frames]),
        ),
    )


def _concatenated(paths: list[TrackPath]) -> TrackPath:
    if len(paths) == 1:
        return paths[0]
    return TrackPath(
        np.concatenate([p.frames for p in paths]),
        np.concatenate([p.media for p in paths]),
        np.concatenate([p.wall for p in paths]),
        np.concatenate([p.boxes for p in paths]),
        np.concatenate([p.confidences for p in paths]),
    )
