"""The local engine: PyAV, ONNX Runtime and our own tracker, on any machine."""

from __future__ import annotations

from reidstream.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
