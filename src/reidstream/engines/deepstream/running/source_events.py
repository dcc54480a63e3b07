"""One source's frames to events: when tracks begin and end, and which ids they bear."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.engines.deepstream.metadata.arrays import FrameArrays
from reidstream.engines.deepstream.running.spent_ids import SpentIds
from reidstream.engines.sampling import sharpness
from reidstream.foreign_text import storable
from reidstream.regions import IgnoredRegions
from reidstream.sources.clock import MediaClock
from reidstream.sources.frame import fit
from reidstream.types import (
    EndReason,
    Event,
    FloatArray,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
    TrackIds,
)

_BORDER = 0.02
"""How near to the border, as a part of the picture, the last box of a track that left is."""
_FOREIGN = 1 << 62
"""Where ids begin for object ids that the tracker used a second time."""
_STALL = 5.0
"""Seconds beyond the time-out after which tracks of a live source end though no frame comes at all."""


def _samples(arrays: FrameArrays) -> Samples | None:
    """The frame's samples; where there are pictures, their sharpness counts as on the local engine."""
    if not len(arrays.rows):
        return None
    quality = arrays.quality
    if arrays.crops:
        sharp = np.array([_sharpness(crop) for crop in arrays.crops], np.float32)
        quality = quality * (0.5 + 0.5 * sharp)
    return Samples(arrays.rows, arrays.embeddings, quality, arrays.crops)


def _without(arrays: FrameArrays, rows: npt.NDArray[np.bool_]) -> FrameArrays:
    """The frame without the tracks in the rows that are True, and without their embeddings."""
    if not rows.any():
        return arrays
    left = ~rows
    kept = np.flatnonzero(left[arrays.rows])
    return replace(
        arrays,
        object_ids=arrays.object_ids[left],
        boxes=arrays.boxes[left],
        confidences=arrays.confidences[left],
        rows=(np.cumsum(left) - 1)[arrays.rows[kept]].astype(np.int64),
        embeddings=arrays.embeddings[kept],
        quality=arrays.quality[kept],
        crops=tuple(arrays.crops[k] for k in kept.tolist()) if arrays.crops else (),
    )


def _sharpness(jpeg: bytes | None) -> float:
    pixels = None if jpeg is None else cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return 1.0 if pixels is None else sharpness(pixels.astype(np.uint8, copy=False))


@dataclass(slots=True)
class _Open:
    """An open track: the id it bears in events, and where it was seen last."""

    track_id: int
    media: float
    frame: int
    box: FloatArray


