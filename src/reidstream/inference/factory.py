"""From a model on disk and the configuration to a detector or embedder that runs."""

from __future__ import annotations

from reidstream.config.local import DetectorConfig, EmbeddingConfig
from reidstream.errors import ModelMismatch
from reidstream.inference.embedder import OnnxEmbedder
from reidstream.inference.open_batch import with_any_batch
from reidstream.inference.protocols import Detector, Embedder
from reidstream.inference.session import Device, Session
from reidstream.inference.yolox import YoloxDetector
from reidstream.models.spec import ResolvedModel

FAMILIES = ("yolox", "yolox-decoded")


def open_detector(
    model: ResolvedModel, config: DetectorConfig, device: Device = "cpu", threads: int = 1, lean: bool = True
) -> Detector:
    """The detector, loaded and checked against its description. threads: ONNX Runtime threads inside one call.

    lean: leave out what costs time and changes nothing, on a processor; False runs the file as it is.
    Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "detector":
        raise ModelMismatch(f"{model.path}: expected a detector, but it is described as {model.spec.task!r}")
    family = model.spec.family or "yolox"
    if family not in FAMILIES:
        raise ModelMismatch(f"{model.path}: unknown detector family {family!r}; known are {', '.join(FAMILIES)}")
    return YoloxDetector(
        Session(model.path, device, intra=threads),
        model.spec,
        person_class=config.person_class,
        confidence=config.confidence,
        nms=config.nms,
        decoded=family == "yolox-decoded",
        lean=lean,
    )


def open_embedder(model: ResolvedModel, config: EmbeddingConfig, device: Device = "cpu", threads: int = 1) -> Embedder:
    """The embedder, loaded and checked against its description. threads: ONNX Runtime threads inside one call.

    Raises ModelMismatch, ModelNotFound or DeviceError.
    """
    if model.spec.task != "reid":
        raise ModelMismatch(f"{model.path}: expected a Re-ID model, but it is described as {model.spec.task!r}")
    session = with_any_batch(Session(model.path, device, intra=threads), device, threads)
    return OnnxEmbedder(session, model, batch=config.batch)
