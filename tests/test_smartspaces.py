"""Crops out of NVIDIA PhysicalAI-SmartSpaces, on a miniature of its two editions."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.reid.smartspaces import LEAST_HEIGHT, MOST_EACH, packed, scenes

FRAMES = 40
COLOURS = {1: (40, 40, 220), 2: (40, 220, 40)}
TALL, PLACES = 110, {1: 20, 2: 170}


def film(path: Path, people: tuple[int, ...]) -> None:
    """People as upright bars of their colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (320, 240))
    frame = np.full((240, 320, 3), 90, np.uint8)
    for person in people:
        frame[60 : 60 + TALL, PLACES[person] : PLACES[person] + 50] = COLOURS[person]
    for _ in range(FRAMES):
        writer.write(frame)
    writer.release()


def of_2024(folder: Path, seen: tuple[tuple[int, tuple[int, ...]], ...] = ((7, (1, 2)), (8, (2,)))) -> None:
    scene = folder / "MTMC_Tracking_2024" / "train" / "scene_001"
    lines = []
    for camera, people in seen:
        film(scene / f"camera_{camera:04}" / "video.mp4", people)
        for frame in range(FRAMES):
            lines += [f"{camera} {person} {frame} {PLACES[person]} 60 50 {TALL} 1.5 -2.5" for person in people]
    (scene / "ground_truth.txt").write_text("\n".join(lines) + "\n")


def of_2025(folder: Path, joint: str = " ", kind: str = "Person") -> None:
    scene = folder / "MTMC_Tracking_2025" / "train" / "Warehouse_000"
    film(scene / "videos" / "Camera.mp4", (1,))
    film(scene / "videos" / "Camera_0003.mp4", (1,))
    box = [PLACES[1], 60, PLACES[1] + 50, 60 + TALL]
    shown = {
        "object type": kind,
        "object id": 5,
        "2d bounding box visible": {"Camera": box, "Camera_0003": box},
    }
    thing = {"object type": "Forklift", "object id": 9, "2d bounding box visible": {"Camera": [0, 0, 90, 200]}}
    objects = [{name.replace(" ", joint): value for name, value in entry.items()} for entry in (shown, thing)]
    (scene / "ground_truth.json").write_text(json.dumps({str(frame): objects for frame in range(FRAMES)}))


@pytest.mark.parametrize("joint", [" ", "_"])
def test_both_editions_become_crops_with_people_and_cameras(tmp_path: Path, joint: str) -> None:
    of_2024(tmp_path)
    of_2025(tmp_path, joint)
    crops = packed(tmp_path, every=20)
    pairs = sorted(zip(crops.people.tolist(), crops.cameras.tolist(), strict=True))
    # Frames 1 and 21 of each: two people by camera 7, one of them by 8, one of another scene by its two cameras.
    assert pairs == sorted([(0, 0), (1, 0), (1, 1), (2, 2), (2, 3)] * 2)
    pictures = crops.pictures(64, 32)
    for person, colour in ((0, COLOURS[1]), (1, COLOURS[2]), (2, COLOURS[1])):
        means = pictures[crops.people == person].mean(axis=(2, 3))
        assert np.abs(means - np.array(colour[::-1])).max() < 30


def test_it_is_a_pack_that_training_reads(tmp_path: Path) -> None:
    of_2025(tmp_path)
    packed(tmp_path, every=10).write(tmp_path / "market.npz")
    again = type(packed(tmp_path, every=10)).read(tmp_path / "market.npz")
    assert set(again.people.tolist()) == {0} and set(again.cameras.tolist()) == {0, 1}


def test_one_person_by_one_camera_is_not_taken_without_end(tmp_path: Path) -> None:
    of_2025(tmp_path)
    crops = packed(tmp_path, every=1)
    assert FRAMES > MOST_EACH
    assert np.bincount(crops.cameras).tolist() == [MOST_EACH, MOST_EACH]


def test_small_people_are_left_out(tmp_path: Path) -> None:
    of_2024(tmp_path)
    truth = next(tmp_path.rglob("ground_truth.txt"))
    truth.write_text(truth.read_text().replace(f" 50 {TALL} ", f" 20 {LEAST_HEIGHT - 1} "))
    assert len(packed(tmp_path, every=20).people) == 0


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ground_truth"):
        list(scenes(tmp_path))
    of_2024(tmp_path)
    truth = next(tmp_path.rglob("ground_truth.txt"))
    whole = truth.read_text()
    truth.write_text(whole + "8 2 nine 1 2 3 4\n")
    with pytest.raises(ValueError, match=r"line \d+: expected camera"):
        list(scenes(tmp_path))
    truth.write_text(whole + "9 2 1 1 2 3 4\n")
    with pytest.raises(ValueError, match="camera 9, but that camera's video is not there"):
        list(scenes(tmp_path))
    truth.unlink()
    of_2025(tmp_path)
    json_truth = next(tmp_path.rglob("ground_truth.json"))
    json_truth.write_text('{"0": [{"object type": "Person"}]}')
    with pytest.raises(ValueError, match="not the ground truth of a scene"):
        list(scenes(tmp_path))
