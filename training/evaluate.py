"""The embedded models beside the published ones, on the test sequences, in one run.

    python -m training.evaluate                     both tables
    python -m training.evaluate --detectors a.onnx --every 4
    python -m training.evaluate --reid a.onnx b.onnx --json

Detectors: best F1 at IoU 0.5 over all confidences, F1 of people lower than 60 pixels, average processor time per
frame on one thread. Re-ID: AUC of same against different pairs of pooled tracks, where tracks are cut into pieces of
a fixed number of frames, so that every person has several. Only ONNX Runtime is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.evaluation.detection import detection_curve
from reidstream.evaluation.motchallenge import TrackedBoxes, read_ground_truth
from reidstream.inference.factory import open_detector, open_embedder
from reidstream.inference.protocols import Detector, Embedder
from reidstream.models.resolving import resolve_model
from reidstream.sources.frame import ArrayPicture
from reidstream.types import Detections
from training.reid.retrieval import auc, pooled, segments, track_pairs
from training.sequences import crop, read_frames

# Sequence and how many frames a piece of track has: about seven seconds at 7 and one at 25 frames per second.
SEQUENCES = {"PETS09-S2L1": (50, 20, 10), "TUD-Campus": (20, 10, 5)}
SMALL = 60.0


def _sequence(folder: Path, every: int) -> tuple[TrackedBoxes, list[tuple[int, np.ndarray]]]:
    return read_ground_truth(folder / "gt.txt").people, list(read_frames(folder / "video.mp4", every))


def _inside(boxes: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    inside: np.ndarray = np.clip(boxes, 0, [width, height, width, height]).astype(np.float64)
    return inside


def _without(detections: Detections, keep: np.ndarray) -> Detections:
    return Detections(detections.boxes[keep], detections.scores[keep])


def judge_detectors(detectors: dict[str, Detector], data: Path, every: int) -> Iterator[dict[str, object]]:
    """One row per sequence and detector; the detectors take turns frame by frame, so that noise hits all alike."""
    for name in SEQUENCES:
        truth, frames = _sequence(data / "mot" / name, every)
        people = [_inside(truth.boxes[truth.frames == number], pixels) for number, pixels in frames]
        found: dict[str, list[Detections]] = {label: [] for label in detectors}
        spent: dict[str, list[float]] = {label: [] for label in detectors}
        for _, pixels in frames:
            for label, detector in detectors.items():
                start = time.process_time()
                found[label] += detector.detect([ArrayPicture(pixels)])
                spent[label].append(time.process_time() - start)
        for label in detectors:
            curve = detection_curve(people, found[label])
            best, usual = curve.best(), curve.at(0.5)
            low = [boxes[boxes[:, 3] - boxes[:, 1] < SMALL] for boxes in people]
            # For small people alone: a detection that is itself large is neither right nor wrong.
            short = [_without(d, d.boxes[:, 3] - d.boxes[:, 1] < 1.25 * SMALL) for d in found[label]]
            small = detection_curve(low, short).best().f1 if sum(map(len, low)) else None
            yield {
                "sequence": name,
                "model": label,
                "f1": best.f1,
                "at": best.confidence,
                "recall": best.recall,
                "precision": best.precision,
                "f1_at_0.5": usual.f1,
                "f1_small": small,
                "cpu_ms": 1000 * float(np.median(spent[label])),
            }


def judge_embedders(embedders: dict[str, Embedder], data: Path) -> Iterator[dict[str, object]]:
    """One row per sequence and embedder: AUC by length of the pieces."""
    for name, lengths in SEQUENCES.items():
        truth, frames = _sequence(data / "mot" / name, 1)
        pieces, when, who = [], [], []
        for number, pixels in frames:
            here = truth.frames == number
            for box, person in zip(truth.boxes[here], truth.ids[here], strict=True):
                piece = crop(pixels, box)
                if piece is not None:
                    pieces.append(piece)
                    when.append(number)
                    who.append(person)
        people = np.array(who)
        cuts = {length: segments(np.array(when), people, length) for length in lengths}
        for label, embedder in embedders.items():
            vectors = embedder.embed(pieces)
            row: dict[str, object] = {"sequence": name, "model": label}
            for length, rows in cuts.items():
                tracks = np.stack([pooled(vectors[piece]) for piece in rows])
                same, different = track_pairs(tracks, np.array([people[piece[0]] for piece in rows]))
                row[f"auc_{length}"] = auc(same, different)
            yield row


def _print(rows: Sequence[dict[str, object]]) -> None:
    for row in rows:
        cells = [f"{k} {v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items() if v is not None]
        print("  ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("REIDSTREAM_SHARED", "../shared")))
    parser.add_argument("--detectors", nargs="*", help="names or files; default: ours and YOLOX-nano")
    parser.add_argument("--reid", nargs="*", help="names or files; default: ours and OSNet x0.25 (MSMT17)")
    parser.add_argument("--every", type=int, default=1, help="judge detectors on every n-th frame")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    models = given.shared / "models"
    neither = given.detectors is None and given.reid is None
    wanted_detectors = ["person-detector", str(models / "yolox_nano_416x416.onnx")] if neither else given.detectors
    wanted_reid = ["person-reid", str(models / "osnet_x0_25_msmt17.onnx")] if neither else given.reid
    low = DetectorConfig(confidence=0.05)
    detectors = {Path(n).stem: open_detector(resolve_model(n, "detector"), low) for n in wanted_detectors or []}
    embedders = {Path(n).stem: open_embedder(resolve_model(n, "reid"), EmbeddingConfig()) for n in wanted_reid or []}
    data = given.shared / "data"
    rows = [*judge_detectors(detectors, data, given.every)] if detectors else []
    rows += judge_embedders(embedders, data) if embedders else []
    if given.json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)


if __name__ == "__main__":
    main()
