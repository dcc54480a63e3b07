"""Who stands is a person, and what stays the same is a thing."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from reidstream.config import TrackletConfig
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.observations import TrackPath
from reidstream.tracklets.stillness import is_thing, overlaps, picture_likeness, walked
from reidstream.types import FloatArray, Observed, Samples, SourceEnded, SourceStarted

FPS = 10
Boxes = Callable[[int], tuple[float, float, float, float]]


def path(boxes: FloatArray, every: float = 1 / FPS) -> TrackPath:
    n = len(boxes)
    times = np.arange(n) * every
    return TrackPath(np.arange(n), times, times + 1000.0, boxes, np.full(n, 0.9, np.float32))


def standing(n: int, left: float = 100.0) -> FloatArray:
    return np.tile(np.array([left, 20, left + 40, 120], np.float32), (n, 1))


def drawn(arm: float, size: tuple[int, int] = (100, 40), noise: float = 0.0, seed: int = 0) -> bytes:
    """A JPEG of a figure whose arm points to an angle, in degrees."""
    height, width = size
    picture = np.full((200, 80), 120, np.uint8)
    cv2.circle(picture, (40, 25), 15, 200, -1)
    cv2.rectangle(picture, (24, 42), (56, 120), 40, -1)
    cv2.rectangle(picture, (28, 120), (52, 195), 80, -1)
    tip = (round(40 + 60 * np.sin(np.radians(arm))), round(60 + 60 * np.cos(np.radians(arm))))
    cv2.line(picture, (40, 60), tip, 230, 12)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    small += np.random.default_rng(seed).normal(0, noise, small.shape)
    done, jpeg = cv2.imencode(".jpg", np.clip(small, 0, 255).astype(np.uint8))
    assert done
    return jpeg.tobytes()


def test_a_short_walk_in_is_a_walk_however_long_somebody_stands_afterwards() -> None:
    boxes = standing(3000)
    boxes[:6, [0, 2]] -= np.linspace(90, 40, 6)[:, None].astype(np.float32)
    assert path(boxes).travel() < 0.1
    assert walked(path(boxes))
    assert walked(path(boxes[::-1].copy()))


def test_boxes_that_jump_or_jitter_are_no_walk() -> None:
    rng = np.random.default_rng(3)
    boxes = standing(600)
    boxes[[100, 300, 301], 0::2] += 200
    heights = rng.uniform(94, 175, 600)
    middle = 200.0
    boxes[:, 1], boxes[:, 3] = middle - heights / 2, middle + heights / 2
    assert not walked(path(boxes))


def test_two_detections_a_second_are_enough_to_see_a_walk() -> None:
    boxes = standing(40)
    boxes[:3, 0::2] += 100
    assert walked(path(boxes, every=0.5))
    assert not walked(path(boxes[:2]))


@pytest.mark.parametrize(("other", "value"), [((0, 0, 2, 2), 1.0), ((1, 0, 3, 2), 1 / 3), ((5, 5, 6, 6), 0.0)])
def test_overlaps_are_intersection_over_union(other: tuple[float, ...], value: float) -> None:
    found = overlaps(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array(other, np.float64))
    assert found == pytest.approx([value])


def likeness(crops: list[bytes | None], boxes: FloatArray | None = None) -> float | None:
    return picture_likeness(
        np.arange(len(crops)).tolist(), list(standing(len(crops)) if boxes is None else boxes), crops
    )


def test_pictures_of_a_thing_are_alike_through_noise_jitter_and_somebody_in_front() -> None:
    crops = [drawn(30, noise=6, seed=n) for n in range(12)]
    same = likeness([*crops])
    assert same is not None
    assert same > 0.97
    hidden = likeness([*crops[:5], drawn(170, noise=60), *crops[5:]])
    assert hidden is not None
    assert hidden > 0.97
    moving = likeness([drawn(15.0 * n, noise=6, seed=n) for n in range(12)])
    assert moving is not None
    assert moving < same - 0.05


def test_the_order_of_the_samples_does_not_matter() -> None:
    crops: list[bytes | None] = [drawn(20.0 * n) for n in range(6)]
    boxes = list(standing(6))
    times = [0.0, 1.0, 2.0, 5.0, 9.0, 20.0]
    value = picture_likeness(times, boxes, crops)
    assert value == pytest.approx(picture_likeness(times[::-1], boxes[::-1], crops[::-1]), abs=0.02)


def test_pictures_that_cannot_be_compared_say_nothing() -> None:
    assert likeness([drawn(0)] * 3) is None
    assert likeness([None, b"", b"no picture", *[drawn(0)] * 3]) is None
    flat = cv2.imencode(".jpg", np.full((100, 40), 90, np.uint8))[1].tobytes()
    assert likeness([flat] * 6) is None


def test_without_pictures_the_box_decides() -> None:
    sway = standing(200) + np.where(np.arange(200) % 40 < 20, 0, 15)[:, None].astype(np.float32) * np.array(
        [1, 0, 1, 0]
    )
    assert not is_thing(path(sway.astype(np.float32)), [], [], [])
    assert is_thing(path(standing(200)), [], [], [])


def kept(boxes: Boxes, arm: Callable[[int], float]) -> int:
    """How many tracklets become of fifteen seconds of a track with these boxes and pictures."""
    collector = TrackletCollector(TrackletConfig())
    collector.take(SourceStarted("gate", "gate.mp4", "abc", (640, 480), FPS, 1000.0, None))
    look = np.eye(8, dtype=np.float32)[:1]
    for f in range(15 * FPS):
        box = np.array([boxes(f)], np.float32)
        samples = None
        if f % 8 == 0:
            size = (round(float(box[0, 3] - box[0, 1])), round(float(box[0, 2] - box[0, 0])))
            picture = (drawn(arm(f), size, noise=3, seed=f),)
            samples = Samples(np.zeros(1, np.int64), look, np.full(1, 0.8, np.float32), picture)
        ids, sure = np.ones(1, np.uint64), np.full(1, 0.9, np.float32)
        collector.take(Observed("gate", f, f / FPS, 1000 + f / FPS, ids, box, sure, samples))
    return len(collector.take(SourceEnded("gate", 15 * FPS, 0.0)))


def test_a_cashier_stays_and_a_coat_stand_goes() -> None:
    def still(f: int) -> tuple[float, float, float, float]:
        return (200, 100, 280, 300)

    def jittering(f: int) -> tuple[float, float, float, float]:
        # The detector sees more or less of it; what is there stays where it is, and is as large as before.
        return (200, 100, 280, 300 - 2 * (f % 2))

    def coming_in(f: int) -> tuple[float, float, float, float]:
        left = 200 - 20 * max(0, 8 - f)
        return (left, 100, left + 80, 300)

    assert kept(still, lambda f: 40 * np.sin(f / 9)) == 1
    assert kept(still, lambda f: 30) == 0
    assert kept(jittering, lambda f: 30) == 0
    assert kept(coming_in, lambda f: 30) == 1


def test_somebody_who_changes_once_in_the_end_is_told_by_pictures_far_apart() -> None:
    stayed = [drawn(10, noise=1.0, seed=k) for k in range(8)]
    turned = [*stayed[:6], *(drawn(120, noise=1.0, seed=k) for k in range(6, 8))]
    same, other = likeness(list(stayed)), likeness(list(turned))
    assert same is not None and other is not None
    # Most pairs of neighbours are alike in both.
    assert same > 0.95 > other


def test_pictures_that_were_stored_smaller_are_compared_at_the_size_of_their_boxes() -> None:
    """A picture as large as its box was cut out of the frame; one that is much smaller was made so."""
    boxes = standing(8)
    # Farther away: the box is smaller, and so is its picture, of another scale than the box of a smoothed track says.
    whole, small = drawn(30, (100, 40)), drawn(30, (50, 20))
    mixed = [whole if n % 2 else small for n in range(8)]
    reduced = likeness(mixed, boxes)
    near = boxes.copy()
    near[::2, 3] = near[::2, 1] + 50
    as_seen = likeness(mixed, near)
    assert reduced is not None and as_seen is not None
    # Where the box says that it is the same size, both are brought to it; where it says half of that, only half of
    # what is in one can be found in the other.
    assert reduced > 0.95
    assert as_seen < reduced


def test_who_passes_in_front_of_a_thing_does_not_make_it_walk() -> None:
    boxes = standing(300)
    boxes[100:110, 0::2] += np.linspace(30, 90, 10)[:, None].astype(np.float32)
    assert not walked(path(boxes))
    assert walked(path(boxes[:110])), "it left with somebody"
    assert walked(path(boxes[101:]))
