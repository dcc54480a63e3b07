"""Which detections of coming frames a tracker will want embedded, before it has seen the frames in between."""

from __future__ import annotations

import numpy as np

from reidstream.config.local import TrackerConfig
from reidstream.tracking import Together, Tracker, foreseen
from reidstream.tracking.table import UNKNOWN
from reidstream.types import Detections, FloatArray, IntArray

SIZE = (640, 360)


def _crossing(frame: int) -> Detections:
    """Two people who cross, and one who stands alone."""
    lefts = [40 + 8 * frame, 360 - 8 * frame, 560]
    boxes = np.array([[left, 100, left + 40, 220] for left in lefts], np.float32)
    return Detections(boxes, np.full(3, 0.9, np.float32))


def _vectors(rows: IntArray) -> FloatArray:
    return np.eye(8, dtype=np.float32)[rows]


def test_most_of_what_will_be_wanted_is_foreseen_and_nothing_changes() -> None:
    config = TrackerConfig()
    seeing, blind = Tracker(config, SIZE), Tracker(config, SIZE)
    wanted = hits = asked = 0
    ahead: IntArray = np.zeros(0, np.int64)
    for frame in range(40):
        found, time = _crossing(frame), frame / 10
        step = Together([seeing], [found], [time], appearance=True)
        rows = step.wanted[0]
        wanted += len(rows)
        hits += len(np.intersect1d(rows, ahead))
        asked += len(ahead)
        (ahead,) = foreseen([seeing], [_crossing(frame + 1)], [time + 0.1])
        (ours,) = step.decide([_vectors(rows) if len(rows) else None])
        theirs = blind.update(found, time, _vectors)
        np.testing.assert_array_equal(ours.track_ids, theirs.track_ids)
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        assert ours.ended == theirs.ended
    assert wanted > 10
    assert hits >= 0.7 * wanted
    assert asked < 40 * 3


def _coming_and_going(frame: int) -> Detections:
    """People who cross, and go, and others who do so where they were."""
    found = _crossing(frame % 40)
    return found if frame % 40 < 32 else Detections.empty()


def test_looks_of_tracks_whose_end_was_only_foreseen_are_kept_and_nobody_shares_one() -> None:
    """What an ended track looked like is let go once, however often its end was foreseen: else two later tracks are
    given one place for their looks, and decisions depend on what was asked ahead."""
    config = TrackerConfig(timeout=0.4)
    seeing, blind = Tracker(config, SIZE), Tracker(config, SIZE)
    rng = np.random.default_rng(3)
    faces = []
    for frame in range(200):
        found, time = _coming_and_going(frame), frame / 10
        vectors = rng.normal(size=(3, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ours, theirs = (one.update(found, time, vectors.__getitem__) for one in (seeing, blind))
        np.testing.assert_array_equal(ours.track_ids, theirs.track_ids)
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        known = seeing._table.faces[seeing._table.faces != UNKNOWN].tolist()
        assert len(set(known)) == len(known)
        faces += known
        foreseen([seeing] * 3, [_coming_and_going(frame + n) for n in (1, 2, 3)], [time + n / 10 for n in (1, 2, 3)])
    assert len(faces) > 50


def test_frames_of_several_sources_and_several_of_one_are_foreseen_together() -> None:
    trackers = [Tracker(TrackerConfig(), SIZE) for _ in range(2)]
    for frame in range(12):
        for tracker in trackers:
            tracker.update(_crossing(frame), frame / 10, _vectors)
    frames = [_crossing(12), _crossing(13), _crossing(12)]
    which, times = [trackers[0], trackers[0], trackers[1]], [1.2, 1.3, 1.2]
    together = foreseen(which, frames, times)
    alone = [foreseen([one], [found], [time])[0] for one, found, time in zip(which, frames, times, strict=True)]
    assert [rows.tolist() for rows in together] == [rows.tolist() for rows in alone]
