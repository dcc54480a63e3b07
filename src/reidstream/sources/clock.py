"""Times of frames: repairing what containers say, and thinning."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

_JUMP = 1.0
"""Seconds by which a stamp must be off before replacing it is worth a word, and by which a camera's may differ from its
arrival."""
_NEAR = 2.5
"""Nominal frames after which a stamp that comes is no surprise."""
_RUN = 4
"""So many frames in a row whose stamps follow each other are right, however far they are from those before."""
_LONGEST = 366 * 86_400.0
"""No gap inside one recording is longer; a clock that moves further was set anew."""
_LONE_FIRST = 60.0
"""When all stamps but the first follow each other, and the first is off by more than this, it is the first that is
wrong."""
_DEFAULT_FPS = 25.0

T = TypeVar("T")


class MediaClock(Generic[T]):
    """Presentation time stamps to seconds since the first frame, always strictly increasing.

    A stamp that follows the one before is taken as it is, a missing one follows by one nominal frame. Any other is odd,
    and its frame is held until those behind it decide. When they go on where it was odd, it was the odd one out: its
    frame gets a time between its neighbours. When they follow it, they are right: forward it is a gap in the recording,
    which stays; backward the stream's clock was set anew (joined files, wrapped counters), and everything from there on
    is shifted to go on one frame later. At most four frames are held.

    mended: frames so far whose stamp was more than a second off and was replaced.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1.0 / (fps if fps > 0 else _DEFAULT_FPS)
        self._held: list[tuple[T, Fraction | None]] = []
        # A stamp and its media time, from which others count; exact, because stamps may be huge.
        self._reference: tuple[Fraction, float] | None = None
        self._last = 0.0
        self._count = 0
        self._longest = _JUMP
        self.mended = 0

    @property
    def holds(self) -> bool:
        """Whether frames wait for a decision."""
        return bool(self._held)

    def take(self, frame: T, pts: int | None, time_base: Fraction | None) -> Iterator[tuple[T, float]]:
        """The frames whose times are decided with this one, in order, with seconds; consume it before the next call."""
        self._held.append((frame, pts * time_base if pts is not None and time_base is not None else None))
        return self._decided(ended=False)

    def finish(self) -> Iterator[tuple[T, float]]:
        """What is held when no more frames come."""
        return self._decided(ended=True)

    def _decided(self, ended: bool) -> Iterator[tuple[T, float]]:
        while self._held:
            moved = self._moved(ended)
            if moved is None:
                return
            frame, _ = self._held.pop(0)
            if self._count:
                self._last += max(moved, self._step * 0.001)
            self._count += 1
            yield frame, self._last

    def _moved(self, ended: bool) -> float | None:
        """Seconds from the frame before to the first one held; None when those behind it have to say."""
        stamp = self._held[0][1]
        if stamp is None:
            return self._step
        if self._reference is None:
            return self._anew(stamp)
        moved = self._seconds(stamp)
        if 0 < moved <= _NEAR * self._step:
            return moved
        return self._odd(stamp, moved, ended)

    def _seconds(self, stamp: Fraction) -> float:
        """Seconds from the frame before to one with this stamp."""
        assert self._reference is not None
        return self._reference[1] + float(stamp - self._reference[0]) - self._last

    def _odd(self, stamp: Fraction, moved: float, ended: bool) -> float | None:
        """The same for a stamp that is ``moved`` seconds from the frame before."""
        follows, previous = 0, moved
        for place, (_, behind) in enumerate(self._held[1:], start=1):
            if behind is None:
                continue
            other = self._seconds(behind)
            # In front of a frame that is too early, one that jitters back counts as going on.
            if (other > 0 and moved <= 0) or (moved > 0 and -_JUMP < other < moved - other):
                return self._replaced(moved, other / (place + 1))
            if moved <= 0 and other <= moved:
                # Two that follow nothing: the first goes just behind, the second has its turn next.
                return self._replaced(moved, self._step)
            if moved > 0 and other - previous > _NEAR * self._step:
                # Slow or uneven video: every frame comes late, but they come in order.
                return self._gap(stamp, moved)
            # Decoders that refuse stamps that go back repeat the one before, which says nothing.
            if other >= moved - _JUMP and behind != stamp:
                follows, previous = follows + 1, other
        if not ended and len(self._held) < _RUN:
            return None
        if not follows or len(self._held) < _RUN:
            known = 0 < moved <= 2 * self._longest
            return self._gap(stamp, moved) if known else self._replaced(moved, self._step)
        if self._count == 1 and abs(moved) > _LONE_FIRST:
            self.mended += 1
            return self._anew(stamp)
        return self._gap(stamp, moved) if moved > 0 else self._anew(stamp)

    def _replaced(self, moved: float, room: float) -> float:
        """What to go on by when a stamp is wrong. room: seconds that are free."""
        if abs(moved - self._step) > _JUMP:
            self.mended += 1
        elif moved <= 0:
            # Jitter: it may be that the next one is not a whole frame away.
            room *= 0.001
        return min(room, self._step)

    def _gap(self, stamp: Fraction, moved: float) -> float:
        if moved > _LONGEST:
            return self._anew(stamp)
        self._longest = max(self._longest, moved)
        return moved

    def _anew(self, stamp: Fraction) -> float:
        """Let time go on one frame later from this stamp, whatever it is."""
        self._reference = stamp, self._last + (self._step if self._count else 0.0)
        return self._step


class LiveClock:
    """Seconds since the first frame, strictly increasing: a camera's stamps, tied to this machine's clock.

    A stamp that moves further than time has passed, or back, is odd: its frame gets the time at which it arrived. When
    the next stamp goes on as before, that was all; when it does not, the camera has set its clock anew, and counts from
    its arrival. tolerance: seconds by which stamps and arrivals may drift apart before they are tied together again.

    mended: frames so far whose stamp was replaced.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._begin: float | None = None
        self._offset: float | None = None
        self._good = (0.0, 0.0)
        self._doubt = False
        self._last = -1.0
        self.mended = 0

    def restart(self) -> None:
        """A new connection: its stamps begin anywhere."""
        self._offset = None
        self._doubt = False

    def media_time(self, stamp: float | None, now: float) -> float:
        """The time of a frame with this stamp (None: unknown) that arrived ``now`` (monotonic seconds)."""
        if self._begin is None:
            self._begin = now
        elapsed = now - self._begin
        time = elapsed if stamp is None else self._stamped(stamp, now, elapsed)
        self._last = time if time > self._last else self._last + 0.001
        return self._last

    def _stamped(self, stamp: float, now: float, elapsed: float) -> float:
        if self._offset is not None:
            moved, waited = stamp - self._good[0], now - self._good[1]
            follows = -_JUMP <= moved <= waited + _JUMP
            if not follows and not self._doubt:
                self._doubt = True
                return elapsed
            if follows and self._doubt:
                self.mended += 1
            if not follows:
                # A camera that set its clock anew would otherwise tear a hole into the recording.
                self._offset = None
        self._doubt = False
        self._good = (stamp, now)
        if self._offset is None or abs(stamp + self._offset - elapsed) > self._tolerance:
            self._offset = elapsed - stamp
        return stamp + self._offset


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
