"""Whether nobody is in two cameras at once, found out from who looks like whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.evidence import Evidence, evidence_of
from reidstream.identities.resolving import resolve
from tests.identities.conftest import Fill, Visit


def walks(people: int, seed: int, noise: float = 0.4) -> list[tuple[int, str, float, float, float]]:
    """People who walk through three cameras in some order, 5 to 12 s each, everybody within a minute or so."""
    rng = np.random.default_rng(seed)
    visits = []
    for person in range(people):
        at = float(rng.uniform(0, 30))
        for camera in rng.permutation(["a", "b", "c"]).tolist():
            length = float(rng.uniform(5, 12))
            visits.append((person, camera, round(at, 2), round(at + length, 2), noise))
            at += length + float(rng.uniform(1, 6))
    return sorted(visits, key=lambda visit: visit[3])


def made(fill: Fill, visits: list[tuple[int, str, float, float, float]], name: str) -> Evidence:
    gallery: Gallery = fill(visits, name)  # type: ignore[arg-type]
    return evidence_of(gallery)


def believed_separate(evidence: Evidence) -> bool:
    return not resolve(evidence, IdentityConfig()).cameras.together.any()


def shifted(evidence: Evidence, seconds: dict[str, float]) -> Evidence:
    """The same visits with clocks that are wrong by so much."""
    by = np.array([seconds.get(camera, 0.0) for camera in evidence.cameras])[evidence.camera]
    return replace(evidence, start=evidence.start + by, end=evidence.end + by)


def test_a_dozen_people_are_enough_to_see_that_nobody_is_in_two_places(fill: Fill) -> None:
    assert believed_separate(made(fill, walks(12, 1), "dozen"))


def test_look_alikes_do_not_hide_it(fill: Fill) -> None:
    assert believed_separate(made(fill, walks(20, 2, noise=0.9), "alike"))


def test_clocks_that_differ_are_not_believed(fill: Fill) -> None:
    evidence = made(fill, walks(12, 3), "clocks")
    found = [believed_separate(shifted(evidence, {"b": 4.0 + k, "c": -9.0 - 2 * k})) for k in range(5)]
    assert not any(found)


def test_views_that_overlap_are_not_separate(fill: Fill) -> None:
    visits = [(person, camera, start, end, noise) for person, _, start, end, noise in walks(10, 4) for camera in "ab"]
    assert not believed_separate(made(fill, list(dict.fromkeys(visits)), "overlapping"))


@pytest.mark.parametrize("visits", [[], [(1, "a", 0, 5)], [(1, "a", 0, 5), (2, "b", 1, 6)]])
def test_hardly_anything_says_nothing(fill: Fill, visits: list[Visit]) -> None:
    evidence = evidence_of(fill(visits, f"few {len(visits)}"))
    assert not believed_separate(evidence) or len(evidence.cameras) < 2


def test_the_answer_is_the_same_every_time(fill: Fill) -> None:
    evidence = made(fill, walks(7, 5), "again")
    assert len({believed_separate(evidence) for _ in range(3)}) == 1
