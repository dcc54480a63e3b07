"""Config → engine → tracklets → gallery → identities: the one place where they meet."""

from __future__ import annotations

from reidstream.pipeline.run import (
    EngineName,
    GalleryRun,
    RunSummary,
    SourceState,
    SourceSummary,
    build_gallery,
    open_replay,
    open_run,
    settings_fingerprint,
)
from reidstream.pipeline.store import TrackletStore

__all__ = [
    "EngineName",
    "GalleryRun",
    "RunSummary",
    "SourceState",
    "SourceSummary",
    "TrackletStore",
    "build_gallery",
    "open_replay",
    "open_run",
    "settings_fingerprint",
]
