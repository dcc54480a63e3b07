"""supervision in and out: a detector that speaks supervision fills a gallery, and its annotators draw the tracks.

    python examples/with_supervision.py entrance.mp4 --gallery shop --picture entrance.png

``Detector`` here takes any function from a BGR picture to ``supervision.Detections``, for instance
``lambda picture: sv.Detections.from_ultralytics(model(picture)[0])``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import supervision as sv

from reidstream import Config, SourceConfig, build_gallery
from reidstream.engines.local import LocalEngine
from reidstream.inference import open_detector
from reidstream.models import resolve_model
from reidstream.sources.frame import ArrayPicture, Frame, Picture, Pixels
from reidstream.supervision import from_supervision, to_supervision
from reidstream.types import Detections, Observed


class Detector:
    """In: a function that returns supervision.Detections, as a detector. person: the class that means one."""

    def __init__(self, find: Callable[[Pixels], sv.Detections], name: str, person: int | None = 0) -> None:
        self.input_size = (640, 640)
        self.fingerprint = name
        self._find, self._person = find, person

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        return [from_supervision(self._find(p.bgr()), self._person, p.size) for p in pictures]


class Drawing:
    """Out: keeps the frame with most people, drawn by supervision's annotators."""

    def __init__(self) -> None:
        self.most, self.picture = 0, None

    def __call__(self, frame: Frame, observed: Observed) -> None:
        tracks = to_supervision(observed)
        if len(tracks) > self.most:
            scene = sv.BoxAnnotator().annotate(frame.picture.bgr().copy(), tracks)
            labels = [f"track {number}" for number in tracks.tracker_id]
            self.most, self.picture = len(tracks), sv.LabelAnnotator().annotate(scene, tracks, labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--picture", type=Path, default=Path("tracks.png"))
    options = parser.parse_args()
    # Any detector of yours stands here; the one in the package is made to speak supervision.
    own = open_detector(resolve_model("person-detector", "detector"), Config().detector)
    detector = Detector(lambda picture: to_supervision(own.detect([ArrayPicture(picture)])[0]), "theirs")
    summary = build_gallery([options.video], gallery=options.gallery, detector=detector)
    print(f"new tracklets: {summary.stored}, people in {options.gallery}: {summary.people}")
    drawing = Drawing()
    engine = LocalEngine(Config(), [("video", SourceConfig(uri=options.video))], observer=drawing, detector=detector)
    for _ in engine.events():
        pass
    if drawing.picture is not None:
        cv2.imwrite(str(options.picture), drawing.picture)
        print(f"{drawing.most} people in {options.picture}")


if __name__ == "__main__":
    main()
