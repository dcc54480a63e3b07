"""The gallery: SQL holds the facts, a vector index makes them searchable."""

from __future__ import annotations

from reidstream.gallery.gallery import Gallery, Prototypes
from reidstream.gallery.migrations import Migration
from reidstream.gallery.recordings import Begin, Recording, State
from reidstream.gallery.rows import Filter, Rows

__all__ = ["Begin", "Filter", "Gallery", "Migration", "Prototypes", "Recording", "Rows", "State"]
