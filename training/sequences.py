"""Labelled video sequences in MOTChallenge form: frames and boxes, for testing and for the synthetic world's videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """Boxes of people: one row per box; ``boxes`` is float32 (n, 4), xyxy pixels, not clipped to the image."""

    frames: NDArray[np.int64]
    people: NDArray[np.int64]
    boxes: FloatArray
    visibility: FloatArray

    def in_frame(self, frame: int) -> FloatArray:
        return self.boxes[self.frames == frame]


def read_truth(path: Path, visible: float = 0.0) -> Truth:
    """Boxes of a MOTChallenge ``gt.txt``: frame, id, left, top, width, height, considered, class, visibility.

    Frames count from 1. The 2015 form (ten columns, world coordinates in place of class and visibility) counts as
    fully visible. Rows marked as not considered, and those less visible than ``visible``, are left out.
    """
    rows = np.atleast_2d(np.loadtxt(path, delimiter=",", dtype=np.float64))
    if rows.shape[1] not in (9, 10):
        raise ValueError(f"{path}: expected 9 or 10 columns per row, found {rows.shape[1]}")
    seen = rows[:, 8] if rows.shape[1] == 9 else np.ones(len(rows))
    keep = (rows[:, 6] > 0) & (seen >= visible)
    rows, seen = rows[keep], seen[keep]
    boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    return Truth(
        frames=rows[:, 0].astype(np.int64),
        people=rows[:, 1].astype(np.int64),
        boxes=boxes.astype(np.float32),
        visibility=seen.astype(np.float32),
    )


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(frame number from 1, BGR picture) of every ``every``-th frame of a video file."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise FileNotFoundError(f"{path}: not a video that OpenCV can open")
    try:
        number = 0
        while True:
            number += 1
            if (number - 1) % every:
                if not video.grab():
                    return
                continue
            there, frame = video.read()
            if not there:
                return
            yield number, np.asarray(frame, dtype=np.uint8)
    finally:
        video.release()


def crop(frame: NDArray[np.uint8], box: FloatArray) -> NDArray[np.uint8] | None:
    """The part of a frame inside a box, or None when fewer than 4 pixels of a side are in the picture."""
    height, width = frame.shape[:2]
    left, top, right, bottom = np.round(box).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right - left < 4 or bottom - top < 4:
        return None
    return frame[top:bottom, left:right]
