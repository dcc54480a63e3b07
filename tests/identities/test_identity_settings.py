"""Settings of identities: each makes a difference to who is who."""

from __future__ import annotations

from typing import Any

import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.proposal import propose

from .conftest import Fill, Visit

# Eight people who come three times each, at times of their own.
CROWD: list[Visit] = [
    (person, "ab"[visit % 2], start := 100.0 * person + 1000 * visit, start + 10)
    for person in range(10, 18)
    for visit in range(3)
]


def together(gallery: Gallery, **settings: Any) -> bool:
    """Whether the two visits of person 1 are given to one person."""
    proposal = propose(gallery, IdentityConfig(**settings))
    owner = {tracklet: number for number, group in enumerate(proposal.groups) for tracklet in group}
    first, second = (tracklet for tracklet in owner if tracklet.startswith("0001"))
    return owner[first] == owner[second]


@pytest.mark.setting("identities.overlap")
def test_so_long_two_must_be_seen_together_to_be_two(fill: Fill) -> None:
    gallery = fill([*CROWD, (1, "a", 5000.0, 5010.0), (1, "a", 5009.7, 5020.0)])
    assert together(gallery, overlap=0.5)
    assert not together(gallery, overlap=0.1)


@pytest.mark.setting("identities.cameras")
def test_nobody_is_in_two_cameras_at_once_where_views_are_separate(fill: Fill) -> None:
    gallery = fill([*CROWD, (1, "a", 5000.0, 5010.0), (1, "b", 5005.0, 5015.0)])
    assert together(gallery, cameras="independent")
    assert not together(gallery, cameras="separate")


@pytest.mark.setting("identities.false_merges")
def test_a_smaller_risk_joins_fewer(fill: Fill) -> None:
    visits = [
        (person, "ab"[visit % 2], start := 100.0 * person + 10_000 * visit, start + 10, 1.1)
        for person in range(10, 30)
        for visit in range(3)
    ]
    gallery = fill(visits)  # type: ignore[arg-type]
    counts = [len(propose(gallery, IdentityConfig(false_merges=risk)).groups) for risk in (0.4, 1e-9)]
    assert counts[0] < counts[1]
