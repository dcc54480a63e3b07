"""Whether a photo shows who is in view, and what a decider is asked with while somebody is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.identities import in_view
from reidstream.identities.calibration import clarity_of
from reidstream.identities.deciding import Decision
from reidstream.identities.in_view import InView, photos_shown, seen_of
from reidstream.identities.remembered import Seen
from reidstream.identities.strangers import Nearest
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.types import FloatArray


class Asked:
    """A decider that finds what a test wants. ``asked``: with what it was."""

    def __init__(self, odds: Sequence[float] = (), alone: dict[str, float] | None = None) -> None:
        self.odds, self.beside = list(odds), alone or {}
        self.similarity: npt.NDArray[np.float64] = np.zeros(0)
        self.gaps: npt.NDArray[np.float64] = np.zeros(0)

    def camera(self, name: str) -> int:
        return len(name)

    def strangers_of(self, vector: FloatArray) -> Nearest:
        return Nearest(float(vector[0]), 0.1, 8.0)

    def strangers_of_all(self, vectors: FloatArray) -> list[Nearest]:
        return [self.strangers_of(vector) for vector in vectors]

    def odds_of(
        self,
        similarity: npt.NDArray[np.float64],
        strangers: list[Nearest],
        seen: Seen,
        gaps: npt.NDArray[np.float64],
    ) -> list[float]:
        assert len(strangers) == len(similarity)
        self.similarity, self.gaps = similarity, gaps
        return self.odds

    def alone(self, person: str, asked: Seen) -> float:
        return self.beside[person]


def unit(*values: float) -> FloatArray:
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


VECTORS = np.stack([unit(1, k / 4, 0) for k in range(6)])
QUALITY = np.array([0.2, 0.9, 0.1, 0.8, 0.7, 0.5], np.float32)


def test_a_decider_is_asked_with_the_best_crops_and_the_time_that_the_clock_should_say() -> None:
    decider: Any = Asked()
    view = InView("yard", 100.0, 130.0, VECTORS, QUALITY)
    seen = seen_of(decider, view, ahead=7.0)
    assert (seen.camera, seen.start, seen.end) == (4, 93.0, 123.0)
    np.testing.assert_array_equal(seen.prototypes, VECTORS[[1, 3, 4, 5]])
    np.testing.assert_allclose(seen.vector, unit(*(VECTORS * QUALITY[:, None]).sum(axis=0)), atol=1e-6)
    strength = float((VECTORS @ seen.vector).mean()) * float(QUALITY.sum())
    assert seen.clarity == pytest.approx(float(clarity_of(strength)), abs=1e-6)
    assert seen.strangers == decider.strangers_of(seen.vector)


def seen(start: float = 1000.0) -> Seen:
    return Seen(
        0, start, start + 5, unit(1, 0, 0), np.stack([unit(1, 0, 0), unit(0, 1, 0)]), 1.0, Nearest(0.5, 0.1, 8.0)
    )


def decision(**candidates: float) -> Decision:
    return Decision(Verdict(Outcome.NOBODY, None, 0.0), list(candidates.items()))


def test_a_photo_is_weighed_against_nobody_and_against_those_whom_it_does_not_show() -> None:
    photos = np.stack([unit(1, 0, 0), unit(0, 1, 0)])
    decider: Any = Asked([np.log(3.0), 1e9], {"shown": 0.5, "other": 0.49, "unlikely": 0.0})
    found = photos_shown(decider, photos, np.array([400.0, 2000.0]), seen(), decision(shown=0.3, other=0.2))
    assert found == pytest.approx([3 / (1 + 3 + 0.2 / 0.5), 1.0])
    # Half by the most alike crop, half by the mean; photos taken later are of the same day.
    np.testing.assert_allclose(decider.similarity, [1.0, 0.5], atol=1e-6)
    np.testing.assert_array_equal(decider.gaps, [600.0, 0.0])
    assert photos_shown(decider, np.zeros((0, 3), np.float32), np.zeros(0), seen(), decision()) == []


@pytest.mark.parametrize(("probability", "counts"), [(in_view._RIVAL, True), (in_view._RIVAL * 0.99, False)])
def test_only_who_is_likely_enough_counts_against_a_photo(probability: float, counts: bool) -> None:
    decider: Any = Asked([0.0], {"other": 0.0})
    (found,) = photos_shown(decider, unit(1, 0, 0)[None], np.zeros(1), seen(), decision(other=probability))
    against = probability / (1 - probability) if counts else 0.0
    assert found == pytest.approx(1 / (2 + against))


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=4), st.lists(st.floats(0, 0.3), max_size=3))
def test_a_photo_is_as_probable_as_its_odds_say_at_most_and_never_less_probable_with_more_of_them(
    odds: list[float], rivals: list[float]
) -> None:
    names = {f"p{n}": p for n, p in enumerate(rivals)}
    decider: Any = Asked(sorted(odds), dict.fromkeys(names, 0.0))
    photos = np.repeat(unit(1, 0, 0)[None], len(odds), axis=0)
    found = photos_shown(decider, photos, np.zeros(len(odds)), seen(), decision(**names))
    assert found == sorted(found)
    assert all(p <= 1 / (1 + np.exp(-o)) + 1e-9 for p, o in zip(found, sorted(odds), strict=True))
