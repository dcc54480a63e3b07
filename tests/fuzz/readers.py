"""Every reader of foreign bytes, as a function of a file. It may refuse with an error of ours, and do nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from reidstream.config import load_config
from reidstream.engines.recording import RecordedEvents
from reidstream.engines.replay import ReplayEngine
from reidstream.foreign_documents import parsed_json
from reidstream.gallery.archive import FACTS, PEOPLE, TRACKLETS, read_archive
from reidstream.gallery.archive_examiner import Examiner
from reidstream.identities.constraints import read_topology
from reidstream.models.resolving import describe_file
from reidstream.search.query import read_photo, read_vector
from reidstream.sources import expand_sources, source_ids
from reidstream.sources.container_end import missing_bytes
from reidstream.tracking.given import GivenTracks, read_boxes
from reidstream.tracklets import TrackletCollector
from reidstream.types import EndReason


def _replayed(path: Path) -> None:
    collector = TrackletCollector(load_config(None).tracklets)
    for event in ReplayEngine(path).events():
        collector.take(event)


def _json(path: Path) -> None:
    try:
        parsed_json(path.read_bytes())
    except ValueError:
        return


# What an archive holds beside the file that is fuzzed: made from the corpus itself, so that nothing else is wrong.
_ARCHIVES = Path(__file__).parent / "corpus"


@cache
def _examiner() -> Examiner:
    """One process looks through all archives, until one of them ends it and it is started again."""
    return Examiner()


def _archive(path: Path, name: str) -> None:
    """Read an archive in which one file is the one at ``path``, and the checksums say so."""
    folder = path.with_name("archive")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for other, kept in ((FACTS, "archive_facts"), (TRACKLETS, "archive"), (PEOPLE, "archive_people")):
        whole = _ARCHIVES / kept / f"right{Path(other).suffix}"
        shutil.copyfile(path if other == name else whole, folder / other)
    if name != FACTS:
        facts = json.loads((folder / FACTS).read_text())
        facts["sha256"] = {
            other: hashlib.sha256((folder / other).read_bytes()).hexdigest() for other in facts["sha256"]
        }
        (folder / FACTS).write_text(json.dumps(facts))
    for _ in read_archive(folder, _examiner()).tracklets():
        pass


def _given(path: Path, tracks: bool) -> None:
    """Read boxes that others found, and take the tracks or detections of every frame."""
    boxes = read_boxes(path, tracks)
    given = GivenTracks(boxes, (640, 480)) if tracks else None
    for frame in range(20):
        kept = np.ones(len(boxes.detections(frame, (640, 480)).boxes), np.bool_)
        if given is not None:
            given.update(frame, kept)
    if given is not None:
        given.finish(EndReason.SOURCE_ENDED)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "vector": (".npy", read_vector),
    "configuration": (".toml", lambda path: load_config(path)),
    "topology": (".toml", lambda path: read_topology(path, ["a", "b"])),
    "cameras": (".toml", lambda path: source_ids(expand_sources([str(path)]))),
    "document": (".json", _json),
    "container": (".mp4", missing_bytes),
    "recording": (".parquet", lambda path: list(RecordedEvents(path).events())),
    "replay": (".parquet.partial", _replayed),
    "archive": (".parquet", lambda path: _archive(path, TRACKLETS)),
    "archive_facts": (".json", lambda path: _archive(path, FACTS)),
    "archive_people": (".json", lambda path: _archive(path, PEOPLE)),
    "given_tracks": (".txt", lambda path: _given(path, tracks=True)),
    "given_detections": (".txt", lambda path: _given(path, tracks=False)),
    "model": (".onnx", lambda path: describe_file(path, "detector")),
    "photo": (".jpg", read_photo),
}
"""By the folder of the corpus: the ending that files need, and the reader."""
