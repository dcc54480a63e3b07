"""The one configuration tree: a TOML file and the command line meet here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidstream.config.alerts import AlertConfig
    from reidstream.config.base import Section
    from reidstream.config.clips import ClipConfig
    from reidstream.config.deepstream import DeepStreamConfig
    from reidstream.config.gallery import GalleryConfig
    from reidstream.config.live import LiveConfig
    from reidstream.config.local import (
        DetectorConfig,
        EmbeddingConfig,
        LocalEngineConfig,
        TrackerConfig,
        TrackletConfig,
    )
    from reidstream.config.retention import RetentionConfig
    from reidstream.config.sources import SourceConfig
    from reidstream.config.tree import Config, load_config

# Imported when first used: naming somebody needs no settings, and starts sooner without pydantic.
_HOMES = {
    "AlertConfig": "reidstream.config.alerts",
    "ClipConfig": "reidstream.config.clips",
    "Config": "reidstream.config.tree",
    "DeepStreamConfig": "reidstream.config.deepstream",
    "DetectorConfig": "reidstream.config.local",
    "EmbeddingConfig": "reidstream.config.local",
    "GalleryConfig": "reidstream.config.gallery",
    "LiveConfig": "reidstream.config.live",
    "LocalEngineConfig": "reidstream.config.local",
    "RetentionConfig": "reidstream.config.retention",
    "Section": "reidstream.config.base",
    "SourceConfig": "reidstream.config.sources",
    "TrackerConfig": "reidstream.config.local",
    "TrackletConfig": "reidstream.config.local",
    "load_config": "reidstream.config.tree",
}

__all__ = [
    "AlertConfig",
    "ClipConfig",
    "Config",
    "DeepStreamConfig",
    "DetectorConfig",
    "EmbeddingConfig",
    "GalleryConfig",
    "LiveConfig",
    "LocalEngineConfig",
    "RetentionConfig",
    "Section",
    "SourceConfig",
    "TrackerConfig",
    "TrackletConfig",
    "load_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reidstream.config' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
