"""The page about a gallery's identities: tables, plots, and the worst cases as pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reidstream.evaluation import plots
from reidstream.evaluation.gallery_scores import MIXED_FROM, GalleryScores, pair_cosines
from reidstream.evaluation.gallery_truth import TrackletTruth
from reidstream.evaluation.reliability import Reliability
from reidstream.evaluation.report import Case, Chapter, Exhibit, Table, write_html
from reidstream.gallery import Gallery

_CASES, _PICTURES = 12, 14


def score_rows(scores: GalleryScores) -> tuple[tuple[str, str, str], ...]:
    """The table of a gallery's scores: figure, all cameras, across cameras."""
    everywhere, across = scores.everywhere, scores.across
    rows: list[tuple[str, float | int, float | int | None]] = [
        ("people", scores.people, None),
        ("people with a tracklet", scores.people_found, None),
        ("identities", scores.identities, None),
        ("tracklets", scores.tracklets, None),
        ("tracklets of nobody", scores.nobody, None),
        ("tracklets of several people", scores.mixed, None),
        ("tracklet purity", scores.purity, None),
        ("pairwise precision", everywhere.precision, across.precision),
        ("pairwise recall", everywhere.recall, across.recall),
        ("pairwise F1", everywhere.f1, across.f1),
        ("B-cubed precision", everywhere.bcubed_precision, None),
        ("B-cubed recall", everywhere.bcubed_recall, None),
        ("B-cubed F1", everywhere.bcubed_f1, None),
        ("identities per person", everywhere.identities_per_person, None),
        ("people per identity", everywhere.people_per_identity, None),
    ]
    return tuple((name, _cell(value), "" if other is None else _cell(other)) for name, value, other in rows)


def reliability_rows(found: Reliability) -> tuple[tuple[str, str, str], ...]:
    """The lines about probabilities that follow the scores in the table."""
    rows: list[tuple[str, str, str]] = [
        ("Brier score", _cell(found.brier), ""),
        ("calibration error", _cell(found.error), ""),
    ]
    for held in found.bins:
        name = f"said {held.said:.2f}: right, of {held.count}"
        rows.append((name, f"{held.right:.2f} ({held.least:.2f} to {held.most:.2f})", ""))
    return tuple(rows)


def write_gallery_report(
    path: Path,
    gallery: Gallery,
    scores: GalleryScores,
    sure: Reliability,
    matched: Sequence[TrackletTruth],
    identities: Mapping[str, str],
    facts: Mapping[str, Any],
) -> None:
    """Write the page. sure: how true the probabilities are. matched, identities: as they were scored."""
    somebody = [t for t in matched if t.person is not None]
    by_person: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    by_identity: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for t in somebody:
        assert t.person is not None
        identity = identities.get(t.tracklet, t.tracklet)
        by_person[t.person][identity].append(t.tracklet)
        by_identity[identity][t.person].append(t.tracklet)
    _, vectors = gallery.vectors([t.tracklet for t in somebody])
    same, different = pair_cosines(vectors, [t.person for t in somebody if t.person is not None])
    write_html(
        path,
        f"Identities of {gallery.place}",
        f"{scores.tracklets} tracklets, {gallery.space.model}",
        [Table("Scores", ("", "all cameras", "across cameras"), (*score_rows(scores), *reliability_rows(sure)))],
        [
            plots.reliability_diagram(
                "Are probabilities true?", [(b.said, b.right, b.least, b.most) for b in sure.bins]
            ),
            plots.histogram("Similarity of tracklets", "cosine", {"one person": same, "two people": different}, 0, 1),
            plots.counts("Identities per person", "identities", [len(held) for held in by_person.values()]),
            plots.counts("People per identity", "people", [len(held) for held in by_identity.values()]),
            plots.histogram("Purity of tracklets", "share of one person", {"": [t.purity for t in somebody]}, 0, 1, 20),
        ],
        [
            Chapter(
                "Tracklets of several people",
                "The tracklet, then others of the person that most of it shows (green) and of the other people (red).",
                _mixed_cases(gallery, somebody, by_person),
            ),
            Chapter(
                "People taken for one",
                "All tracklets of one identity, person by person; green: the person that most of it is.",
                _merged_cases(gallery, by_identity),
            ),
            Chapter(
                "People taken for several",
                "All tracklets of one person, identity by identity; green: the identity that holds most of them.",
                _split_cases(gallery, by_person),
            ),
        ],
        facts,
    )


def _mixed_cases(
    gallery: Gallery, somebody: Sequence[TrackletTruth], by_person: Mapping[int, Mapping[str, list[str]]]
) -> tuple[Case, ...]:
    mixed = sorted((t for t in somebody if 1 - t.purity >= MIXED_FROM), key=lambda t: (t.purity, t.tracklet))
    cases = []
    for t in mixed[:_CASES]:
        shares = [(t.person, round(t.purity * t.matched)), *t.others]
        pictures = [Exhibit(gallery.crop(t.tracklet), f"this tracklet, {t.source}")]
        for place, (person, boxes) in enumerate(shares):
            held = by_person.get(person, {}) if person is not None else {}
            example = next((i for group in held.values() for i in group if i != t.tracklet), None)
            crop = gallery.crop(example) if example is not None else None
            pictures.append(Exhibit(crop, f"person {person}: {boxes} of {t.matched} boxes", "bad" if place else "good"))
        cases.append(Case(f"tracklet {t.tracklet[:16]}: {t.purity:.0%} one person", tuple(pictures)))
    return tuple(cases)


def _merged_cases(gallery: Gallery, by_identity: Mapping[str, Mapping[int, list[str]]]) -> tuple[Case, ...]:
    worst = sorted(by_identity.items(), key=lambda item: (-_wrong_pairs(item[1]), item[0]))
    return tuple(
        Case(
            f"identity {identity[:16]}: {len(held)} people, {_wrong_pairs(held)} pairs wrong",
            _side_by_side(gallery, {f"person {person}": ids for person, ids in held.items()}),
        )
        for identity, held in worst[:_CASES]
        if len(held) > 1
    )


def _split_cases(gallery: Gallery, by_person: Mapping[int, Mapping[str, list[str]]]) -> tuple[Case, ...]:
    worst = sorted(by_person.items(), key=lambda item: (-_wrong_pairs(item[1]), item[0]))
    return tuple(
        Case(
            f"person {person}: {len(held)} identities, {_wrong_pairs(held)} pairs missed",
            _side_by_side(gallery, {f"identity {identity[:8]}": ids for identity, ids in held.items()}),
        )
        for person, held in worst[:_CASES]
        if len(held) > 1
    )


def _side_by_side(gallery: Gallery, groups: Mapping[str, list[str]]) -> tuple[Exhibit, ...]:
    """Crops of every group, the largest group first; so many of each that all groups are to be seen."""
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    each = max(1, _PICTURES // len(ordered))
    return tuple(
        Exhibit(gallery.crop(tracklet), f"{name} ({len(ids)} tracklets)", "bad" if place else "good")
        for place, (name, ids) in enumerate(ordered[:_PICTURES])
        for tracklet in ids[:each]
    )


def _wrong_pairs(held: Mapping[Any, list[str]]) -> int:
    """Pairs of tracklets from different groups."""
    sizes = np.array([len(ids) for ids in held.values()])
    return int((sizes.sum() ** 2 - (sizes**2).sum()) // 2)


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
