"""Which crops of a track are taken, and which are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.engines.sampling import SampleSlots, box_quality, sharpness
from reidstream.tracklets.spread import spread

TRACK = [7]


def quality(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def taken_times(slots: SampleSlots, seconds: float, fps: float, values: np.ndarray) -> list[float]:
    times = []
    for k in range(int(seconds * fps)):
        q = values[k : k + 1].astype(np.float32)
        if len(slots.wanted(TRACK, q, k / fps)):
            slots.take(TRACK, q, k / fps)
            times.append(k / fps)
    return times


def test_the_first_crop_is_taken_at_once_and_an_equal_one_is_not() -> None:
    slots = SampleSlots(8)
    assert slots.wanted(TRACK, quality(0.3), 0.0).tolist() == [0]
    slots.take(TRACK, quality(0.3), 0.0)
    assert slots.wanted(TRACK, quality(0.3), 0.1).tolist() == []
    assert slots.wanted(TRACK, quality(0.5), 0.1).tolist() == [0]


def test_a_long_track_costs_few_embeddings_and_they_are_spread() -> None:
    times = taken_times(SampleSlots(8), 600, 10, np.full(6000, 0.5))
    assert len(times) < 80
    assert max(times) > 500


def test_a_forgotten_track_starts_anew() -> None:
    slots = SampleSlots(4)
    slots.take(TRACK, quality(0.9), 0.0)
    slots.forget(7)
    assert slots.wanted(TRACK, quality(0.1), 0.1).tolist() == [0]
    assert len(slots) == 1


def test_a_thousand_tracks_have_slots_of_their_own() -> None:
    slots = SampleSlots(4)
    ids = list(range(1000))
    q = np.linspace(0.1, 0.9, 1000).astype(np.float32)
    assert len(slots.wanted(ids, q, 0.0)) == 1000
    slots.take(ids, q, 0.0)
    assert len(slots.wanted(ids, q, 0.2)) == 0
    assert len(slots.wanted(ids[::-1], q, 0.3)) > 300


def test_a_crop_that_turns_out_blurred_is_not_taken_nor_offered_every_frame() -> None:
    slots = SampleSlots(8)
    slots.take(TRACK, quality(0.5), 0.0)
    assert len(slots.wanted(TRACK, quality(0.9), 0.04)) == 1
    assert len(slots.take(TRACK, quality(0.4), 0.04)) == 0
    assert len(slots.wanted(TRACK, quality(0.9), 0.08)) == 0
    assert len(slots.wanted(TRACK, quality(0.9), 0.16)) == 1


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31))
def test_spread_keeps_the_best_and_covers_the_life(count: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times, values = rng.uniform(0, 30, count), rng.uniform(0, 1, count).astype(np.float32)
    kept = spread(times, values, most)
    assert len(kept) == min(count, most)
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(times[kept]) >= 0).all()
    assert int(values.argmax()) in kept


def test_a_hidden_small_or_cut_person_counts_less() -> None:
    boxes = np.array(
        [[100, 100, 180, 300], [400, 100, 480, 300], [430, 120, 520, 340], [600, 200, 616, 240], [0, 100, 80, 300]],
        np.float32,
    )
    alone, hidden, front, small, cut = box_quality(boxes, np.ones(5, np.float32), (1280, 720))
    assert alone > 0.9
    assert hidden < 0.6 * alone
    assert front > hidden
    assert small < 0.6 * alone
    assert cut < 0.6 * alone


def test_a_crowd_of_none_has_no_quality() -> None:
    assert box_quality(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (640, 480)).shape == (0,)


def test_blur_lowers_sharpness_and_brightness_does_not() -> None:
    import cv2

    rng = np.random.default_rng(0)
    crop = cv2.resize(rng.integers(0, 255, (32, 16, 3), np.uint8), (64, 128), interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(crop, (0, 0), 6)
    assert sharpness(blurred) < 0.3 * sharpness(crop)
    assert sharpness((crop // 2).astype(np.uint8)) == pytest.approx(sharpness(crop), abs=0.05)
    assert sharpness(np.full((64, 32, 3), 128, np.uint8)) == 0.0
    assert sharpness(np.zeros((0, 0, 3), np.uint8)) == 0.0


def test_frames_are_judged_together_as_each_alone() -> None:
    random = np.random.default_rng(8)
    counts, sizes = [4, 0, 1, 13, 0, 2], random.integers(400, 1200, (6, 2)).astype(np.float32)
    frames = []
    for count in counts:
        corner = random.uniform(0, 500, (count, 2))
        boxes = np.hstack([corner, corner + random.uniform(20, 300, (count, 2))]).astype(np.float32)
        frames.append((boxes, random.uniform(0, 1, count).astype(np.float32)))
    alone = [box_quality(*frame, (int(w), int(h))) for frame, (w, h) in zip(frames, sizes, strict=True)]
    starts = np.concatenate([[0], np.cumsum(counts)])
    boxes, confidences = (np.concatenate(part) for part in zip(*frames, strict=True))
    together = box_quality(boxes, confidences, np.repeat(sizes, counts, axis=0), starts)
    np.testing.assert_array_equal(together, np.concatenate(alone))
