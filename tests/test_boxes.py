"""What overlap and non-maximum suppression promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reidstream.boxes import aligned_iou, non_maximum, non_maximum_each, pairwise_iou
from reidstream.types import FloatArray


def test_iou_of_boxes_worked_out_by_hand() -> None:
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5]], np.float32)
    np.testing.assert_allclose(pairwise_iou(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 0]], atol=1e-6)


def test_the_overlap_of_boxes_row_by_row_is_that_of_the_same_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0, 50, (40, 4)).astype(np.float32) for _ in range(2))
    for boxes in (a, b):
        boxes[:, 2:] += boxes[:, :2]
    a[0], b[0] = 0, 0
    np.testing.assert_allclose(aligned_iou(a, b), np.diagonal(pairwise_iou(a, b)), atol=1e-6)


def _boxes(corners: FloatArray) -> FloatArray:
    return np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)


corner_arrays = arrays(np.float32, st.tuples(st.integers(0, 30), st.just(4)), elements=st.integers(1, 20).map(float))


@given(corner_arrays, st.floats(0.1, 0.9), st.integers(0, 100))
def test_suppression_keeps_the_best_and_explains_what_it_drops(corners: FloatArray, cut: float, seed: int) -> None:
    boxes = _boxes(corners)
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    kept = non_maximum(boxes, scores, cut)
    assert (np.diff(scores[kept]) < 0).all()
    overlaps = pairwise_iou(boxes, boxes) > cut
    assert not (overlaps[np.ix_(kept, kept)] & ~np.eye(len(kept), dtype=bool)).any()
    for row in set(range(len(boxes))) - set(kept.tolist()):
        assert any(overlaps[row, other] and scores[other] > scores[row] for other in kept)


def test_suppression_looks_at_a_bounded_number_of_boxes() -> None:
    corners = np.stack([np.arange(50.0) * 3, np.zeros(50), np.ones(50), np.ones(50)], axis=1).astype(np.float32)
    assert len(non_maximum(_boxes(corners), np.linspace(1, 0, 50, dtype=np.float32), 0.5, most=10)) == 10


@given(st.lists(corner_arrays, min_size=1, max_size=4), st.sampled_from([5, 1000]), st.integers(0, 100))
def test_suppression_in_several_pictures_is_that_in_each(pictures: list[FloatArray], most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = np.concatenate([_boxes(corners) for corners in pictures])
    # Scores come twice: what came first goes first.
    scores = random.integers(0, 10, len(boxes)).astype(np.float32)
    where = np.repeat(np.arange(len(pictures)), [len(corners) for corners in pictures])
    mixed = random.permutation(len(boxes))
    boxes, scores, where = boxes[mixed], scores[mixed], where[mixed]
    expected: list[int] = []
    for picture in range(len(pictures)):
        rows = np.flatnonzero(where == picture)
        expected += rows[non_maximum(boxes[rows], scores[rows], 0.5, most)].tolist()
    assert non_maximum_each(boxes, scores, where, 0.5, most).tolist() == expected


def test_a_crowded_picture_is_no_other_beside_a_second_one() -> None:
    random = np.random.default_rng(1)
    corners = np.concatenate([random.uniform(0, 300, (400, 2)), random.uniform(5, 60, (400, 2))], axis=1)
    boxes, scores = _boxes(corners.astype(np.float32)), random.random(400).astype(np.float32)
    alone = non_maximum(boxes, scores, 0.4)
    both = non_maximum_each(np.tile(boxes, (2, 1)), np.tile(scores, 2), np.repeat([0, 1], 400), 0.4)
    assert both.tolist() == [*alone.tolist(), *(alone + 400).tolist()]
