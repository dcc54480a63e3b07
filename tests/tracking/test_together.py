"""Many sources in one step decide what each decides alone, and what the tracker for one source decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.config import TrackerConfig
from reidstream.tracking import Together, Tracker, Tracks
from reidstream.tracking.thresholds import Thresholds
from reidstream.types import Detections, EndReason, FloatArray, IntArray
from tests.tracking.one_source import tracker as one_source

SIZE = (640, 480)
DIMENSIONS = 16


@dataclass(frozen=True)
class Frame:
    """detections: None where nobody looked."""

    detections: Detections | None
    embeddings: FloatArray
    time: float


def film(seed: int, people: int, frames: int, fps: float, every: int = 1, gap: float = 0.0) -> Iterator[Frame]:
    """People who walk through each other and out of the picture, badly detected.

    every: the detector looks at one frame in so many. gap: seconds that are missing in the middle.
    """
    random = np.random.default_rng(seed)
    start = random.uniform((0, 50), (640, 250), (people, 2))
    speed = random.normal(0, 60, (people, 2)) * (1, 0.3)
    height = random.uniform(50, 180, people)
    faces = random.normal(size=(people, DIMENSIONS))
    for number in range(frames):
        time = number / fps + gap * (number >= frames // 2)
        place = start + speed * time
        place[:, 0] %= 800
        seen = random.random(people) < 0.9
        tall = height[seen] * (1 + random.normal(0, 0.05, seen.sum()))
        corner = place[seen] + random.normal(0, 3, (seen.sum(), 2))
        boxes = np.concatenate([corner, corner + np.stack([0.4 * tall, tall], axis=1)], axis=1)
        boxes = np.clip(boxes, 0, (*SIZE, *SIZE)).astype(np.float32)
        there = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        looks = (faces[seen] + random.normal(0, 0.4, (seen.sum(), DIMENSIONS)))[there]
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        scores = random.uniform(0.1, 0.98, there.sum()).astype(np.float32)
        found = Detections(boxes[there], scores) if number % every == 0 else None
        yield Frame(found, looks.astype(np.float32), time)


def assert_same(found: Tracks, expected: Tracks) -> None:
    assert found.track_ids.tolist() == expected.track_ids.tolist()
    assert found.track_ids.dtype == np.uint64
    assert found.rows.tolist() == expected.rows.tolist()
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    np.testing.assert_array_equal(found.confidences, expected.confidences)
    assert found.ended == expected.ended


def stepped(trackers: list[Tracker], frames: list[Frame], appearance: bool) -> tuple[list[IntArray], list[Tracks]]:
    """What was looked at, and the tracks."""
    together = Together(trackers, [f.detections for f in frames], [f.time for f in frames], appearance)
    embeddings = [f.embeddings[rows] if len(rows) else None for f, rows in zip(frames, together.wanted, strict=True)]
    return together.wanted, together.decide(embeddings)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sources=st.lists(st.tuples(st.integers(0, 14), st.sampled_from([1, 1, 3]), st.sampled_from([0.0, 1.0, 5.0]))),
    fps=st.sampled_from([2.0, 10.0, 30.0]),
    appearance=st.booleans(),
    config=st.sampled_from([TrackerConfig(), TrackerConfig(confirm=0.5, timeout=0.6, start=0.3)]),
    limits=st.sampled_from([Thresholds(), Thresholds(margin=0.2, stale=0.1, gate=6.0, found_again=0.0, free=0.9)]),
)
def test_many_sources_together_are_tracked_as_each_was_alone(
    seed: int,
    sources: list[tuple[int, int, float]],
    fps: float,
    appearance: bool,
    config: TrackerConfig,
    limits: Thresholds,
) -> None:
    if not sources:
        return
    films = [list(film(seed + n, people, 40, fps, every, gap)) for n, (people, every, gap) in enumerate(sources)]
    known = [one_source.Tracker(config, SIZE, limits) for _ in films]
    alone = [Tracker(config, SIZE, limits) for _ in films]
    together = [Tracker(config, SIZE, limits) for _ in films]
    random = np.random.default_rng(seed)
    for number in range(40):
        # Not every source has a frame each time, nor in the same order.
        order = [n for n in random.permutation(len(films)).tolist() if random.random() < 0.8]
        if not order:
            continue
        frames = [films[n][number] for n in order]
        wanted, tracks = stepped([together[n] for n in order], frames, appearance)
        for n, frame, rows, found in zip(order, frames, wanted, tracks, strict=True):
            asked: list[int] = []

            def embed(some: IntArray, frame: Frame = frame, asked: list[int] = asked) -> FloatArray:
                asked.extend(some.tolist())
                return frame.embeddings[some]

            usual = embed if appearance and frame.detections is not None else None
            assert_same(found, known[n].update(frame.detections, frame.time, usual))
            assert asked == rows.tolist()
            # To the last bit: what stands beside it in the arrays changes nothing.
            _, (single,) = stepped([alone[n]], [frame], appearance)
            np.testing.assert_array_equal(found.boxes, single.boxes)
            assert_same(found, single)
    for n in range(len(films)):
        assert together[n].finish(EndReason.SHUTDOWN) == known[n].finish(EndReason.SHUTDOWN)
        assert together[n].finish(EndReason.SHUTDOWN) == []


def test_trackers_of_two_configurations_do_not_step_together() -> None:
    trackers = [Tracker(TrackerConfig(timeout=timeout), SIZE) for timeout in (1.0, 2.0)]
    with pytest.raises(ValueError, match="one configuration"):
        Together(trackers, [None, None], [0.0, 0.0], appearance=True)
    # The same settings read twice are one configuration.
    Together([Tracker(TrackerConfig(), SIZE) for _ in range(2)], [None, None], [0.0, 0.0], appearance=True)


def test_a_full_picture_of_one_source_changes_nothing_for_an_empty_one() -> None:
    config = TrackerConfig()
    crowd, nobody = Tracker(config, SIZE), Tracker(config, SIZE)
    for frame in film(3, 60, 20, 10):
        _, (_, none) = stepped([crowd, nobody], [frame, Frame(Detections.empty(), frame.embeddings, frame.time)], True)
        assert len(none) == 0
        assert none.ended == []
