"""Which numbers in the labels of PETS09-S2L1 are one person, as seen by eye.

    python -m benchmarks.pets_people sheet.png

The sequence's labels give people who leave and return a new number: 19 numbers. This draws, for every number, ten crops
spread over its life, those least hidden by others. Looking at them, ten people can be told apart without doubt by
clothes, build and what they carry; no two numbers of one person are ever labelled in the same frame (checked below).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.labelled_scenes import SHARED
from reidstream.config import SourceConfig
from reidstream.evaluation.gallery_truth import PersonBoxes, truth_of_file
from reidstream.evaluation.pairs import overlaps
from reidstream.evaluation.sequences import find_sequences
from reidstream.sources import open_source

SEQUENCE = "PETS09-S2L1"

PEOPLE: tuple[tuple[tuple[int, ...], str], ...] = (
    ((1, 19), "man in a long black coat, grey shoes"),
    ((2, 13), "balding man in a dark jacket and blue jeans"),
    ((3, 11), "man in a padded jacket, red above dark blue, white shoes"),
    ((4, 12), "woman with blonde curls in a long black coat over jeans"),
    ((5, 9), "man in a short black jacket, black gloves and blue jeans"),
    ((6, 10), "woman with long black hair in a red jacket"),
    ((7,), "man with grey hair in a blue jacket"),
    ((8, 14, 15, 18), "man in a dark leather jacket and black trousers, white papers in his hand"),
    ((16,), "woman in a light blue jacket and a white hat"),
    ((17,), "man in a dark striped pullover and jeans"),
)
"""The numbers of each person, and how they are recognised."""


def as_people(boxes: PersonBoxes) -> PersonBoxes:
    """The labels with one number per person: the smallest of theirs.

    Raises ValueError for numbers that the table does not have, and if one person were in two places at once.
    """
    smallest = {number: min(numbers) for numbers, _ in PEOPLE for number in numbers}
    unknown = sorted(set(boxes.persons.tolist()) - set(smallest))
    if unknown:
        raise ValueError(f"expected the numbers 1 to {len(smallest)} of {SEQUENCE}, found {unknown}")
    persons = np.array([smallest[number] for number in boxes.persons.tolist()], np.int64)
    if len(np.unique(np.stack([boxes.frames, persons]), axis=1).T) != len(persons):
        raise ValueError("two numbers of one person are labelled in the same frame")
    order = np.lexsort((persons, boxes.frames))
    return replace(boxes, frames=boxes.frames[order], persons=persons[order], boxes=boxes.boxes[order])


def draw_sheet(path: Path, each: int = 10, height: int = 160, width: int = 110) -> None:
    """One row per number, in the order of PEOPLE."""
    (sequence,) = (s for s in find_sequences(SHARED / "data" / "mot") if s.name == SEQUENCE)
    truth = truth_of_file(sequence.truth)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for number in (n for numbers, _ in PEOPLE for n in numbers):
        for part in np.array_split(np.flatnonzero(truth.persons == number), each):
            row = min(part.tolist(), key=lambda r: _hidden(truth, r))
            wanted.setdefault(int(truth.frames[row]), []).append((number, row))
    crops: dict[int, list[np.ndarray]] = {}
    with open_source(SourceConfig(uri=str(sequence.frames)), SEQUENCE) as source:
        for frame in source:
            for number, row in wanted.get(frame.index, ()):
                x1, y1, x2, y2 = truth.boxes[row].round().astype(int).clip(0)
                crop = frame.picture.bgr()[y1:y2, x1:x2]
                scale = min(height / crop.shape[0], width / crop.shape[1])
                shown = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
                tile = np.full((height + 18, width, 3), 255, np.uint8)
                tile[: shown.shape[0], : shown.shape[1]] = shown
                cv2.putText(tile, f"{number}, frame {frame.index}", (2, height + 13), 0, 0.35, (0, 0, 0), 1)
                crops.setdefault(number, []).append(tile)
    rows = []
    for numbers, about in PEOPLE:
        title = np.full((22, each * width, 3), 225, np.uint8)
        cv2.putText(title, f"{' = '.join(map(str, numbers))}: {about}", (4, 15), 0, 0.45, (0, 0, 160), 1)
        rows += [title, *(np.hstack(crops[number]) for number in numbers)]
    cv2.imwrite(str(path), np.vstack(rows))


def _hidden(truth: PersonBoxes, row: int) -> tuple[bool, float]:
    """How badly a box shows its person: whether another one overlaps it, then how small it is."""
    others = (truth.frames == truth.frames[row]) & (truth.persons != truth.persons[row])
    box = truth.boxes[row][None]
    shared = float(overlaps(box, truth.boxes[others]).max(initial=0)) if others.any() else 0.0
    return shared > 0.1, -float(np.prod(box[0, 2:] - box[0, :2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    draw_sheet(parser.parse_args().sheet)


if __name__ == "__main__":
    main()
