"""Which detection may continue which track, on matrices small enough to check by hand or by trying everything."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.children import environment
from reidstream.tracking import motion
from reidstream.tracking import solver as solving
from reidstream.tracking.association import assignment, doubtful
from reidstream.tracking.meeting import Crossing, Mask, Meetings, distance, meet, neighbours, overlap
from reidstream.tracking.solver import solver
from reidstream.tracking.thresholds import Thresholds
from reidstream.types import FloatArray, IntArray


def boxes(*corners: tuple[float, float, float, float]) -> FloatArray:
    return np.array(corners, np.float32).reshape(-1, 4)


def still(*corners: tuple[float, float, float, float]) -> FloatArray:
    """The state of tracks seen once, at rest."""
    return motion.at_rest(boxes(*corners).T)


def overlaps(state: FloatArray, found: FloatArray) -> FloatArray:
    """Of every track with every box."""
    tracks, detections = np.indices((state.shape[2], len(found))).reshape(2, -1)
    margin = motion.deviation(state)
    return overlap(motion.boxes_of(state), margin, tracks, found.T, detections).reshape(-1, len(found))


def apart(state: FloatArray, found: FloatArray) -> float:
    return float(distance(state, np.array([0]), found.T, np.array([0]))[0])


def pairs_of(weights: FloatArray, allowed: Mask, source: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pairs that are taken."""
    rows, columns = np.nonzero(allowed)
    source = np.zeros(len(weights), np.int64) if source is None else source
    taken = assignment(rows, columns, weights[rows, columns], source)
    return rows[taken], columns[taken]


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
    rows, columns = pairs_of(weights, allowed)
    assert allowed[rows, columns].all()
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
    assert float((weights[rows, columns] + 3).sum()) == pytest.approx(best_by_trying(weights, allowed), abs=1e-3)


def test_a_pair_that_is_not_allowed_is_never_taken_even_when_nothing_else_is_left() -> None:
    rows, columns = pairs_of(np.ones((1, 1), np.float32), np.zeros((1, 1), bool))
    assert len(rows) == len(columns) == 0
    # The only pair of the first row is forbidden; it must not push the second off its own.
    rows, columns = pairs_of(np.array([[9.0], [0.1]], np.float32), np.array([[False], [True]]))
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_overlap_is_highest_in_place_and_falls_with_distance_and_with_another_height() -> None:
    track = still((100, 100, 140, 200))
    found = boxes((100, 100, 140, 200), (110, 100, 150, 200), (140, 100, 180, 200), (400, 100, 440, 200))
    fits = overlaps(track, found)
    assert fits[0, 0] == pytest.approx(1, abs=1e-6)
    assert fits[0, 0] > fits[0, 1] > fits[0, 2] >= fits[0, 3] == 0
    tall, same = overlaps(track, boxes((100, 0, 140, 200), (100, 100, 140, 200)))[0]
    assert tall < same


def test_a_track_unseen_for_a_while_is_looked_for_further_away() -> None:
    near, waited = still((100, 100, 140, 200)), still((100, 100, 140, 200))
    motion.predict(waited, np.ones(1))
    aside = boxes((150, 100, 190, 200))
    assert overlaps(waited, aside)[0, 0] > overlaps(near, aside)[0, 0]
    assert apart(waited, aside) < apart(near, aside)


def test_distance_counts_standard_deviations_whatever_the_size_of_people() -> None:
    small, large = still((100, 100, 120, 150)), still((100, 100, 180, 300))
    a = apart(small, boxes((110, 100, 130, 150)))
    assert a == pytest.approx(apart(large, boxes((140, 100, 220, 300))), rel=1e-4)
    assert apart(small, boxes((100, 100, 120, 150))) == pytest.approx(0, abs=1e-5)


