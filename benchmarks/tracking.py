"""Our tracker beside those of Roboflow's ``trackers``, on the same detections.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.tracking [--speed]

Ours runs with its one default configuration, with and without appearance; ByteTrack, OC-SORT and BoT-SORT run over a
grid of thresholds, and the best of each scene is taken, separately for HOTA and IDF1. Then the time per frame at 20
boxes, paired: blocks of frames alternate between the trackers, the median counts; ours also for many sources in one
step. --speed: that alone. Without ``trackers`` only our own figures are printed. The grid takes about ten minutes on
one core.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.labelled_scenes import Scene, load_scenes
from reidstream.config import TrackerConfig
from reidstream.evaluation.motchallenge import TrackedBoxes, tracked_boxes
from reidstream.evaluation.tracking import TrackingScores, score_tracks
from reidstream.tracking import Together, Tracker
from reidstream.types import Detections, FloatArray, IntArray

try:
    import supervision
    import trackers as reference
except ImportError:
    reference = None

ACTIVATION = (0.4, 0.5, 0.6, 0.7)
HIGH = (0.3, 0.45, 0.6)
OVERLAP = (0.1, 0.3)
FRAMES = (1, 2)
TOGETHER = (1, 14, 64)


def tracked_by_us(scene: Scene, appearance: bool) -> tuple[TrackedBoxes, float, float]:
    """The tracks, milliseconds per frame without embedding, and embeddings asked for per frame."""
    tracker = Tracker(TrackerConfig(), scene.size)
    rows: list[tuple[int, int, FloatArray]] = []
    asked, spent = 0, 0.0
    for index, moment in enumerate(scene.times):
        known = scene.embeddings[index]

        def embed(wanted: IntArray, known: FloatArray = known) -> FloatArray:
            nonlocal asked
            asked += len(wanted)
            return known[wanted]

        begun = time.perf_counter()
        tracks = tracker.update(scene.detections[index], moment, embed if appearance else None)
        spent += time.perf_counter() - begun
        rows += [(index + 1, int(i), box) for i, box in zip(tracks.track_ids, tracks.boxes, strict=True)]
    frames = len(scene.times)
    return _boxes(rows), spent / frames * 1e3, asked / frames


def tracked_by_reference(scene: Scene, make: Callable[[], Any]) -> TrackedBoxes:
    """The tracks of one of the reference's trackers."""
    tracker = make()
    rows: list[tuple[int, int, FloatArray]] = []
    for index, found in enumerate(scene.detections):
        tracks = tracker.update(supervision.Detections(xyxy=found.boxes, confidence=found.scores))
        ids = np.full(len(tracks), -1) if tracks.tracker_id is None else tracks.tracker_id
        rows += [(index + 1, int(i), box) for i, box in zip(ids, tracks.xyxy, strict=True) if i >= 0]
    return _boxes(rows)


def candidates(fps: float) -> Iterator[tuple[str, dict[str, Any], Callable[[], Any]]]:
    """Name, thresholds and constructor of every point of the grid."""
    for high, iou, frames in itertools.product(HIGH, OVERLAP, FRAMES):
        shared = {"frame_rate": fps, "high_conf_det_threshold": high, "minimum_consecutive_frames": frames}
        settings = {**shared, "minimum_iou_threshold": iou}
        yield "OC-SORT", settings, lambda s=settings: reference.OCSORTTracker(**s)
        for activation in ACTIVATION:
            settings = {**shared, "minimum_iou_threshold": iou, "track_activation_threshold": activation}
            yield "ByteTrack", settings, lambda s=settings: reference.ByteTrackTracker(**s)
            settings = {**shared, "minimum_iou_threshold_first_assoc": iou, "track_activation_threshold": activation}
            yield "BoT-SORT", settings, lambda s=settings: reference.BoTSORTTracker(**s, enable_cmc=False)


