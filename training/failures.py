"""Pictures of what the embedded models get wrong, made in the synthetic world: ``python -m training.failures``.

Writes ``docs/models/person-detector-failures.jpg`` (frames with the most misses and false boxes; green found, red
missed, yellow false) and ``docs/models/person-reid-failures.jpg`` (pairs of different people that look most alike to
the model, one pair above the other). The scene's seed is none of those that training saw.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from reidstream.boxes import pairwise_iou
from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.inference.factory import open_detector, open_embedder
from reidstream.models.resolving import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.synthetic import World, render_crops

OUT = Path("docs/models")
SEED = 9001
CONFIDENCE = 0.5
GREEN, RED, YELLOW = (80, 200, 80), (60, 60, 230), (40, 210, 240)


def detector_failures(cameras: int = 4, shown: int = 4) -> np.ndarray:
    detector = open_detector(resolve_model("person-detector", "detector"), DetectorConfig(confidence=CONFIDENCE))
    world = World(seed=SEED, cameras=cameras, people=24, minutes=0.6)
    judged: list[tuple[int, int, np.ndarray]] = []
    for camera in range(cameras):
        for frame in world.render_frames(camera, every=90):
            clear = frame.boxes[frame.visibility >= 0.4].astype(np.float32)
            found = detector.detect([ArrayPicture(frame.image)])[0].boxes
            overlap = pairwise_iou(found, frame.boxes.astype(np.float32))
            hit = pairwise_iou(clear, found).max(1, initial=0) >= 0.5
            real = overlap.max(1, initial=0) >= 0.4
            picture = frame.image.copy()
            for boxes, colour in ((clear[hit], GREEN), (clear[~hit], RED), (found[~real], YELLOW)):
                for x1, y1, x2, y2 in boxes.round().astype(int).tolist():
                    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
            judged.append((int((~hit).sum() + (~real).sum()), len(judged), picture))
    worst = [picture for *_, picture in sorted(judged, reverse=True)[:shown]]
    small = [cv2.resize(p, (480, 270), interpolation=cv2.INTER_AREA) for p in worst]
    return np.vstack([np.hstack(small[i : i + 2]) for i in range(0, shown, 2)])


def reid_failures(shown: int = 10) -> np.ndarray:
    embedder = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())
    crops = list(render_crops(people=60, seed=SEED, cameras=4, per_camera=1))
    vectors = embedder.embed([crop.image for crop in crops])
    people = np.array([crop.person for crop in crops])
    alike = vectors @ vectors.T
    alike[people[:, None] == people[None]] = -1
    alike[np.tril_indices(len(people))] = -1
    pairs, used = [], set()
    for place in np.argsort(-alike, axis=None):
        a, b = (int(n) for n in np.unravel_index(place, alike.shape))
        key = frozenset((int(people[a]), int(people[b])))
        if key not in used:
            used.add(key)
            pairs.append((crops[a].image, crops[b].image))
        if len(pairs) == shown:
            break
    fitted = [[cv2.resize(image, (72, 144)) for image in pair] for pair in pairs]
    return np.hstack([np.vstack(pair) for pair in fitted])


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, picture in (("person-detector", detector_failures()), ("person-reid", reid_failures())):
        path = OUT / f"{name}-failures.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
        print(path)


if __name__ == "__main__":
    main()
