"""Do the synthetic people look like people, to models that never saw them?

Makes a scene, then asks a detector how many of the people it finds (at least 80 pixels tall and 60 % visible, IoU 0.5)
and a Re-ID model how well it tells them apart across cameras (AUC of same/different person over pairs of tracks from
different cameras, each track the mean of up to eight embeddings). Also how much faster than real time it was made.

    python benchmarks/synthetic_realism.py --detector yolox_nano_416x416.onnx --reid osnet_x0_25_msmt17.onnx
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
from scipy.stats import rankdata

from reidstream.boxes import pairwise_iou
from reidstream.config import DetectorConfig, EmbeddingConfig
from reidstream.inference import open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.sources import ArrayPicture
from reidstream.synthetic import CameraTruth, SceneTruth, World, write_scene

TALL, VISIBLE, OVERLAP = 80, 0.6, 0.5
CROPS = 8


def pictures(camera: CameraTruth, every: int) -> list[tuple[int, np.ndarray]]:
    """(index, BGR frame) of each n-th frame of a camera's video."""
    with av.open(str(camera.video)) as container:
        return [
            (index, frame.to_ndarray(format="bgr24"))
            for index, frame in enumerate(container.decode(video=0))
            if index % every == 0
        ]


def recall(scene: SceneTruth, model: str, every: int, confidence: float) -> tuple[int, int, dict[str, float]]:
    """People found, people there, and the share found per camera."""
    detector = open_detector(resolve_model(model, "detector"), DetectorConfig(confidence=confidence))
    hits, there = defaultdict(int), defaultdict(int)
    for camera in scene.cameras:
        for index, image in pictures(camera, every):
            rows = camera.frames == index
            boxes = camera.boxes[rows]
            wanted = (boxes[:, 3] - boxes[:, 1] >= TALL) & (camera.visibility[rows] >= VISIBLE)
            found = detector.detect([ArrayPicture(image)])[0].boxes
            there[camera.name] += int(wanted.sum())
            if wanted.any() and len(found):
                hits[camera.name] += int((pairwise_iou(boxes[wanted], found).max(axis=1) >= OVERLAP).sum())
    return sum(hits.values()), sum(there.values()), {name: hits[name] / max(there[name], 1) for name in there}


def identity_auc(scene: SceneTruth, model: str, every: int) -> tuple[float, int, int]:
    """AUC over pairs of tracks from different cameras, and the numbers of tracks and of same-person pairs."""
    embedder = open_embedder(resolve_model(model, "reid"), EmbeddingConfig())
    tracks = []
    for camera in scene.cameras:
        crops: dict[int, list[np.ndarray]] = defaultdict(list)
        for index, image in pictures(camera, every):
            for row in np.flatnonzero(camera.frames == index):
                x1, y1, x2, y2 = camera.boxes[row].round().astype(int)
                if y2 - y1 >= TALL and camera.visibility[row] >= VISIBLE:
                    crops[int(camera.track_ids[row])].append(image[y1:y2, x1:x2])
        for track_id, images in crops.items():
            chosen = [images[i] for i in np.unique(np.linspace(0, len(images) - 1, CROPS).round().astype(int))]
            mean = embedder.embed(chosen).mean(axis=0)
            tracks.append((camera.name, scene.person_of()[camera.name, track_id], mean / np.linalg.norm(mean)))
    cameras, persons, vectors = (np.array(column) for column in zip(*tracks, strict=True))
    a, b = np.triu_indices(len(tracks), 1)
    apart = cameras[a] != cameras[b]
    a, b = a[apart], b[apart]
    same = persons[a] == persons[b]
    ranks = rankdata((vectors[a] * vectors[b]).sum(axis=1))
    positives, negatives = int(same.sum()), int((~same).sum())
    auc = (ranks[same].sum() - positives * (positives + 1) / 2) / max(positives * negatives, 1)
    return float(auc), len(tracks), positives


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", required=True, help="name or path of a detector")
    parser.add_argument("--reid", required=True, help="name or path of a Re-ID model")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--every", type=int, default=12, help="look at each n-th frame")
    parser.add_argument("--confidence", type=float, default=0.3, help="detections below do not count")
    parser.add_argument("--keep", type=Path, help="keep the scene in this folder")
    arguments = parser.parse_args()
    world = World(seed=arguments.seed, cameras=arguments.cameras, people=arguments.people, minutes=arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        scene = write_scene(arguments.keep or Path(folder) / "scene", world, overwrite=True)
        seconds = time.monotonic() - begun
        found, there, per_camera = recall(scene, arguments.detector, arguments.every, arguments.confidence)
        auc, tracks, positives = identity_auc(scene, arguments.reid, arguments.every)
    footage = world.cameras * world.minutes * 60
    print(
        json.dumps(
            {
                "recall": round(found / max(there, 1), 4),
                "people_counted": there,
                "recall_per_camera": {name: round(share, 3) for name, share in per_camera.items()},
                "auc": round(auc, 4),
                "tracks": tracks,
                "same_person_pairs": positives,
                "seconds_of_video": footage,
                "seconds_to_make": round(seconds, 1),
                "times_real_time": round(footage / seconds, 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
