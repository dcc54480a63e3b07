"""What makes no difference to tracks: the size of the picture, its sides, the time of day, the order of boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from reidstream.config import TrackerConfig
from reidstream.tracking import Tracker
from reidstream.types import Detections, EndReason, FloatArray

SIZE = (1024, 512)


@dataclass(frozen=True)
class Scene:
    """Detections and the embeddings of each, by frame. boxes: float32 (n, 4)."""

    times: list[float]
    boxes: list[FloatArray]
    scores: list[FloatArray]
    looks: list[FloatArray]
    size: tuple[int, int] = SIZE


def crowd(seed: int) -> Scene:
    """Six seconds of people who cross, hide each other, are missed, leave at either side and come back."""
    rng = np.random.default_rng(seed)
    people = 7
    heights = rng.uniform(90, 180, people)
    feet, left = rng.uniform(200, 500, people), rng.uniform(-50, SIZE[0], people)
    speed = rng.uniform(-1.3, 1.3, people) * heights
    # The first stands in the middle and goes behind something.
    left[0], speed[0] = SIZE[0] / 2, 0.0
    faces = rng.normal(size=(people, 16))
    times = [frame / 8 for frame in range(48)]  # Binary fractions, which are exact at any time of day.
    scene = Scene(times, [], [], [])
    for time in times:
        x = left + speed * time
        jitter = rng.normal(scale=0.02, size=(4, people)) * heights
        boxes = np.stack([x, feet - heights, x + 0.4 * heights, feet]) + jitter
        there = (boxes[2] > 10) & (boxes[0] < SIZE[0] - 10) & (rng.random(people) > 0.12)
        there[0] &= time < 2.0
        # Coarse, so that a mirrored picture holds the same numbers.
        boxes = np.round(np.clip(boxes, 0, [[SIZE[0]], [SIZE[1]]] * 2) * 4) / 4
        looks = faces + 0.3 * rng.normal(size=faces.shape)
        scene.boxes.append(boxes.T[there].astype(np.float32))
        scene.scores.append(rng.choice([0.3, 0.6, 0.9], people, p=[0.15, 0.25, 0.6])[there].astype(np.float32))
        scene.looks.append((looks / np.linalg.norm(looks, axis=1, keepdims=True))[there].astype(np.float32))
    return scene


Found = list[tuple[list[int], FloatArray, list[int], list[tuple[int, EndReason]]]]


def tracked(scene: Scene) -> Found:
    """Ids, boxes, rows and what ended, of each frame, in the order of ids."""
    tracker = Tracker(TrackerConfig(timeout=1.0), scene.size)
    found: Found = []
    for time, boxes, scores, looks in zip(scene.times, scene.boxes, scene.scores, scene.looks, strict=True):
        tracks = tracker.update(Detections(boxes, scores), time, lambda rows, looks=looks: looks[rows])
        order = np.argsort(tracks.track_ids)
        ids, rows = tracks.track_ids[order].tolist(), tracks.rows[order].tolist()
        found.append((ids, tracks.boxes[order], rows, tracks.ended))
    return found


def changed(scene: Scene, boxes: Callable[[FloatArray], FloatArray], size: tuple[int, int] = SIZE) -> Scene:
    return Scene(scene.times, [boxes(some) for some in scene.boxes], scene.scores, scene.looks, size)


scenes = pytest.mark.parametrize("scene", [crowd(seed) for seed in range(3)], ids=range(3))


@scenes
def test_there_is_something_to_be_told(scene: Scene) -> None:
    found = tracked(scene)
    assert max(len(ids) for ids, *_ in found) >= 4
    assert {reason for *_, ended in found for _, reason in ended} == {EndReason.LEFT, EndReason.LOST}


@scenes
@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_a_picture_of_another_size_has_the_same_tracks(scene: Scene, scale: float) -> None:
    other = changed(scene, lambda boxes: boxes * np.float32(scale), (round(SIZE[0] * scale), round(SIZE[1] * scale)))
    for one, two in zip(tracked(scene), tracked(other), strict=True):
        assert (one[0], one[2], one[3]) == (two[0], two[2], two[3])
        np.testing.assert_allclose(one[1] * scale, two[1], rtol=1e-5)


@scenes
def test_a_mirrored_picture_has_the_same_tracks(scene: Scene) -> None:
    def mirrored(boxes: FloatArray) -> FloatArray:
        return np.stack([SIZE[0] - boxes[:, 2], boxes[:, 1], SIZE[0] - boxes[:, 0], boxes[:, 3]], axis=1)

    for one, two in zip(tracked(scene), tracked(changed(scene, mirrored)), strict=True):
        assert (one[0], one[2], one[3]) == (two[0], two[2], two[3])
        np.testing.assert_allclose(mirrored(one[1]), two[1], atol=0.05)


@scenes
def test_a_picture_upside_down_has_the_same_tracks(scene: Scene) -> None:
    def turned(boxes: FloatArray) -> FloatArray:
        return np.stack([boxes[:, 0], SIZE[1] - boxes[:, 3], boxes[:, 2], SIZE[1] - boxes[:, 1]], axis=1)

    for one, two in zip(tracked(scene), tracked(changed(scene, turned)), strict=True):
        assert (one[0], one[2], one[3]) == (two[0], two[2], two[3])


@scenes
@pytest.mark.parametrize("later", [1.0, 4096.0])
def test_when_it_was_makes_no_difference(scene: Scene, later: float) -> None:
    other = Scene([time + later for time in scene.times], scene.boxes, scene.scores, scene.looks)
    for one, two in zip(tracked(scene), tracked(other), strict=True):
        assert (one[0], one[2], one[3]) == (two[0], two[2], two[3])
        np.testing.assert_allclose(one[1], two[1], atol=0.01)


@scenes
def test_boxes_come_in_any_order(scene: Scene) -> None:
    rng = np.random.default_rng(1)
    orders = [rng.permutation(len(boxes)) for boxes in scene.boxes]

    def put(some: list[FloatArray]) -> list[FloatArray]:
        return [values[order] for values, order in zip(some, orders, strict=True)]

    other = Scene(scene.times, put(scene.boxes), put(scene.scores), put(scene.looks))
    for order, one, two in zip(orders, tracked(scene), tracked(other), strict=True):
        # Tracks that are confirmed in one frame are numbered in the order of their boxes.
        assert sorted(row for row in one[2] if row >= 0) == sorted(int(order[row]) for row in two[2] if row >= 0)
        assert len(one[0]) == len(two[0])
        assert sorted(reason.value for _, reason in one[3]) == sorted(reason.value for _, reason in two[3])
