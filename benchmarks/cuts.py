"""One labelled sequence as ten: forwards and backwards; whole, three parts of it, and every other frame.

Whoever compares models or constants on one sequence compares luck: PETS09-S2L1 has 28 pairs of tracklets that show one
person, and one track of three frames that begins or does not costs five of them. Every cut has other beginnings, other
neighbours and other tracks; what is better is better on the mean of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from reidstream.config import SourceConfig
from reidstream.evaluation.gallery_truth import PersonBoxes
from reidstream.evaluation.sequences import LabelledSequence
from reidstream.sources import open_source

PARTS = ((0.0, 1.0), (0.0, 0.75), (0.25, 1.0), (0.125, 0.875))
"""Which parts of a sequence are played, besides every other frame of the whole."""


def cuts(
    sequence: LabelledSequence, truth: PersonBoxes, folder: Path
) -> Iterator[tuple[str, SourceConfig, PersonBoxes]]:
    """Name, source and truth of each cut. folder: keeps the frames as pictures, some 200 kB each."""
    pictures, fps = _pictures(sequence, folder)
    count = len(pictures)
    plans = [(f"{begin:.3f}-{end:.3f}", range(round(begin * count), round(end * count)), 1) for begin, end in PARTS]
    plans.append(("every other", range(0, count, 2), 2))
    for name, chosen, step in plans:
        for way, frames in (("forwards", [*chosen]), ("backwards", [*reversed(chosen)])):
            played = folder / f"{sequence.name} {name} {way}"
            played.mkdir(parents=True, exist_ok=True)
            for place, frame in enumerate(frames):
                link = played / f"{place:06}.png"
                if not link.exists():
                    link.symlink_to(pictures[frame].resolve())
            yield f"{way} {name}", SourceConfig(uri=str(played), fps=fps / step), cut_truth(truth, frames)


def cut_truth(truth: PersonBoxes, frames: list[int]) -> PersonBoxes:
    """The truth of frames played in this order."""
    place = np.full(max([*frames, *truth.frames.tolist()], default=0) + 1, -1)
    place[frames] = np.arange(len(frames))
    at = place[truth.frames]
    kept = (at >= 0).nonzero()[0]
    kept = kept[np.lexsort((truth.persons[kept], at[kept]))]
    return PersonBoxes(at[kept], truth.persons[kept], truth.boxes[kept])


def _pictures(sequence: LabelledSequence, folder: Path) -> tuple[list[Path], float]:
    """The frames of a sequence as pictures, written once, and frames per second."""
    kept = folder / sequence.name
    kept.mkdir(parents=True, exist_ok=True)
    pictures, times = [], []
    with open_source(SourceConfig(uri=str(sequence.frames)), sequence.name) as source:
        for frame in source:
            pictures.append(kept / f"{frame.index:06}.png")
            times.append(frame.media_time)
            if not pictures[-1].exists():
                cv2.imwrite(str(pictures[-1]), frame.picture.bgr(), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return pictures, (len(times) - 1) / (times[-1] - times[0])
