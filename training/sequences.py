"""Frames of labelled videos, and what lies in a box of one; their truth is read by ``reidstream.evaluation``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


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


def held_aside(path: Path) -> bool:
    """Whether a single picture is kept for measuring and never trained on: half of them, by their names."""
    return hashlib.sha256(path.name.encode()).digest()[0] % 2 == 0


def crop(frame: NDArray[np.uint8], box: FloatArray) -> NDArray[np.uint8] | None:
    """The part of a frame inside a box, or None when fewer than 4 pixels of a side are in the picture."""
    height, width = frame.shape[:2]
    left, top, right, bottom = np.round(box).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right - left < 4 or bottom - top < 4:
        return None
    return frame[top:bottom, left:right]
