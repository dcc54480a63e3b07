"""Running models: sessions, detectors, embedders."""

from __future__ import annotations

from reidstream.inference.factory import DETECTED_TOGETHER, open_detector, open_embedder
from reidstream.inference.protocols import BoxEmbedder, Detector, Embedder

__all__ = ["DETECTED_TOGETHER", "BoxEmbedder", "Detector", "Embedder", "open_detector", "open_embedder"]