def compare(scene: Scene) -> None:
    """Print one scene's table."""
    print(f"\n{scene.name}: {len(scene.times)} frames at {scene.fps:.1f} frames/s")
    for appearance in (True, False):
        tracks, milliseconds, asked = tracked_by_us(scene, appearance)
        scores = score_tracks(scene.truth, tracks)
        name = "ours" if appearance else "ours, motion only"
        print(f"  {name:<18} {_figures(scores)}   {milliseconds:.2f} ms, {asked:.2f} crops embedded a frame")
    if reference is None:
        print("  `trackers` is not installed: nothing to compare with")
        return
    best: dict[tuple[str, str], tuple[float, TrackingScores, dict[str, Any]]] = {}
    for name, settings, make in candidates(scene.fps):
        scores = score_tracks(scene.truth, tracked_by_reference(scene, make))
        for metric in ("hota", "idf1"):
            value = getattr(scores, metric)
            if (name, metric) not in best or value > best[name, metric][0]:
                best[name, metric] = (value, scores, settings)
    for (name, metric), (_, scores, settings) in sorted(best.items()):
        chosen = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "frame_rate")
        print(f"  {name + ' by ' + metric:<18} {_figures(scores)}   {chosen}")


def walkers(count: int, frames: int, seed: int) -> list[Detections]:
    """Boxes of people who walk about and are seen with some noise."""
    rng = np.random.default_rng(seed)
    half = np.array([25, 60])
    centres, speed = rng.uniform(100, 1800, (count, 2)) * [1, 0.5], rng.normal(0, 2, (count, 2))
    found = []
    for _ in range(frames):
        centres = centres + speed
        speed = np.where((centres < 50) | (centres > [1870, 1000]), -speed, speed)
        noisy = centres + rng.normal(0, 1.5, (count, 2))
        boxes = np.concatenate([noisy - half, noisy + half], axis=1).astype(np.float32)
        found.append(Detections(boxes, rng.uniform(0.35, 0.9, count).astype(np.float32)))
    return found


def measure_speed(count: int = 20, blocks: int = 30, block: int = 20) -> None:
    """Print the median time per frame of each tracker."""
    frames = walkers(count, blocks * block, seed=1)
    vectors = np.random.default_rng(2).normal(0, 1, (count, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    plain, looking = Tracker(TrackerConfig(), (1920, 1080)), Tracker(TrackerConfig(), (1920, 1080))
    steps: dict[str, Callable[[int], object]] = {
        "ours, motion only": lambda i: plain.update(frames[i], i / 30),
        "ours": lambda i: looking.update(frames[i], i / 30, lambda rows: vectors[rows]),
    }
    if reference is not None:
        byte = reference.ByteTrackTracker()
        converted = [supervision.Detections(xyxy=f.boxes, confidence=f.scores) for f in frames]
        steps["ByteTrack"] = lambda i: byte.update(converted[i])
    many = {f"ours, {sources} together": (sources, _together(frames, vectors, sources)) for sources in TOGETHER}
    measured = {**{name: (1, step) for name, step in steps.items()}, **many}
    times: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(blocks):
        for name, (sources, step) in measured.items():
            for index in range(number * block, (number + 1) * block):
                begun = time.perf_counter()
                step(index)
                times[name].append((time.perf_counter() - begun) / sources)
    print(f"\nmilliseconds per frame at {count} boxes, embedding not counted (median, 90 %)")
    for name, spent in times.items():
        print(f"  {name:<18} {np.median(spent) * 1e3:.2f}  {np.percentile(spent, 90) * 1e3:.2f}")


def _together(frames: list[Detections], vectors: FloatArray, sources: int) -> Callable[[int], object]:
    """A step of so many sources that are tracked together, each of which shows another part of the same walk."""
    config = TrackerConfig()
    trackers = [Tracker(config, (1920, 1080)) for _ in range(sources)]

    def step(index: int) -> object:
        found = [frames[(index + 7 * source) % len(frames)] for source in range(sources)]
        together = Together(trackers, found, [index / 30] * sources, appearance=True)
        return together.decide([vectors[rows] if len(rows) else None for rows in together.wanted])

    return step


def _boxes(rows: list[tuple[int, int, FloatArray]]) -> TrackedBoxes:
    frames, ids, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return tracked_boxes(frames, ids, np.array(boxes))


def _figures(scores: TrackingScores) -> str:
    return (
        f"HOTA {100 * scores.hota:5.1f}  IDF1 {100 * scores.idf1:5.1f}  DetA {100 * scores.deta:5.1f}  "
        f"AssA {100 * scores.assa:5.1f}  switches {scores.switches:3d}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true", help="only the time per frame")
    if not parser.parse_args().speed:
        for scene in load_scenes():
            compare(scene)
    measure_speed()


if __name__ == "__main__":
    main()
