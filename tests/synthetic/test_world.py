from __future__ import annotations

import itertools

import numpy as np
import pytest

from reidstream.synthetic import World, render_crops
from reidstream.synthetic.camera import Camera
from reidstream.synthetic.truth import Sighting, split_tracks


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=7, cameras=4, people=30, minutes=2)


def test_people_come_back_and_pass_from_camera_to_camera(world: World) -> None:
    cameras_of = {p: [v.camera for v in world.visits if v.person == p] for p in range(world.people)}
    assert all(cameras_of.values()), "everybody is seen"
    assert sum(len(set(cameras)) >= 2 for cameras in cameras_of.values()) >= 0.6 * world.people
    assert any(a == b for cameras in cameras_of.values() for a, b in itertools.pairwise(cameras))


def test_nobody_is_in_two_places_and_travel_takes_time(world: World) -> None:
    for person in range(world.people):
        visits = [v for v in world.visits if v.person == person]
        for before, after in itertools.pairwise(visits):
            gap = after.start - before.end
            assert gap > 0
            if before.camera != after.camera:
                a, b = (np.array(world.places[v.camera].site) for v in (before, after))
                assert gap >= max(8.0, np.linalg.norm(a - b) - 18) / 1.76


def test_people_move_like_people(world: World) -> None:
    for visit in world.visits:
        speed = np.hypot(*np.diff(visit.way, axis=0).T) / 0.1
        assert speed.max() < 2.4
        assert np.abs(np.diff(visit.heading)).max() < 0.4


def test_people_keep_out_of_each_other_and_of_furniture(world: World) -> None:
    inside = total = 0
    for visit in world.visits:
        for piece in world.places[visit.camera].furniture:
            away = np.hypot(*(visit.way - piece.place).T)
            inside += int((away < 0.6 * piece.radius).sum())
            total += len(away)
    assert inside < 0.002 * total


def test_some_are_dressed_alike_on_purpose() -> None:
    world = World(seed=1, cameras=1, people=20, minutes=0.05, similar=0.5)
    doubles = [(i, model) for i, model in enumerate(world.models) if model is not None]
    assert 5 <= len(doubles) <= 15
    for one, other in doubles:
        a, b = world.looks[one], world.looks[other]
        assert a.top == b.top and np.abs(np.subtract(a.top_colour, b.top_colour)).max() < 50
        assert a.build != b.build


def test_cameras_differ(world: World) -> None:
    assert len({p.kind for p in world.places}) == 4
    for values in (
        [p.camera.position[2] for p in world.places],
        [p.camera.pitch for p in world.places],
        [p.camera.focal for p in world.places],
        [p.sensor.noise for p in world.places],
        [p.sensor.cast for p in world.places],
        [p.light for p in world.places],
    ):
        assert len(set(values)) == 4


@pytest.mark.parametrize(
    ("argument", "value"),
    [("cameras", 0), ("people", 0), ("minutes", 0), ("fps", 0), ("size", (961, 540)), ("similar", 2)],
)
def test_wrong_arguments_are_named(argument: str, value: object) -> None:
    name = "width" if argument == "size" else argument
    with pytest.raises(ValueError, match=name):
        World(**{"minutes": 0.05, "people": 2, argument: value})


def test_projection_agrees_with_the_ground() -> None:
    camera = Camera((640, 480), 500.0, (1.0, -2.0, 3.0), 0.3, 0.4, 0.05)
    pixels = np.array([[10.0, 400.0], [320.0, 300.0], [600.0, 470.0]])
    ground = camera.ground(pixels)
    again, depth = camera.project(np.concatenate([ground, np.zeros((3, 1))], axis=1))
    np.testing.assert_allclose(again, pixels, atol=1e-6)
    assert (depth > 0).all()
    upright, _ = camera.project(np.array([[*ground[1], 0.0], [*ground[1], 1.7]]))
    assert upright[1, 1] < upright[0, 1]


@pytest.mark.slow
def test_frames_show_people_where_the_truth_says(world: World) -> None:
    empty = None
    shares = []
    for frame in world.render_frames(1, every=60):
        if empty is None:
            from reidstream.synthetic.render import Painter

            place = world.places[1]
            empty = Painter(place, {}, place.seed).frame(0, 0.0, []).image.astype(int)
        changed = np.abs(frame.image.astype(int) - empty).max(-1) > 35
        for box, seen in zip(frame.boxes, frame.visibility, strict=True):
            x1, y1, x2, y2 = box.astype(int)
            if seen > 0.9 and y2 - y1 > 80:
                shares.append(changed[y1:y2, x1:x2].mean())
    # Somebody in grey before a grey wall hardly differs from it; on the whole people do.
    assert len(shares) > 10
    assert np.mean(shares) > 0.25
    assert np.mean(np.array(shares) < 0.05) < 0.1


@pytest.mark.slow
def test_crops_cover_people_and_cameras_and_repeat() -> None:
    first = list(render_crops(6, seed=5, cameras=2, per_camera=2))
    assert {c.person for c in first} == set(range(6))
    assert {c.camera for c in first} == {0, 1}
    assert all(c.image.shape[0] >= 64 and c.image.shape[1] >= 8 for c in first)
    again = list(render_crops(6, seed=5, cameras=2, per_camera=2))
    assert all((a.image == b.image).all() for a, b in zip(first, again, strict=True))


def test_a_track_is_cut_when_somebody_is_away_for_long_and_trimmed_where_nothing_can_be_seen() -> None:
    frames = np.array([0, 1, 2, 3, 60, 61, 62])
    n = len(frames)
    sighting = Sighting(
        frames,
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.tile(np.array([0, 0, 10, 20], np.float32), (n, 1)),
        np.array([0, 0.5, 0, 0.9, 0.9, 0.9, 0.05], np.float32),
    )
    ids, kept = split_tracks(sighting, fps=25.0)
    assert ids.tolist() == [0, 1, 1, 1, 2, 2, 0]
    assert kept.tolist() == [False, True, True, True, True, True, False]
