"""Events to tracklets: which crops count, how they are pooled, and when one track was two people."""

from __future__ import annotations

from reidstream.tracklets.collector import TrackletCollector
from reidstream.tracklets.pooling import Pool, pool
from reidstream.tracklets.quality import box_quality, sharpness
from reidstream.tracklets.selection import SampleSlots

__all__ = ["Pool", "SampleSlots", "TrackletCollector", "box_quality", "pool", "sharpness"]
