"""The engine inside NVIDIA's DeepStream 8.0: importable everywhere, runnable where gi and pyds are."""

from __future__ import annotations
