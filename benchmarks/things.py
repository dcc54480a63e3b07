"""Things taken for people, and people taken for things.

    python -m benchmarks.things [--detector NAME_OR_FILE] [--pictures FOLDER]

On PETS09-S2L1 and TUD-Campus, by their ground truth: tracklets that are stored and show nobody, and what was left out
as a thing and shows somebody. On the shared videos, which have no truth: what was stored, and what was left out for
which reason. With --pictures, single pictures of which nobody is to be seen in most: the half that no training sees
(``training.sequences.held_aside``): how many boxes would start a track, by the detector alone and after a second look.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from benchmarks.labelled_scenes import SHARED
from reidstream.boxes import pairwise_iou
from reidstream.config import Config, DetectorConfig, EmbeddingConfig, SourceConfig, TrackerConfig
from reidstream.engines.local import LocalEngine
from reidstream.evaluation.motchallenge import TrackedBoxes, read_ground_truth
from reidstream.inference import open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.pipeline.second_look import second_look
from reidstream.sources.frame import ArrayPicture
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.second_look import SecondLook
from reidstream.types import LeftOut, LeftOutReason, Tracklet
from training.sequences import crop, held_aside

LABELLED = ("PETS09-S2L1", "TUD-Campus")
VIDEOS = ("retail02.mp4", "one-by-one.mp4", "campus.mp4", "plaza.avi")
AS_THINGS = {LeftOutReason.THING, LeftOutReason.NO_PERSON}
SOMEBODY = 0.4
"""Overlap (IoU) with anybody's true box from which a box shows somebody."""


def collected(video: Path, config: Config) -> tuple[list[Tracklet], list[LeftOut]]:
    engine = LocalEngine(config, [(video.parent.name, SourceConfig(uri=str(video)))])
    collector = TrackletCollector(config.tracklets, config.embedding.per_track, second_look(engine.space))
    stored = [tracklet for event in engine.events() for tracklet in collector.take(event)]
    return stored, collector.left_out()


def shows_somebody(frames: np.ndarray, boxes: np.ndarray, truth: TrackedBoxes) -> bool:
    """Whether half of these boxes lie on anybody; frames count from 0, those of the truth from 1."""
    hits = [
        pairwise_iou(box[None], truth.boxes[truth.frames == frame + 1].astype(np.float32)).max(initial=0) >= SOMEBODY
        for frame, box in zip(frames.tolist(), boxes, strict=True)
    ]
    return bool(np.mean(hits) >= 0.5)


def judge_sequence(name: str, config: Config) -> None:
    folder = SHARED / "data" / "mot" / name
    truth = read_ground_truth(folder / "gt.txt").people
    stored, left_out = collected(folder / "video.mp4", config)
    nobody = [t for t in stored if not shows_somebody(t.frames, t.boxes, truth)]
    lost = []
    for one in left_out:
        middle = np.array([(one.start_frame + one.end_frame) // 2])
        if one.why in AS_THINGS and shows_somebody(middle, np.array([one.box], np.float32), truth):
            lost.append(one)
    reasons = dict(Counter(one.why.value for one in left_out))
    said = f"{len(stored)} stored, {len(nobody)} of them of nobody; {len(lost)} people left out as things"
    print(f"{name}: {said}; {reasons}")


def judge_video(name: str, config: Config) -> None:
    stored, left_out = collected(SHARED / "data" / "videos" / name, config)
    print(f"{name}: {len(stored)} stored; left out {dict(Counter(one.why.value for one in left_out))}")
    for one in left_out:
        if one.why in AS_THINGS:
            box = ",".join(f"{side:.0f}" for side in one.box)
            print(
                f"  {one.why.value} from {one.start_media:.1f} to {one.end_media:.1f} s at {box}, {one.confidence:.2f}"
            )


def judge_pictures(folder: Path, config: Config) -> None:
    detector = open_detector(resolve_model(config.detector.model, "detector"), config.detector)
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    look: SecondLook | None = second_look(embedder.space)
    best, started, left = [], 0, 0
    for path in sorted(folder.iterdir()):
        picture = cv2.imread(str(path)) if held_aside(path) else None
        if picture is None:
            continue
        (found,) = detector.detect([ArrayPicture(np.asarray(picture, np.uint8))])
        best.append(float(found.scores.max(initial=0)))
        sure = found[found.scores >= config.tracker.start]
        pieces = [(box, piece) for box in sure.boxes if (piece := crop(np.asarray(picture, np.uint8), box)) is not None]
        started += len(pieces)
        if pieces and look is not None:
            # A thing that stays gives the same picture again and again.
            vectors = embedder.embed([piece for _, piece in pieces])
            left += sum(
                not look.says_thing(np.stack([vector] * 3), np.stack([box] * 3))
                for (box, _), vector in zip(pieces, vectors, strict=True)
            )
    print(
        f"{folder.name}: {len(best)} pictures, mean of their best scores {np.mean(best):.3f}; "
        f"{started} boxes that start tracks, {left} after the second look"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default=DetectorConfig().model, help="name or ONNX file")
    parser.add_argument("--pictures", type=Path, help="folder of single pictures")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    config = Config(detector=DetectorConfig(model=given.detector), tracker=TrackerConfig(), embedding=EmbeddingConfig())
    if given.pictures is not None:
        judge_pictures(given.pictures, config)
    for name in LABELLED:
        judge_sequence(name, config)
    for name in VIDEOS:
        judge_video(name, config)


if __name__ == "__main__":
    main()
