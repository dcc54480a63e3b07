"""Events to tracklets: which crops count, how they are pooled, and when one track was two people."""

from __future__ import annotations

from reidstream.tracklets.collector import TrackletCollector
from reidstream.tracklets.places import longest_wait
from reidstream.tracklets.pooling import Pool, pool

__all__ = ["Pool", "TrackletCollector", "longest_wait", "pool"]
