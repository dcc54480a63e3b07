"""Reading MOTChallenge text files: ground truth, and tracks to be judged.

A line is ``frame, id, left, top, width, height, ...``, frames from 1. In ground truth the seventh column is a flag:
boxes with 0 are not part of the benchmark. What follows depends on the year (motchallenge.net, and the
preprocessing of TrackEval): MOT15 goes on with world coordinates (ten columns) and knows pedestrians only; MOT16 and
later have class and visibility (nine columns). Of those, class 1 is a pedestrian and counts however badly visible;
tracks that match a person on a vehicle, a static person, a distractor, a reflection or a vehicle of the crowd
benchmark are neither right nor wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.tracking.given import number_table

Numbers = npt.NDArray[np.float64]

_PEDESTRIAN = 1
_DISTRACTORS = (2, 6, 7, 8, 12)


@dataclass(frozen=True, slots=True)
class TrackedBoxes:
    """Boxes with identities, in the order of frames.

    frames: int64 (n,), from 1. ids: int64 (n,). boxes: float64 (n, 4), xyxy in pixels.
    """

    frames: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    boxes: Numbers

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.ids) == len(self.boxes) or self.boxes.shape[1:] != (4,):
            raise ValueError(
                f"frames, ids and boxes must have shapes (n,), (n,) and (n, 4), "
                f"got {self.frames.shape}, {self.ids.shape} and {self.boxes.shape}"
            )
        if (np.diff(self.frames) < 0).any():
            raise ValueError("frames must not decrease")

    def __len__(self) -> int:
        return len(self.frames)

    def where(self, rows: npt.NDArray[np.bool_]) -> TrackedBoxes:
        """The boxes of the given rows."""
        return TrackedBoxes(self.frames[rows], self.ids[rows], self.boxes[rows])


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The people of a sequence, and the boxes that excuse a track without counting.

    visibility: float64 (n,), 0..1, how much of each of the people's boxes can be seen; 1 where the file does not say.
    """

    people: TrackedBoxes
    distractors: TrackedBoxes
    visibility: Numbers


def tracked_boxes(frames: npt.ArrayLike, ids: npt.ArrayLike, boxes: npt.ArrayLike) -> TrackedBoxes:
    """Boxes in any order, sorted by frame. Raises ValueError when an id is twice in one frame."""
    frame, identity = np.asarray(frames, np.int64), np.asarray(ids, np.int64)
    order = np.lexsort((identity, frame))
    frame, identity = frame[order], identity[order]
    twice = np.flatnonzero((np.diff(frame) == 0) & (np.diff(identity) == 0))
    if len(twice):
        raise ValueError(f"id {identity[twice[0]]} is twice in frame {frame[twice[0]]}")
    return TrackedBoxes(frame, identity, np.asarray(boxes, np.float64).reshape(-1, 4)[order])


def read_ground_truth(path: Path) -> GroundTruth:
    """A ground truth file (``gt/gt.txt``). Raises SourceNotFound or SourceBroken with the line that is wrong."""
    table = _table(path, least=7)
    flagged = table[:, 6] != 0
    if table.shape[1] >= 10 or table.shape[1] < 8:
        people, others = flagged, np.zeros(len(table), bool)
    else:
        people = flagged & (table[:, 7] == _PEDESTRIAN)
        others = np.isin(table[:, 7], _DISTRACTORS)
    seen = table[people, 8] if table.shape[1] == 9 else np.ones(int(people.sum()))
    order = np.lexsort((table[people, 1], table[people, 0]))
    return GroundTruth(_boxes(table[people], path), _boxes(table[others], path), seen[order])


def read_tracks(path: Path) -> TrackedBoxes:
    """A file of tracks to be judged. An empty file has no tracks. Raises SourceNotFound or SourceBroken."""
    return _boxes(_table(path, least=6), path)


def write_tracks(path: Path, tracks: TrackedBoxes) -> None:
    """The tracks in MOTChallenge's format, ten columns, to thousandths of a pixel."""
    sides = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
    lines = (
        f"{frame},{identity},{left:.3f},{top:.3f},{width:.3f},{height:.3f},1,-1,-1,-1\n"
        for frame, identity, (left, top, _, _), (width, height) in zip(
            tracks.frames, tracks.ids, tracks.boxes, sides, strict=True
        )
    )
    path.write_text("".join(lines), encoding="ascii")


def _table(path: Path, least: int) -> Numbers:
    try:
        return number_table(path, least)
    except FileNotFoundError:
        raise SourceNotFound(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceBroken(f"{path} cannot be read as text: {error}") from None
    except ValueError as error:
        raise SourceBroken(f"{path}, {error}") from None


def _boxes(table: Numbers, path: Path) -> TrackedBoxes:
    boxes = table[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    try:
        return tracked_boxes(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), boxes)
    except ValueError as error:
        raise SourceBroken(f"{path}: {error}") from None
