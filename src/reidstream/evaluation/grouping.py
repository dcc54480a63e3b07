"""How well identities agree with people: pairwise and B-cubed scores, counts of splits and merges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class GroupingScores:
    """Agreement of two groupings of the same tracklets. All shares are 0..1; 1.0 where there is nothing to judge.

    precision, recall, f1: over pairs of tracklets: of those that share an identity, how many share the person,
    and the other way round. bcubed_*: averaged over tracklets (Bagga and Baldwin 1998). people, identities: how
    many there are. identities_per_person, people_per_identity: means. tracklets: how many were judged.
    """

    tracklets: int
    people: int
    identities: int
    precision: float
    recall: float
    f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    identities_per_person: float
    people_per_identity: float


def score_grouping(
    identities: Sequence[Any] | npt.NDArray[Any],
    people: Sequence[Any] | npt.NDArray[Any],
    cameras: Sequence[Any] | npt.NDArray[Any] | None = None,
) -> GroupingScores:
    """Compare what was decided with who it is, one entry per tracklet.

    cameras: when given, only pairs of tracklets from different cameras count (B-cubed and the counts do not change).
    Raises ValueError for lengths that differ.
    """
    found, _ = _labels(identities)
    truth, _ = _labels(people)
    if len(found) != len(truth) or (cameras is not None and len(cameras) != len(truth)):
        raise ValueError(f"expected one identity and one person per tracklet, got {len(found)} and {len(truth)}")
    n = len(found)
    if n == 0:
        return GroupingScores(0, 0, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0)
    both = _table(found, truth)
    together = _pairs(both.sum(axis=1))
    same = _pairs(both.sum(axis=0))
    right = _pairs(both)
    if cameras is not None:
        for camera in np.unique(np.asarray(cameras)):
            rows = np.asarray(cameras) == camera
            inside = _table(found[rows], truth[rows])
            together -= _pairs(inside.sum(axis=1))
            same -= _pairs(inside.sum(axis=0))
            right -= _pairs(inside)
    precision = right / together if together else 1.0
    recall = right / same if same else 1.0
    overlap = both[found, truth]
    cubed_precision = float((overlap / both.sum(axis=1)[found]).mean())
    cubed_recall = float((overlap / both.sum(axis=0)[truth]).mean())
    cells = both > 0
    return GroupingScores(
        n,
        both.shape[1],
        both.shape[0],
        precision,
        recall,
        harmonic(precision, recall),
        cubed_precision,
        cubed_recall,
        harmonic(cubed_precision, cubed_recall),
        float(cells.sum(axis=0).mean()),
        float(cells.sum(axis=1).mean()),
    )


def harmonic(precision: float, recall: float) -> float:
    """F1: the harmonic mean, 0 when both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _labels(values: Sequence[Any] | npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], int]:
    names, rows = np.unique(np.asarray(values), return_inverse=True)
    return rows.astype(np.int64), len(names)


def _table(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    table = np.zeros((int(found.max(initial=-1)) + 1, int(truth.max(initial=-1)) + 1), np.int64)
    np.add.at(table, (found, truth), 1)
    return table


def _pairs(counts: npt.NDArray[np.int64]) -> int:
    return int((counts * (counts - 1) // 2).sum())
