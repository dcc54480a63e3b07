from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidstream.demo import compare
from reidstream.synthetic import CameraTruth, SceneTruth, TrackTruth
from reidstream.types import EndReason, Tracklet

LENGTH = 50


def walker(start: float) -> np.ndarray:
    """Boxes of somebody who walks to the right, 100 px tall."""
    x = start + 2.0 * np.arange(LENGTH)
    return np.stack([x, np.full(LENGTH, 50.0), x + 40, np.full(LENGTH, 150.0)], 1).astype(np.float32)


@pytest.fixture
def scene() -> SceneTruth:
    """Two people in one camera, far apart."""
    boxes = np.stack([walker(0), walker(300)], 1).reshape(-1, 4)
    camera = CameraTruth(
        name="cam1",
        video=Path("cam1.mp4"),
        size=(640, 360),
        fps=25.0,
        length=LENGTH,
        frames=np.repeat(np.arange(LENGTH), 2),
        track_ids=np.tile(np.array([1, 2], np.uint64), LENGTH),
        boxes=boxes,
        visibility=np.ones(2 * LENGTH, np.float32),
        considered=np.ones(2 * LENGTH, bool),
    )
    tracks = (TrackTruth("cam1", 1, 7, 0, LENGTH - 1), TrackTruth("cam1", 2, 4, 0, LENGTH - 1))
    return SceneTruth(Path(), (camera,), tracks, {})


def tracklet(id: str, boxes: np.ndarray, first: int = 0) -> Tracklet:
    vector = np.eye(4, dtype=np.float32)[0]
    return Tracklet(
        id=id, source="cam1", content="c", track_id=1, part=0, parts=1, start_frame=first,
        end_frame=first + len(boxes) - 1, start_media=0.0, end_media=1.0, start_wall=0.0, end_wall=1.0,
        reason=EndReason.LEFT, observations=len(boxes), confidence=0.9, embedding=vector, prototypes=vector[None],
        prototype_weights=np.ones(1, np.float32), embeddings_used=1, embeddings_seen=1, purity=1.0, quality=1.0,
        frames=np.arange(first, first + len(boxes)), boxes=boxes.astype(np.float32),
    )  # fmt: skip


def test_perfect_tracks_find_everybody_once(scene: SceneTruth) -> None:
    result = compare(scene, [tracklet("a", walker(0)), tracklet("b", walker(300))])
    assert result.persons == result.found == {7, 4}
    assert (result.visits, result.visits_found, result.tracklets_per_visit) == (2, 2, 1.0)
    assert result.person_of == {"a": 7, "b": 4}
    assert result.mixed == result.nobody == ()


def test_pieces_count_and_missing_people_are_missed(scene: SceneTruth) -> None:
    result = compare(scene, [tracklet("a", walker(0)[:20]), tracklet("b", walker(0)[25:], first=25)])
    assert result.found == {7}
    assert result.visits_found == 1
    assert result.tracklets_per_visit == result.tracklets_per_person == 2.0


def test_a_track_that_jumps_to_somebody_else_is_mixed(scene: SceneTruth) -> None:
    jumping = np.concatenate([walker(0)[:30], walker(300)[30:]])
    result = compare(scene, [tracklet("a", jumping)])
    assert result.mixed == ("a",)
    assert result.person_of == {"a": 7}


def test_a_track_of_a_lamp_post_is_of_nobody(scene: SceneTruth) -> None:
    result = compare(scene, [tracklet("a", np.tile(np.array([500, 200, 520, 300], np.float32), (LENGTH, 1)))])
    assert result.nobody == ("a",)
    assert result.found == frozenset()
    assert result.tracklets_per_visit == 0


def test_nobody_is_expected_who_could_hardly_be_seen(scene: SceneTruth) -> None:
    camera = scene.cameras[0]
    camera.visibility[camera.track_ids == 2] = 0.2
    result = compare(scene, [])
    assert result.persons == {7}
    assert result.visits == 1
