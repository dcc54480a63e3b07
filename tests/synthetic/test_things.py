"""The world with things in it that look like people, and with people who stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidstream.boxes import pairwise_iou
from reidstream.synthetic import SceneTruth, World, write_scene
from reidstream.synthetic.render import REFLECTED, RenderedFrame
from reidstream.synthetic.things import KINDS, Thing

WITH = {"seed": 5, "cameras": 4, "people": 4, "minutes": 0.5, "size": (320, 180), "fps": 6.0, "things": True}


@pytest.fixture(scope="module")
def world() -> World:
    return World(**WITH)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def put(world: World) -> list[tuple[Thing, ...]]:
    """What was put in at each camera."""
    return [world.put_in(camera) for camera in range(4)]


@pytest.fixture(scope="module")
def plain() -> World:
    """The same without things."""
    return World(**{**WITH, "things": False})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def frames(world: World) -> list[list[RenderedFrame]]:
    """Of each camera one in five seconds."""
    return [list(world.render_frames(camera, every=30)) for camera in range(4)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SceneTruth:
    small = World(**{**WITH, "cameras": 2, "minutes": 0.1})  # type: ignore[arg-type]
    return write_scene(tmp_path_factory.mktemp("things") / "scene", small, workers=1)


def test_without_them_the_world_is_as_it_was(world: World, plain: World) -> None:
    assert {visit.posture for visit in plain.visits} == {"walking"}
    assert plain.looks == world.looks[: len(plain.looks)]
    frame = next(plain.render_frames(0))
    assert (len(frame.things), frame.thing_boxes.shape) == (0, (0, 4))


@pytest.mark.slow
def test_every_kind_of_thing_is_somewhere(put: list[tuple[Thing, ...]]) -> None:
    assert {thing.kind for things in put for thing in things} == set(KINDS)
    again = World(**WITH)  # type: ignore[arg-type]
    assert [[thing.kind for thing in again.put_in(camera)] for camera in range(4)] == [
        [thing.kind for thing in things] for things in put
    ]


def test_people_sit_stand_and_wait_and_belong_to_nobody_else(world: World) -> None:
    staying = [visit for visit in world.visits if visit.posture != "walking"]
    assert {visit.posture for visit in staying} == {"sitting", "standing", "waiting"}
    assert sorted(visit.person for visit in staying) == list(range(4, 4 + len(staying)))
    for visit in staying:
        moved = np.hypot(*np.ptp(visit.way, axis=0))
        assert moved > 1.0 if visit.posture == "waiting" else moved < 0.5
        if visit.posture != "waiting":
            assert (visit.start, round(visit.end)) == (0.0, 30)


def test_who_stays_is_never_quite_still_and_a_mannequin_is(world: World, put: list[tuple[Thing, ...]]) -> None:
    for camera in range(4):
        bodies = world.bodies(camera)
        for visit in (v for v in world.visits if v.camera == camera and v.posture in {"sitting", "standing"}):
            poses = []
            for time in (2.0, 9.0, 17.0, 25.0):
                moment = visit.at(time)
                assert moment is not None
                _, _, walking, distance, idle = moment
                assert walking == 0
                poses.append(bodies[visit.person].posed(distance, walking, idle))
            # Somewhere a hand or the head has moved by more than five centimetres.
            assert max(np.abs(pose - poses[0]).max() for pose in poses[1:]) > 0.05
        for thing in put[camera]:
            if thing.kind in {"mannequin", "coat stand", "poster"}:
                first, later = thing.at(2.0), thing.at(25.0)
                assert first is not None
                assert later is not None
                np.testing.assert_array_equal(first.world, later.world)


def test_who_sits_has_the_thighs_on_the_seat(world: World) -> None:
    (visit, *_) = (visit for visit in world.visits if visit.posture == "sitting")
    body = world.bodies(visit.camera)[visit.person]
    seated = body.posed(0.0, 0.0, 0.3)[: body.figure]
    assert 0.6 < (seated[:, 2].max() - seated[:, 2].min()) / body.height < 0.85
    assert seated[:, 2].min() == pytest.approx(0, abs=0.06)


@pytest.mark.slow
def test_things_change_the_picture_where_the_truth_says(
    plain: World, put: list[tuple[Thing, ...]], frames: list[list[RenderedFrame]]
) -> None:
    for camera in range(4):
        kinds = [thing.kind for thing in put[camera]]
        without = next(plain.render_frames(camera)).image.astype(int)
        frame = frames[camera][0]
        for number, box, seen in zip(frame.things, frame.thing_boxes, frame.thing_visibility, strict=True):
            if seen < 0.5 or number >= REFLECTED or kinds[number] == "shadow":
                continue
            x1, y1, x2, y2 = box.astype(int)
            changed = np.abs(frame.image[y1:y2, x1:x2].astype(int) - without[y1:y2, x1:x2]).max(axis=2) > 25
            assert changed.mean() > 0.12, kinds[number]


def test_people_hide_things_and_things_hide_people(frames: list[list[RenderedFrame]]) -> None:
    visible = np.concatenate([frame.thing_visibility for of_camera in frames for frame in of_camera])
    assert ((visible >= 0) & (visible <= 1)).all()
    for frame in (frame for of_camera in frames for frame in of_camera):
        boxes = np.concatenate([frame.boxes, frame.thing_boxes])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= WITH["size"]).all()


@pytest.mark.slow
def test_a_mirror_shows_those_who_are_there_smaller() -> None:
    """Some seed of a hall has somebody in its mirror."""
    for seed in range(20):
        world = World(seed=seed, cameras=2, people=2, minutes=0.1, fps=2, things=True)
        kinds = [thing.kind for thing in world.put_in(1)]
        if "mirror" not in kinds:
            continue
        for frame in world.render_frames(1, every=3):
            reflected = frame.things >= REFLECTED
            for number, box in zip(frame.things[reflected], frame.thing_boxes[reflected], strict=True):
                glass = frame.thing_boxes[frame.things == kinds.index("mirror")]
                assert (box[:2] >= glass[0, :2] - 1).all()
                assert (box[2:] <= glass[0, 2:] + 1).all()
                own = frame.boxes[frame.visits == number - REFLECTED]
                if len(own):
                    assert box[3] - box[1] < own[0, 3] - own[0, 1]
                    return
    raise AssertionError("nobody was ever seen in a mirror")


@pytest.mark.slow
def test_the_truth_on_disk_says_which_is_which(scene: SceneTruth) -> None:
    assert {track.posture for track in scene.tracks} > {"sitting", "standing"}
    kinds = {(thing.camera, thing.thing_id): thing.kind for thing in scene.things}
    assert set(kinds.values()) <= {*KINDS, "reflection"}
    for camera in scene.cameras:
        rows = camera.things
        assert len(rows.frames) == len(rows.ids) == len(rows.boxes) == len(rows.visibility) > 0
        assert {(camera.name, number) for number in np.unique(rows.ids).tolist()} <= set(kinds)
        lines = (Path(camera.video).parent / "gt" / "things.txt").read_text().splitlines()
        assert {line.split(",")[6:8] == ["0", "8"] for line in lines} == {True}
    assert scene.parameters["things"] is True


def test_birds_and_shadows_move_and_displays_change(
    put: list[tuple[Thing, ...]], frames: list[list[RenderedFrame]]
) -> None:
    moved: set[str] = set()
    for camera, of_camera in enumerate(frames):
        for number, thing in enumerate(put[camera]):
            kind = thing.kind
            boxes = [frame.thing_boxes[frame.things == number] for frame in of_camera]
            boxes = [box for box in boxes if len(box)]
            if len(boxes) > 1 and min(pairwise_iou(boxes[0], box)[0, 0] for box in boxes[1:]) < 0.7:
                moved.add(kind)
            moments = [thing.at(time) for time in np.arange(0, 25, 0.5)]
            if kind == "display":
                assert len({moment.key for moment in moments if moment is not None}) > 2
    assert {"bird", "shadow"} <= moved
    assert not moved & {"mannequin", "coat stand", "mirror"}
