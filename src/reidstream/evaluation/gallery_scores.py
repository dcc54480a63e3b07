"""How good a gallery's identities are: against a truth, or against what its own reviewers decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from reidstream.config.identities import IdentityConfig
from reidstream.evaluation.gallery_truth import TrackletTruth
from reidstream.evaluation.grouping import GroupingScores, harmonic, score_grouping
from reidstream.gallery import Gallery
from reidstream.identities.constraints import HumanLinks, groups_of, read_topology
from reidstream.identities.evidence import evidence_of
from reidstream.identities.people import human_links, list_people
from reidstream.identities.resolving import resolve
from reidstream.types import IntArray


@dataclass(frozen=True, slots=True)
class GalleryScores:
    """All shares are 0..1.

    people: in the truth; people_found: of them with a tracklet. identities: in the gallery, those of nobody included.
    tracklets: with a truth. nobody: tracklets that show no labelled person. purity: mean share of a tracklet's boxes
    that show its person; mixed: tracklets of which a tenth or more shows somebody else. everywhere: all pairs of
    tracklets; across: pairs from different cameras only.
    """

    people: int
    people_found: int
    identities: int
    tracklets: int
    nobody: int
    purity: float
    mixed: int
    everywhere: GroupingScores
    across: GroupingScores

    def as_dict(self) -> dict[str, Any]:
        """The figures for a report."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("everywhere", "across")}
        across = {key: getattr(self.across, key) for key in ("precision", "recall", "f1")}
        return {**plain, "all_cameras": asdict(self.everywhere), "across_cameras": across}


MIXED_FROM = 0.1


def identities_of(gallery: Gallery) -> dict[str, str]:
    """Tracklet id -> person id of every tracklet that has a person."""
    return {tracklet: person.id for person in list_people(gallery) for tracklet in person.tracklets}


def score_gallery(matched: Sequence[TrackletTruth], identities: Mapping[str, str], people: set[int]) -> GalleryScores:
    """Compare identities with persons.

    identities: tracklet id -> identity; a tracklet without one is an identity of its own. people: who could be found.
    """
    counted = [t for t in matched if not t.excused]
    somebody = [t for t in counted if t.person is not None]
    found = [identities.get(t.tracklet, t.tracklet) for t in somebody]
    persons = [t.person for t in somebody]
    cameras = [t.source for t in somebody]
    return GalleryScores(
        people=len(people),
        people_found=len(people & {t.person for t in somebody if t.person is not None}),
        identities=len({identities.get(t.tracklet, t.tracklet) for t in counted}),
        tracklets=len(counted),
        nobody=len(counted) - len(somebody),
        purity=float(np.mean([t.purity for t in somebody])) if somebody else 1.0,
        mixed=sum(1 - t.purity >= MIXED_FROM for t in somebody),
        everywhere=score_grouping(found, persons),
        across=score_grouping(found, persons, cameras),
    )


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Decisions against what reviewers said, over pairs of tracklets about which they said it. Shares are 0..1.

    same, different: how many pairs are known to be one person and two. kept_together: of the former, how many share an
    identity. kept_apart: of the latter, how many do not. precision: of the known pairs that share an identity, how many
    are one person. recall: kept_together.
    """

    same: int
    different: int
    kept_together: float
    kept_apart: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class LabelledTruth:
    """What a gallery's reviews say. cluster: int64 (n,), equal for tracklets known to be one person. apart: int64
    (m, 2), clusters that are two people. rows: the tracklets that any review speaks of, int64."""

    ids: list[str]
    cluster: IntArray
    apart: IntArray
    rows: IntArray


def labels_of(gallery: Gallery) -> LabelledTruth:
    """The truth in a gallery's reviews: links of one person and of two, and names.

    Who is named vouches for the tracklets that the person holds; people with different names are different.
    """
    ids = gallery.rows().id.tolist()
    rows = {tracklet: row for row, tracklet in enumerate(ids)}
    people = list_people(gallery)
    links = HumanLinks()
    if people:
        with gallery.read() as connection:
            links = human_links(connection, rows)
    named = [[rows[t] for t in person.tracklets if t in rows] for person in people if person.name]
    same = [*map(tuple, links.same.tolist()), *((held[0], row) for held in named for row in held[1:])]
    cluster = groups_of(len(ids), same)
    pairs = {tuple(sorted(p)) for p in cluster[links.different].tolist()}
    heads = sorted({int(cluster[held[0]]) for held in named if held})
    pairs |= {(a, b) for k, a in enumerate(heads) for b in heads[k + 1 :]}
    apart = np.array(sorted(p for p in pairs if p[0] != p[1]), np.int64).reshape(-1, 2)
    spoken = np.isin(cluster, apart) | (np.bincount(cluster, minlength=len(ids))[cluster] > 1)
    return LabelledTruth(ids, cluster, apart, np.flatnonzero(spoken))


def decided_alone(gallery: Gallery, config: IdentityConfig) -> dict[str, str]:
    """The identities that a gallery would have if nobody had ever reviewed it: tracklet id -> identity."""
    evidence = evidence_of(gallery, None, config.clocks)
    if not len(evidence):
        return {}
    cameras = None
    if config.topology is not None:
        from pathlib import Path

        cameras = read_topology(Path(config.topology), evidence.cameras)
    found = resolve(evidence, config, HumanLinks(), cameras)
    return {tracklet: str(group) for tracklet, group in zip(evidence.ids, found.group.tolist(), strict=True)}


def score_labels(truth: LabelledTruth, identities: Mapping[str, str]) -> LabelScores:
    """Compare identities with reviews; a tracklet without an identity is one of its own."""
    _, group = np.unique([identities.get(t, f"alone {t}") for t in truth.ids], return_inverse=True)
    rows = truth.rows
    clusters, cluster = np.unique(truth.cluster[rows], return_inverse=True)
    _, column = np.unique(group[rows], return_inverse=True)
    table: dict[int, dict[int, int]] = {}
    for a, b in zip(cluster.tolist(), column.tolist(), strict=True):
        held = table.setdefault(a, {})
        held[b] = held.get(b, 0) + 1
    sizes = np.bincount(cluster, minlength=len(clusters))
    same = int((sizes * (sizes - 1) // 2).sum())
    together = sum(n * (n - 1) // 2 for held in table.values() for n in held.values())
    different = wrong = 0
    place = {int(c): k for k, c in enumerate(clusters.tolist())}
    for first, second in truth.apart.tolist():
        a, b = place[first], place[second]
        different += int(sizes[a] * sizes[b])
        wrong += sum(n * table[b].get(g, 0) for g, n in table[a].items())
    recall = together / same if same else 1.0
    precision = together / (together + wrong) if together + wrong else 1.0
    apart = 1 - wrong / different if different else 1.0
    return LabelScores(same, different, recall, apart, precision, recall, harmonic(precision, recall))


def pair_cosines(
    vectors: npt.NDArray[np.float32], persons: Sequence[int], most: int = 1500
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosines of pairs of tracklets of one person and of two; of ``most`` tracklets spread evenly if there are more.

    vectors: float32 (n, d), unit length.
    """
    chosen = np.linspace(0, len(vectors) - 1, min(most, len(vectors))).astype(np.int64)
    who = np.asarray(persons)[chosen]
    similarity = vectors[chosen] @ vectors[chosen].T
    i, j = np.triu_indices(len(chosen), 1)
    same = who[i] == who[j]
    return similarity[i[same], j[same]], similarity[i[~same], j[~same]]
