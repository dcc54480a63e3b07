"""Which crops of a track are worth embedding: how good they are, and slots over the track's life."""

from __future__ import annotations

from reidstream.engines.sampling.quality import box_quality
from reidstream.engines.sampling.slots import SampleSlots, SlotRows
from reidstream.sharpness import sharpness

__all__ = ["SampleSlots", "SlotRows", "box_quality", "sharpness"]
