"""A labelled sequence played another way keeps its truth."""

from __future__ import annotations

import numpy as np

from benchmarks.cuts import cut_truth
from reidstream.evaluation.gallery_truth import PersonBoxes


def test_the_truth_of_a_cut_goes_with_its_frames() -> None:
    frames, persons = np.array([0, 0, 1, 2, 4]), np.array([1, 2, 1, 2, 1])
    truth = PersonBoxes(frames, persons, np.arange(20.0).reshape(5, 4))
    backwards = cut_truth(truth, [4, 2, 0])
    assert backwards.frames.tolist() == [0, 1, 2, 2]
    assert backwards.persons.tolist() == [1, 2, 1, 2]
    assert backwards.boxes[:, 0].tolist() == [16.0, 12.0, 0.0, 4.0]
    assert cut_truth(truth, [3]).frames.tolist() == []
