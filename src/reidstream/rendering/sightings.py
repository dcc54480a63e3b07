"""Who was where in each frame of a recording, out of the tracklets that a gallery holds of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from reidstream.rendering.film import Named
from reidstream.types import FloatArray, IntArray, Observed, Tracklet

_BRIDGED = 2.0
"""Points of a path that are further apart than this, counted in the path's usual step, are two sightings with a time
between them in which nobody was seen."""


class Sightings:
    """The paths of tracklets, asked for frame after frame.

    A path has a point for each frame that was looked at, or fewer: very long ones are thinned when they are stored, and
    a camera may be looked at four times a second only. Between two points somebody walks straight.
    """

    def __init__(self, tracklets: Iterable[Tracklet], people: Mapping[str, Named] | None = None) -> None:
        """people: the person of each tracklet, by its id; who has none is known by the track's number."""
        named = people or {}
        self._paths = sorted(
            ((t.track_id, t.frames, t.boxes, _step(t.frames), named.get(t.id)) for t in tracklets if len(t.frames)),
            key=lambda path: int(path[1][0]),
        )
        self._first = np.array([path[1][0] for path in self._paths], np.int64)
        self._last = np.array([path[1][-1] for path in self._paths], np.int64)

    def __len__(self) -> int:
        """How many tracklets there are."""
        return len(self._paths)

    @property
    def last_frame(self) -> int:
        """The last frame in which anybody is seen, -1 when nobody ever is."""
        return int(self._last.max()) if len(self._last) else -1

    def counts(self, frames: int) -> IntArray:
        """How many tracklets span each of the first so many frames, int64 (frames,)."""
        ends = np.zeros(frames + 1, np.int64)
        np.add.at(ends, np.clip(self._first, 0, frames), 1)
        np.add.at(ends, np.clip(self._last + 1, 0, frames), -1)
        return np.cumsum(ends[:-1])

    def at(self, source: str, frame: int, media_time: float, wall_time: float) -> tuple[Observed, dict[int, Named]]:
        """What is seen in a frame, and who the tracks are of which that is known, by track id."""
        ids: list[int] = []
        boxes: list[FloatArray] = []
        people: dict[int, Named] = {}
        for row in np.flatnonzero((self._first <= frame) & (frame <= self._last)).tolist():
            track_id, frames, path, step, person = self._paths[row]
            box = _between(frames, path, step, frame)
            if box is None:
                continue
            ids.append(track_id)
            boxes.append(box)
            if person is not None:
                people[track_id] = person
        observed = Observed(
            source=source,
            frame=frame,
            media_time=media_time,
            wall_time=wall_time,
            track_ids=np.array(ids, np.uint64),
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            confidences=np.ones(len(ids), np.float32),
        )
        return observed, people


def _step(frames: IntArray) -> float:
    """Frames from one point of a path to the next, as a rule."""
    return float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0


def _between(frames: IntArray, boxes: FloatArray, step: float, frame: int) -> FloatArray | None:
    """Where a path is in a frame between its first and its last; None while it was not seen."""
    after = int(np.searchsorted(frames, frame))
    if frames[after] == frame:
        found: FloatArray = boxes[after]
        return found
    gap = int(frames[after] - frames[after - 1])
    if gap > _BRIDGED * step:
        return None
    share = np.float32((frame - int(frames[after - 1])) / gap)
    walked: FloatArray = (1 - share) * boxes[after - 1] + share * boxes[after]
    return walked
