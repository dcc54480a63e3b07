"""Who is lower than two thirds of all people: how many of them the detector finds, by the shape and size of its input.

    python -m benchmarks.smallest_third [--detector NAME_OR_FILE]

On every fifth frame of PETS09-S2L1 and all of TUD-Campus, against their ground truth at an overlap (IoU) of .5, by
scores from .5 on and from those on that start a track: recall of the smallest third, of all, precision, and processor
time a frame on one thread. Boxes on people whom the truth leaves out count as wrong.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.labelled_scenes import SHARED
from reidstream.boxes import pairwise_iou
from reidstream.config import DetectorConfig, TrackerConfig
from reidstream.evaluation.motchallenge import TrackedBoxes, read_ground_truth
from reidstream.inference import open_detector
from reidstream.models import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.types import Detections
from training.sequences import read_frames

SEQUENCES = {"PETS09-S2L1": 5, "TUD-Campus": 1}
"""And every how many frames of each."""
INPUTS = (("model", 1.0), ("picture", 1.0), ("picture", 1.25), ("picture", 1.5))
"""``detector.shape`` and ``detector.scale``."""


def judge(found: dict[int, Detections], truth: TrackedBoxes, score: float) -> tuple[float, float, float]:
    """Recall of the smallest third, recall of all, and precision, of boxes from a score on. found: by frame."""
    heights = truth.boxes[:, 3] - truth.boxes[:, 1]
    low = np.quantile(heights, 1 / 3)
    small: list[bool] = []
    everybody: list[bool] = []
    right: list[bool] = []
    for number, detections in found.items():
        people = truth.boxes[truth.frames == number].astype(np.float32)
        overlap = pairwise_iou(people, detections.boxes[detections.scores >= score])
        hit = overlap.max(axis=1, initial=0) >= 0.5
        everybody += hit.tolist()
        small += hit[people[:, 3] - people[:, 1] <= low].tolist()
        right += (overlap.max(axis=0, initial=0) >= 0.5).tolist()
    return float(np.mean(small)), float(np.mean(everybody)), float(np.mean(right))


def judge_sequence(folder: Path, model: str, every: int) -> None:
    truth = read_ground_truth(folder / "gt.txt").people
    frames = list(read_frames(folder / "video.mp4", every))
    for shape, scale in INPUTS:
        config = DetectorConfig.model_validate({"model": model, "shape": shape, "scale": scale, "confidence": 0.1})
        detector = open_detector(resolve_model(model, "detector"), config)
        found, began = {}, time.process_time()
        for number, pixels in frames:
            (found[number],) = detector.detect([ArrayPicture(pixels)])
        spent = 1000 * (time.process_time() - began) / len(frames)
        rows = []
        for score in (0.5, TrackerConfig().start):
            small, everybody, right = judge(found, truth, score)
            rows.append(f"from {score:g} on: smallest third {small:.3f}, all {everybody:.3f}, precision {right:.3f}")
        print(f"{folder.name} {shape} {scale:g}, {spent:.1f} ms: {'; '.join(rows)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default=DetectorConfig().model, help="name or ONNX file")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    for name, every in SEQUENCES.items():
        judge_sequence(SHARED / "data" / "mot" / name, given.detector, every)


if __name__ == "__main__":
    main()
