"""How many of the people a detector finds, and how much of what it finds are people, at IoU 0.5.

    python -m benchmarks.detection [--detector NAME_OR_FILE]

Prints recall, precision and F1 on TUD-Campus and PETS09-S2L1 at several confidences, and at the best F1.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.labelled_scenes import DETECTOR, load_scenes
from reidstream.evaluation.detection import detection_curve

CONFIDENCES = (0.1, 0.25, 0.4, 0.5, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default=str(DETECTOR), help="name or ONNX file")
    arguments = parser.parse_args()
    print(f"{'scene':<14}{'confidence':>11}{'recall':>9}{'precision':>11}{'F1':>8}")
    for scene in load_scenes(arguments.detector, embedder=None):
        people = scene.truth.people
        truth = [people.boxes[people.frames == index + 1] for index in range(len(scene.detections))]
        curve = detection_curve(truth, scene.detections)
        best = curve.best()
        for scores in [*(curve.at(confidence) for confidence in CONFIDENCES), best]:
            mark = "  best F1" if scores is best else ""
            print(
                f"{scene.name:<14}{scores.confidence:>11.2f}{scores.recall:>9.3f}{scores.precision:>11.3f}"
                f"{scores.f1:>8.3f}{mark}"
            )
        found = np.concatenate([d.scores for d in scene.detections])
        print(f"{scene.name:<14}{len(found)} detections of at least 0.1, mean score {found.mean():.2f}")


if __name__ == "__main__":
    main()
