"""The one configuration tree: a TOML file and the command line meet here."""

from __future__ import annotations

from reidstream.config.base import Section
from reidstream.config.deepstream import DeepStreamConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.local import (
    DetectorConfig,
    EmbeddingConfig,
    LocalEngineConfig,
    TrackerConfig,
    TrackletConfig,
)
from reidstream.config.sources import SourceConfig
from reidstream.config.tree import Config, load_config

__all__ = [
    "Config",
    "DeepStreamConfig",
    "DetectorConfig",
    "EmbeddingConfig",
    "GalleryConfig",
    "LocalEngineConfig",
    "Section",
    "SourceConfig",
    "TrackerConfig",
    "TrackletConfig",
    "load_config",
]
