"""From events to tracklets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from reidstream.config import TrackletConfig
from reidstream.tracklets import TrackletCollector
from reidstream.types import (
    EndReason,
    Event,
    FloatArray,
    LeftOutReason,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
    Tracklet,
)

FPS = 10


def appearance(person: int, size: int = 32) -> FloatArray:
    vector = np.random.default_rng(person).normal(size=size)
    unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def started(source: str = "gate", content: str = "abc") -> SourceStarted:
    return SourceStarted(source, f"{source}.mp4", content, (640, 480), FPS, 1000.0, None)


def seen(frame: int, tracks: dict[int, int], source: str = "gate", sampled: bool = True) -> Observed:
    """One frame with tracks {track id: person}; each is sampled with its person's appearance."""
    n = len(tracks)
    boxes = np.array([[10 + 50 * i, 20, 50 + 50 * i, 120] for i in range(n)], np.float32).reshape(n, 4)
    samples = None
    if sampled and n:
        samples = Samples(
            np.arange(n),
            np.stack([appearance(p) for p in tracks.values()]),
            np.full(n, 0.8, np.float32),
            tuple(f"jpeg {frame} {t}".encode() for t in tracks),
        )
    ids = np.array(list(tracks), np.uint64)
    return Observed(source, frame, frame / FPS, 1000 + frame / FPS, ids, boxes, np.full(n, 0.9, np.float32), samples)


def placed(frame: int, lefts: dict[int, float], predicted: bool = False, quality: float = 0.8) -> Observed:
    """One frame with tracks {track id: left edge} of people 40 wide and 100 high, each as sure as the others."""
    n = len(lefts)
    boxes = np.array([[x, 20, x + 40, 120] for x in lefts.values()], np.float32).reshape(n, 4)
    vectors = np.stack([appearance(track) for track in lefts])
    samples = None if predicted else Samples(np.arange(n), vectors, np.full(n, quality, np.float32))
    sure = np.full(n, -0.1 if predicted else 0.9, np.float32)
    ids = np.array(list(lefts), np.uint64)
    return Observed("gate", frame, frame / FPS, 1000 + frame / FPS, ids, boxes, sure, samples)


def both(one: Observed, other: Observed) -> Observed:
    """Two sets of tracks in the same frame."""
    sampled = [(o.samples, first) for o, first in ((one, 0), (other, len(one.track_ids))) if o.samples is not None]
    samples = Samples(
        np.concatenate([s.rows + first for s, first in sampled]),
        np.concatenate([s.embeddings for s, _ in sampled]),
        np.concatenate([s.quality for s, _ in sampled]),
    )
    ids, boxes, sure = (
        np.concatenate([getattr(o, name) for o in (one, other)]) for name in ("track_ids", "boxes", "confidences")
    )
    return Observed("gate", one.frame, one.media_time, one.wall_time, ids, boxes, sure, samples)


def run(events: list[Event], config: TrackletConfig | None = None) -> list[Tracklet]:
    collector = TrackletCollector(config or TrackletConfig())
    return [tracklet for event in events for tracklet in collector.take(event)]


def test_a_finished_track_becomes_one_tracklet_with_its_times_and_best_crop() -> None:
    events: list[Event] = [started(), *(seen(f, {5: 1}) for f in range(20)), TrackEnded("gate", 5, EndReason.LEFT)]
    (tracklet,) = run(events)
    assert (tracklet.source, tracklet.track_id, tracklet.reason) == ("gate", 5, EndReason.LEFT)
    assert (tracklet.start_frame, tracklet.end_frame, tracklet.observations) == (0, 19, 20)
    assert (tracklet.start_media, tracklet.end_media) == (0.0, 1.9)
    assert (tracklet.start_wall, tracklet.end_wall) == (1000.0, 1001.9)
    assert tracklet.embedding == pytest.approx(appearance(1), abs=1e-5)
    assert tracklet.confidence == pytest.approx(0.9)
    assert tracklet.crop is not None and tracklet.crop.startswith(b"jpeg")
    assert tracklet.frames.tolist() == list(range(20))
    assert tracklet.embeddings_used <= 8