def test_covered_is_the_part_inside_and_mutual_the_largest_overlap() -> None:
    around = boxes((0, 0, 10, 10), (5, 0, 20, 10), (-5, -5, 20, 20), (10, 0, 20, 10))
    crowd = neighbours(np.ascontiguousarray(around.T), np.array([4]))
    first = crowd.detections == 0
    part = dict(zip(crowd.others[first].tolist(), crowd.covered[first].tolist(), strict=True))
    assert part == pytest.approx({1: 0.5, 2: 1})
    # The second covers the fourth whole, and that is two thirds of it.
    np.testing.assert_allclose(crowd.mutual, [50 / 200, 100 / 150, 150 / 625, 100 / 150], rtol=1e-5)


def test_what_belongs_to_two_sources_never_meets() -> None:
    crossing = Crossing.of(np.array([2, 0, 1]), np.array([1, 3, 2]))
    assert list(zip(crossing.first.tolist(), crossing.second.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 4), (2, 5)]
    assert crossing.place(np.array([1, 2, 2]), np.array([0, 4, 5])).tolist() == [1, 2, 3]
    one = boxes((100, 100, 140, 200))
    together = np.ascontiguousarray(np.concatenate([one, one]).T)
    assert not neighbours(together, np.array([1, 1])).mutual.any()
    assert neighbours(together, np.array([2])).mutual.tolist() == [1, 1]
    state = motion.at_rest(together)
    meetings = meet(state, np.zeros(2, bool), together, 3.0, Crossing.of(np.array([1, 1]), np.array([1, 1])))
    assert list(zip(meetings.tracks.tolist(), meetings.detections.tolist(), strict=True)) == [(0, 0), (1, 1)]


@given(st.lists(problems, min_size=1, max_size=4))
def test_sources_beside_each_other_decide_nothing_about_each_other(
    given_problems: list[tuple[list[float], list[bool], tuple[int, int]]],
) -> None:
    alone, tracks, detections, weights, source = [], [], [], [], []
    rows_before = columns_before = 0
    for number, (values, gate, shape) in enumerate(given_problems):
        matrix, allowed = np.array(values, np.float32).reshape(shape), np.array(gate).reshape(shape)
        rows, columns = pairs_of(matrix, allowed)
        alone += zip((rows + rows_before).tolist(), (columns + columns_before).tolist(), strict=True)
        rows, columns = np.nonzero(allowed)
        tracks.append(rows + rows_before)
        detections.append(columns + columns_before)
        weights.append(matrix[rows, columns])
        source += [number] * shape[0]
        rows_before, columns_before = rows_before + shape[0], columns_before + shape[1]
    first, second = np.concatenate(tracks), np.concatenate(detections)
    taken = assignment(first, second, np.concatenate(weights), np.array(source))
    assert list(zip(first[taken].tolist(), second[taken].tolist(), strict=True)) == alone


def doubt(fits: list[list[float]], sure: list[bool] | None = None, recent: list[bool] | None = None) -> list[bool]:
    array = np.array(fits, np.float32)
    count, found = array.shape
    crossing = Crossing.of(np.array([count]), np.array([found]))
    tracks, detections = np.nonzero(array)
    near = np.zeros(len(tracks), bool)
    meetings = Meetings(tracks, detections, array[tracks, detections], near, crossing, array.ravel())
    fresh = np.array(recent if recent is not None else [True] * count)
    every, one = np.ones(found, bool), np.zeros(count, np.int64)
    answer: list[bool] = doubtful(meetings, every, fresh, np.array(sure or every), one, Thresholds()).tolist()
    return answer


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


def test_without_overlap_there_is_no_doubt() -> None:
    assert doubt([[0.05, 0.0]]) == [False, False]


def test_the_solver_is_scipys_and_comes_without_the_rest_of_it() -> None:
    """In a process of its own, in which nobody else has imported SciPy's package."""
    code = (
        "import sys\n"
        "from reidstream.tracking.association import _solve\n"
        "print('scipy.optimize' in sys.modules)\n"
        "from scipy.optimize import linear_sum_assignment\n"
        "print(linear_sum_assignment is _solve)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_where_scipy_keeps_its_solver_elsewhere_the_whole_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import linear_sum_assignment

    monkeypatch.setattr(solving, "_NAME", "scipy.optimize._somewhere_else")
    assert solver() is linear_sum_assignment
