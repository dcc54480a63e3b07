"""Scores of identities against people, on cases small enough to check by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.evaluation.grouping import score_grouping


def test_a_perfect_grouping_under_other_names_scores_one() -> None:
    scores = score_grouping(["x", "x", "y", "z"], [3, 3, 1, 2])
    assert (scores.precision, scores.recall, scores.f1, scores.bcubed_f1) == (1, 1, 1, 1)
    assert (scores.people, scores.identities) == (3, 3)


def test_a_wrong_merge_costs_precision_and_a_split_costs_recall() -> None:
    # Pairs together: ab, cd; pairs of one person: ab, ac, bc. Right: ab.
    scores = score_grouping([1, 1, 2, 2], ["p", "p", "p", "q"])
    assert scores.precision == 1 / 2
    assert scores.recall == 1 / 3
    assert scores.f1 == pytest.approx(0.4)
    assert scores.bcubed_precision == pytest.approx((1 + 1 + 1 / 2 + 1 / 2) / 4)
    assert scores.bcubed_recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert scores.identities_per_person == 1.5
    assert scores.people_per_identity == 1.5


def test_across_cameras_pairs_of_one_camera_do_not_count() -> None:
    scores = score_grouping([1, 1, 1, 2], ["p", "p", "p", "p"], ["a", "a", "b", "b"])
    # Pairs across: a1-b1, a1-b2, a2-b1, a2-b2; together: a1-b1, a2-b1.
    assert (scores.precision, scores.recall) == (1.0, 0.5)


def test_nothing_to_judge_is_no_error() -> None:
    assert score_grouping([], []).f1 == 1.0
    assert score_grouping([1], ["p"]).f1 == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=14))
def test_pair_counts_equal_counting_every_pair(rows: list[tuple[int, int, int]]) -> None:
    found, truth, camera = (list(column) for column in zip(*rows, strict=True))
    pairs = [p for p in itertools.combinations(range(len(rows)), 2) if camera[p[0]] != camera[p[1]]]
    together = [p for p in pairs if found[p[0]] == found[p[1]]]
    same = [p for p in pairs if truth[p[0]] == truth[p[1]]]
    right = set(together) & set(same)
    scores = score_grouping(found, np.array(truth), camera)
    assert scores.precision == (len(right) / len(together) if together else 1)
    assert scores.recall == (len(right) / len(same) if same else 1)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one identity and one person per tracklet"):
        score_grouping([1, 2], [1])
