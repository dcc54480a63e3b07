"""Running models: sessions, detectors, embedders."""

from __future__ import annotations

from reidstream.inference.factory import DETECTED_TOGETHER, open_detector, open_embedder
from reidstream.inference.protocols import AheadEmbedder, BoxEmbedder, Detector, Embedder, StartingDetector

__all__ = [
    "DETECTED_TOGETHER",
    "AheadEmbedder",
    "BoxEmbedder",
    "Detector",
    "Embedder",
    "StartingDetector",
    "open_detector",
    "open_embedder",
]
