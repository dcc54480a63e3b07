"""What makes no difference to who is who: the order of tracklets, the time of day, how vectors lie, cameras' names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.identities.constraints import HumanLinks
from reidstream.identities.evidence import Evidence
from reidstream.identities.resolving import Resolution, resolve
from reidstream.types import FloatArray, IntArray
from tests.identities.conftest import Fill
from tests.identities.test_cameras import made, walks

CONFIG = IdentityConfig()


@pytest.fixture(params=[0.4, 0.9], ids=["clear", "alike"])
def evidence(fill: Fill, request: pytest.FixtureRequest) -> Evidence:
    """Twelve people at three cameras: told apart with ease, or hardly."""
    return made(fill, walks(12, 5, request.param), "walks")


def links(evidence: Evidence) -> HumanLinks:
    """Something that somebody said: the first and the last are one, the second and third are two."""
    n = len(evidence)
    return HumanLinks(np.array([[0, n - 1]]), np.array([[1, 2]]))


def same_people(one: Resolution, other: Resolution, rows: IntArray | None = None) -> None:
    """The same groups, as sure, of rows that stand elsewhere in the other."""
    n = len(one.group)
    rows = np.arange(n) if rows is None else rows
    together: npt.NDArray[np.bool_] = one.group[:, None] == one.group
    np.testing.assert_array_equal(together[np.ix_(rows, rows)], other.group[:, None] == other.group)
    np.testing.assert_allclose(one.probability[rows], other.probability, atol=1e-3)
    assert one.people == other.people
    assert one.odds == pytest.approx(other.odds, abs=1e-3)


def test_there_is_something_to_be_told(evidence: Evidence) -> None:
    found = resolve(evidence, CONFIG)
    assert 5 <= found.people < len(evidence)
    assert found.estimated >= found.people


@pytest.mark.parametrize("said", [False, True])
def test_tracklets_come_in_any_order(evidence: Evidence, said: bool) -> None:
    rows = np.random.default_rng(2).permutation(len(evidence))
    place = np.argsort(rows)
    told = links(evidence) if said else HumanLinks()
    moved = HumanLinks(place[told.same], place[told.different])
    found, other = resolve(evidence, CONFIG, told), resolve(evidence.some(rows), CONFIG, moved)
    same_people(found, other, rows)
    if said:
        assert found.group[0] == found.group[-1]
        assert found.group[1] != found.group[2]


@pytest.mark.parametrize("later", [-4096.0, 2.0**20])
def test_when_it_was_makes_no_difference(evidence: Evidence, later: float) -> None:
    # Times that are exact wherever they lie.
    exact = replace(evidence, start=np.round(evidence.start * 16) / 16, end=np.round(evidence.end * 16) / 16)
    other = replace(exact, start=exact.start + later, end=exact.end + later)
    same_people(resolve(exact, CONFIG), resolve(other, CONFIG))


def test_vectors_that_are_turned_alike_are_as_alike(evidence: Evidence) -> None:
    size = evidence.vectors.shape[1]
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(size, size)))
    turned = turn.astype(np.float32)
    other = replace(evidence, vectors=evidence.vectors @ turned, prototypes=evidence.prototypes @ turned)
    same_people(resolve(evidence, CONFIG), resolve(other, CONFIG))


def test_cameras_are_called_and_numbered_as_they_come(evidence: Evidence) -> None:
    other = replace(evidence, cameras=[f"camera {name}" for name in evidence.cameras[::-1]], camera=2 - evidence.camera)
    same_people(resolve(evidence, CONFIG), resolve(other, CONFIG))


def elsewhere(vectors: FloatArray) -> FloatArray:
    """float32 (2 n, d + 16): the vectors, and as many of other people."""
    return np.concatenate([np.pad(vectors, ((0, 0), (0, 16))), np.pad(vectors, ((0, 0), (16, 0)))])


def test_who_is_somewhere_else_altogether_changes_nobody_there(evidence: Evidence) -> None:
    """A gallery of another town: nobody of it is anybody of this one."""
    n = len(evidence)
    grown: dict[str, Any] = {
        name: np.concatenate([getattr(evidence, name)] * 2)
        for name in ("part", "weights", "purity", "trust", "strength", "entry", "exit", "entering", "leaving")
    }
    for name, by in (("camera", 3), ("track", int(evidence.track.max()) + 1), ("start", 5e6), ("end", 5e6)):
        grown[name] = np.concatenate([getattr(evidence, name), getattr(evidence, name) + by])
    both = replace(
        evidence,
        ids=[*evidence.ids, *(f"{i[:-1]}x" for i in evidence.ids)],
        cameras=[*evidence.cameras, *(f"far {name}" for name in evidence.cameras)],
        vectors=elsewhere(evidence.vectors),
        prototypes=elsewhere(evidence.prototypes),
        first=np.concatenate([evidence.first, evidence.first[1:] + evidence.first[-1]]),
        **grown,
    )
    found = resolve(both, CONFIG)
    assert not set(found.group[:n].tolist()) & set(found.group[n:].tolist())
