"""What of a track is kept, shown and named: samples over its whole life, a typical picture, one id for one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reidstream.config import TrackletConfig
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.collector import tracklet_id
from reidstream.tracklets.pooling import pool
from reidstream.types import EndReason, Event, FloatArray, Observed, SourceEnded, TrackEnded
from tests.tracklets.test_collector import FPS, appearance, run, seen, started


def with_samples(event: Observed, quality: float, embedding: FloatArray | None = None, crop: bool = True) -> Observed:
    """The same frame of one track with another sample."""
    assert event.samples is not None
    samples = replace(event.samples, quality=np.array([quality], np.float32))
    if embedding is not None:
        samples = replace(samples, embeddings=embedding[None])
    return replace(event, samples=samples if crop else replace(samples, crops=(None,)))


def ended(events: list[Observed], config: TrackletConfig | None = None) -> list[Event]:
    return [started(), *events, TrackEnded("gate", 5, EndReason.LEFT)]


@pytest.mark.parametrize("best", [3, 120, 290])
def test_the_best_look_of_a_long_track_is_kept_wherever_it_was(best: int) -> None:
    frames = [with_samples(seen(f, {5: 1}), 0.9 if f == best else 0.4) for f in range(300)]
    (tracklet,) = run(ended(frames), TrackletConfig(still_seconds=3600))
    assert tracklet.crop_frame == best
    assert tracklet.embeddings_used <= 8


def test_a_look_without_a_picture_is_not_shown_while_there_is_one() -> None:
    frames = [with_samples(seen(f, {5: 1}), 1.0 if f != 3 else 0.4, crop=f == 3) for f in range(7)]
    (tracklet,) = run(ended(frames))
    assert (tracklet.crop_frame, tracklet.crop) == (3, b"jpeg 3 5")


def test_one_good_look_is_enough_to_be_stored() -> None:
    frames = [with_samples(seen(f, {5: 1}), 0.9 if f == 3 else 0.01) for f in range(7)]
    assert len(run(ended(frames), TrackletConfig(min_quality=0.5))) == 1
    assert run(ended(frames[:3] + frames[4:]), TrackletConfig(min_quality=0.5)) == []


def test_a_track_of_three_people_one_after_the_other_becomes_three_pieces() -> None:
    events = ended([seen(f, {5: 1 + f // 20}) for f in range(60)])
    tracklets = run(events)
    assert [(t.part, t.parts) for t in tracklets] == [(0, 3), (1, 3), (2, 3)]
    for person, tracklet in enumerate(tracklets, start=1):
        assert tracklet.embedding == pytest.approx(appearance(person), abs=1e-4)
    assert len({t.id for t in tracklets}) == 3


def test_a_piece_s_id_depends_on_all_that_tells_pieces_apart() -> None:
    own = ("content", 5, 40, 0)
    others = [("another", 5, 40, 0), ("content", 6, 40, 0), ("content", 5, 41, 0), ("content", 5, 40, 1)]
    assert len({tracklet_id(*piece) for piece in (own, *others)}) == 5
    assert tracklet_id(*own) == tracklet_id(*own)
    assert len(tracklet_id(*own)) == 32


def test_a_source_that_starts_again_without_having_ended_loses_nothing() -> None:
    collector = TrackletCollector(TrackletConfig())
    for event in (started(), *(seen(f, {5: 1}) for f in range(10))):
        assert collector.take(event) == []
    (tracklet,) = collector.take(started(content="next"))
    assert (tracklet.track_id, tracklet.content, tracklet.reason) == (5, "abc", EndReason.SOURCE_ENDED)
    assert collector.open_tracks == 0


@pytest.mark.parametrize(("stopped", "reason"), [(True, EndReason.SHUTDOWN), (False, EndReason.SOURCE_ENDED)])
def test_whether_a_source_ended_or_was_stopped_stands_with_its_tracklets(stopped: bool, reason: EndReason) -> None:
    events = [started(), *(seen(f, {5: 1}) for f in range(10)), SourceEnded("gate", 10, 10 / FPS, stopped=stopped)]
    assert [t.reason for t in run(events)] == [reason]


def noisy(vector: FloatArray, count: int, seed: int) -> FloatArray:
    vectors = vector + np.random.default_rng(seed).normal(0, 0.02, (count, len(vector)))
    unit: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_there_are_as_many_prototypes_as_there_are_looks() -> None:
    two = np.concatenate([noisy(appearance(1), 6, 0), noisy(appearance(1) + 0.8 * appearance(2), 6, 1)])
    pooled = pool(two, np.full(12, 0.8, np.float32), 4)
    assert len(pooled.prototypes) == 2
    assert pooled.weights == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_stranger_among_the_looks_is_neither_a_prototype_nor_counted_in_the_quality() -> None:
    vectors = np.concatenate([noisy(appearance(1), 8, 0), appearance(2)[None]])
    quality = np.array([0.4] * 8 + [1.0], np.float32)
    pooled = pool(vectors, quality, 4)
    assert pooled.used.tolist() == [True] * 8 + [False]
    assert (pooled.prototypes @ appearance(1) > 0.9).all()
    assert pooled.quality == pytest.approx(0.4)
