"""The second look that tells people from things: ``python -m training.things --pictures FOLDER``.

A line through the embedding space of ``person-reid``, one weight a dimension: costs nothing where people are embedded
anyway. People are those of Market-1501, Penn-Fudan, the training videos and synthetic worlds; things are what
``person-detector`` takes for people in single pictures in which YOLOX-nano sees none there, half of the pictures, by
their names (``sequences.held_aside``). The other half, PETS, TUD-Campus and the videos ``campus`` and ``plaza`` are
what the result is judged on, and are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reidstream.boxes import pairwise_iou
from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.evaluation.motchallenge import read_ground_truth
from reidstream.inference.factory import open_detector, open_embedder
from reidstream.inference.protocols import Detector, Embedder
from reidstream.models.manifest import PACKAGE_MANIFEST
from reidstream.models.resolving import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.synthetic import render_crops
from training.sequences import FloatArray, crop, held_aside, read_frames

OUT = PACKAGE_MANIFEST.parent / "embedded" / "person_or_thing.npz"
FOUND, NONE, PERSON = 0.25, 0.08, 0.5
"""A box counts from FOUND of person-detector on; it is a thing below NONE of YOLOX-nano, somebody from PERSON on."""
DECAY, STEPS, RATE = 3e-4, 3000, 0.05
CUT = -1.5
"""Log odds below which the product takes a track for a thing; see ``tracklets.second_look``."""

Picture = NDArray[np.uint8]
Boxes = list[tuple[Picture, float]]


class Looker:
    """Crops of what person-detector finds, with YOLOX-nano's best score there; and their embeddings."""

    def __init__(self, shared: Path) -> None:
        low = DetectorConfig(confidence=0.02)
        self._ours: Detector = open_detector(resolve_model("person-detector", "detector"), low)
        other = resolve_model(str(shared / "models" / "yolox_nano_416x416.onnx"), "detector")
        self._other: Detector = open_detector(other, low)
        self.model = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())

    def found(self, picture: Picture) -> Iterator[tuple[Picture, FloatArray, float]]:
        """Crop, box and the other detector's score of each box."""
        (ours,) = self._ours.detect([ArrayPicture(picture)])
        (others,) = self._other.detect([ArrayPicture(picture)])
        overlap = pairwise_iou(ours.boxes, others.boxes)
        for row in np.flatnonzero(ours.scores >= FOUND).tolist():
            piece = crop(picture, ours.boxes[row])
            if piece is not None:
                near = overlap[row] > 0.4
                yield np.asarray(piece, np.uint8), ours.boxes[row], float(others.scores[near].max(initial=0.0))


def embedded(model: Embedder, crops: list[Picture]) -> FloatArray:
    parts = [model.embed(crops[at : at + 64]) for at in range(0, len(crops), 64)]
    return np.concatenate(parts) if parts else np.zeros((0, model.space.size), np.float32)


def single_pictures(folder: Path, looker: Looker) -> Iterator[tuple[bool, Picture, float]]:
    """Whether it is held aside, crop, and YOLOX-nano's score, of all boxes in a folder of pictures."""
    for path in sorted(folder.iterdir()):
        picture = cv2.imread(str(path))
        if picture is None:
            continue
        scale = min(1.0, 640 / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for piece, _, score in looker.found(np.asarray(small, np.uint8)):
            yield held_aside(path), piece, score


def of_video(path: Path, every: int, looker: Looker) -> list[Picture]:
    """People of a video, as both detectors see them."""
    return [piece for _, frame in read_frames(path, every) for piece, _, score in looker.found(frame) if score >= FOUND]


def of_truth(folder: Path, every: int) -> list[Picture]:
    """People of a labelled sequence, at least 40 pixels high."""
    truth = read_ground_truth(folder / "gt.txt").people
    pieces = []
    for number, frame in read_frames(folder / "video.mp4", every):
        for box in truth.boxes[truth.frames == number]:
            piece = crop(frame, box.astype(np.float32)) if box[3] - box[1] >= 40 else None
            if piece is not None:
                pieces.append(np.asarray(piece, np.uint8))
    return pieces


def pennfudan(folder: Path) -> list[Picture]:
    notes = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in notes["images"]}
    pieces = []
    for note in notes["annotations"]:
        picture = np.asarray(cv2.imread(str(folder / "images" / names[note["image_id"]])), np.uint8)
        x, y, width, height = note["bbox"]
        piece = crop(picture, np.array([x, y, x + width, y + height], np.float32))
        if piece is not None:
            pieces.append(np.asarray(piece, np.uint8))
    return pieces