def test_the_same_track_number_in_two_sources_is_two_tracks() -> None:
    events: list[Event] = [started("a", "x"), started("b", "y")]
    events += [e for f in range(5) for e in (seen(f, {1: 1}, "a"), seen(f, {1: 2}, "b"))]
    events += [SourceEnded("a", 5, 0.0), SourceEnded("b", 5, 0.0)]
    first, second = run(events)
    assert first.id != second.id
    assert first.embedding @ appearance(1) == pytest.approx(1, abs=1e-5)
    assert second.embedding @ appearance(2) == pytest.approx(1, abs=1e-5)


def test_ids_of_tracklets_are_the_same_in_every_run_and_interleaving_of_sources() -> None:
    a: list[Event] = [started("a", "x"), *(seen(f, {1: 1, 2: 3}, "a") for f in range(9)), SourceEnded("a", 9, 0.0)]
    b: list[Event] = [started("b", "y"), *(seen(f, {1: 2}, "b") for f in range(9)), SourceEnded("b", 9, 0.0)]
    one = {t.id: t.embedding.tobytes() for t in run(a + b)}
    other = {t.id: t.embedding.tobytes() for t in run([e for pair in zip(a, b, strict=True) for e in pair])}
    assert len(one) == 3
    assert one == other


def test_nothing_is_lost_when_a_source_ends_or_the_run_is_stopped() -> None:
    events: list[Event] = [started(), *(seen(f, {1: 1, 2: 2}) for f in range(6))]
    assert [t.reason for t in run([*events, SourceEnded("gate", 6, 0.0)])] == [EndReason.SOURCE_ENDED] * 2
    assert [t.reason for t in run([*events, SourceEnded("gate", 6, 0.0, stopped=True)])] == [EndReason.SHUTDOWN] * 2
    collector = TrackletCollector(TrackletConfig())
    for event in events:
        collector.take(event)
    assert len(collector.finish()) == 2
    assert collector.open_tracks == 0


def test_a_track_that_passes_from_one_person_to_another_is_split_and_says_so() -> None:
    people = [1] * 10 + [2] * 10
    events: list[Event] = [started(), *(seen(f, {3: p}) for f, p in enumerate(people)), SourceEnded("gate", 20, 0.0)]
    first, second = run(events)
    assert (first.part, first.parts, second.part, second.parts) == (0, 2, 1, 2)
    assert (first.start_frame, first.end_frame, second.start_frame, second.end_frame) == (0, 9, 10, 19)
    assert first.embedding @ appearance(1) == pytest.approx(1, abs=1e-4)
    assert second.embedding @ appearance(2) == pytest.approx(1, abs=1e-4)
    collector = TrackletCollector(TrackletConfig())
    for event in [*events[:-1], *(seen(f, {4: 4}) for f in range(20, 30)), events[-1]]:
        collector.take(event)
    assert (collector.counts.split, collector.counts.tracklets) == (1, 3)
    (whole,) = run(events, TrackletConfig(split=False))
    assert whole.parts == 1
    assert whole.purity < 0.3


def test_a_very_long_track_is_stored_in_pieces_while_it_goes_on() -> None:
    collector = TrackletCollector(TrackletConfig(max_seconds=2.0))
    finished = list(itertools.chain(collector.take(started()), *(collector.take(seen(f, {1: 1})) for f in range(70))))
    assert [t.reason for t in finished] == [EndReason.CONTINUES] * 3
    finished += collector.take(TrackEnded("gate", 1, EndReason.LOST))
    assert sum(t.observations for t in finished) == 70
    assert [t.start_frame for t in finished[1:]] == [t.end_frame + 1 for t in finished[:-1]]
    assert len({t.id for t in finished}) == 4


def test_tracks_too_short_or_without_a_crop_are_counted_not_stored() -> None:
    collector = TrackletCollector(TrackletConfig(min_observations=3))
    for event in (started(), seen(0, {1: 1}), *(seen(f, {2: 2}, sampled=False) for f in range(1, 9))):
        collector.take(event)
    assert collector.take(SourceEnded("gate", 9, 0.0)) == []
    assert (collector.counts.too_short, collector.counts.without_embedding) == (1, 1)
    short, unseen = collector.left_out()
    assert (short.track_id, short.why, round(short.quality or 0, 3)) == (1, LeftOutReason.TOO_SHORT, 0.8)
    assert (unseen.track_id, unseen.why, unseen.observations, unseen.quality) == (2, LeftOutReason.NO_CROP, 8, None)
    assert collector.left_out() == []


