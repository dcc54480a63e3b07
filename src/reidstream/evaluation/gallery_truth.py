"""Whose tracklet is whose: a gallery's paths against labelled boxes, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidstream.evaluation.motchallenge import Numbers, read_ground_truth
from reidstream.evaluation.pairs import best_pairs, overlaps
from reidstream.synthetic import load_scene
from reidstream.types import IntArray, Tracklet

OVERLAP = 0.5
# A tracklet is somebody when at least this share of its boxes lies on labelled people.
_SOMEBODY = 0.5
# Not a person of the benchmark, and no mistake either (MOTChallenge's distractors).
_EXCUSED = -1
# Somebody labelled for less than this is not missed when there is no tracklet of them.
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PersonBoxes:
    """The truth of one source, in the order of frames.

    frames: int64 (m,), from 0. persons: int64 (m,), the same number in every source is the same person; -1 for boxes
    that excuse a tracklet without counting. boxes: float64 (m, 4), xyxy pixels of the source.
    """

    frames: IntArray
    persons: IntArray
    boxes: Numbers


@dataclass(frozen=True, slots=True)
class TrackletTruth:
    """Who a tracklet shows. matched: how many of its boxes lie on a person, of ``seen`` that could.

    person: who most of them show; None when fewer than half of its boxes lie on anybody. purity: share of the matched
    boxes that show that person. others: (person, boxes) of everybody else in it, most boxes first.
    """

    tracklet: str
    source: str
    person: int | None
    purity: float
    matched: int
    seen: int
    others: tuple[tuple[int, int], ...]
    excused: bool = False


def truth_of_scene(folder: Path) -> dict[str, PersonBoxes]:
    """The truth of a synthetic scene, by camera. Raises SourceNotFound or SourceBroken."""
    scene = load_scene(folder)
    person_of = scene.person_of()
    found = {}
    for camera in scene.cameras:
        persons = [person_of[camera.name, int(track)] for track in camera.track_ids]
        found[camera.name] = _boxes(camera.frames, np.array(persons, np.int64), camera.boxes.astype(np.float64))
    return found


def truth_of_file(path: Path) -> PersonBoxes:
    """The truth in a MOTChallenge file; its ids are the persons. Raises SourceNotFound or SourceBroken."""
    truth = read_ground_truth(path)
    people, others = truth.people, truth.distractors
    return _boxes(
        np.concatenate([people.frames, others.frames]) - 1,
        np.concatenate([people.ids, np.full(len(others), _EXCUSED)]),
        np.concatenate([people.boxes, others.boxes]),
    )


def people_in(truth: Mapping[str, PersonBoxes], fps: Mapping[str, float]) -> set[int]:
    """Everybody whom some source shows for a second or more. fps: frames per second by source; 0 when unknown."""
    found: set[int] = set()
    for source, boxes in truth.items():
        persons, counts = np.unique(boxes.persons[boxes.persons != _EXCUSED], return_counts=True)
        found |= set(persons[counts >= max(_SECONDS * fps.get(source, 0.0), 1)].tolist())
    return found


def match_tracklets(tracklets: Iterable[Tracklet], truth: Mapping[str, PersonBoxes]) -> list[TrackletTruth]:
    """Who each tracklet is, in the order given; tracklets of sources without a truth are left out.

    In every frame, tracklets and people are paired one to one with the greatest sum of overlaps (Hungarian method);
    pairs with an IoU of at least 0.5 vote. Only the boxes of the stored path vote, which is thinned for long tracks.
    """
    kept = [tracklet for tracklet in tracklets if tracklet.source in truth]
    votes: list[Counter[int]] = [Counter() for _ in kept]
    for source, boxes in truth.items():
        rows = [k for k, tracklet in enumerate(kept) if tracklet.source == source]
        if not rows:
            continue
        frames = np.concatenate([kept[k].frames for k in rows])
        owner = np.concatenate([np.full(len(kept[k].frames), k) for k in rows])
        paths = np.concatenate([kept[k].boxes for k in rows]).astype(np.float64)
        order = np.argsort(frames, kind="stable")
        frames, owner, paths = frames[order], owner[order], paths[order]
        for frame in np.unique(frames).tolist():
            here = slice(*np.searchsorted(frames, [frame, frame + 1]).tolist())
            there = slice(*np.searchsorted(boxes.frames, [frame, frame + 1]).tolist())
            shared = overlaps(paths[here], boxes.boxes[there])
            shared[shared < OVERLAP] = 0.0
            for a, b in zip(*best_pairs(shared), strict=True):
                if shared[a, b] > 0:
                    votes[int(owner[here][a])][int(boxes.persons[there][b])] += 1
    return [_verdict(tracklet, vote) for tracklet, vote in zip(kept, votes, strict=True)]


def _verdict(tracklet: Tracklet, votes: Counter[int]) -> TrackletTruth:
    seen, matched = len(tracklet.frames), sum(votes.values())
    ranked = sorted(votes.items(), key=lambda item: (-item[1], item[0]))
    if matched < _SOMEBODY * seen or not ranked:
        return TrackletTruth(tracklet.id, tracklet.source, None, 0.0, matched, seen, tuple(ranked))
    person, most = ranked[0]
    if person == _EXCUSED:
        return TrackletTruth(tracklet.id, tracklet.source, None, 0.0, matched, seen, tuple(ranked), excused=True)
    return TrackletTruth(tracklet.id, tracklet.source, person, most / matched, matched, seen, tuple(ranked[1:]))


def _boxes(frames: IntArray, persons: IntArray, boxes: Numbers) -> PersonBoxes:
    order = np.lexsort((persons, frames))
    return PersonBoxes(frames[order], persons[order], boxes[order])
