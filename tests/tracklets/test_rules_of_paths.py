"""Paths, pictures and pools at the ends of what they are asked for."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.tracklets.observations import ObservationLog, TrackPath
from reidstream.tracklets.pooling import pool, seam
from reidstream.tracklets.spread import spread
from reidstream.tracklets.stillness import is_thing, picture_likeness, walked
from reidstream.types import FloatArray, Observed


def path(boxes: FloatArray, confidences: list[float] | None = None, every: float = 0.1) -> TrackPath:
    n = len(boxes)
    times = np.arange(n) * every
    sure = np.full(n, 0.9, np.float32) if confidences is None else np.array(confidences, np.float32)
    return TrackPath(np.arange(n), times, times + 1000.0, boxes.astype(np.float32), sure)


def standing(n: int) -> FloatArray:
    return np.tile(np.array([100, 20, 140, 120], np.float32), (n, 1))


def test_a_box_that_was_found_without_any_confidence_was_found() -> None:
    found = path(standing(4), [0.0, -1.0, 0.5, -1.0])
    assert found.confidence == 0.25
    assert len(found.to_last_detection()) == 3
    assert len(path(standing(3), [-1.0, 0.0, -1.0]).to_last_detection()) == 2
    assert len(path(standing(3), [-1.0, -1.0, -1.0]).to_last_detection()) == 3
    assert path(standing(2), [-1.0, -1.0]).confidence == 0.0


def test_only_found_boxes_say_how_far_somebody_went() -> None:
    boxes = standing(40)
    boxes[20:, 0::2] += 50
    assert path(boxes).travel() == pytest.approx(0.5)
    assert path(boxes, [0.0] * 40).travel() == pytest.approx(0.5)
    predicted = [0.0] * 20 + [-1.0] * 20
    assert path(boxes, predicted).travel() == 0.0
    assert path(boxes[19:21]).travel() > 0
    assert path(boxes[:1]).travel() == 0.0
    wider = boxes.copy()
    wider[20:, 2] += 20
    # The middle has gone further than the left side.
    assert path(wider).travel() == pytest.approx(0.6)
    taller = standing(40)
    taller[20:, 3] += 100
    # The height has doubled, the centre went half as far.
    assert path(taller).travel() == pytest.approx(100 / 150)


@pytest.mark.parametrize(("most", "frames"), [(2, [0, 4]), (3, [0, 2, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_a_thinned_path_keeps_its_ends(most: int, frames: list[int]) -> None:
    assert path(standing(5)).thinned(most).frames.tolist() == frames


@pytest.mark.parametrize(
    ("away", "every", "walk"), [(3, 0.125, True), (3, 0.1, False), (2, 1.0, False), (4, 0.1, True)]
)
def test_a_walk_is_so_many_boxes_for_so_long_in_a_row(away: int, every: float, walk: bool) -> None:
    boxes = standing(40)
    boxes[:away, 0::2] += 100
    assert walked(path(boxes, every=every)) is walk
    assert walked(path(boxes[::-1].copy(), every=every)) is walk
    # The same boxes one by one are jumps.
    boxes = standing(40)
    boxes[: 2 * away : 2, 0::2] += 100
    assert not walked(path(boxes, every=every))


@pytest.mark.parametrize("end", [slice(0, 3), slice(37, 40)])
def test_a_walk_at_the_beginning_or_end_is_one(end: slice) -> None:
    boxes = standing(40)
    boxes[end, 0::2] += 100
    assert walked(path(boxes, every=0.2))
    assert walked(path(boxes, [0.0] * 40, every=0.2))
    assert not walked(path(boxes, [-1.0] * 40, every=0.2))


def figure(arm: float = 30.0, height: int = 120) -> bytes:
    picture = np.full((200, 80), 120, np.uint8)
    cv2.circle(picture, (40, 25), 15, 200, -1)
    cv2.rectangle(picture, (24, 42), (56, 120), 40, -1)
    tip = (round(40 + 60 * math.sin(math.radians(arm))), round(60 + 60 * math.cos(math.radians(arm))))
    cv2.line(picture, (40, 60), tip, 230, 12)
    done, jpeg = cv2.imencode(".jpg", cv2.resize(picture, (height * 2 // 5, height), interpolation=cv2.INTER_AREA))
    assert done
    return jpeg.tobytes()


BOX = np.array([0, 0, 48, 120], np.float32)


def likeness(pictures: list[bytes | None], times: list[float] | None = None) -> float | None:
    n = len(pictures)
    return picture_likeness(list(map(float, range(n))) if times is None else times, [BOX] * n, pictures)


def test_a_few_pictures_can_be_compared_and_fewer_cannot() -> None:
    assert likeness([figure()] * 5) == pytest.approx(1.0, abs=0.01)
    assert likeness([figure()] * 3) is None
    # Of four, too few pairs lie far apart.
    assert likeness([figure()] * 4) is None
    assert likeness([figure(), None, figure(), b"", figure()]) is None


def test_pictures_of_one_moment_are_compared_as_well() -> None:
    assert likeness([figure()] * 4, [5.0] * 4) == pytest.approx(1.0, abs=0.01)


def test_what_changes_is_less_alike_and_pictures_of_two_sizes_are_brought_to_one() -> None:
    turning = likeness([figure(20.0 * n) for n in range(8)])
    sizes = likeness([figure(height=height) for height in (120, 130, 120, 130, 120, 130)])
    assert turning is not None
    assert sizes is not None
    assert turning < 0.9 < sizes


def test_even_pictures_say_nothing() -> None:
    done, grey = cv2.imencode(".jpg", np.full((120, 48), 90, np.uint8))
    assert done
    assert likeness([grey.tobytes()] * 6) is None


def test_who_walked_is_no_thing_however_alike_the_pictures() -> None:
    boxes = standing(40)
    times, some = [float(n) for n in range(6)], [BOX] * 6
    assert is_thing(path(boxes, every=0.2), times, some, [figure()] * 6)
    boxes[:3, 0::2] += 100
    assert not is_thing(path(boxes, every=0.2), times, some, [figure()] * 6)
    # Without pictures, what does not move is a thing.
    assert is_thing(path(standing(40)), times, some, [None] * 6)
    swaying = standing(40)
    swaying[20:, 0::2] += 20
    assert not is_thing(path(swaying), times, some, [None] * 6)


def observed(frame: int, boxes: dict[int, float], confidence: float = 0.9) -> Observed:
    xs = np.array(list(boxes.values()), np.float32)
    placed = np.stack([xs, xs * 0, xs + 40, xs * 0 + 100], axis=1)
    count = len(boxes)
    return Observed(
        source="gate",
        frame=frame,
        media_time=frame / 10,
        wall_time=1000 + frame / 10,
        track_ids=np.array(list(boxes), np.uint64),
        boxes=placed,
        confidences=np.full(count, confidence, np.float32),
    )


def test_frames_in_which_anything_was_found_are_known_since_a_moment() -> None:
    log = ObservationLog()
    log.append(observed(0, {}))
    assert log.detected(0.0).tolist() == []
    for frame in range(1, 6):
        log.append(observed(frame, {1: 5.0, 2: 90.0}, -1.0 if frame == 3 else 0.0))
    assert log.detected(0.0).tolist() == [1, 2, 4, 5]
    assert log.detected(0.4).tolist() == [4, 5]
    assert log.path(2, 0.5).frames.tolist() == [5]
    with pytest.raises(KeyError):
        log.path(2, 0.51)
    log.forget_before(0.5)
    assert log.path(1, 0.0).frames.tolist() == [1, 2, 3, 4, 5]
    log.forget_before(0.51)
    with pytest.raises(KeyError):
        log.path(1, 0.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=30), st.integers(1, 8))
def test_samples_that_are_kept_are_spread_and_the_best_is_among_them(
    samples: list[tuple[float, float]], most: int
) -> None:
    times, quality = (np.array(column) for column in zip(*samples, strict=True))
    kept = spread(times, quality, most)
    assert len(kept) == len(set(kept.tolist())) == min(most, len(samples))
    assert (np.diff(times[kept]) >= 0).all()
    assert quality[kept].max() == quality.max()


def test_every_part_of_a_tracks_life_keeps_its_best() -> None:
    times, quality = np.arange(9.0), np.array([1, 9, 1, 2, 3, 2, 1, 1, 5]) / 10
    assert spread(times, quality, 3).tolist() == [1, 4, 8]
    # What one part lacks, the best of the others fill.
    assert spread(np.array([0.0, 1.0, 2.0, 99.0]), np.array([0.1, 0.9, 0.8, 0.2]), 3).tolist() == [1, 2, 3]


def axis(number: int, toward: int | None = None, by: float = 0.0) -> FloatArray:
    vector = np.eye(6, dtype=np.float32)[number]
    if toward is not None:
        vector = vector * (1 - by) + np.eye(6, dtype=np.float32)[toward] * by
    found: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def test_one_look_again_and_again_is_one_prototype() -> None:
    pooled = pool(np.stack([axis(0)] * 6), np.ones(6, np.float32))
    assert len(pooled.prototypes) == 1
    assert (pooled.purity, pooled.used.all()) == (1.0, True)
    assert pooled.prototypes[0] == pytest.approx(axis(0))


def test_two_looks_are_two_prototypes_as_heavy_as_their_samples() -> None:
    pooled = pool(np.stack([axis(0), axis(0), axis(0, 1, 0.5)]), np.array([1, 2, 1], np.float32))
    assert len(pooled.prototypes) == 2
    assert pooled.weights == pytest.approx([0.75, 0.25])
    assert pooled.prototypes[0] == pytest.approx(axis(0))


@pytest.mark.parametrize(("most", "count"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_there_are_no_more_prototypes_than_asked_and_than_looks(most: int, count: int) -> None:
    three = np.stack([axis(number) for number in (0, 0, 1, 1, 2, 2)])
    assert len(pool(three, np.ones(6, np.float32), prototypes=most).prototypes) == count
    # All as unlike as each other: none is a look of its own.
    assert len(pool(three[::2], np.ones(3, np.float32), prototypes=most).prototypes) == 1


def test_a_seam_needs_two_looks_on_either_side() -> None:
    def cut(*people: int) -> int | None:
        return seam(np.stack([axis(person) for person in people]), np.ones(len(people), np.float32))

    assert cut(0, 0, 1, 1) == 2
    assert cut(0, 0, 0, 1, 1) == 3
    assert cut(0, 0, 1, 1, 1) == 2
    assert cut(0, 0, 1) is None
    assert cut(0, 0, 0, 0) is None


@settings(deadline=None)
@given(st.integers(4, 12), st.integers(0, 10_000))
def test_a_track_of_one_person_read_backwards_is_as_pure(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = axis(0) + 0.2 * rng.normal(size=(count, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    quality = rng.uniform(0.1, 1, count).astype(np.float32)
    assert pool(vectors, quality).purity == pytest.approx(pool(vectors[::-1], quality[::-1]).purity)
    one, other = seam(vectors, quality), seam(vectors[::-1], quality[::-1])
    assert (one is None) is (other is None)
