"""DeepStream's metadata as arrays; the only room that imports pyds."""

from __future__ import annotations

from reidstream.engines.deepstream.metadata.reading import BatchReader, CropCutter, FrameArrays, Layout, Seen

__all__ = ["BatchReader", "CropCutter", "FrameArrays", "Layout", "Seen"]
