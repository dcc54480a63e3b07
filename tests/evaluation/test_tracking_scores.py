"""Tracking scores agree with the reference implementation and with what can be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.errors import SourceBroken, SourceNotFound
from reidstream.evaluation.motchallenge import TrackedBoxes, read_ground_truth, read_tracks, tracked_boxes, write_tracks
from reidstream.evaluation.tracking import combined, count_tracks, score_tracks, scores

REFERENCE = json.loads((Path(__file__).parent / "trackeval.json").read_text(encoding="ascii"))
"""What TrackEval 1.3.0 says of ``random_sequence`` 0 to 5 with MOT15's and MOT17's columns, and of all six combined."""

Rows = list[list[float]]


def random_sequence(seed: int, columns: int) -> tuple[Rows, Rows]:
    """Ground truth (ten columns as in MOT15, or nine with classes as in MOT17) and tracks with every kind of error."""
    rng = np.random.default_rng(seed)
    frames, people = int(rng.integers(5, 40)), int(rng.integers(1, 9))
    truth: Rows = [[1, 99, 1, 1, 5, 5, 1, -1, -1, -1] if columns == 10 else [1, 99, 1, 1, 5, 5, 1, 1, 1]]
    tracks: Rows = []
    for person in range(people):
        first, last = sorted(rng.integers(1, frames + 1, 2).tolist())
        start, speed, sides = rng.uniform(0, 200, 2), rng.normal(0, 4, 2), rng.uniform(20, 60, 2)
        track = 100 * person
        kind = int(rng.choice([1, 1, 1, 2, 7, 8, 12, 3]))
        for frame in range(first, last + 1):
            if rng.random() < 0.1:
                continue
            box = np.round(np.concatenate([start + speed * (frame - first), sides]), 2)
            flag = float(rng.random() > 0.1)
            tail = [flag, -1, -1, -1] if columns == 10 else [flag, kind, 0.5]
            truth.append([frame, person + 1, *box.tolist(), *tail])
            if rng.random() < 0.2:
                track = 100 * person + int(rng.integers(0, 20))
            if rng.random() < 0.8:
                noisy = np.round(box + rng.normal(0, 4, 4) * [1, 1, 0.5, 0.5], 2)
                tracks.append([frame, track + 1, *noisy.tolist(), 1, -1, -1, -1])
    for extra in range(int(rng.integers(0, 30))):
        box = np.round(np.concatenate([rng.uniform(0, 200, 2), rng.uniform(20, 60, 2)]), 2)
        tracks.append([int(rng.integers(1, frames + 1)), 5000 + extra, *box.tolist(), 1, -1, -1, -1])
    return truth, tracks


def write_rows(path: Path, rows: Rows) -> Path:
    """The rows as a MOTChallenge file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{value:g}" for value in row) + "\n" for row in rows), encoding="ascii")
    return path


@pytest.mark.parametrize(("benchmark", "columns"), [("MOT15", 10), ("MOT17", 9)])
def test_scores_agree_with_trackeval(tmp_path: Path, benchmark: str, columns: int) -> None:
    counts = []
    for seed in range(6):
        truth, tracks = random_sequence(seed, columns)
        counts.append(
            count_tracks(
                read_ground_truth(write_rows(tmp_path / "gt.txt", truth)),
                read_tracks(write_rows(tmp_path / "tracks.txt", tracks)),
            )
        )
        assert scores(counts[-1]).as_dict() == pytest.approx(REFERENCE[benchmark][str(seed)], abs=1e-6)
    assert combined(counts).as_dict() == pytest.approx(REFERENCE[benchmark]["all"], abs=1e-6)


def _line(ids: list[int], x: float = 0) -> TrackedBoxes:
    """One box of 10x10 per frame, standing at ``x``, with the given ids."""
    boxes = np.tile(np.array([x, 0, x + 10, 10], np.float64), (len(ids), 1))
    return tracked_boxes(np.arange(1, len(ids) + 1), ids, boxes)


