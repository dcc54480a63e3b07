"""A gallery that compares everything in memory: nothing is started for it, and what a search answers is the same."""

from __future__ import annotations

from reidstream.config import GalleryConfig

EXACT = GalleryConfig(index="exact")
