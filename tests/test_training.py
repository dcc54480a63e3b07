"""What the training scripts measure by: checked on cases small enough to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.detector.labels import decode_output, letterbox, suppress
from training.reid.dataset import HELD_OUT, held_out
from training.reid.retrieval import auc, pooled, segments
from training.sequences import crop, held_aside


def test_auc_counts_ties_as_half() -> None:
    assert auc(np.array([0.9, 0.5]), np.array([0.1, 0.2])) == 1.0
    assert auc(np.array([0.5]), np.array([0.5])) == 0.5
    assert auc(np.array([0.1]), np.array([0.5, 0.9])) == 0.0


def test_tracks_are_cut_where_a_person_was_away_and_by_length() -> None:
    frames = np.array([1, 2, 3, 4, 30, 31, 32, 1, 2])
    people = np.array([7, 7, 7, 7, 7, 7, 7, 8, 8])
    pieces = [frames[piece].tolist() for piece in segments(frames, people, length=2)]
    assert pieces == [[1, 2], [3, 4], [30, 31], [1, 2]]


def test_a_pooled_track_has_unit_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    assert np.linalg.norm(pooled(vectors)) == pytest.approx(1)


def test_the_people_held_out_are_whole_people_and_always_the_same() -> None:
    people = np.repeat(np.arange(751), 3)
    aside = held_out(people)
    assert len(np.unique(people[aside])) == HELD_OUT
    assert not set(people[aside]) & set(people[~aside])
    assert (held_out(people[::-1])[::-1] == aside).all()


def test_detector_output_is_decoded_cell_by_cell() -> None:
    output = np.zeros((16 + 4 + 1, 6), np.float32)
    output[5] = (0.5, 0.5, np.log(2), np.log(4), 0.8, 0.5)
    boxes, scores = decode_output(output, 32, 32)
    # Cell (1, 1) of stride 8: centre at 12, 16 wide and 32 high.
    np.testing.assert_allclose(boxes[5], [4, -4, 20, 28], atol=1e-4)
    assert scores[5] == pytest.approx(0.4)
    assert suppress(boxes[[5, 5]], np.array([0.4, 0.3], np.float32), 0.1, 0.5).tolist() == [0]


def test_letterboxing_keeps_proportions_and_pads_to_whole_cells() -> None:
    pixels, scale = letterbox(np.zeros((100, 200, 3), np.uint8), 416)
    assert pixels.shape == (1, 3, 224, 416)
    assert scale == pytest.approx(2.08)
    assert pixels[0, 0, 207, 0] == 0 and pixels[0, 0, 208, 0] == 114


def test_half_of_the_single_pictures_are_held_aside_by_their_names_alone() -> None:
    names = [Path(f"picture {number}.jpg") for number in range(400)]
    aside = [held_aside(name) for name in names]
    assert 150 < sum(aside) < 250
    assert aside == [held_aside(Path("elsewhere") / name) for name in names]


def test_a_box_outside_of_the_picture_gives_no_crop() -> None:
    picture = np.zeros((50, 60, 3), np.uint8)
    assert crop(picture, np.array([58, 10, 90, 40], np.float32)) is None
    piece = crop(picture, np.array([-10, 10, 20, 80], np.float32))
    assert piece is not None and piece.shape == (40, 20, 3)
