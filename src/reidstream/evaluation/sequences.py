"""Sequences with ground truth, as MOTChallenge lays them out, and the tracks that the local engine finds in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.evaluation.motchallenge import TrackedBoxes, tracked_boxes
from reidstream.inference import Detector, Embedder
from reidstream.types import Observed, SourceEnded

_VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg")


@dataclass(frozen=True, slots=True)
class LabelledSequence:
    """A sequence's name, the folder it is in, and its ground truth."""

    name: str
    folder: Path
    truth: Path

    @property
    def frames(self) -> Path:
        """The folder that holds ``img1``, or the only video. Raises SourceNotFound if there is neither, or several."""
        if (self.folder / "img1").is_dir():
            return self.folder
        videos = sorted(p for p in self.folder.iterdir() if p.suffix.lower() in _VIDEOS)
        if len(videos) != 1:
            found = ", ".join(p.name for p in videos) or "neither"
            raise SourceNotFound(f"{self.folder}: expected a folder img1 or one video, found {found}")
        return videos[0]


def find_sequences(folder: Path) -> list[LabelledSequence]:
    """The sequence that ``folder`` is, or those that it holds, by name: each has ``gt/gt.txt`` or ``gt.txt``.

    Raises SourceNotFound when there is none.
    """
    if not folder.is_dir():
        raise SourceNotFound(f"no folder at {folder}")
    found = [_sequence(folder)] if _truth(folder) else [_sequence(p) for p in sorted(folder.iterdir()) if _truth(p)]
    if not found:
        raise SourceNotFound(
            f"{folder}: expected a MOTChallenge sequence or a folder of them, found no gt/gt.txt (or gt.txt) in it "
            "or in its subfolders"
        )
    return found


def tracked_by_engine(
    sequence: LabelledSequence,
    config: Config,
    detector: Detector,
    embedder: Embedder,
    progress: Callable[[int], None] | None = None,
) -> TrackedBoxes:
    """What the local engine reports for a sequence, predicted boxes included. progress: called with the frame index.

    Raises SourceError when the frames cannot be read to their end: half a sequence has no score.
    """
    source = SourceConfig(uri=str(sequence.frames))
    engine = LocalEngine(config, [(sequence.name, source)], detector=detector, embedder=embedder)
    frames, ids, boxes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros((0, 4))]
    for event in engine.events():
        if isinstance(event, Observed):
            frames.append(np.full(len(event.track_ids), event.frame + 1))
            ids.append(event.track_ids.astype(np.int64))
            boxes.append(event.boxes.astype(np.float64))
            if progress is not None:
                progress(event.frame)
        elif isinstance(event, SourceEnded) and event.error is not None:
            raise SourceBroken(f"{sequence.name}: {event.error}")
    return tracked_boxes(np.concatenate(frames), np.concatenate(ids), np.concatenate(boxes))


def _truth(folder: Path) -> Path | None:
    for path in (folder / "gt" / "gt.txt", folder / "gt.txt"):
        if path.is_file():
            return path
    return None


def _sequence(folder: Path) -> LabelledSequence:
    truth = _truth(folder)
    assert truth is not None
    return LabelledSequence(folder.resolve().name, folder, truth)
