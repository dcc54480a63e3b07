"""Boxes to tracks: one source's tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reidstream.boxes import pairwise_iou
from reidstream.config.local import TrackerConfig
from reidstream.tracking.thresholds import Thresholds
from reidstream.tracking.tracks import PREDICTED, Tracks
from reidstream.types import Detections, EndReason, FloatArray, IntArray
from tests.tracking.one_source.association import Mask, assignment, covered, distance, doubtful, overlap
from tests.tracking.one_source.table import UNCONFIRMED, TrackTable

Embed = Callable[[IntArray], FloatArray]
"""Embeds the detections in the given rows: float32 (m, d), unit length."""


@dataclass(frozen=True, slots=True)
class _Looks:
    """The detections that were embedded in this frame, compared with all tracks.

    rows: int64 (m,), the detections. cosines, agreement: float32 (tracks, detections), 0 where unknown. known: bool,
    the same shape.
    """

    rows: IntArray
    embeddings: FloatArray
    cosines: FloatArray
    agreement: FloatArray
    known: Mask


@dataclass(frozen=True, slots=True)
class _Scene:
    """How the detections of one frame lie to the tracks (rows) and to each other.

    fits: float32 (tracks, detections), overlap. stale, recent: bool (tracks, 1), unseen for a while, seen just now.
    near: bool (tracks, detections), within the gate of a stale track. sure, usable: bool (detections,), by score.
    clean, free: bool (detections,), hardly and not at all overlapped by others.
    """

    fits: FloatArray
    stale: Mask
    near: Mask
    recent: Mask
    sure: Mask
    usable: Mask
    clean: Mask
    free: Mask


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
        self._size = np.array(frame_size, np.float32)
        self._tracks = TrackTable()
        self._time: float | None = None
        self._detected: float | None = None
        self._step = 0.0
        self._pause = 0.0
        self._next = 1

    def update(self, detections: Detections | None, time: float, embed: Embed | None = None) -> Tracks:
        """The confirmed tracks in the frame at ``time`` (seconds, never going back).

        detections: None when the detector did not look at this frame: tracks that were seen when it last did are
        predicted, and none ends. embed: called at most once, with the rows of detections for which motion alone does
        not decide; not kept. Without it motion decides alone.
        """
        tracks = self._tracks
        step = time - self._time if self._time is not None else 0.0
        ended = self._timed_out(time, step, looked=detections is not None)
        tracks.motion.predict(step)
        self._time = time
        if detections is None:
            rows = np.full(len(tracks), -1, np.int64)
            return self._reported(rows, tracks.last == self._detected, np.zeros(0, np.float32), ended)
        self._pause = time - self._detected if self._detected is not None else 0.0
        self._detected = time
        matched = self._associate(detections, time, embed) if len(tracks) and len(detections) else None
        if matched is None:
            matched = np.full(len(tracks), -1, np.int64)
        started = self._starting(detections, matched)
        tracks.append(detections, started, time)
        rows = np.concatenate([matched, started])
        seen = rows >= 0
        coasting = (time - tracks.last <= min(self._thresholds.coast, self._config.timeout)) & self._inside()
        reported = self._reported(rows, seen | coasting, detections.scores, ended)
        named = tracks.ids != UNCONFIRMED
        patience = np.where(named, self._config.timeout, self._patience(self._thresholds.unconfirmed))
        reported.ended.extend(self._expired(time - tracks.last > patience))
        return reported

    def finish(self, reason: EndReason) -> list[tuple[int, EndReason]]:
        """End all tracks that are open, because the source ended or the run was stopped."""
        open_ids = sorted(self._tracks.ids[self._tracks.ids != UNCONFIRMED].tolist())
        self._tracks.keep(np.zeros(len(self._tracks), bool))
        return [(track_id, reason) for track_id in open_ids]

    def _timed_out(self, time: float, step: float, looked: bool) -> list[tuple[int, EndReason]]:
        """End what was unseen for too long when the frame at ``time`` comes, before anything in it can go on."""
        timeout, last = self._config.timeout, self._detected
        patience = timeout
        if step <= max(timeout, 1.5 * self._step):
            # No gap. Between two looks nobody can be seen, and none ends for that.
            patience = max(timeout, 1.5 * (time - last)) if looked and last is not None else np.inf
        self._step = step
        return self._expired(time - self._tracks.last > patience)

    def _associate(self, detections: Detections, time: float, embed: Embed | None) -> IntArray:
        """Detection row per track, -1 where none; moves, teaches and confirms the matched tracks.

        In this order: how everything lies to everything, who is looked at, what speaks for and against each pair, sure
        detections to all tracks, unsure ones to those seen just now, what is learnt from it.
        """
        tracks = self._tracks
        scene = self._scene(detections, time)
        looks = self._look(scene, time, embed) if embed is not None else None
        weights, fitting, same = self._judged(scene, detections, looks, appearance=embed is not None)
        matched = self._matched(scene, weights, fitting, same)
        taken = np.flatnonzero(matched >= 0)
        tracks.join(taken, detections, matched[taken], time)
        if looks is not None:
            self._teach(looks, matched, scene, time)
        # Whoever comes out of a crowd may have been exchanged in it: the next free box is looked at.
        crowded = taken[~scene.clean[matched[taken]]]
        tracks.due[crowded] = np.minimum(tracks.due[crowded], time)
        self._confirm()
        return matched

    def _scene(self, detections: Detections, time: float) -> _Scene:
        """How the detections of a frame lie to the tracks and to each other."""
        tracks, scores = self._tracks, detections.scores
        unseen = time - tracks.last
        stale = (unseen > self._patience(self._thresholds.stale))[:, None]
        sure = scores >= self._config.high
        usable = scores >= self._config.low
        mutual = self._mutual(detections)
        return _Scene(
            fits=overlap(tracks.motion, detections.boxes),
            stale=stale,
            near=(distance(tracks.motion, detections.boxes) < self._thresholds.gate) & stale,
            recent=(unseen <= self._patience(self._thresholds.recent))[:, None],
            sure=sure,
            usable=usable,
            clean=mutual < self._thresholds.clean,
            free=mutual < self._thresholds.free,
        )

    def _look(self, scene: _Scene, time: float, embed: Embed) -> _Looks | None:
        """The detections that motion leaves in doubt, and those of tracks that are due; None if there are none."""
        tracks, fits, usable, sure = self._tracks, scene.fits, scene.usable, scene.sure
        fresh = ~scene.stale[:, 0]
        wanted = doubtful(np.where(usable, fits, 0), fresh, sure, self._thresholds)
        settled = (fits[fresh] >= self._thresholds.settled).any(axis=0)
        reached = scene.near | ((fits >= self._thresholds.sure_floor) & ~fresh[:, None])
        wanted |= (reached & tracks.appearance.known[:, None]).any(axis=0) & ~settled & sure
        due = (tracks.due <= time) & (tracks.hits >= 2)
        wanted |= (fits[due] >= self._thresholds.settled).any(axis=0) & scene.free & sure
        rows = np.flatnonzero(wanted & usable)
        if not len(rows):
            return None
        embeddings = embed(rows)
        cosines, agreement = np.zeros_like(fits), np.zeros_like(fits)
        cosines[:, rows] = tracks.appearance.cosines(embeddings)
        agreement[:, rows] = tracks.appearance.agreement(cosines[:, rows])
        known = np.zeros(fits.shape, bool)
        known[:, rows] = tracks.appearance.known[:, None]
        return _Looks(rows, embeddings, cosines, agreement, known)

    def _judged(
        self, scene: _Scene, detections: Detections, looks: _Looks | None, appearance: bool
    ) -> tuple[FloatArray, Mask, Mask]:
        """For each pair of a track and a detection: how much speaks for it, whether the detection is where a sure one
        may continue the track, and whether nothing says that it shows somebody else."""
        tracks, limits = self._tracks, self._thresholds
        weights, same = scene.fits * detections.scores, np.ones(scene.fits.shape, bool)
        fitting = scene.fits >= limits.sure_floor
        if appearance:
            # Whoever comes to the place of a track that is gone for a while may be anybody, until looked at.
            same &= ~(scene.stale & tracks.appearance.known[:, None])
        if looks is not None:
            weights = weights + looks.agreement
            suspicion = np.where(scene.clean, tracks.suspicion[:, None], 0) - looks.agreement
            agreeing = looks.agreement >= np.where(scene.stale, 0, limits.veto)
            same = np.where(looks.known, agreeing & (suspicion <= limits.suspicion), same)
            fitting |= scene.near & looks.known & (looks.agreement >= limits.found_again)
        return weights, fitting, same

    def _matched(self, scene: _Scene, weights: FloatArray, fitting: Mask, same: Mask) -> IntArray:
        """Detection row per track, -1 where none: sure detections first, then unsure ones for tracks that are left."""
        matched = np.full(len(self._tracks), -1, np.int64)
        taken, with_row = assignment(weights, fitting & same & scene.sure)
        matched[taken] = with_row
        left = (matched < 0)[:, None] & scene.recent
        unsure = scene.usable & ~scene.sure
        taken, with_row = assignment(weights, (scene.fits >= self._thresholds.unsure_floor) & same & unsure & left)
        matched[taken] = with_row
        return matched

    def _teach(self, looks: _Looks, matched: IntArray, scene: _Scene, time: float) -> None:
        """Let matched tracks learn what they look like, and the source what its cosines mean."""
        tracks, clean = self._tracks, scene.clean
        order = np.full(len(clean), -1, np.int64)
        order[looks.rows] = np.arange(len(looks.rows))
        taken = np.flatnonzero(matched >= 0)
        taken = taken[(order[matched[taken]] >= 0) & clean[matched[taken]]]
        columns = matched[taken]
        own, known = looks.cosines[taken, columns], looks.known[taken, columns]
        surely = known & (scene.fits[taken, columns] >= self._thresholds.settled)
        others = looks.known[:, columns] & ~scene.stale
        others[taken, np.arange(len(taken))] = False
        tracks.appearance.calibrate(own[surely], looks.cosines[:, columns][others])
        # Unknown counts as 0, which neither raises nor clears suspicion.
        agreement = looks.agreement[taken, columns]
        tracks.suspicion[taken] = np.maximum(tracks.suspicion[taken] - agreement, 0)
        familiar = agreement >= 0
        tracks.appearance.learn(taken[familiar], looks.embeddings[order[columns[familiar]]])
        tracks.due[taken] = time + np.where(
            tracks.suspicion[taken] > 0, self._thresholds.recheck, self._thresholds.refresh
        )

    def _confirm(self) -> None:
        tracks = self._tracks
        # A frame counts as being there a hair before its time: 3 / 30 s is less than 0.1 s in floating point.
        waited = tracks.last - tracks.first >= self._config.confirm - 1e-6
        evident = tracks.evidence >= self._thresholds.evident * tracks.hits
        confirmed = (tracks.ids == UNCONFIRMED) & (tracks.hits >= 2) & (waited | evident)
        count = int(confirmed.sum())
        tracks.ids[confirmed] = np.arange(self._next, self._next + count, dtype=np.uint64)
        self._next += count

    def _starting(self, detections: Detections, matched: IntArray) -> IntArray:
        """The detections that start a track."""
        free = np.ones(len(detections), bool)
        taken = matched[matched >= 0]
        free[taken] = False
        rows = np.flatnonzero(free & (detections.scores >= self._config.start))
        if len(rows) and len(taken):
            boxes, others = detections.boxes[rows], detections.boxes[taken]
            twice = pairwise_iou(boxes, others).max(axis=1) >= self._thresholds.duplicate
            rows = rows[~twice & (covered(boxes, others).max(axis=1) < self._thresholds.hidden)]
        return rows

    def _patience(self, seconds: float) -> float:
        """``seconds``, or more where the detector looks so rarely that one miss takes longer."""
        return max(seconds, 1.5 * self._pause)

    def _mutual(self, detections: Detections) -> FloatArray:
        """float32 (detections,): how much each overlaps the other that it overlaps most (IoU)."""
        mutual = pairwise_iou(detections.boxes, detections.boxes)
        np.fill_diagonal(mutual, 0)
        most: FloatArray = mutual.max(axis=1)
        return most

    def _inside(self) -> Mask:
        boxes = self._tracks.motion.boxes()
        inside: Mask = np.all((boxes[:, :2] >= 0) & (boxes[:, 2:] <= self._size), axis=1)
        return inside

    def _reported(self, rows: IntArray, seen: Mask, scores: FloatArray, ended: list[tuple[int, EndReason]]) -> Tracks:
        """The confirmed tracks among those ``seen``."""
        tracks = self._tracks
        shown = np.flatnonzero(seen & (tracks.ids != UNCONFIRMED))
        rows = rows[shown]
        boxes = np.clip(tracks.motion.boxes()[shown], 0, np.tile(self._size, 2))
        confidences = np.full(len(shown), PREDICTED)
        confidences[rows >= 0] = scores[rows[rows >= 0]]
        return Tracks(tracks.ids[shown], boxes, confidences, rows, ended)

    def _expired(self, over: Mask) -> list[tuple[int, EndReason]]:
        """End the tracks that are ``over``; those that were never confirmed go without a word."""
        tracks = self._tracks
        named = tracks.ids != UNCONFIRMED
        if not over.any():
            return []
        left = self._left()
        ended = [
            (int(tracks.ids[row]), EndReason.LEFT if left[row] else EndReason.LOST)
            for row in np.flatnonzero(over & named)
        ]
        tracks.keep(~over)
        return sorted(ended)

    def _left(self) -> Mask:
        """Which tracks went out of the picture: last seen at its border moving outwards, or carried over it since."""
        motion, box = self._tracks.motion, self._tracks.box
        centre, speed = motion.position[:, :2], motion.velocity[:, :2]
        near = self._thresholds.border * self._size
        out_low = (centre < 0) | ((box[:, :2] <= near) & (speed < 0))
        out_high = (centre > self._size) | ((box[:, 2:] >= self._size - near) & (speed > 0))
        left: Mask = np.any(out_low | out_high, axis=1)
        return left
