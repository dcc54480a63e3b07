"""Config → engine → tracklets → gallery → identities: the one place where they meet."""

from __future__ import annotations

from reidstream.pipeline.known import settings_fingerprint
from reidstream.pipeline.opening import EngineName, build_gallery, open_replay, open_run
from reidstream.pipeline.run import GalleryRun
from reidstream.pipeline.store import Checkpoints, TrackletStore
from reidstream.pipeline.summary import RunSummary, SourceState, SourceSummary

__all__ = [
    "Checkpoints",
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
