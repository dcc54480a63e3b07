"""A detector of your own: in thermal video people are what is bright, so a threshold finds them.

    python examples/own_detector.py thermal.mp4 --gallery night

Any class with ``input_size`` and ``detect`` will do; a neural network of another family looks the same from outside.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np

from reidstream import build_gallery
from reidstream.sources.frame import Picture
from reidstream.types import Detections


class ThermalDetector:
    """Bright regions that are taller than wide. Without state, so that several threads may use it at once."""

    input_size = (320, 240)
    # With other thresholds it finds others: the gallery must be able to tell.
    fingerprint = "thermal-180"

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        return [self._people(picture) for picture in pictures]

    def _people(self, picture: Picture) -> Detections:
        grey = cv2.cvtColor(picture.scaled(*self.input_size), cv2.COLOR_BGR2GRAY)
        count, _, regions, _ = cv2.connectedComponentsWithStats((grey > 180).astype(np.uint8))
        x, y, width, height, area = regions[1:count].T.astype(np.float32)
        scale = np.array(picture.size, np.float32) / self.input_size
        boxes = np.stack([x, y, x + width, y + height], 1) * np.tile(scale, 2)
        people = (height > 1.3 * width) & (area > 200)
        return Detections(boxes.astype(np.float32), np.full(len(boxes), 0.9, np.float32))[people]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--gallery", default="gallery")
    options = parser.parse_args()
    summary = build_gallery(options.videos, gallery=options.gallery, detector=ThermalDetector())
    print(f"new tracklets: {summary.stored}, people in {options.gallery}: {summary.people}")


if __name__ == "__main__":
    main()
