"""How good tracks are: HOTA, IDF1 and CLEAR MOT, in agreement with TrackEval.

HOTA: Luiten et al. 2021, arXiv:2009.07736. Identity metrics: Ristani et al. 2016, arXiv:1609.01775. CLEAR MOT:
Bernardin and Stiefelhagen 2008. Where a paper leaves a detail open, the reference implementation TrackEval decides.
All but HOTA and its parts count a pair as a match from an IoU of 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from reidstream.evaluation.motchallenge import GroundTruth, Numbers, TrackedBoxes
from reidstream.evaluation.pairs import EPSILON, Indices, SequencePair, best_pairs, paired, without_distractors

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The 19 overlap thresholds over which HOTA is averaged."""


@dataclass(frozen=True, slots=True)
class TrackingCounts:
    """What was counted in one sequence or several; sequences are combined by adding.

    hota_*: float64 (19,), one per threshold: true positives, misses, false alarms, and the sums over true positives of
    association accuracy, recall, precision and of localisation.
    """

    hota_tp: Numbers
    hota_fn: Numbers
    hota_fp: Numbers
    association: Numbers
    association_recall: Numbers
    association_precision: Numbers
    localisation: Numbers
    idtp: int
    idfn: int
    idfp: int
    tp: int
    fn: int
    fp: int
    overlap: float
    switches: int
    fragments: int
    mostly_tracked: int
    partly_tracked: int
    mostly_lost: int

    def __add__(self, other: TrackingCounts) -> TrackingCounts:
        return TrackingCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class TrackingScores:
    """Every score of a sequence, or of several combined; fractions in 0..1 (mota may be negative), the rest counts."""

    hota: float
    deta: float
    assa: float
    loca: float
    detre: float
    detpr: float
    assre: float
    asspr: float
    idf1: float
    idr: float
    idp: float
    mota: float
    motp: float
    recall: float
    precision: float
    switches: int
    fragments: int
    mostly_tracked: int
    partly_tracked: int
    mostly_lost: int
    false_positives: int
    misses: int

    def __str__(self) -> str:
        return (
            f"HOTA {self.hota:.3f} (DetA {self.deta:.3f}, AssA {self.assa:.3f}), IDF1 {self.idf1:.3f}, "
            f"MOTA {self.mota:.3f}, {self.switches} switches"
        )

    def as_dict(self) -> dict[str, float | int]:
        """Name to value, in the order of the fields."""
        return asdict(self)


def count_tracks(truth: GroundTruth | TrackedBoxes, tracks: TrackedBoxes) -> TrackingCounts:
    """Everything that is counted when tracks are held against the truth."""
    if isinstance(truth, GroundTruth):
        tracks = without_distractors(truth.people, truth.distractors, tracks)
        truth = truth.people
    pair = paired(truth, tracks)
    return TrackingCounts(**_hota(pair), **_identity(pair), **_clear(pair))


def score_tracks(truth: GroundTruth | TrackedBoxes, tracks: TrackedBoxes) -> TrackingScores:
    """The scores of one sequence."""
    return scores(count_tracks(truth, tracks))


def combined(counts: Iterable[TrackingCounts]) -> TrackingScores:
    """The scores of several sequences taken as one benchmark; ValueError when there is none."""
    all_counts = list(counts)
    if not all_counts:
        raise ValueError("at least one sequence is needed")
    return scores(sum(all_counts[1:], all_counts[0]))


def scores(counts: TrackingCounts) -> TrackingScores:
    """Counts to scores."""
    c = counts
    hits = np.maximum(c.hota_tp, 1)
    deta = c.hota_tp / np.maximum(c.hota_tp + c.hota_fn + c.hota_fp, 1)
    assa = c.association / hits
    # As TrackEval has it, the localisation of no matches is 1.
    loca = np.where(c.hota_tp > 0, c.localisation / hits, 1.0)
    true, found = c.tp + c.fn, c.tp + c.fp
    return TrackingScores(
        hota=float(np.sqrt(deta * assa).mean()),
        deta=float(deta.mean()),
        assa=float(assa.mean()),
        loca=float(loca.mean()),
        detre=float((c.hota_tp / np.maximum(c.hota_tp + c.hota_fn, 1)).mean()),
        detpr=float((c.hota_tp / np.maximum(c.hota_tp + c.hota_fp, 1)).mean()),
        assre=float((c.association_recall / hits).mean()),
        asspr=float((c.association_precision / hits).mean()),
        idf1=c.idtp / max(c.idtp + (c.idfp + c.idfn) / 2, 1),
        idr=c.idtp / max(c.idtp + c.idfn, 1),
        idp=c.idtp / max(c.idtp + c.idfp, 1),
        mota=(c.tp - c.fp - c.switches) / true if true else 0.0,
        motp=c.overlap / max(c.tp, 1),
        recall=c.tp / max(true, 1),
        precision=c.tp / max(found, 1),
        switches=c.switches,
        fragments=c.fragments,
        mostly_tracked=c.mostly_tracked,
        partly_tracked=c.partly_tracked,
        mostly_lost=c.mostly_lost,
        false_positives=c.fp,
        misses=c.fn,
    )


