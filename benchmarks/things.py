"""Things taken for people, and people taken for things.

    python -m benchmarks.things [--detector NAME_OR_FILE] [--pictures FOLDER] [--seeds 101 102 ...] [--scenes FOLDER]

On the synthetic world with mannequins, posters, coat stands, displays, mirrors, birds and shadows in it, and people who
sit, stand and wait (--seeds; the scenes are kept in --scenes): which of the people who can be seen for three seconds
have a tracklet, which were left out as things, and of which things there are tracklets.

On PETS09-S2L1 and TUD-Campus, by their ground truth: tracklets that are stored and show nobody, and what was left out
as a thing and shows somebody. On the shared videos, which have no truth: what was stored, and what was left out for
which reason. With --pictures, single pictures of which nobody is to be seen in most: the half that no training sees
(``training.sequences.held_aside``): how many boxes would start a track, by the detector alone and after a second
look.
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
from reidstream.synthetic import SceneTruth, World, load_scene, write_scene
from reidstream.tracklets import TrackletCollector
from reidstream.tracklets.second_look import SecondLook
from reidstream.types import LeftOut, LeftOutReason, Tracklet
from training.sequences import crop, held_aside

LABELLED = ("PETS09-S2L1", "TUD-Campus")
VIDEOS = ("retail02.mp4", "one-by-one.mp4", "campus.mp4", "plaza.avi")
CLEAR, CLEAR_SECONDS, CLEAR_HEIGHT = 0.3, 3.0, 40
"""Who is there to be found: so much of them can be seen, for so long, at such a height in pixels."""
HOW = ("found", "as a thing", "not seen")
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


def scene_of(seed: int, folder: Path) -> SceneTruth:
    """Four cameras, 45 seconds at 12 frames/s, six people who walk and four who stay at each camera."""
    where = folder / f"things-{seed}"
    if (where / "scene.json").is_file():
        return load_scene(where)
    return write_scene(where, World(seed=seed, cameras=4, people=6, minutes=0.75, fps=12, things=True))


def owner(
    boxes: np.ndarray, frames: np.ndarray, rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[int | None, float]:
    """Whose boxes these are for the most part, and for what share of them. rows: frames, ids, boxes of a truth."""
    hits: Counter[int] = Counter()
    at, ids, there = rows
    for box, frame in zip(boxes, frames.tolist(), strict=True):
        now = np.flatnonzero(at == frame)
        if len(now):
            overlap = pairwise_iou(box[None].astype(np.float32), there[now])[0]
            if overlap.max() >= SOMEBODY:
                hits[int(ids[now[overlap.argmax()]])] += 1
    if not hits:
        return None, 0.0
    who, count = hits.most_common(1)[0]
    return who, count / len(boxes)


def judge_scene(scene: SceneTruth, config: Config) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """People and what became of them, by "posture: what"; things stored by kind; things there by kind."""
    people, stored_things, there = Counter[str](), Counter[str](), Counter[str]()
    for camera in scene.cameras:
        stored, left_out = collected(camera.video, config)
        of_people = (camera.frames, camera.track_ids.astype(np.int64), camera.boxes)
        of_things = (camera.things.frames, camera.things.ids, camera.things.boxes)
        kinds = {thing.thing_id: thing.kind for thing in scene.things if thing.camera == camera.name}
        there.update(kinds[thing] for thing in np.unique(camera.things.ids).tolist())
        found: set[int] = set()
        for tracklet in stored:
            who, share = owner(tracklet.boxes, tracklet.frames, of_people)
            what, thing_share = owner(tracklet.boxes, tracklet.frames, of_things)
            if who is not None and share >= max(0.5, thing_share):
                found.add(who)
            else:
                stored_things[kinds[what] if what is not None and thing_share >= 0.5 else "nothing that is known"] += 1
        taken: set[int] = set()
        for one in left_out:
            if one.why in AS_THINGS:
                middle = np.array([(one.start_frame + one.end_frame) // 2])
                who, _ = owner(np.array([one.box]), middle, of_people)
                what, _ = owner(np.array([one.box]), middle, of_things)
                if who is not None and what is None:
                    taken.add(who)
        clear = (camera.visibility >= CLEAR) & (camera.boxes[:, 3] - camera.boxes[:, 1] >= CLEAR_HEIGHT)
        for track in (track for track in scene.tracks if track.camera == camera.name):
            if np.count_nonzero(clear & (camera.track_ids == track.track_id)) < CLEAR_SECONDS * camera.fps:
                continue
            what = "found" if track.track_id in found else "as a thing" if track.track_id in taken else "not seen"
            people[f"{track.posture}: {what}"] += 1
    return people, stored_things, there


def judge_scenes(seeds: list[int], folder: Path, config: Config) -> None:
    total: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    for seed in seeds:
        for sum_of, part in zip(total, judge_scene(scene_of(seed, folder), config), strict=True):
            sum_of.update(part)
    people, things, there = total
    print(f"synthetic, seeds {' '.join(map(str, seeds))}:")
    for posture in ("walking", "standing", "sitting", "waiting"):
        print(f"  {posture}: " + ", ".join(f"{people[f'{posture}: {how}']} {how}" for how in HOW))
    print(f"  tracklets of things: {sum(things.values())}: {dict(things)}")
    print(f"  there: {dict(there)}")


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
    parser.add_argument("--seeds", type=int, nargs="*", help="synthetic scenes, and nothing else")
    parser.add_argument("--scenes", type=Path, default=Path("build/things"), help="folder for the synthetic scenes")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    config = Config(detector=DetectorConfig(model=given.detector), tracker=TrackerConfig(), embedding=EmbeddingConfig())
    if given.seeds:
        judge_scenes(given.seeds, given.scenes, config)
        return
    if given.pictures is not None:
        judge_pictures(given.pictures, config)
    for name in LABELLED:
        judge_sequence(name, config)
    for name in VIDEOS:
        judge_video(name, config)


if __name__ == "__main__":
    main()
