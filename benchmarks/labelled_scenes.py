"""The two labelled scenes of the shared data, with what a detector and an embedder see in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidstream.config import DetectorConfig, EmbeddingConfig, SourceConfig
from reidstream.evaluation.motchallenge import GroundTruth, read_ground_truth
from reidstream.evaluation.sequences import find_sequences
from reidstream.inference import Detector, Embedder, open_detector, open_embedder
from reidstream.models import resolve_model
from reidstream.sources import Picture, open_source
from reidstream.types import Detections, FloatArray, IntArray

SHARED = Path(os.environ.get("REIDSTREAM_SHARED", Path(__file__).parents[2] / "shared"))
DETECTOR = SHARED / "models" / "yolox_nano_416x416.onnx"
EMBEDDER = SHARED / "models" / "osnet_x0_25_msmt17.onnx"


@dataclass(frozen=True)
class Scene:
    """One sequence. detections, embeddings: one per frame, a row of embeddings for each detection (or none at all)."""

    name: str
    truth: GroundTruth
    size: tuple[int, int]
    fps: float
    times: list[float]
    detections: list[Detections]
    embeddings: list[FloatArray]


def load_scenes(detector: str = str(DETECTOR), embedder: str | None = str(EMBEDDER)) -> list[Scene]:
    """TUD-Campus and PETS09-S2L1, every detection of at least .1; embedder None: without embeddings."""
    found = open_detector(resolve_model(detector, "detector"), DetectorConfig())
    look = open_embedder(resolve_model(embedder, "reid"), EmbeddingConfig()) if embedder else None
    return [
        _scene(sequence.name, sequence.frames, sequence.truth, found, look)
        for sequence in find_sequences(SHARED / "data" / "mot")
    ]


def _scene(name: str, frames: Path, truth: Path, detector: Detector, embedder: Embedder | None) -> Scene:
    times, detections, embeddings = [], [], []
    with open_source(SourceConfig(uri=str(frames)), name) as source:
        for frame in source:
            (found,) = detector.detect([frame.picture])
            times.append(frame.media_time)
            detections.append(found)
            if embedder is not None:
                embeddings.append(embedder.embed(crops(frame.picture, found.boxes)))
            size = frame.picture.size
    fps = (len(times) - 1) / (times[-1] - times[0])
    return Scene(name, read_ground_truth(truth), size, fps, times, detections, embeddings)


def crops(picture: Picture, boxes: FloatArray) -> list[np.ndarray]:
    """The pixels of each box, at least one."""
    width, height = picture.size
    corners: IntArray = np.round(boxes).astype(np.int64)
    low = np.clip(corners[:, :2], 0, [width - 1, height - 1])
    high = np.clip(corners[:, 2:], low + 1, [width, height])
    return [picture.crop(int(x1), int(y1), int(x2), int(y2)) for (x1, y1), (x2, y2) in zip(low, high, strict=True)]
