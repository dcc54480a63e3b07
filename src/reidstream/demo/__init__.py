"""The whole job on a made-up scene, held against what is known of it."""

from __future__ import annotations

from reidstream.demo.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
