"""Boxes to tracks: the tracker of one source, and a frame of each of many sources tracked together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from reidstream.config.local import TrackerConfig
from reidstream.tracking.appearance import Appearance
from reidstream.tracking.step import Moment, Step
from reidstream.tracking.table import UNCONFIRMED, TrackTable
from reidstream.tracking.thresholds import Thresholds
from reidstream.tracking.tracks import Tracks
from reidstream.types import Detections, EndReason, FloatArray, IntArray

Embed = Callable[[IntArray], FloatArray]
"""Embeds the detections in the given rows: float32 (m, d), unit length."""


class Tracker:
    """ByteTrack-style association (Zhang et al. 2022) of one source's detections, all state in this object.

    Sure detections are matched first, to all tracks; then unsure ones may continue tracks that were seen just now.
    Where motion leaves a choice, embeddings of the detections concerned are asked for and decide with it; a detection
    that shows somebody else is refused, because a track in two pieces can be joined later and a mixed one cannot be
    taken apart. A track is reported once it has been seen for ``confirm`` seconds, or twice by a detector that is sure;
    it ends when unseen for ``timeout`` seconds, whether there were frames meanwhile or not: that is looked at before
    anything is joined, so that nothing goes on over a gap in a recording. Where frames or looks are always further
    apart than the time-out, they have to be unusually late.
    """

    def __init__(
        self, config: TrackerConfig, frame_size: tuple[int, int], thresholds: Thresholds = Thresholds()
    ) -> None:
        self._config = config
        self._thresholds = thresholds
        self._size = frame_size
        self._table = TrackTable.empty()
        self._appearance = Appearance()
        self._time: float | None = None
        self._decided: float | None = None
        self._detected: float | None = None
        self._step = 0.0
        self._next = 1

    def update(self, detections: Detections | None, time: float, embed: Embed | None = None) -> Tracks:
        """The confirmed tracks in the frame at ``time`` (seconds, never going back).

        detections: None when the detector did not look at this frame: tracks that were seen when it last did are
        predicted, and none ends. embed: called at most once, with the rows of detections for which motion alone does
        not decide; not kept. Without it motion decides alone.
        """
        step = Together([self], [detections], [time], appearance=embed is not None)
        rows = step.wanted[0]
        return step.decide([embed(rows) if embed is not None and len(rows) else None])[0]

    def finish(self, reason: EndReason) -> list[tuple[int, EndReason]]:
        """End all tracks that are open, because the source ended or the run was stopped."""
        ids = self._table.ids
        open_ids = sorted(ids[ids != UNCONFIRMED].tolist())
        self._table = TrackTable.empty()
        return [(track_id, reason) for track_id in open_ids]

    def _moment(self, detections: Detections | None, time: float) -> Moment:
        """This source's frame, which is the next now."""
        moment = self._next_moment(detections, time)
        self._step, self._time = moment.step, time
        if detections is not None:
            self._detected = time
        return moment

    def _coming(self, detections: Detections, time: float) -> Moment:
        """A later frame, of which nothing is decided yet."""
        moment = self._next_moment(detections, time)
        step = time - self._decided if self._decided is not None else 0.0
        return replace(moment, table=self._table.copy(), step=step)

    def _next_moment(self, detections: Detections | None, time: float) -> Moment:
        """This source's frame, and how long its tracks may have been unseen."""
        timeout, last = self._config.timeout, self._detected
        step = time - self._time if self._time is not None else 0.0
        looked = detections is not None
        patience = timeout
        if step <= max(timeout, 1.5 * self._step):
            # No gap. Between two looks nobody can be seen, and none ends for that.
            patience = max(timeout, 1.5 * (time - last)) if looked and last is not None else np.inf
        pause = time - last if looked and last is not None else 0.0
        return Moment(
            self._table, self._appearance, detections, time, step, last, patience, pause, self._size, self._next
        )


class Together:
    """One frame of each of several sources: first whom to look at, then what is decided.

    Between the two nothing else may be done with these trackers. What is decided for one source does not depend on
    the others beside it.

    wanted: for each source the detections whose embeddings decide, int64 (m,).
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        detections: Sequence[Detections | None],
        times: Sequence[float],
        appearance: bool,
    ) -> None:
        """trackers: each once, with the same configuration. detections, times: of each; see ``Tracker.update``.
        appearance: False lets motion decide alone. Raises ValueError for trackers of two configurations."""
        first = trackers[0]
        if any(
            (other._config, other._thresholds) != (first._config, first._thresholds)
            for other in trackers
            if other._config is not first._config or other._thresholds is not first._thresholds
        ):
            raise ValueError("trackers that step together have one configuration")
        self._trackers = trackers
        frames = zip(trackers, detections, times, strict=True)
        moments = [tracker._moment(found, time) for tracker, found, time in frames]
        self._step = Step(moments, first._config, first._thresholds)
        self._look: IntArray | None = self._step.look() if appearance else None
        self.wanted: list[IntArray] = self._step.wanted(self._look)

    def decide(self, embeddings: Sequence[FloatArray | None]) -> list[Tracks]:
        """The tracks of each source's frame.

        embeddings: for each source float32 (m, d), unit length, of the detections ``wanted``; None for none.
        """
        tracks = self._step.decide(self._look, embeddings)
        for tracker, table, following in zip(self._trackers, self._step.tables(), self._step.next, strict=True):
            tracker._table, tracker._next, tracker._decided = table, following, tracker._time
        return tracks


def foreseen(trackers: Sequence[Tracker], detections: Sequence[Detections], times: Sequence[float]) -> list[IntArray]:
    """The detections of coming frames whose embeddings will probably be ``wanted``, int64 (m,) each; nothing changes.

    trackers: of one configuration, each as often as there are frames of it. detections, times: of these frames, of
    which those in between may not have been tracked yet.
    """
    moments = [one._coming(found, time) for one, found, time in zip(trackers, detections, times, strict=True)]
    step = Step(moments, trackers[0]._config, trackers[0]._thresholds)
    return step.wanted(step.look())