def _hota(pair: SequencePair) -> dict[str, Any]:
    """Matches maximise overlap times how well two identities fit over all frames; then they are cut at each alpha."""
    shape = len(pair.truth_counts), len(pair.track_counts)
    common = np.zeros(shape)
    for frame in pair.frames:
        total = frame.overlap.sum(axis=0)[None, :] + frame.overlap.sum(axis=1)[:, None] - frame.overlap
        common[np.ix_(frame.truth, frame.tracks)] += np.divide(
            frame.overlap, total, out=np.zeros_like(total), where=total > EPSILON
        )
    alignment = common / np.maximum(pair.truth_counts[:, None] + pair.track_counts[None, :] - common, EPSILON)
    truth, tracks, overlap = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for frame in pair.frames:
        rows, columns = best_pairs(alignment[np.ix_(frame.truth, frame.tracks)] * frame.overlap)
        truth.append(frame.truth[rows])
        tracks.append(frame.tracks[columns])
        overlap.append(frame.overlap[rows, columns])
    pairs = np.concatenate(truth) * max(shape[1], 1) + np.concatenate(tracks)
    overlaps = np.concatenate(overlap)
    keys = ("hota_tp", "association", "association_recall", "association_precision", "localisation")
    sums = {key: np.zeros(len(ALPHAS)) for key in keys}
    for index, alpha in enumerate(ALPHAS):
        hit = overlaps >= alpha - EPSILON
        matches = np.bincount(pairs[hit], minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        either = pair.truth_counts[:, None] + pair.track_counts[None, :] - matches
        sums["hota_tp"][index] = hit.sum()
        sums["association"][index] = (matches * matches / np.maximum(either, 1)).sum()
        sums["association_recall"][index] = (matches**2 / np.maximum(pair.truth_counts[:, None], 1)).sum()
        sums["association_precision"][index] = (matches**2 / np.maximum(pair.track_counts[None, :], 1)).sum()
        sums["localisation"][index] = overlaps[hit].sum()
    return {
        **sums,
        "hota_fn": pair.truth_counts.sum() - sums["hota_tp"],
        "hota_fp": pair.track_counts.sum() - sums["hota_tp"],
    }


def _identity(pair: SequencePair) -> dict[str, Any]:
    """One identity of the truth is given at most one track, such that as many boxes as possible agree."""
    agree = np.zeros((len(pair.truth_counts), len(pair.track_counts)))
    for frame in pair.frames:
        agree[np.ix_(frame.truth, frame.tracks)] += frame.overlap >= 0.5
    idtp = int(agree[best_pairs(agree)].sum())
    return {
        "idtp": idtp,
        "idfn": int(pair.truth_counts.sum()) - idtp,
        "idfp": int(pair.track_counts.sum()) - idtp,
    }


def clear_matches(pair: SequencePair) -> Iterator[tuple[Indices, Indices]]:
    """The matches of CLEAR MOT, frame by frame: rows and columns of each frame's overlap.

    Matches of the frame before are kept where they still overlap; then overlap decides.
    """
    before: Indices = np.full(len(pair.truth_counts), -1, np.int64)
    none: Indices = np.zeros(0, np.int64)
    for frame in pair.frames:
        if not len(frame.truth) or not len(frame.tracks):
            yield none, none
            continue
        kept = frame.tracks[None, :] == before[frame.truth][:, None]
        weights = np.where(frame.overlap < 0.5 - EPSILON, 0, 1000 * kept + frame.overlap)
        rows, columns = best_pairs(weights)
        sound = weights[rows, columns] > EPSILON
        rows, columns = rows[sound], columns[sound]
        before[:] = -1
        before[frame.truth[rows]] = frame.tracks[columns]
        yield rows, columns


def _clear(pair: SequencePair) -> dict[str, Any]:
    people = len(pair.truth_counts)
    matched_frames = np.zeros(people, np.int64)
    fragments = np.zeros(people, np.int64)
    last: Indices = np.full(people, -1, np.int64)
    before: Indices = np.full(people, -1, np.int64)
    tp, overlap, switches = 0, 0.0, 0
    for frame, (rows, columns) in zip(pair.frames, clear_matches(pair), strict=True):
        if not len(frame.truth) or not len(frame.tracks):
            continue
        truth, tracks = frame.truth[rows], frame.tracks[columns]
        switches += int(((last[truth] >= 0) & (last[truth] != tracks)).sum())
        matched_frames[truth] += 1
        fragments[truth] += before[truth] < 0
        last[truth] = tracks
        before[:] = -1
        before[truth] = tracks
        tp += len(rows)
        overlap += float(frame.overlap[rows, columns].sum())
    ratio = matched_frames[pair.truth_counts > 0] / pair.truth_counts[pair.truth_counts > 0]
    tracked, partly = int((ratio > 0.8).sum()), int((ratio >= 0.2).sum())
    return {
        "tp": tp,
        "fn": int(pair.truth_counts.sum()) - tp,
        "fp": int(pair.track_counts.sum()) - tp,
        "overlap": overlap,
        "switches": switches,
        "fragments": int((fragments[fragments > 0] - 1).sum()),
        "mostly_tracked": tracked,
        "partly_tracked": partly - tracked,
        "mostly_lost": people - partly,
    }
