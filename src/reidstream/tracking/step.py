"""A frame of each of many sources, tracked together: what is decided about tracks and detections, over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from reidstream.config.local import TrackerConfig
from reidstream.tracking import motion
from reidstream.tracking.appearance import Appearance, blend
from reidstream.tracking.association import NOBODY, assignment, doubtful
from reidstream.tracking.meeting import Crossing, Mask, Meetings, Neighbours, meet, neighbours
from reidstream.tracking.table import UNCONFIRMED, UNKNOWN, TrackTable
from reidstream.tracking.thresholds import Thresholds
from reidstream.tracking.tracks import PREDICTED, Tracks
from reidstream.types import Detections, EndReason, FloatArray, IntArray

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moment:
    """One source's frame and its state before it.

    detections: None where the detector did not look. step: seconds since the frame before. detected: when the detector
    last looked before this frame, None if it never did. patience: seconds that a track may have been unseen when the
    frame comes. pause: seconds between this look and the last, 0 without. following: the next track id.
    """

    table: TrackTable
    appearance: Appearance
    detections: Detections | None
    time: float
    step: float
    detected: float | None
    patience: float
    pause: float
    size: tuple[int, int]
    following: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What embeddings say of the meetings.

    agreement: float32 (p,), 0 where nothing is known. known: bool (p,), whether both the track was known and the
    detection looked at. looks: for the sources that were looked at, their number and their embeddings; cosines: every
    track with every look of its source; crossing: those pairs. column: int64 (detections,), the look at each, or
    NOBODY.
    """

    agreement: FloatArray
    known: Mask
    looks: list[tuple[int, FloatArray]]
    cosines: FloatArray
    crossing: Crossing
    column: IntArray


