"""The run's embeddings against those of the same boxes on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.config import Config, SourceConfig
from reidstream.inference import open_embedder
from reidstream.inference.protocols import Embedder
from reidstream.models.resolving import resolve_model
from reidstream.sources import open_source
from reidstream.sources.frame import Picture, Pixels
from reidstream.types import FloatArray


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines of the run's embeddings to those made here, one for each sample.

    local: from the box as the local engine cuts it out. scaled: from the box as nvinfer does, in the mux's pixels, with
    even sides, brought to the network's size by plain bilinear scaling.
    """

    local: npt.NDArray[np.float32]
    scaled: npt.NDArray[np.float32]


def likeness(samples: Path, clip: Path, config: Config, mux: Sequence[int] | None) -> Likeness:
    """Embeds the boxes of the samples file on the processor. mux: the mux's width and height, None where it scales
    nothing."""
    with np.load(samples) as arrays:
        frames, boxes, found = arrays["frames"], arrays["boxes"], arrays["embeddings"]
    model = resolve_model(config.deepstream.sgie.model or config.embedding.model, "reid")
    embedder = open_embedder(model, config.embedding)
    size = model.spec.input_size or (256, 128)
    local, scaled = np.zeros((2, len(frames)), np.float32)
    wanted = set(frames.tolist())
    with open_source(SourceConfig(uri=str(clip)), "clip") as source:
        for frame in source:
            if frame.index not in wanted:
                continue
            rows = np.flatnonzero(frames == frame.index)
            local[rows] = _cosines(embedder, [_cut(frame.picture, box) for box in boxes[rows]], found[rows])
            pixels = frame.picture.bgr() if mux is None else frame.picture.scaled(mux[0], mux[1])
            ratio = np.tile(np.array(pixels.shape[1::-1]) / np.array(frame.picture.size), 2)
            crops = [_as_nvinfer(pixels, box * ratio, size) for box in boxes[rows]]
            scaled[rows] = _cosines(embedder, crops, found[rows])
    return Likeness(local, scaled)


def _cosines(embedder: Embedder, crops: list[Pixels], found: FloatArray) -> FloatArray:
    cosines: FloatArray = np.sum(embedder.embed(crops) * found, axis=1)
    return cosines


def _cut(picture: Picture, box: FloatArray) -> Pixels:
    width, height = picture.size
    x1, y1 = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
    return picture.crop(
        x1, y1, max(min(int(np.ceil(box[2])), width), x1 + 1), max(min(int(np.ceil(box[3])), height), y1 + 1)
    )


def _as_nvinfer(pixels: Pixels, box: npt.NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """The crop at the network's size. Left and top go up to even numbers, width and height down (gstnvinfer.cpp)."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = np.clip(box, 0, [width, height, width, height])
    x, y = min((int(left) + 1) // 2 * 2, width - 2), min((int(top) + 1) // 2 * 2, height - 2)
    w, h = max(int(right - left) // 2 * 2, 2), max(int(bottom - top) // 2 * 2, 2)
    crop = pixels[y : y + h, x : x + w]
    scaled: Pixels = cv2.resize(crop, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return scaled
