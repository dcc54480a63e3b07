"""Boxes to tracks."""

from __future__ import annotations

from reidstream.tracking.tracker import Embed, Tracker, Tracks

__all__ = ["Embed", "Tracker", "Tracks"]
