"""Market-1501's queries, and the AUC of pooled tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.reid.dataset import Crops
from training.sequences import FloatArray


def query_rows(people: NDArray[np.int64], cameras: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """One crop of each person in each camera, as Market-1501 picks its queries."""
    rows = np.zeros(len(people), bool)
    draw = np.random.default_rng(seed)
    for person in np.unique(people):
        for camera in np.unique(cameras[people == person]):
            rows[draw.choice(np.flatnonzero((people == person) & (cameras == camera)))] = True
    return rows


def pooled(embeddings: FloatArray) -> FloatArray:
    """The unit mean of a track's unit embeddings."""
    mean = embeddings.mean(0)
    unit: FloatArray = mean / np.linalg.norm(mean)
    return unit


def auc(same: FloatArray, different: FloatArray) -> float:
    """The chance that a pair of one person is more alike than a pair of two, ties counting half."""
    ordered = np.sort(different)
    below = np.searchsorted(ordered, same, "left")
    level = np.searchsorted(ordered, same, "right") - below
    return float((below + level / 2).mean() / len(ordered))


def track_pairs(tracks: FloatArray, people: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Cosines of all pairs of tracks: those of one person, those of two."""
    first, second = np.triu_indices(len(tracks), 1)
    cosines = (tracks[first] * tracks[second]).sum(1)
    same = people[first] == people[second]
    return cosines[same], cosines[~same]


def segments(
    frames: NDArray[np.int64], people: NDArray[np.int64], length: int, gap: int = 5
) -> list[NDArray[np.int64]]:
    """Rows of each person's track, cut where the person was away over ``gap`` frames and every ``length`` rows."""
    pieces = []
    for person in np.unique(people):
        rows = np.flatnonzero(people == person)
        rows = rows[np.argsort(frames[rows])]
        for visit in np.split(rows, np.flatnonzero(np.diff(frames[rows]) > gap) + 1):
            cut = np.split(visit, range(length, len(visit), length))
            pieces += [piece for piece in cut if len(piece) >= max(2, length // 2) or len(cut) == 1]
    return pieces


def cross_camera_pairs(embeddings: FloatArray, crops: Crops, group: int) -> tuple[FloatArray, FloatArray]:
    """Cosines of all pairs of crops of different cameras within groups of people: of one person, of two."""
    same, different = [], []
    for number in np.unique(crops.people // group):
        rows = np.flatnonzero(crops.people // group == number)
        first, second = (rows[k] for k in np.triu_indices(len(rows), 1))
        across = crops.cameras[first] != crops.cameras[second]
        first, second = first[across], second[across]
        cosines = (embeddings[first] * embeddings[second]).sum(1)
        one = crops.people[first] == crops.people[second]
        same.append(cosines[one])
        different.append(cosines[~one])
    return np.concatenate(same), np.concatenate(different)
