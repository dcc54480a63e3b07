"""ReIDStream: video goes in, a searchable gallery of people comes out.

from reidstream import Gallery, build_gallery

build_gallery(["entrance.mp4"], gallery="shop")
with Gallery.open("shop") as gallery:
    matches = gallery.search("person.jpg", k=10)[0]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidstream.config import Config, SourceConfig, load_config
    from reidstream.engines import Engine
    from reidstream.errors import ReIDStreamError
    from reidstream.gallery import Filter, Gallery
    from reidstream.pipeline import RunSummary, build_gallery, open_run
    from reidstream.types import EmbeddingSpace, Event, Match, Tracklet

__version__ = "0.1.0"

# Where each public name lives. They are imported when first used, so that `import reidstream` costs nothing.
_HOMES = {
    "Config": "reidstream.config",
    "EmbeddingSpace": "reidstream.types",
    "Engine": "reidstream.engines",
    "Event": "reidstream.types",
    "Filter": "reidstream.gallery",
    "Gallery": "reidstream.gallery",
    "Match": "reidstream.types",
    "ReIDStreamError": "reidstream.errors",
    "RunSummary": "reidstream.pipeline",
    "SourceConfig": "reidstream.config",
    "Tracklet": "reidstream.types",
    "build_gallery": "reidstream.pipeline",
    "load_config": "reidstream.config",
    "open_run": "reidstream.pipeline",
}

__all__ = [
    "Config",
    "EmbeddingSpace",
    "Engine",
    "Event",
    "Filter",
    "Gallery",
    "Match",
    "ReIDStreamError",
    "RunSummary",
    "SourceConfig",
    "Tracklet",
    "build_gallery",
    "load_config",
    "open_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reidstream' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