class Step:
    """Tracks and detections of all moments, one source after the other. See ``Tracker`` for what is decided and why.

    The order: who was unseen for too long ends; tracks are moved on; ``look`` finds whom to embed; ``decide`` matches
    sure detections to all tracks, then unsure ones to those seen just now, learns from it, starts tracks and ends
    others.
    """

    def __init__(self, moments: Sequence[Moment], config: TrackerConfig, limits: Thresholds) -> None:
        self._moments = moments
        self._config = config
        self._limits = limits
        self._times = np.array([moment.time for moment in moments])
        self._looked = np.array([moment.detections is not None for moment in moments])
        self._pauses = np.array([moment.pause for moment in moments])
        self._sizes = np.array([moment.size for moment in moments], np.float32).T
        self.next = [moment.following for moment in moments]
        self._ended: list[list[tuple[int, EndReason]]] = [[] for _ in moments]
        self._over: list[tuple[Appearance, IntArray]] = []
        found = [moment.detections or Detections.empty() for moment in moments]
        self._found = np.array([len(some) for some in found])
        self._boxes: FloatArray = np.ascontiguousarray(np.concatenate([some.boxes for some in found]).T)
        self._scores = np.concatenate([some.scores for some in found])
        self._offsets = np.cumsum(self._found) - self._found
        tables = [moment.table for moment in moments]
        self._source = np.repeat(np.arange(len(moments)), [len(table) for table in tables])
        self._table = TrackTable.joined(tables)
        patience = np.array([moment.patience for moment in moments])[self._source]
        self._end(self._times[self._source] - self._table.last > patience)
        motion.predict(self._table.state, np.array([moment.step for moment in moments])[self._source])

    # What is known of the frame before anything is decided.

    @cached_property
    def _unseen(self) -> Seconds:
        """float64 (tracks,): seconds since each track was seen."""
        unseen: Seconds = self._times[self._source] - self._table.last
        return unseen

    @cached_property
    def _stale(self) -> Mask:
        """bool (tracks,): unseen for a while."""
        return self._unseen > self._patience(self._limits.stale)

    @cached_property
    def _sure(self) -> Mask:
        """bool (detections,)"""
        return self._scores >= self._config.high

    @cached_property
    def _usable(self) -> Mask:
        """bool (detections,)"""
        return self._scores >= self._config.low

    @cached_property
    def _crowd(self) -> Neighbours:
        return neighbours(self._boxes, self._found)

    @cached_property
    def _clean(self) -> Mask:
        """bool (detections,): hardly overlapped by others."""
        clean: Mask = self._crowd.mutual < self._limits.clean
        return clean

    @cached_property
    def _meetings(self) -> Meetings:
        crossing = Crossing.of(self._counts(), self._found)
        return meet(self._table.state, self._stale, self._boxes, self._limits.gate, crossing)

    # Whom to look at.

    def look(self) -> IntArray:
        """int64 (m,): the detections that motion leaves in doubt, and those of tracks that are due."""
        table, limits, meetings = self._table, self._limits, self._meetings
        tracks, detections, fits = meetings.tracks, meetings.detections, meetings.fits
        fresh = ~self._stale
        wanted = doubtful(meetings, self._usable, fresh, self._sure, self._source, limits)
        settling = fits >= limits.settled
        settled = self._any(detections[settling & fresh[tracks]])
        reached = meetings.near | ((fits >= limits.sure_floor) & self._stale[tracks])
        lost = self._any(detections[reached & (table.faces != UNKNOWN)[tracks]])
        wanted |= lost & ~settled & self._sure
        due = (table.due <= self._times[self._source]) & (table.hits >= 2)
        free = self._crowd.mutual < limits.free
        wanted |= self._any(detections[settling & due[tracks]]) & free & self._sure
        rows: IntArray = (wanted & self._usable).nonzero()[0]
        return rows

    def wanted(self, look: IntArray | None) -> list[IntArray]:
        """The rows of each source's detections."""
        if look is None:
            return [np.zeros(0, np.int64)] * len(self._moments)
        ends = np.searchsorted(look, self._offsets + self._found).tolist()
        begins = [0, *ends[:-1]]
        return [
            look[begin:end] - offset for begin, end, offset in zip(begins, ends, self._offsets.tolist(), strict=True)
        ]

    # What is decided.

    def decide(self, look: IntArray | None, embeddings: Sequence[FloatArray | None]) -> list[Tracks]:
        """The tracks of each source's frame. look: None lets motion decide alone."""
        self._forget()
        seen = None if look is None or not len(look) else self._recognised(look, embeddings)
        matched = self._matched(seen, appearance=look is not None)
        taken = (matched != NOBODY).nonzero()[0]
        self._table.join(
            taken, self._boxes[:, matched[taken]], self._scores[matched[taken]], self._times[self._source[taken]]
        )
        if seen is not None:
            self._teach(seen, matched)
        # Whoever comes out of a crowd may have been exchanged in it: the next free box is looked at.
        crowded = taken[~self._clean[matched[taken]]]
        self._table.due[crowded] = np.minimum(self._table.due[crowded], self._times[self._source[crowded]])
        self._confirm()
        matched = self._start(matched)
        reported = self._reported(matched)
        patience = np.where(
            self._table.ids != UNCONFIRMED, self._config.timeout, self._patience(self._limits.unconfirmed)
        )
        self._end(self._looked[self._source] & (self._times[self._source] - self._table.last > patience))
        self._forget()
        return reported

    def tables(self) -> list[TrackTable]:
        """The tracks of each source that are open after the step."""
        ends = np.cumsum(self._counts()).tolist()
        return [self._table[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _recognised(self, look: IntArray, embeddings: Sequence[FloatArray | None]) -> _Seen:
        """Compare what was looked at with all tracks of its source."""
        meetings, faces = self._meetings, self._table.faces
        looks = [(source, found) for source, found in enumerate(embeddings) if found is not None and len(found)]
        counts = np.zeros(len(self._moments), np.int64)
        ends = np.cumsum(self._counts())
        cosines = []
        for source, found in looks:
            counts[source] = len(found)
            appearance = self._moments[source].appearance
            own = faces[ends[source - 1] if source else 0 : ends[source]]
            cosines.append(appearance.cosines(own, found).ravel())
        crossing = Crossing.of(self._counts(), counts)
        column = np.full(len(self._scores), NOBODY)
        column[look] = np.arange(len(look))
        every = np.concatenate([np.zeros(0, np.float32), *cosines])
        looked = ((column[meetings.detections] != NOBODY) & (faces[meetings.tracks] != UNKNOWN)).nonzero()[0]
        tracks = meetings.tracks[looked]
        cosine = every[crossing.place(tracks, column[meetings.detections[looked]])]
        agreement, known = np.zeros(len(meetings.tracks), np.float32), np.zeros(len(meetings.tracks), bool)
        agreement[looked] = self._agreeing(cosine, self._source[tracks])
        known[looked] = True
        return _Seen(agreement, known, looks, every, crossing, column)

    @cached_property
    def _scales(self) -> FloatArray:
        """float32 (sources, 2): what cosines mean in each when the frame comes, see ``Appearance.scale``."""
        return np.array([moment.appearance.scale for moment in self._moments], np.float32)

    def _agreeing(self, cosines: FloatArray, source: IntArray) -> FloatArray:
        """float32 (n,) in -2..1.5: agreement of cosines in their sources."""
        middle, half = self._scales[source].T
        agreement: FloatArray = np.clip((cosines - middle) / half, -2, 1.5)
        return agreement

    def _matched(self, seen: _Seen | None, appearance: bool) -> IntArray:
        """int64 (tracks,): the detection that continues each track, or NOBODY."""
        limits, meetings = self._limits, self._meetings
        tracks, detections, fits = meetings.tracks, meetings.detections, meetings.fits
        stale, sure = self._stale[tracks], self._sure[detections]
        weights, same = fits * self._scores[detections], np.ones(len(fits), bool)
        fitting = fits >= limits.sure_floor
        if appearance:
            # Whoever comes to the place of a track that is gone for a while may be anybody, until looked at.
            same &= ~(stale & (self._table.faces != UNKNOWN)[tracks])
        if seen is not None:
            weights = weights + seen.agreement
            suspicion = np.where(self._clean[detections], self._table.suspicion[tracks], 0) - seen.agreement
            agreeing = seen.agreement >= np.where(stale, 0, np.float32(limits.veto))
            same = np.where(seen.known, agreeing & (suspicion <= limits.suspicion), same)
            fitting |= meetings.near & seen.known & (seen.agreement >= limits.found_again)
        matched = np.full(len(self._table), NOBODY)

        def match(allowed: Mask) -> None:
            pairs = allowed.nonzero()[0]
            pairs = pairs[assignment(tracks[pairs], detections[pairs], weights[pairs], self._source)]
            matched[tracks[pairs]] = detections[pairs]

        match(fitting & same & sure)
        recent = self._unseen <= self._patience(limits.recent)
        left = ((matched == NOBODY) & recent)[tracks]
        match((fits >= limits.unsure_floor) & same & self._usable[detections] & ~sure & left)
        return matched

    def _teach(self, seen: _Seen, matched: IntArray) -> None:
        """Let matched tracks learn what they look like, and the sources what their cosines mean."""
        table, limits, count = self._table, self._limits, len(self._moments)
        taken = (matched != NOBODY).nonzero()[0]
        taken = taken[(seen.column[matched[taken]] != NOBODY) & self._clean[matched[taken]]]
        found, source = matched[taken], self._source[taken]
        own = seen.crossing.place(taken, seen.column[found])
        known = table.faces[taken] != UNKNOWN
        cosines = seen.cosines[own]
        surely = known & (self._meetings.fit(taken, found) >= limits.settled)
        used = np.zeros(len(seen.column), bool)
        used[seen.column[found]] = True
        strangers = used[seen.crossing.second] & ((table.faces != UNKNOWN) & ~self._stale)[seen.crossing.first]
        strangers[own] = False
        others = self._source[seen.crossing.first[strangers]]
        same = np.bincount(source[surely], cosines[surely], count), np.bincount(source[surely], minlength=count)
        different = np.bincount(others, seen.cosines[strangers], count), np.bincount(others, minlength=count)
        # Unknown counts as 0, which neither raises nor clears suspicion.
        agreement = np.zeros(len(taken), np.float32)
        agreement[known] = self._agreeing(cosines, source)[known]
        table.suspicion[taken] = np.maximum(table.suspicion[taken] - agreement, 0)
        again = np.where(table.suspicion[taken] > 0, limits.recheck, limits.refresh)
        table.due[taken] = self._times[source] + again
        self._learn(seen, taken[agreement >= 0], found[agreement >= 0])
        for which, _ in seen.looks:
            self._moments[which].appearance.calibrate(
                *((float(total[which]), int(number[which])) for total, number in (same, different))
            )

    def _learn(self, seen: _Seen, taken: IntArray, found: IntArray) -> None:
        """Blend what was looked at into what the tracks look like: of all sources at once, kept by each."""
        faces, source = self._table.faces[taken], self._source[taken]
        embeddings = np.concatenate([embeddings for _, embeddings in seen.looks])[seen.column[found]]
        ends = np.cumsum(np.bincount(source, minlength=len(self._moments))).tolist()
        parts = [(which, slice(ends[which - 1] if which else 0, ends[which])) for which, _ in seen.looks]
        before = np.concatenate(
            [self._moments[which].appearance.vectors(faces[part], embeddings.shape[1]) for which, part in parts]
        )
        blended = blend(before, faces != UNKNOWN, embeddings)
        for which, part in parts:
            faces[part] = self._moments[which].appearance.learn(faces[part], blended[part])
        self._table.faces[taken] = faces

    def _confirm(self) -> None:
        table = self._table
        # A frame counts as being there a hair before its time: 3 / 30 s is less than 0.1 s in floating point.
        waited = table.last - table.first >= self._config.confirm - 1e-6
        evident = table.evidence >= self._limits.evident * table.hits
        confirmed = (table.ids == UNCONFIRMED) & (table.hits >= 2) & (waited | evident)
        # Where nothing is detected, nothing is confirmed.
        rows = (confirmed & (self._found > 0)[self._source]).nonzero()[0]
        for row, source in zip(rows.tolist(), self._source[rows].tolist(), strict=True):
            table.ids[row] = self.next[source]
            self.next[source] += 1

    def _start(self, matched: IntArray) -> IntArray:
        """Start tracks. Returns ``matched`` with them."""
        free = np.ones(len(self._scores), bool)
        taken = matched[matched != NOBODY]
        free[taken] = False
        crowd, limits = self._crowd, self._limits
        hiding = ~free[crowd.others] & ((crowd.iou >= limits.duplicate) | (crowd.covered >= limits.hidden))
        free[crowd.detections[hiding]] = False
        rows = (free & (self._scores >= self._config.start)).nonzero()[0]
        if not len(rows):
            return matched
        source = np.searchsorted(self._offsets + self._found, rows, side="right")
        new = TrackTable.started(self._boxes[:, rows], self._scores[rows], self._times[source])
        sources = np.concatenate([self._source, source])
        order = np.argsort(sources, kind="stable")
        self._table = TrackTable.joined([self._table, new])[order]
        self._source = sources[order]
        return np.concatenate([matched, rows])[order]

    # What is said of it.

    def _reported(self, matched: IntArray) -> list[Tracks]:
        """The confirmed tracks in each source's frame."""
        table = self._table
        times, looked = self._times[self._source], self._looked[self._source]
        boxes = motion.boxes_of(table.state)
        size = self._sizes[:, self._source]
        inside = ((boxes[:2] >= 0) & (boxes[2:] <= size)).all(axis=0)
        coasting = (times - table.last <= min(self._limits.coast, self._config.timeout)) & inside
        last = np.array([np.nan if moment.detected is None else moment.detected for moment in self._moments])
        seen = np.where(looked, (matched != NOBODY) | coasting, table.last == last[self._source])
        shown = (seen & (table.ids != UNCONFIRMED)).nonzero()[0]
        source, found = self._source[shown], matched[shown]
        clipped = np.minimum(np.maximum(boxes[:, shown], 0), np.concatenate([size[:, shown]] * 2))
        corners: FloatArray = np.ascontiguousarray(clipped.T)
        confidences = np.full(len(shown), PREDICTED)
        there = found != NOBODY
        confidences[there] = self._scores[found[there]]
        rows = np.where(there, found - self._offsets[source], NOBODY)
        ids = table.ids[shown].astype(np.uint64)
        ends = np.cumsum(np.bincount(source, minlength=len(self._moments))).tolist()
        return [
            Tracks(ids[a:b], corners[a:b], confidences[a:b], rows[a:b], ended)
            for a, b, ended in zip([0, *ends[:-1]], ends, self._ended, strict=True)
        ]

    def _end(self, over: Mask) -> None:
        """End the tracks that are ``over``; those that were never confirmed go without a word."""
        if not over.any():
            return
        table = self._table
        left = self._left()
        ended: dict[int, list[tuple[int, EndReason]]] = {}
        for row in (over & (table.ids != UNCONFIRMED)).nonzero()[0].tolist():
            reason = EndReason.LEFT if left[row] else EndReason.LOST
            ended.setdefault(int(self._source[row]), []).append((int(table.ids[row]), reason))
        for source, some in ended.items():
            self._ended[source].extend(sorted(some))
        known = (over & (table.faces != UNKNOWN)).nonzero()[0]
        for row, source in zip(known.tolist(), self._source[known].tolist(), strict=True):
            self._over.append((self._moments[source].appearance, table.faces[row : row + 1]))
        self._table, self._source = table[~over], self._source[~over]

    def _forget(self) -> None:
        """Let go of what ended tracks look like: only here, as a frame that is but foreseen must change nothing."""
        for appearance, faces in self._over:
            appearance.forget(faces)
        self._over.clear()

    def _left(self) -> Mask:
        """Which tracks went out of the picture: last seen at its border moving outwards, or carried over it since."""
        box, size = self._table.box, self._sizes[:, self._source]
        centre, speed = self._table.state[0, :2], self._table.state[1, :2]
        near = self._limits.border * size
        out_low = (centre < 0) | ((box[:2] <= near) & (speed < 0))
        out_high = (centre > size) | ((box[2:] >= size - near) & (speed > 0))
        left: Mask = np.any(out_low | out_high, axis=0)
        return left

    def _counts(self) -> IntArray:
        """int64 (sources,): how many tracks each has."""
        return np.bincount(self._source, minlength=len(self._moments))

    def _patience(self, seconds: float) -> Seconds:
        """float64 (tracks,): ``seconds``, or more where the detector looks so rarely that one miss takes longer."""
        patience: Seconds = np.maximum(seconds, 1.5 * self._pauses)[self._source]
        return patience

    def _any(self, detections: IntArray) -> Mask:
        """bool (detections,): which of them are in the list."""
        there = np.zeros(len(self._scores), bool)
        there[detections] = True
        return there
