"""Crops out of NVIDIA PhysicalAI-SmartSpaces, whose people are made up and whose licence is CC-BY-4.0.

The data set (nvidia/PhysicalAI-SmartSpaces) holds scenes, each seen by many cameras at once:

    MTMC_Tracking_2024/train/scene_001/ground_truth.txt, scene_001/camera_0001/video.mp4
    MTMC_Tracking_2025/train/Warehouse_000/ground_truth.json, Warehouse_000/videos/Camera_0000.mp4

A line of the text file is camera, person, frame (from 0), left, top, width, height and the place in the world. The JSON
file has for each frame (from 0) its objects with "object type", "object id" and, by camera, "2d bounding box
visible" as left, top, right, bottom; words are joined by blanks or underscores. Depth maps are not looked at. People of
different scenes are different people, as far as anybody says; a person of one scene is the same for all its cameras.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.reid.dataset import Crops, encode
from training.sequences import FloatArray, crop, read_frames

LICENCE = "CC-BY-4.0"
ATTRIBUTION = "NVIDIA PhysicalAI-SmartSpaces (CC-BY-4.0)"
LEAST_HEIGHT = 64
"""Pixels of a person's height below which a crop teaches little."""
MOST_EACH = 24
"""Crops of a person by one camera; more of them are nearly the same."""
_PERSON = "person"
_NUMBER = re.compile(r"(\d+)$")

Boxes = dict[int, list[tuple[int, FloatArray]]]
"""By frame, from 0: person and box (left, top, right, bottom) in pixels."""


@dataclass(frozen=True)
class Scene:
    """What one scene's cameras see. cameras: video and boxes of each, in the order of their names."""

    name: str
    cameras: list[tuple[Path, Boxes]]


def scenes(folder: Path) -> Iterator[Scene]:
    """Every scene below ``folder`` that has ground truth, of either edition. Raises ValueError when there is none."""
    found = sorted([*folder.rglob("ground_truth.txt"), *folder.rglob("ground_truth.json")])
    if not found:
        raise ValueError(
            f"{folder}: no ground_truth.txt or ground_truth.json below it; expected folders as of "
            "nvidia/PhysicalAI-SmartSpaces, such as MTMC_Tracking_2025/train/Warehouse_000"
        )
    for truth in found:
        boxes = _lines(truth) if truth.suffix == ".txt" else _objects(truth)
        videos = {_number(path): path for path in sorted(truth.parent.glob("camera_*/video.mp4"))}
        videos |= {_number(path): path for path in sorted(truth.parent.glob("videos/*.mp4"))}
        missing = sorted(set(boxes) - set(videos))
        if missing:
            raise ValueError(f"{truth}: it has boxes of camera {missing[0]}, but that camera's video is not there")
        yield Scene(
            str(truth.parent.relative_to(folder)), [(videos[camera], boxes[camera]) for camera in sorted(boxes)]
        )


def packed(folder: Path, every: int = 30) -> Crops:
    """Crops of all people of all scenes, by every ``every``-th frame (30 a second), numbered over all scenes."""
    return encode(_crops(folder, every))


def _crops(folder: Path, every: int) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    numbers: dict[tuple[str, int], int] = {}
    cameras = 0
    for scene in scenes(folder):
        for video, boxes in scene.cameras:
            taken: dict[int, int] = {}
            for number, frame in read_frames(video, every):
                for person, box in boxes.get(number - 1, []):
                    piece = crop(frame, box)
                    if piece is None or piece.shape[0] < LEAST_HEIGHT or piece.shape[0] < 1.2 * piece.shape[1]:
                        continue
                    if taken.get(person, 0) >= MOST_EACH:
                        continue
                    taken[person] = taken.get(person, 0) + 1
                    yield piece, numbers.setdefault((scene.name, person), len(numbers)), cameras
            cameras += 1


def _number(path: Path) -> int:
    """The number of a camera out of its video's name, or out of its folder's."""
    name = path.parent.name if path.stem == "video" else path.stem
    match = _NUMBER.search(name)
    # The first camera of some scenes has a name without a number.
    return int(match[1]) if match else 0


def _lines(path: Path) -> dict[int, Boxes]:
    cameras: dict[int, Boxes] = {}
    for at, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            camera, person, frame, *sides = (float(part) for part in line.split()[:7])
            left, top, width, height = sides
        except ValueError:
            raise ValueError(
                f"{path}, line {at}: expected camera, person, frame, left, top, width and height as numbers, "
                f"found {line.strip()[:80]!r}"
            ) from None
        box = np.array([left, top, left + width, top + height], np.float32)
        cameras.setdefault(int(camera), {}).setdefault(int(frame), []).append((int(person), box))
    return cameras


def _objects(path: Path) -> dict[int, Boxes]:
    cameras: dict[int, Boxes] = {}
    try:
        for frame, objects in json.loads(path.read_text()).items():
            for entry in objects:
                if str(_value(entry, "object type")).lower() != _PERSON:
                    continue
                for camera, sides in (_value(entry, "2d bounding box visible") or {}).items():
                    row = (int(_value(entry, "object id")), np.array(sides, np.float32).reshape(4))
                    cameras.setdefault(_number(Path(camera)), {}).setdefault(int(frame), []).append(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{path}: not the ground truth of a scene as it is known here: {error}") from None
    return cameras


def _value(entry: dict[str, Any], name: str) -> Any:
    return entry[name] if name in entry else entry[name.replace(" ", "_")]
