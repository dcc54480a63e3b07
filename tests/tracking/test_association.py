"""Which detection may continue which track, on matrices small enough to check by hand or by trying everything."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.tracking.association import Mask, assignment, covered, distance, doubtful, overlap
from reidstream.tracking.motion import Motion
from reidstream.tracking.thresholds import Thresholds
from reidstream.types import FloatArray


def boxes(*corners: tuple[float, float, float, float]) -> FloatArray:
    return np.array(corners, np.float32).reshape(-1, 4)


def still(*corners: tuple[float, float, float, float]) -> Motion:
    """Tracks seen once, at rest."""
    motion = Motion()
    motion.append(boxes(*corners))
    return motion


def best_by_trying(weights: FloatArray, allowed: Mask) -> float:
    """The largest sum that any assignment reaches, a pair more being worth 3."""
    rows, columns = weights.shape
    wide = np.zeros((rows, columns + rows))
    wide[:, :columns] = np.where(allowed, weights + 3, 0)
    return max(
        sum(wide[row, column] for row, column in enumerate(p)) for p in permutations(range(columns + rows), rows)
    )


problems = st.integers(1, 4).flatmap(
    lambda rows: st.integers(1, 3).flatmap(
        lambda columns: st.tuples(
            st.lists(st.floats(-2, 2, width=32), min_size=rows * columns, max_size=rows * columns),
            st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns),
            st.just((rows, columns)),
        )
    )
)


@given(problems)
def test_only_allowed_pairs_are_taken_each_row_and_column_once_and_none_better_exists(
    problem: tuple[list[float], list[bool], tuple[int, int]],
) -> None:
    values, gate, shape = problem
    weights, allowed = np.array(values, np.float32).reshape(shape), np.array(gate).reshape(shape)
    rows, columns = assignment(weights, allowed)
    assert allowed[rows, columns].all()
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
    assert float((weights[rows, columns] + 3).sum()) == pytest.approx(best_by_trying(weights, allowed), abs=1e-3)


def test_a_pair_that_is_not_allowed_is_never_taken_even_when_nothing_else_is_left() -> None:
    rows, columns = assignment(np.ones((1, 1), np.float32), np.zeros((1, 1), bool))
    assert len(rows) == len(columns) == 0
    # The only pair of the first row is forbidden; it must not push the second off its own.
    rows, columns = assignment(np.array([[9.0], [0.1]], np.float32), np.array([[False], [True]]))
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_overlap_is_highest_in_place_and_falls_with_distance_and_with_another_height() -> None:
    track = still((100, 100, 140, 200))
    fits = overlap(track, boxes((100, 100, 140, 200), (110, 100, 150, 200), (140, 100, 180, 200), (400, 100, 440, 200)))
    assert fits[0, 0] == pytest.approx(1, abs=1e-6)
    assert fits[0, 0] > fits[0, 1] > fits[0, 2] >= fits[0, 3] == 0
    tall, same = overlap(track, boxes((100, 0, 140, 200), (100, 100, 140, 200)))[0]
    assert tall < same


def test_a_track_unseen_for_a_while_is_looked_for_further_away() -> None:
    near, waited = still((100, 100, 140, 200)), still((100, 100, 140, 200))
    waited.predict(1.0)
    aside = boxes((150, 100, 190, 200))
    assert overlap(waited, aside)[0, 0] > overlap(near, aside)[0, 0]
    assert distance(waited, aside)[0, 0] < distance(near, aside)[0, 0]


def test_distance_counts_standard_deviations_whatever_the_size_of_people() -> None:
    small, large = still((100, 100, 120, 150)), still((100, 100, 180, 300))
    a = distance(small, boxes((110, 100, 130, 150)))[0, 0]
    b = distance(large, boxes((140, 100, 220, 300)))[0, 0]
    assert a == pytest.approx(float(b), rel=1e-4)
    assert distance(small, boxes((100, 100, 120, 150)))[0, 0] == pytest.approx(0, abs=1e-5)


def test_covered_is_the_part_inside() -> None:
    part = covered(boxes((0, 0, 10, 10)), boxes((5, 0, 20, 10), (0, 0, 10, 10), (-5, -5, 20, 20), (10, 0, 20, 10)))
    np.testing.assert_allclose(part, [[0.5, 1, 1, 0]])


def doubt(fits: list[list[float]], sure: list[bool] | None = None, recent: list[bool] | None = None) -> list[bool]:
    array = np.array(fits, np.float32)
    tracks = np.array(recent if recent is not None else [True] * array.shape[0])
    found: list[bool] = doubtful(array, tracks, np.array(sure or [True] * array.shape[1]), Thresholds()).tolist()
    return found


def test_people_apart_leave_no_doubt_and_people_who_touch_do() -> None:
    assert doubt([[0.9, 0.0], [0.0, 0.9]]) == [False, False]
    assert doubt([[0.6, 0.5], [0.5, 0.6]]) == [True, True]


def test_a_weak_pair_is_in_doubt() -> None:
    assert doubt([[0.3]]) == [True]
    assert doubt([[0.9]]) == [False]


def test_a_rival_without_a_partner_makes_doubt_on_either_side() -> None:
    # Two tracks, one detection that fits both; then one track, two sure detections that fit it.
    assert doubt([[0.9], [0.8]]) == [True]
    assert doubt([[0.9, 0.8]]) == [True, True]
    # An unsure detection beside is nobody who would be missed.
    assert doubt([[0.9, 0.8]], sure=[True, False]) == [False, False]
    # A track that was not seen just now is no rival.
    assert doubt([[0.9], [0.8]], recent=[True, False]) == [False]


def test_without_tracks_or_overlap_there_is_no_doubt() -> None:
    assert doubt([[0.05, 0.0]]) == [False, False]
    assert doubtful(np.zeros((0, 2), np.float32), np.zeros(0, bool), np.ones(2, bool), Thresholds()).tolist() == [
        False,
        False,
    ]