class SourceEvents:
    """Turns what the probe reads of one source into its events, in order.

    A track ends when the tracker says so, when it was unseen for longer than ``timeout`` seconds and ``shadow`` frames
    (the tracker may bring an id back until then), or with its source. Track ids are the tracker's object ids; an id
    that comes again after its track has ended is another track and gets an id of its own.

    started: what is known of the source beforehand; its size and times are those of the first frame. ignored: regions
    in which tracks are not seen.
    """

    def __init__(
        self, started: SourceStarted, timeout: float, shadow: int, ignored: IgnoredRegions | None = None
    ) -> None:
        self._started = started
        self._ignored = ignored
        self._timeout = timeout
        self._shadow = shadow
        self._clock: MediaClock[FrameArrays] = MediaClock(started.fps)
        # What the tracker gave up behind a frame that the clock holds: frames taken until then, object ids.
        self._waiting: list[tuple[int, TrackIds]] = []
        self._taken = 0
        self._emitted = 0
        self._step = 0.0
        self._origin: float | None = None
        self._open: dict[int, _Open] = {}
        self._spent = SpentIds()
        self._again = 0
        self._next = 0
        self._offset = 0
        self.fitted = 0
        self._media = 0.0
        # Seconds between the clock's times and media time, None until the first frame behind a break says so.
        self._shift: float | None = 0.0
        self._mended = 0
        self._arrived = time.monotonic()
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def silent_for(self) -> float:
        """Seconds since the last frame arrived, or since the source was added."""
        return time.monotonic() - self._arrived

    @property
    def frames(self) -> int:
        """Frames delivered so far."""
        return self._next

    @property
    def mended(self) -> int:
        """Frames whose time stamp was wrong and was replaced."""
        return self._mended + self._clock.mended

    def linked(self, fps: float) -> None:
        """The source's video is connected and says its frame rate; a live one did not have any before."""
        if self._started.live and self._origin is None:
            self._started = replace(self._started, fps=fps)
            self._clock = MediaClock(fps)

    def frame(self, arrays: FrameArrays) -> list[Event]:
        """The events of the frames whose times are decided with this one, usually of itself: SourceStarted with the
        first, the tracks that were over before, Observed, and the tracks that are over with it."""
        now = time.monotonic()
        if self._shift is None:
            self._shift = self._media + max(now - self._arrived, 1e-3)
        self._arrived = now
        self._taken += 1
        if self._ignored and len(arrays.boxes):
            arrays = _without(arrays, self._ignored.hold(arrays.boxes, arrays.size))
        return self._decided(self._clock.take(arrays, arrays.pts, Fraction(1, 10**9)))

    def _decided(self, frames: Iterable[tuple[FrameArrays, float]]) -> list[Event]:
        events: list[Event] = []
        for arrays, seconds in frames:
            events += self._frame(arrays, seconds + (self._shift or 0.0))
            self._emitted += 1
            while self._waiting and self._waiting[0][0] <= self._emitted:
                events += self._terminated(self._waiting.pop(0)[1])
        return events

    def _frame(self, arrays: FrameArrays, media: float) -> list[Event]:
        number = arrays.number + self._offset
        if number < self._next:
            # The mux counts anew after a reset of the stream; the source's own count goes on.
            self._offset += self._next - number
            number = self._next
        self._next = number + 1
        events = self._timed_out(media)
        self._media = media
        if self._origin is None:
            wall = self._started.wall_time
            if self._started.live:
                wall = arrays.ntp / 1e9 if arrays.ntp else time.time()
            self._origin = wall - media
            self._started = replace(self._started, size=arrays.size, wall_time=wall)
            events.append(self._started)
        arrays = self._fitted(arrays)
        wall = arrays.ntp / 1e9 if self._started.live and arrays.ntp else self._origin + media
        track_ids = self._seen(arrays, media, number)
        events.append(
            Observed(
                source=self._started.source,
                frame=number,
                media_time=media,
                wall_time=wall,
                track_ids=track_ids,
                boxes=arrays.boxes,
                confidences=arrays.confidences,
                samples=_samples(arrays),
            )
        )
        late = [
            object_id
            for object_id, track in self._open.items()
            if media - track.media > self._timeout and number - track.frame > self._shadow
        ]
        return events + [self._end_track(object_id) for object_id in sorted(late)]

    def _fitted(self, arrays: FrameArrays) -> FrameArrays:
        """The same with its boxes in the pixels of the source's first frame, when its picture has another size."""
        if arrays.size == self._started.size or 0 in arrays.size:
            return arrays
        scale, left, top = fit(arrays.size, self._started.size)
        offset = np.array([left, top, left, top], np.float32)
        self.fitted += 1
        return replace(arrays, size=self._started.size, boxes=arrays.boxes * np.float32(scale) + offset)

    def _timed_out(self, media: float) -> list[Event]:
        """Ends the tracks that a gap without frames is too long for, before any goes on behind it: the tracker counts
        frames, and would bring them back after hours. Where all frames are far apart, the gap has to be unusual."""
        step, usual = media - self._media, self._step
        self._step = step
        if step <= max(self._timeout, 1.5 * usual):
            return []
        return [self._end_track(object_id) for object_id in sorted(self._open)]

    def terminated(self, object_ids: TrackIds) -> list[Event]:
        """The tracker says that these are over."""
        if self._clock.holds:
            self._waiting.append((self._taken, object_ids))
            return []
        return self._terminated(object_ids)

    def _terminated(self, object_ids: TrackIds) -> list[Event]:
        return [self._end_track(object_id) for object_id in object_ids.tolist() if object_id in self._open]

    def broken_off(self) -> list[Event]:
        """Nothing more comes before the source is opened again: its open tracks end. The frames behind the break count
        on from here, by this machine's clock: their own numbers and time stamps begin anywhere."""
        events = self._decided(self._clock.finish())
        events += [self._end_track(object_id, EndReason.LOST) for object_id in sorted(self._open)]
        self._mended += self._clock.mended
        self._clock = MediaClock(self._started.fps)
        if self._next:
            self._shift = None
        return events

    def stalled(self) -> list[Event]:
        """Ends the tracks of a live source from which nothing has come for longer than the time-out."""
        if not self._started.live or self._ended or self.silent_for < self._timeout + _STALL:
            return []
        held = self._decided(self._clock.finish())
        return held + [self._end_track(object_id, EndReason.LOST) for object_id in sorted(self._open)]

    def end(self, error: str | None, stopped: bool, dropped: int) -> list[Event]:
        """All open tracks end, and then the source. Nothing when it has ended already."""
        if self._ended:
            return []
        self._ended = True
        reason = EndReason.SHUTDOWN if stopped else EndReason.SOURCE_ENDED
        events = self._decided(self._clock.finish())
        events += [self._end_track(object_id, reason) for object_id in sorted(self._open)]
        wall = self._origin + self._media if self._origin is not None else time.time()
        events.append(SourceEnded(self._started.source, self._next, wall, error and storable(error), stopped, dropped))
        return events

    def _seen(self, arrays: FrameArrays, media: float, number: int) -> TrackIds:
        ids = arrays.object_ids.copy()
        for row, object_id in enumerate(arrays.object_ids.tolist()):
            track = self._open.get(object_id)
            if track is None:
                track = self._open[object_id] = _Open(self._new_id(object_id), media, number, arrays.boxes[row])
            track.media, track.frame, track.box = media, number, arrays.boxes[row]
            ids[row] = track.track_id
        return ids

    def _new_id(self, object_id: int) -> int:
        if object_id not in self._spent:
            return object_id
        while True:
            self._again += 1
            fresh = _FOREIGN + self._again
            if fresh not in self._spent and fresh not in self._open:
                return fresh

    def _end_track(self, object_id: int, reason: EndReason | None = None) -> TrackEnded:
        track = self._open.pop(object_id)
        self._spent.add(object_id)
        if reason is None:
            width, height = self._started.size
            near = np.array([width, height], np.float32) * _BORDER
            x1, y1, x2, y2 = track.box.tolist()
            border = x1 <= near[0] or y1 <= near[1] or x2 >= width - near[0] or y2 >= height - near[1]
            reason = EndReason.LEFT if border else EndReason.LOST
        return TrackEnded(self._started.source, track.track_id, reason)
