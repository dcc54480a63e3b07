"""Boxes to tracks."""

from __future__ import annotations

from reidstream.tracking.tracker import Embed, Together, Tracker, foreseen
from reidstream.tracking.tracks import Tracks

__all__ = ["Embed", "Together", "Tracker", "Tracks", "foreseen"]