def market(file: Path, many: int) -> list[Picture]:
    random = np.random.default_rng(0)
    with tarfile.open(file) as packed:
        members = [member for member in packed.getmembers() if member.name.endswith(".jpg")]
        chosen = [members[row] for row in random.choice(len(members), many, replace=False)]
        files = [packed.extractfile(member) for member in chosen]
        return [
            np.asarray(cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR), np.uint8)
            for file in files
            if file is not None
        ]


def fitted(people: list[FloatArray], things: FloatArray) -> tuple[FloatArray, float]:
    """Weights and bias of logistic regression in which every source of people weighs the same, and things as much
    as all of them (Adam on the whole set)."""
    rows = np.concatenate([*people, things]).astype(np.float64)
    wanted = np.r_[np.ones(len(rows) - len(things)), np.zeros(len(things))]
    shares = [np.full(len(one), 0.5 / len(people) / len(one)) for one in people]
    share = np.concatenate([*shares, np.full(len(things), 0.5 / len(things))])
    line = np.zeros(rows.shape[1] + 1)
    mean, square = np.zeros_like(line), np.zeros_like(line)
    for step in range(1, STEPS + 1):
        error = share * (1 / (1 + np.exp(-(rows @ line[:-1] + line[-1]))) - wanted)
        slope = np.r_[rows.T @ error + DECAY * line[:-1], error.sum()]
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        line -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-9)
    return line[:-1].astype(np.float32), float(line[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.things", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--pictures", type=Path, required=True, help="single pictures, most of nobody")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    looker, data = Looker(given.shared), given.shared / "data"
    singles = list(single_pictures(given.pictures, looker))
    things = [piece for held, piece, score in singles if not held and score < NONE]
    people = {
        "single pictures": [piece for held, piece, score in singles if not held and score >= PERSON],
        "market": market(data / "market1501_train.tar", 600),
        "pennfudan": pennfudan(data / "detection" / "pennfudan"),
        "retail02": of_video(data / "videos" / "retail02.mp4", 12, looker),
        "one-by-one": of_video(data / "videos" / "one-by-one.mp4", 14, looker),
        "synthetic": [
            np.asarray(c.image, np.uint8) for c in render_crops(people=60, seed=101, cameras=4, per_camera=1)
        ],
    }
    vectors = {name: embedded(looker.model, crops) for name, crops in people.items()}
    weights, bias = fitted(list(vectors.values()), embedded(looker.model, things))
    held = embedded(looker.model, [piece for aside, piece, score in singles if aside and score < NONE])
    judged = {
        "single pictures, held": [piece for aside, piece, score in singles if aside and score >= PERSON],
        "campus": of_video(data / "videos" / "campus.mp4", 20, looker),
        "plaza": of_video(data / "videos" / "plaza.avi", 40, looker),
        "PETS09-S2L1": of_truth(data / "mot" / "PETS09-S2L1", 20),
        "TUD-Campus": of_truth(data / "mot" / "TUD-Campus", 6),
        "synthetic, other seed": [
            np.asarray(c.image, np.uint8) for c in render_crops(people=40, seed=9001, cameras=4, per_camera=1)
        ],
    }
    print(f"{len(things)} things and {sum(map(len, vectors.values()))} people to learn from; single crops below {CUT}:")
    print(f"  things, held: {np.mean(held @ weights + bias < CUT):.3f} of {len(held)}")
    for name, crops in judged.items():
        odds = embedded(looker.model, crops) @ weights + bias
        print(
            f"  {name}: {np.mean(odds < CUT):.4f} of {len(odds)}; the lowest hundredth at {np.quantile(odds, 0.01):.2f}"
        )
    np.savez(given.out, weights=weights, bias=np.float32(bias), space=np.array(looker.model.space.fingerprint))
    print(given.out)


if __name__ == "__main__":
    main()