def test_a_tracklet_ends_where_the_person_was_last_detected() -> None:
    events: list[Event] = [started(), *(placed(f, {1: 60 + 3 * f}, predicted=f >= 15) for f in range(18))]
    (tracklet,) = run([*events, TrackEnded("gate", 1, EndReason.LOST)])
    assert (tracklet.start_frame, tracklet.end_frame, tracklet.observations) == (0, 14, 15)


def test_a_track_that_was_mostly_predicted_while_others_were_detected_is_counted_not_stored() -> None:
    collector = TrackletCollector(TrackletConfig())
    for event in (started(), *(seen(f, {2: 2}) for f in range(2))):
        collector.take(event)
    for f in range(2, 22):
        found, guessed = placed(f, {2: 60 + 3 * f}), placed(f, {1: 300}, predicted=f % 4 != 0)
        collector.take(both(found, guessed))
    (kept,) = collector.take(SourceEnded("gate", 22, 0.0))
    assert kept.track_id == 2
    assert (collector.counts.guessed, collector.counts.tracklets) == (1, 1)


def test_people_stay_when_the_detector_looks_at_every_fifth_frame_only() -> None:
    events: list[Event] = [started(), *(placed(f, {1: 60 + 3 * f}, predicted=f % 5 != 0) for f in range(31))]
    (tracklet,) = run([*events, SourceEnded("gate", 31, 0.0)])
    assert tracklet.observations == 31


def test_a_thing_that_never_moves_is_counted_and_somebody_who_waits_is_stored() -> None:
    rng = np.random.default_rng(0)
    collector = TrackletCollector(TrackletConfig())
    collector.take(started())
    for f in range(15 * FPS):
        sway = 12 * np.sin(f / 20) + rng.normal(0, 1)
        collector.take(both(placed(f, {1: 60 + rng.normal(0, 1)}), placed(f, {2: 300 + sway})))
    (waiting,) = collector.take(SourceEnded("gate", 15 * FPS, 0.0))
    assert waiting.track_id == 2
    assert collector.counts.still == 1
    assert [(one.track_id, one.why) for one in collector.left_out()] == [(1, LeftOutReason.THING)]


def test_a_short_visit_without_a_step_is_stored() -> None:
    events: list[Event] = [started(), *(placed(f, {1: 60}) for f in range(2 * FPS)), SourceEnded("gate", 20, 0.0)]
    assert len(run(events)) == 1


def test_a_track_of_which_every_crop_is_useless_is_counted_not_stored() -> None:
    collector = TrackletCollector(TrackletConfig())
    for event in (started(), *(placed(f, {1: 60 + 3 * f}, quality=0.03) for f in range(9))):
        collector.take(event)
    assert collector.take(SourceEnded("gate", 9, 0.0)) == []
    assert collector.counts.without_embedding == 1


def test_the_path_of_a_long_track_is_thinned_and_keeps_its_ends() -> None:
    events: list[Event] = [started(), *(placed(f, {1: f % 300}) for f in range(5000))]
    (tracklet,) = run([*events, SourceEnded("gate", 5000, 0.0)])
    assert tracklet.observations == 5000
    assert len(tracklet.frames) == 2048
    assert (tracklet.frames[0], tracklet.frames[-1]) == (0, 4999)


def test_a_track_that_ended_unseen_gives_nothing() -> None:
    assert run([started(), TrackEnded("gate", 99, EndReason.LOST)]) == []


def test_an_event_of_a_source_that_never_started_is_an_error() -> None:
    with pytest.raises(ValueError, match="has not started"):
        run([seen(0, {1: 1})])


def test_what_is_not_over_is_told_as_if_it_ended_now_and_nothing_changes_by_asking() -> None:
    collector = TrackletCollector(TrackletConfig())
    collector.take(started())
    assert collector.unfinished("gate") == []
    for frame in range(20):
        # Somebody is there all the time, and somebody else too briefly to be worth storing.
        collector.take(seen(frame, {1: 1} if frame < 19 else {1: 1, 2: 2}))
    assert collector.unfinished("elsewhere") == []
    asked = [collector.unfinished("gate") for _ in range(2)]
    ended = collector.finish()
    for found in asked:
        assert [t.id for t in found] == [t.id for t in ended]
        assert [t.track_id for t in found] == [1]
        assert {t.reason for t in found} == {EndReason.SHUTDOWN}
        np.testing.assert_array_equal(found[0].embedding, ended[0].embedding)
    assert collector.unfinished("gate") == []
