"""The engine inside NVIDIA's DeepStream 8.0: importable everywhere, runnable where gi and pyds are.

NVIDIA's elements decode, detect, track and embed; a probe behind the Re-ID model copies the results out.
"""

from __future__ import annotations
