"""What it costs to get at a frame's pixels, and whether the cheap way changes what is detected.

    python -m benchmarks.pictures [SHARED]

Three ways from a decoded frame to a detector's input are run on the same frames, in turn, and the medians of their
CPU time are printed: planes resized before conversion (what sources do), the whole frame converted and then resized,
and swscale doing both. Then recall and precision at IoU 0.5 and confidence 0.25 of one detector on each of them.
SHARED is the folder with the real videos and weights (default: $REIDSTREAM_SHARED or ../shared).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from scipy.optimize import linear_sum_assignment

from reidstream.config import load_config
from reidstream.inference import open_detector
from reidstream.models import resolve_model
from reidstream.sources.frame import ArrayPicture, Picture, Pixels
from reidstream.sources.picture import VideoPicture

INPUT = (416, 234)
BOX = (301, 201, 421, 501)


class ScaledBySwscale:
    """A Picture whose ``scaled`` is one call of swscale (bilinear, which averages when it shrinks)."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._reformatter = VideoReformatter()
        self.size = (frame.width, frame.height)

    def bgr(self) -> Pixels:
        return np.asarray(self._frame.to_ndarray(format="bgr24"))

    def scaled(self, width: int, height: int) -> Pixels:
        scaled = self._reformatter.reformat(self._frame, width, height, "bgr24", threads=1)
        return np.asarray(scaled.to_ndarray())

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Pixels:
        return self.bgr()[y1:y2, x1:x2]


def converted(frame: Any) -> Picture:
    """The whole frame through swscale."""
    return ArrayPicture(frame.to_ndarray(format="bgr24", threads=1))


WAYS: dict[str, Callable[[Any], Picture]] = {
    "planes first": VideoPicture,
    "whole frame first": converted,
    "swscale": ScaledBySwscale,
}


def costs(video: Path, frames: int = 60) -> None:
    """Print median milliseconds of CPU per frame for each way."""
    with av.open(str(video)) as container:
        decoded = [frame for frame, _ in zip(container.decode(video=0), range(frames), strict=False)]
    jobs: dict[str, Callable[[Picture], object]] = {
        f"scaled to {INPUT[0]}x{INPUT[1]}": lambda picture: picture.scaled(*INPUT),
        f"one crop of {BOX[2] - BOX[0]}x{BOX[3] - BOX[1]}": lambda picture: picture.crop(*BOX),
        "whole frame": lambda picture: picture.bgr(),
    }
    for job, work in jobs.items():
        spent: dict[str, list[float]] = {way: [] for way in WAYS}
        for frame in decoded:
            for way, make in WAYS.items():
                begin = time.thread_time()
                work(make(frame))
                spent[way].append(1e3 * (time.thread_time() - begin))
        print(f"{job}: " + ", ".join(f"{way} {statistics.median(ms):.2f} ms" for way, ms in spent.items()))


def detections(shared: Path, sequence: str, every: int) -> None:
    """Print recall and precision of YOLOX-nano on each way."""
    config = load_config(None, [f'detector.model="{shared / "models/yolox_nano_416x416.onnx"}"'])
    detector = open_detector(resolve_model(config.detector.model, "detector"), config.detector, "cpu")
    folder = shared / "data/mot" / sequence
    truth = np.loadtxt(folder / "gt.txt", delimiter=",", usecols=range(6))
    found = {way: np.zeros(3, int) for way in WAYS}
    with av.open(str(folder / "video.mp4")) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every:
                continue
            people = truth[truth[:, 0] == index + 1, 2:6]
            people = np.hstack([people[:, :2], people[:, :2] + people[:, 2:]])
            for way, make in WAYS.items():
                result = detector.detect([make(frame)])[0]
                boxes = result.boxes[result.scores >= 0.25]
                found[way] += (hits(people, boxes), len(people), len(boxes))
    for way, (hit, people_count, box_count) in found.items():
        print(f"{sequence}, {way}: recall {hit / people_count:.3f}, precision {hit / box_count:.3f}")


def hits(people: Any, boxes: Any) -> int:
    """Pairs of a one-to-one assignment with an IoU of at least 0.5."""
    low = np.maximum(people[:, None, :2], boxes[None, :, :2])
    high = np.minimum(people[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (people, boxes)]
    overlap = shared / (areas[0][:, None] + areas[1][None] - shared)
    rows, columns = linear_sum_assignment(-overlap)
    return int((overlap[rows, columns] >= 0.5).sum())


def main() -> None:
    default = os.environ.get("REIDSTREAM_SHARED", Path(__file__).parents[2] / "shared")
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    if not (shared / "data").is_dir():
        sys.exit(f"no real videos in {shared / 'data'}; name the folder that holds data/ and models/")
    cv2.setNumThreads(1)
    costs(shared / "data/videos/retail02.mp4")
    detections(shared, "TUD-Campus", 1)
    detections(shared, "PETS09-S2L1", 5)


if __name__ == "__main__":
    main()
