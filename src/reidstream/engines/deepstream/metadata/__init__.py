"""DeepStream's metadata as arrays: through pyds, or out of memory where there is none."""

from __future__ import annotations

from reidstream.engines.deepstream.metadata.arrays import FrameArrays, Layout, Seen
from reidstream.engines.deepstream.metadata.bindings import open_access, open_bindings, open_cutter
from reidstream.engines.deepstream.metadata.reading import BatchReader

__all__ = ["BatchReader", "FrameArrays", "Layout", "Seen", "open_access", "open_bindings", "open_cutter"]
