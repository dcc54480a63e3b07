"""Where one person is in each frame, and where everybody else is, out of what a gallery and a detector know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reidstream.boxes import pairwise_iou
from reidstream.disclosure.covering import Box
from reidstream.types import FloatArray, IntArray, LeftOut, LeftOutReason, Tracklet

_BRIDGED = 2.0
"""Points of a path that are further apart than this, in its usual step, have a time between them in which nobody was
seen: of the person themselves nothing is shown then, and others may be anywhere between both places."""
_HELD = 0.5
"""Seconds before others were first seen, and after they were last, in which they are taken to be at that place."""
_OWN = 0.5
"""IoU from which what a detector finds is the person themselves; the best one alone."""
_KNOWN = 0.3
"""IoU from which what a detector finds is somebody whose path is known."""
_PERSONLESS = frozenset({LeftOutReason.THING, LeftOutReason.NO_PERSON})
_NO_BOXES = np.zeros((0, 4), np.float32)


class Way:
    """The path of one tracklet, asked for frame after frame. frames: int64 (m,), boxes: float32 (m, 4); m > 0."""

    def __init__(self, tracklet: Tracklet) -> None:
        self.frames, self._boxes = tracklet.frames, tracklet.boxes
        gaps = np.diff(self.frames)
        self._most = _BRIDGED * float(np.median(gaps)) if len(gaps) else 1.0

    @property
    def first(self) -> int:
        return int(self.frames[0])

    @property
    def last(self) -> int:
        return int(self.frames[-1])

    def at(self, frame: int) -> Box | None:
        """Where it is seen in a frame; None where it was not seen. Between two points of the path it walks straight."""
        if not self.first <= frame <= self.last:
            return None
        after = int(np.searchsorted(self.frames, frame))
        if self.frames[after] == frame:
            return _box(self._boxes[after])
        before, gap = after - 1, int(self.frames[after] - self.frames[after - 1])
        if gap > self._most:
            return None
        share = np.float32((frame - int(self.frames[before])) / gap)
        return _box((1 - share) * self._boxes[before] + share * self._boxes[after])

    def reach(self, frame: int, held: int) -> Box | None:
        """Where it may be in a frame, all of it: also while it was lost between two points of the path, and for
        ``held`` frames before its first and after its last. None: elsewhere."""
        if not self.first - held <= frame <= self.last + held:
            return None
        after = int(np.clip(np.searchsorted(self.frames, frame), 0, len(self.frames) - 1))
        if self.frames[after] == frame or frame > self.last or frame < self.first:
            return _box(self._boxes[after])
        # Somebody who walks between two places is inside the box around both.
        both = self._boxes[after - 1 : after + 1]
        return _box(np.concatenate([both[:, :2].min(axis=0), both[:, 2:].max(axis=0)]))


@dataclass(frozen=True, slots=True)
class Found:
    """Who is in a frame. own: where the person is; None: not to be told. others: float32 (n, 4), everybody else.

    sure: whether there is a place for everybody who is known to have been there.
    """

    own: Box | None
    others: FloatArray
    sure: bool


class Others:
    """Everybody but one person in one recording, or in a part of it.

    tracklets: of everybody else. left_out: what was seen and not stored, of which no path is kept. rate: frames a
    second.
    """

    def __init__(self, tracklets: Iterable[Tracklet], left_out: Sequence[LeftOut], rate: float) -> None:
        every = list(tracklets)
        self._ways = [Way(one) for one in every if len(one.frames)]
        self._held = max(1, round(_HELD * (rate if rate > 0 else 25.0)))
        nowhere = [(t.start_frame, t.end_frame) for t in every if not len(t.frames)]
        nowhere += [(one.start_frame, one.end_frame) for one in left_out if one.why not in _PERSONLESS]
        self._nowhere: IntArray = np.array(nowhere, np.int64).reshape(-1, 2)
        self._first = np.array([way.first for way in self._ways], np.int64) - self._held
        self._last = np.array([way.last for way in self._ways], np.int64) + self._held

    def known(self, frame: int) -> FloatArray:
        """Where those may be in a frame whose paths are kept: float32 (n, 4)."""
        there = np.flatnonzero((self._first <= frame) & (frame <= self._last)).tolist()
        boxes = [box for row in there if (box := self._ways[row].reach(frame, self._held)) is not None]
        return np.array(boxes, np.float32).reshape(-1, 4)

    def unplaced(self, frame: int) -> int:
        """How many were in view of whom no place is kept."""
        return int(((self._nowhere[:, 0] <= frame) & (frame <= self._nowhere[:, 1])).sum())

    def found(self, frame: int, own: Box | None, detected: FloatArray, *, confirmed: bool = False) -> Found:
        """Who is in a frame. own: where the person is by their path. detected: float32 (n, 4), all that a detector
        finds there. confirmed: the person is shown only where the detector finds them as well."""
        known = self.known(frame)
        strangers = detected
        if own is not None and len(detected):
            likeness = pairwise_iou(np.array([own], np.float32), detected)[0]
            best = int(likeness.argmax())
            if likeness[best] >= _OWN:
                strangers = np.delete(detected, best, axis=0)
            elif confirmed:
                own = None
        elif confirmed:
            own = None
        fresh = len(strangers)
        if len(known) and len(strangers):
            fresh = int((pairwise_iou(strangers, known).max(axis=1) < _KNOWN).sum())
        return Found(own, np.concatenate([known, strangers]), fresh >= self.unplaced(frame))


def _box(values: FloatArray) -> Box:
    x1, y1, x2, y2 = values.tolist()
    return x1, y1, x2, y2


NOBODY = Others((), (), 0.0)
"""Where nobody else is known; what a detector finds counts all the same."""
