"""Every reader of foreign bytes, as a function of a file. It may refuse with an error of ours, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reidstream.config import load_config
from reidstream.engines.recording import Recording
from reidstream.engines.replay import ReplayEngine
from reidstream.foreign_documents import parsed_json
from reidstream.identities.constraints import read_topology
from reidstream.search.query import read_vector
from reidstream.sources import expand_sources, source_ids
from reidstream.sources.container_end import missing_bytes
from reidstream.tracklets import TrackletCollector


def _replayed(path: Path) -> None:
    collector = TrackletCollector(load_config(None).tracklets)
    for event in ReplayEngine(path).events():
        collector.take(event)


def _json(path: Path) -> None:
    try:
        parsed_json(path.read_bytes())
    except ValueError:
        return


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "vector": (".npy", read_vector),
    "configuration": (".toml", lambda path: load_config(path)),
    "topology": (".toml", lambda path: read_topology(path, ["a", "b"])),
    "cameras": (".toml", lambda path: source_ids(expand_sources([str(path)]))),
    "document": (".json", _json),
    "container": (".mp4", missing_bytes),
    "recording": (".parquet", lambda path: list(Recording(path).events())),
    "replay": (".parquet.partial", _replayed),
}
"""By the folder of the corpus: the ending that files need, and the reader."""