def test_perfect_tracks_have_perfect_scores() -> None:
    found = score_tracks(_line([1] * 10), _line([7] * 10))
    assert (found.hota, found.idf1, found.mota, found.motp) == (1, 1, 1, 1)
    assert (found.switches, found.fragments, found.mostly_tracked, found.misses) == (0, 0, 1, 0)


def test_one_switch_in_the_middle_worked_out_by_hand() -> None:
    found = score_tracks(_line([1] * 10), _line([7] * 5 + [8] * 5))
    assert found.switches == 1
    assert found.mota == pytest.approx(0.9)
    assert found.idf1 == pytest.approx(0.5)
    # Each true positive belongs to a track that shares 5 of the 10 boxes of either.
    assert found.assa == pytest.approx(0.5)
    assert found.hota == pytest.approx(np.sqrt(0.5))


def test_nothing_found_and_nothing_to_find() -> None:
    empty = tracked_boxes([], [], [])
    missed = score_tracks(_line([1] * 4), empty)
    assert (missed.hota, missed.mota, missed.misses, missed.mostly_lost) == (0, 0, 4, 1)
    invented = score_tracks(empty, _line([1] * 4))
    assert (invented.hota, invented.false_positives, invented.idp) == (0, 4, 0)
    assert score_tracks(empty, empty).idf1 == 0


@given(st.integers(0, 10_000), st.permutations(list(range(1, 30))))
def test_names_and_order_of_tracks_do_not_matter(seed: int, names: list[int]) -> None:
    rng = np.random.default_rng(seed)
    frames, ids = np.repeat(np.arange(1, 9), 3), np.tile(np.arange(3), 8)
    boxes = rng.uniform(0, 10, (24, 2))
    boxes = np.concatenate([boxes, boxes + rng.uniform(5, 10, (24, 2))], axis=1)
    truth = tracked_boxes(frames, ids, boxes)
    answer = boxes + rng.normal(0, 1, (24, 4))
    order = rng.permutation(24)
    one = score_tracks(truth, tracked_boxes(frames, ids, answer))
    other = score_tracks(truth, tracked_boxes(frames[order], np.array(names)[ids[order]], answer[order]))
    assert one.as_dict() == pytest.approx(other.as_dict())
    assert 0 <= one.hota <= 1
    assert one.hota**2 <= one.detre + 1e-9


def test_tracks_survive_writing_and_reading(tmp_path: Path) -> None:
    tracks = _line([3, 4, 3], x=1.125)
    write_tracks(tmp_path / "tracks.txt", tracks)
    again = read_tracks(tmp_path / "tracks.txt")
    np.testing.assert_array_equal(again.ids, tracks.ids)
    np.testing.assert_array_equal(again.boxes, tracks.boxes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,5,5,1\n1,1,9,9,5,5,1\n", "id 1 is twice in frame 1"),
        ("1,1,0,0,5,5,1\n2,1,0,0,x,5,1\n", "line 2: expected numbers"),
        ("1,1,0,0,5\n", "line 1: expected at least 7 columns"),
        ("1,1,0,0,5,5,1\n2,1,0,0,5,5,1,1\n", "line 2: expected 7 columns as above"),
        ("1,1,0,0,nan,5,1\n", "line 1: expected at least 7 columns, all finite"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(text, encoding="ascii")
    with pytest.raises(SourceBroken, match=message):
        read_ground_truth(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"no such file: .*gt\.txt"):
        read_ground_truth(tmp_path / "gt.txt")


def test_invisible_pedestrians_count_and_unflagged_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,5,5,1,1,0\n1,2,9,0,5,5,0,1,1\n1,3,30,0,5,5,1,7,1\n", encoding="ascii")
    truth = read_ground_truth(path)
    assert truth.people.ids.tolist() == [1]
    assert truth.distractors.ids.tolist() == [3]
    on_both = tracked_boxes([1, 1], [1, 2], [[0, 0, 5, 5], [30, 0, 35, 5]])
    assert score_tracks(truth, on_both).false_positives == 0
