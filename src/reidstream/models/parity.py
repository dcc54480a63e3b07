"""Proving that a changed model still computes what its source did, and that its embeddings tell people apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from reidstream.errors import ModelDegenerate, ModelMismatch, SourceNotFound
from reidstream.models.spec import Preprocessing
from reidstream.runtime import onnxruntime

Crops = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Network = Callable[[Floats], Floats]

CROPS = 32
LOWEST_COSINE = 0.9999
LOWEST_COSINE_HALF = 0.999
# Mean cosine between different crops, measured with OSNet x0.25 and x1.0 on 64 crops of Market-1501 and on the
# synthetic ones: trained weights 0.33 to 0.61; untrained ones, or trained ones fed 0-255, 0.88 to 0.99.
DEGENERATE_COSINE = 0.9
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two models agree.

    lowest_cosine: between the two outputs for one crop, the worst over all crops. largest_error: largest absolute
    difference of one number, between unit-length embeddings (of outputs that are no vectors: relative to the
    largest number).
    likeness: mean cosine between the embeddings of different crops. real: crops were images, not made up.
    """

    lowest_cosine: float
    largest_error: float
    likeness: float
    crops: int
    real: bool

    def __str__(self) -> str:
        kind = "real" if self.real else "synthetic"
        return (
            f"{self.crops} {kind} crops: lowest cosine {self.lowest_cosine:.7f}, largest error {self.largest_error:.2e}"
        )


def crops_for(input_size: tuple[int, int], images: Path | None = None, count: int = CROPS) -> Crops:
    """uint8 (n, height, width, 3) RGB: the first ``count`` images of a folder by name, or made-up people.

    Raises SourceNotFound when the folder holds fewer than two readable images.
    """
    height, width = input_size
    if images is None:
        return _synthetic(height, width, count)
    if not images.is_dir():
        raise SourceNotFound(f"no folder of images at {images}")
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in _IMAGES)
    # Spread over the folder, since neighbours often show the same person.
    chosen = [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, count).astype(int))] if paths else []
    pictures = [picture for path in chosen if (picture := cv2.imread(str(path), cv2.IMREAD_COLOR)) is not None]
    if len(pictures) < 2:
        raise SourceNotFound(f"{images} must hold at least two images ({', '.join(sorted(_IMAGES))}) to compare models")
    resized = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR) for picture in pictures]
    return np.stack(resized)[..., ::-1].astype(np.uint8)


def prepared(crops: Crops, preprocessing: Preprocessing) -> Floats:
    """Crops as a network wants them: float32, colours, mean and std, and layout applied."""
    values = crops.astype(np.float32)
    if preprocessing.color == "BGR":
        values = values[..., ::-1]
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
    scaled = ((values - mean) / std).astype(np.float32)
    ordered: Floats = np.ascontiguousarray(scaled if preprocessing.layout == "NHWC" else scaled.transpose(0, 3, 1, 2))
    return ordered


