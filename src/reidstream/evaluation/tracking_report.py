"""The page about tracks: scores, plots, and the worst cases as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.evaluation import plots
from reidstream.evaluation.motchallenge import GroundTruth, TrackedBoxes
from reidstream.evaluation.pairs import without_distractors
from reidstream.evaluation.report import Case, Chapter, Table, write_html
from reidstream.evaluation.sequences import LabelledSequence
from reidstream.evaluation.tracking import ALPHAS, TrackingCounts
from reidstream.evaluation.tracking_cases import (
    Matches,
    match_sequence,
    missed_cases,
    surplus_cases,
    switch_cases,
)

_CASES = 12


def write_tracking_report(
    path: Path,
    sequences: Sequence[LabelledSequence],
    truths: Sequence[GroundTruth],
    answers: Sequence[TrackedBoxes],
    counts: Sequence[TrackingCounts],
    table: Table,
    facts: Mapping[str, Any],
) -> None:
    """Write the page. truths, answers, counts: one per sequence; table: the scores as they are printed."""
    matched = [
        match_sequence(truth.people, without_distractors(truth.people, truth.distractors, answer))
        for truth, answer in zip(truths, answers, strict=True)
    ]
    total = sum(counts[1:], counts[0])
    hits = np.maximum(total.hota_tp, 1)
    deta = total.hota_tp / np.maximum(total.hota_tp + total.hota_fn + total.hota_fp, 1)
    assa = total.association / hits
    coverage = [share for matches in matched for share in matches.coverage().values()]
    write_html(
        path,
        "Tracks of " + ", ".join(sequence.name for sequence in sequences),
        f"{sum(len(truth.people) for truth in truths)} labelled boxes of "
        f"{sum(len(np.unique(truth.people.ids)) for truth in truths)} people, {total.switches} switches",
        [table],
        [
            plots.curve("HOTA by the overlap that counts as a match", "IoU", ALPHAS, np.sqrt(deta * assa)),
            plots.curve("Detection accuracy (DetA)", "IoU", ALPHAS, deta),
            plots.curve("Association accuracy (AssA)", "IoU", ALPHAS, assa),
            plots.histogram("People: share of boxes that a track covers", "", {"": coverage}, 0, 1, 20),
            plots.counts("Tracks per person", "tracks", [n for m in matched for n in m.tracks_per_person()]),
            plots.bars("Switches", {s.name: float(c.switches) for s, c in zip(sequences, counts, strict=True)}),
        ],
        [
            Chapter(
                "Switches",
                "The last frame with the former track, then the first one with another; thin green: the labels, blue: "
                "the former track, red: the new one, grey: others. The worst cut the longest pieces.",
                _worst(switch_cases, sequences, matched),
            ),
            Chapter(
                "People missed",
                "Frames in which no track covers somebody who is labelled (yellow).",
                _worst(missed_cases, sequences, matched),
            ),
            Chapter(
                "Tracks of nobody",
                "Frames in which a track (red) lies on nobody who is labelled.",
                _worst(surplus_cases, sequences, matched),
            ),
        ],
        facts,
    )


def _worst(
    cases: Callable[[LabelledSequence, Matches, int], list[tuple[float, Case]]],
    sequences: Sequence[LabelledSequence],
    matched: Sequence[Matches],
) -> tuple[Case, ...]:
    """The worst of all sequences together."""
    found = [case for s, m in zip(sequences, matched, strict=True) for case in cases(s, m, _CASES)]
    return tuple(case for _, case in sorted(found, key=lambda item: -item[0])[:_CASES])
