"""How good detections are: recall, precision and F1 at one overlap, over all confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidstream.evaluation.motchallenge import Numbers
from reidstream.evaluation.pairs import overlaps
from reidstream.types import Detections


@dataclass(frozen=True, slots=True)
class DetectionScores:
    """recall, precision, f1: 0..1, for detections at least ``confidence`` sure."""

    confidence: float
    recall: float
    precision: float
    f1: float


@dataclass(frozen=True, slots=True)
class DetectionCurve:
    """Detections by falling confidence. scores: float64 (n,). hits: int64 (n,), how many so far found a person.

    people: boxes in the truth.
    """

    scores: Numbers
    hits: np.ndarray[tuple[int], np.dtype[np.int64]]
    people: int

    def at(self, confidence: float) -> DetectionScores:
        """The scores when detections below ``confidence`` are not used."""
        count = int((self.scores >= confidence).sum())
        hits = int(self.hits[count - 1]) if count else 0
        recall, precision = hits / max(self.people, 1), hits / max(count, 1)
        return DetectionScores(confidence, recall, precision, 2 * hits / max(self.people + count, 1))

    def best(self) -> DetectionScores:
        """The scores at the confidence with the greatest F1."""
        if not len(self.scores):
            return self.at(1.0)
        f1 = 2 * self.hits / (self.people + np.arange(1, len(self.hits) + 1))
        # Only the last of equal scores is a threshold that can be set.
        f1[:-1][np.diff(self.scores) == 0] = -1
        return self.at(float(self.scores[int(f1.argmax())]))


def detection_curve(truth: Sequence[Numbers], found: Sequence[Detections], overlap: float = 0.5) -> DetectionCurve:
    """Truth, one float64 (g, 4) of xyxy boxes per frame, against the detections of the same frames.

    Greedy in the order of confidence, as in Pascal VOC (Everingham et al. 2010) and COCO: a detection takes the person
    it overlaps most among those not taken yet, if by at least ``overlap``. So what happens at one confidence does not
    depend on detections below it.
    """
    if len(truth) != len(found):
        raise ValueError(f"truth and detections must be for the same frames, got {len(truth)} and {len(found)}")
    hit, scores = [np.zeros(0, bool)], [np.zeros(0)]
    for people, detections in zip(truth, found, strict=True):
        order = np.argsort(-detections.scores, kind="stable")
        overlapping = overlaps(detections.boxes[order].astype(np.float64), people)
        found_here = np.zeros(len(order), bool)
        for row in range(len(order) if len(people) else 0):
            person = int(overlapping[row].argmax())
            if overlapping[row, person] >= overlap:
                found_here[row] = True
                overlapping[:, person] = -1
        hit.append(found_here)
        scores.append(detections.scores[order].astype(np.float64))
    confidence, hits = np.concatenate(scores), np.concatenate(hit)
    order = np.argsort(-confidence, kind="stable")
    return DetectionCurve(confidence[order], np.cumsum(hits[order]).astype(np.int64), sum(map(len, truth)))