def onnx_network(path: Path, output: str | None = None) -> Network:
    """Runs an ONNX file on the CPU: its first input to ``output`` or the first one. Raises ModelMismatch."""
    module = onnxruntime()
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 (ONNX Runtime's errors have no common base)
        raise ModelMismatch(f"ONNX Runtime cannot load {path.name}: {error}") from None
    name = session.get_inputs()[0].name
    wanted = output or session.get_outputs()[0].name

    def run(images: Floats) -> Floats:
        try:
            (values,) = session.run([wanted], {name: images})
        except Exception as error:  # noqa: BLE001
            raise ModelMismatch(f"ONNX Runtime cannot run {path.name} on {images.shape}: {error}") from None
        # A graph that squeezes the batch of one away gives a bare vector.
        result: Floats = np.asarray(values, np.float32)
        return result[None] if len(images) == 1 and result.shape[:1] != (1,) else result

    return run


def in_batches(network: Network, images: Floats, batch: int, fixed: bool = False) -> Floats:
    """Outputs of a network over ``images``, ``batch`` at a time; ``fixed``: fill the last batch up by repeating."""
    outputs = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        full = np.resize(part, (batch, *part.shape[1:])) if fixed else part
        outputs.append(network(full)[: len(part)])
    return np.concatenate(outputs)


def unit(vectors: Floats) -> Floats:
    """Rows divided by their Euclidean length; rows of zeros stay zero."""
    flat = vectors.reshape(len(vectors), -1)
    lengths = np.linalg.norm(flat.astype(np.float64), axis=1, keepdims=True)
    scaled: Floats = np.divide(flat, lengths, out=np.zeros(flat.shape), where=lengths > 0).astype(np.float32)
    return scaled


def compared(source: Floats, result: Floats, real: bool) -> Parity:
    """How far the outputs of two models for the same crops agree, both for n images, n at least 2."""
    if len(source) != len(result) or source.size != result.size:
        raise ModelMismatch(f"the source gives outputs of shape {source.shape}, the result {result.shape}")
    a, b = unit(source).astype(np.float64), unit(result).astype(np.float64)
    finite = bool(np.isfinite(source).all() and np.isfinite(result).all())
    cosine = float((a * b).sum(axis=1).min()) if finite else -1.0
    largest = np.abs(a).max(initial=1e-12) if source.ndim != 2 else 1.0
    error = float(np.abs(a - b).max() / largest) if finite else float("inf")
    return Parity(cosine, error, likeness(unit(result)), len(source), real)


def likeness(embeddings: Floats) -> float:
    """Mean cosine between different rows of unit-length embeddings (n, d)."""
    total = embeddings.astype(np.float64).sum(axis=0)
    n = len(embeddings)
    own = float((embeddings.astype(np.float64) ** 2).sum())
    return (float(total @ total) - own) / (n * (n - 1))


def refuse_degenerate(embeddings: Floats, what: str) -> None:
    """ModelDegenerate when raw embeddings (n, d) of different crops are not finite, zero or nearly all the same."""
    if not np.isfinite(embeddings).all():
        raise ModelDegenerate(f"{what} gives embeddings that are not finite")
    vectors = unit(embeddings)
    empty = int((np.abs(vectors).max(axis=1) == 0).sum())
    if empty:
        raise ModelDegenerate(f"{what} gives a vector of zeros for {empty} of {len(vectors)} crops")
    alike = likeness(vectors)
    if alike > DEGENERATE_COSINE:
        raise ModelDegenerate(
            f"{what} gives nearly the same embedding for different crops: mean cosine {alike:.4f}, at most "
            f"{DEGENERATE_COSINE} expected. The weights are untrained or damaged, or the preprocessing is not theirs"
        )


def _synthetic(height: int, width: int, count: int, seed: int = 7) -> Crops:
    """Standing figures: head, upper and lower body in colours of their own, before a wall, with noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    crops = np.empty((count, height, width, 3), np.float64)
    for crop in crops:
        wall, floor, head, top, legs = random.uniform(0, 255, (5, 3))
        middle, broad, waist = random.uniform((0.4, 0.14, 0.42), (0.6, 0.3, 0.58))
        crop[:] = np.where((y > random.uniform(0.6, 0.95))[..., None], floor, wall)
        crop[(np.abs(x - middle) < broad) & (y > 0.18) & (y <= waist)] = top
        stride = random.uniform(0.02, 0.12)
        leg = np.abs(np.abs(x - middle) - stride * (y - waist) * 4) < broad / 3
        crop[leg & (y > waist) & (y < 0.97)] = legs
        crop[((x - middle) / 0.13) ** 2 + ((y - 0.11) / 0.08) ** 2 < 1] = head
        crop *= random.uniform(0.6, 1.2)
    crops += random.normal(0, 12, crops.shape)
    return crops.clip(0, 255).astype(np.uint8)
