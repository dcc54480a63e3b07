"""Boxes that others have found in a source: detections or whole tracks from a file in MOTChallenge's format.

A line is ``frame, id, left, top, width, height, confidence``, frames from 1, what follows is not read. In a file of
detections ids mean nothing (-1). A confidence that is left out, or is -1 in every line, counts as 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reidstream.config.sources import SourceConfig
from reidstream.errors import ConfigError
from reidstream.tracking.tracks import Tracks
from reidstream.types import Detections, EndReason, FloatArray, IntArray

_MOST_FRAMES = 2**40
_FARTHEST = 1_000_000
# A track whose last box lies so near to the picture's border has left, of the picture's size.
_BORDER = 0.02


def number_table(path: Path, least: int) -> npt.NDArray[np.float64]:
    """The numbers in a text file, float64 (lines, columns), parted by commas or blanks; empty lines do not count.

    least: columns that there must be, and of which the first six must be finite. Raises OSError or UnicodeDecodeError
    for a file that cannot be read as text, ValueError with the line for one that holds anything else.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = [float(cell) for cell in line.replace(",", " ").split()]
        except ValueError:
            raise ValueError(f"line {number}: expected numbers with commas between, got {line!r}") from None
        if len(row) < least or (rows and len(row) != len(rows[0])) or not np.isfinite(row[:6]).all():
            expected = f"{len(rows[0])} columns as above" if rows else f"at least {least} columns"
            raise ValueError(f"line {number}: expected {expected}, all finite, got {line!r}")
        rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, least))


@dataclass(frozen=True, slots=True)
class GivenBoxes:
    """The boxes of a whole source.

    frames: int64 (n,), from 0, not decreasing. ids: uint64 (n,), of tracks; None for detections. boxes: float32 (n, 4),
    xyxy. scores: float32 (n,), 0..1.
    """

    frames: IntArray
    ids: npt.NDArray[np.uint64] | None
    boxes: FloatArray
    scores: FloatArray

    def rows(self, frame: int) -> slice:
        """Where a frame's boxes lie."""
        first, end = np.searchsorted(self.frames, [frame, frame + 1]).tolist()
        return slice(first, end)

    def detections(self, frame: int, size: tuple[int, int]) -> Detections:
        """The boxes in a frame, clipped to its size (width, height); those wholly outside keep no area."""
        rows = self.rows(frame)
        return Detections(np.clip(self.boxes[rows], 0, np.tile(np.array(size, np.float32), 2)), self.scores[rows])

    def beyond(self, frames: int) -> int:
        """How many boxes lie behind the last of so many frames."""
        return int((self.frames >= frames).sum())


def read_boxes(path: Path, tracks: bool) -> GivenBoxes:
    """The boxes in a file. tracks: whether ids name tracks, which must then be whole numbers, once in a frame.

    Raises ConfigError, with the line, for a file that cannot be read or holds anything else.
    """
    what = "tracks" if tracks else "detections"
    try:
        table = number_table(path, least=6)
    except FileNotFoundError:
        raise ConfigError(f"no file of {what} at {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a file of {what}: {error}") from None
    except ValueError as error:
        raise ConfigError(
            f"{path}, {error}; a line of {what} is frame, id, left, top, width, height, confidence (MOTChallenge)"
        ) from None
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]

    def refuse(wrong: npt.NDArray[np.bool_], column: int, expected: str) -> None:
        if wrong.any():
            row = table[wrong.argmax()]
            raise ConfigError(f"{path}: {expected}; found {row[column]:g} in frame {row[0]:g}")

    frames = table[:, 0]
    refuse((frames != np.floor(frames)) | (frames < 1) | (frames > _MOST_FRAMES), 0, "frames are whole numbers from 1")
    for column, name in ((4, "width"), (5, "height")):
        refuse(table[:, column] <= 0, column, f"a box's {name} must be more than 0")
    for column, name in ((2, "left"), (3, "top"), (4, "width"), (5, "height")):
        refuse(np.abs(table[:, column]) > _FARTHEST, column, f"a box's {name} is in pixels, {_FARTHEST:,} at most")
    boxes = table[:, 2:6].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.ones(len(table), np.float32)
    if table.shape[1] > 6 and (table[:, 6] != -1).any():
        refuse(~((table[:, 6] >= 0) & (table[:, 6] <= 1)), 6, "confidences must be 0 to 1, or -1 in every line")
        scores = table[:, 6].astype(np.float32)
    if not tracks:
        return GivenBoxes(frames.astype(np.int64) - 1, None, boxes, scores)
    ids = table[:, 1]
    refuse((ids != np.floor(ids)) | (ids < 0) | (ids > 2**53), 1, "ids of tracks are whole numbers from 0")
    order = np.lexsort((ids, frames))
    twice = (np.diff(frames[order]) == 0) & (np.diff(ids[order]) == 0)
    refuse(np.isin(np.arange(len(ids)), order[1:][twice]), 1, "an id of a track must be once in a frame")
    return GivenBoxes(frames.astype(np.int64) - 1, ids.astype(np.uint64), boxes, scores)


def given_boxes(source: SourceConfig) -> GivenBoxes | None:
    """The boxes that a source comes with, None when they are to be found in its pictures. Raises ConfigError."""
    if source.tracks is not None:
        return read_boxes(Path(source.tracks), tracks=True)
    return None if source.detections is None else read_boxes(Path(source.detections), tracks=False)


class GivenTracks:
    """What a tracker reports, from tracks that are known to their end. Frames go on, and some may be left out."""

    def __init__(self, given: GivenBoxes, frame_size: tuple[int, int]) -> None:
        if given.ids is None:
            raise ValueError("these are detections without tracks")
        self._given = given
        self._ids = given.ids
        self._size = np.tile(np.array(frame_size, np.float32), 2)
        # Tracks in the order of their last frames, and how many of them have ended.
        last = dict(zip(self._ids.tolist(), range(len(self._ids)), strict=True))
        self._ends = sorted((int(given.frames[row]), track, row) for track, row in last.items())
        self._ended = 0
        self._seen: set[int] = set()

    def update(self, frame: int, kept: npt.NDArray[np.bool_]) -> Tracks:
        """The tracks in a frame, and those that ended since the last one.

        kept: bool (n,), which of the frame's boxes count; ``rows`` of the result are those among the boxes kept.
        """
        rows = self._given.rows(frame)
        ended = []
        while self._ended < len(self._ends) and self._ends[self._ended][0] < frame:
            _, track, row = self._ends[self._ended]
            self._ended += 1
            if track in self._seen:
                self._seen.discard(track)
                ended.append((track, self._reason(row)))
        ids = self._ids[rows][kept]
        self._seen.update(ids.tolist())
        boxes = np.clip(self._given.boxes[rows][kept], 0, self._size)
        return Tracks(ids, boxes, self._given.scores[rows][kept], np.arange(len(ids)), sorted(ended))

    def finish(self, reason: EndReason) -> list[tuple[int, EndReason]]:
        """End all tracks that are open, because the source ended or the run was stopped."""
        left = [(track, reason) for track in sorted(self._seen)]
        self._seen.clear()
        return left

    def _reason(self, row: int) -> EndReason:
        box, border = self._given.boxes[row], _BORDER * self._size
        out = (box[:2] <= border[:2]).any() or (box[2:] >= self._size[2:] - border[2:]).any()
        return EndReason.LEFT if out else EndReason.LOST
