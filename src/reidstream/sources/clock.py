"""Times of frames: repairing what containers say, and thinning."""

from __future__ import annotations

from fractions import Fraction

_JUMP = 1.0
"""Seconds by which a time stamp must run backwards to count as a new start of the clock and not as jitter."""
_DEFAULT_FPS = 25.0


class MediaClock:
    """Presentation time stamps to seconds since the first frame, always strictly increasing.

    A missing stamp follows the previous frame by one nominal frame. A stamp that is not after the previous one is moved
    just behind it; when it lies more than a second back, the stream's clock was set anew (joined files, wrapped
    counters), and everything from there on is shifted to go on one frame later.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1.0 / (fps if fps > 0 else _DEFAULT_FPS)
        self._origin: float | None = None
        self._last: float | None = None

    def media_time(self, pts: int | None, time_base: Fraction | None) -> float:
        """Seconds of the next frame."""
        stamp = float(pts * time_base) if pts is not None and time_base is not None else None
        if self._last is None:
            self._last = 0.0
            self._origin = stamp
            return 0.0
        if stamp is None:
            self._last += self._step
            return self._last
        if self._origin is None:
            self._origin = stamp - self._last - self._step
        time = stamp - self._origin
        if time <= self._last - _JUMP:
            self._origin = stamp - self._last - self._step
            time = self._last + self._step
        self._last = max(time, self._last + self._step * 0.001)
        return self._last


class Thinning:
    """Lets no more than ``max_fps`` frames a second through, by media time and without drifting."""

    def __init__(self, max_fps: float | None) -> None:
        self._period = 1.0 / max_fps if max_fps else 0.0
        self._due = 0.0

    def keeps(self, media_time: float) -> bool:
        """Whether the frame at this time is delivered."""
        if not self._period:
            return True
        # A tenth of a period of tolerance: time stamps are rounded to the container's clock.
        if media_time < self._due - 0.1 * self._period:
            return False
        late = media_time - self._due > self._period
        self._due = (media_time if late else self._due) + self._period
        return True
