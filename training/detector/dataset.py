"""The detector's training pictures with their boxes, packed into one file that fits a lent machine's upload limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reidstream.boxes import pairwise_iou
from reidstream.evaluation.motchallenge import read_ground_truth
from training.detector.labels import Teacher
from training.sequences import FloatArray, held_aside, read_frames

# Pseudo-labels at or above LABEL are people, between UNSURE and LABEL neither people nor background.
LABEL, UNSURE = 0.45, 0.12
MAX_SIDE = 640
# The unlabelled videos whose terms allow training, and every how many frames one is taken.
VIDEOS = {"retail02.mp4": 12, "one-by-one.mp4": 14}


@dataclass
class Pictures:
    """JPEG pictures and boxes. ``boxes`` rows are picture, x1, y1, x2, y2, kind (1 person, 0 to be ignored)."""

    jpegs: list[bytes] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def add(
        self, source: str, picture: NDArray[np.uint8], people: FloatArray, ignored: FloatArray, quality: int
    ) -> None:
        scale = min(1.0, MAX_SIDE / max(picture.shape[:2]))
        if scale < 1:
            picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        number = len(self.jpegs)
        self.jpegs.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
        self.sources.append(source)
        self.boxes += [(number, *(b * scale), 1) for b in people]
        self.boxes += [(number, *(b * scale), 0) for b in ignored]

    def write(self, path: Path) -> None:
        lengths = np.array([len(j) for j in self.jpegs])
        np.savez(
            path,
            blob=np.frombuffer(b"".join(self.jpegs), np.uint8),
            ends=np.cumsum(lengths),
            boxes=np.array(self.boxes, np.float32).reshape(-1, 6),
            sources=np.array(self.sources),
        )


def pennfudan(folder: Path, teacher: Teacher) -> Iterator[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]]:
    """Penn-Fudan's pictures. People whom only the teacher sees (far away, half hidden) are ignored."""
    notes = json.loads((folder / "annotations.json").read_text())
    for image in notes["images"]:
        boxes = np.array([a["bbox"] for a in notes["annotations"] if a["image_id"] == image["id"]], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        picture = np.asarray(cv2.imread(str(folder / "images" / image["file_name"])), np.uint8)
        seen, scores = teacher.vote(picture)
        seen = seen[scores >= UNSURE]
        known = pairwise_iou(seen, boxes).max(1, initial=0) if len(seen) else np.zeros(0)
        yield "pennfudan", picture, boxes, seen[known < 0.3]


def unlabelled(
    path: Path, every: int, teacher: Teacher
) -> Iterator[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]]:
    """Frames of a video with the teacher's votes as labels."""
    for _, frame in read_frames(path, every):
        boxes, scores = teacher.vote(frame)
        sure = scores >= LABEL
        yield path.stem, frame, boxes[sure], boxes[~sure & (scores >= UNSURE)]


def diverse(folder: Path, teacher: Teacher) -> Iterator[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]]:
    """Single pictures of all kinds of things with the teacher's votes as labels; those set aside are left out.

    Most show nobody: they are what keeps a network of one class from taking coats, birds and portraits for people.
    """
    for path in sorted(folder.iterdir()):
        picture = None if held_aside(path) else cv2.imread(str(path))
        if picture is None:
            continue
        boxes, scores = teacher.vote(np.asarray(picture, np.uint8))
        sure = scores >= LABEL
        yield "diverse", np.asarray(picture, np.uint8), boxes[sure], boxes[~sure & (scores >= UNSURE)]


def synthetic(folder: Path, every: int) -> Iterator[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]]:
    """Frames of a synthetic camera (``video.mp4`` beside ``gt.txt``); people less than a third visible are ignored."""
    truth = read_ground_truth(folder / "gt.txt")
    people, boxes = truth.people, truth.people.boxes.astype(np.float32)
    for number, frame in read_frames(next(folder.glob("*.mp4")), every):
        here = people.frames == number
        clear = here & (truth.visibility >= 0.33)
        yield f"synthetic-{folder.parent.name}-{folder.name}", frame, boxes[clear], boxes[here & ~clear]


def pack(
    items: Iterable[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]], into: Pictures, quality: int = 85
) -> None:
    for source, picture, people, ignored in items:
        into.add(source, picture, people, ignored, quality)


def rendered(
    seeds: Iterable[int], cameras: int = 4, people: int = 24, every: int = 75
) -> Iterator[tuple[str, NDArray[np.uint8], FloatArray, FloatArray]]:
    """Frames of synthetic scenes, straight from memory; people less than a third visible are ignored."""
    from reidstream.synthetic import World

    for seed in seeds:
        world = World(seed=seed, cameras=cameras, people=people, minutes=1.0)
        for camera in range(cameras):
            for frame in world.render_frames(camera, every):
                clear = frame.visibility >= 0.33
                boxes = frame.boxes.astype(np.float32)
                yield f"synthetic-{seed}", frame.image, boxes[clear], boxes[~clear]
