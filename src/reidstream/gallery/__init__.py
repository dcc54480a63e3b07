"""The gallery: SQL holds the facts, a vector index makes them searchable."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidstream.gallery.appearances import Prototypes
    from reidstream.gallery.gallery import Gallery
    from reidstream.gallery.interchange import State
    from reidstream.gallery.migrations import Migration
    from reidstream.gallery.recordings import Begin, Recording
    from reidstream.gallery.rows import Filter, Rows

# Imported when first used: the process of the vector index needs nothing of SQL and starts sooner without.
_HOMES = {
    "Begin": "reidstream.gallery.recordings",
    "Filter": "reidstream.gallery.rows",
    "Gallery": "reidstream.gallery.gallery",
    "Migration": "reidstream.gallery.migrations",
    "Prototypes": "reidstream.gallery.appearances",
    "Recording": "reidstream.gallery.recordings",
    "Rows": "reidstream.gallery.rows",
    "State": "reidstream.gallery.interchange",
}

__all__ = ["Begin", "Filter", "Gallery", "Migration", "Prototypes", "Recording", "Rows", "State"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reidstream.gallery' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
