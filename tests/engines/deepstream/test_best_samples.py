"""Which embeddings of a batch are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from reidstream.engines.deepstream.running.sampling import BestSamples
from tests.engines.deepstream.batches import Frame, seen_of

SIZE = (1000, 700)
Decisions = list[tuple[int, float, list[int], list[float]]]


def sampling(sparse: bool = False) -> BestSamples:
    return BestSamples(4, timeout=1.0, min_size=(16, 32), mux_size=(960, 540), sparse=sparse)


def people(seed: int, sources: int, batches: int) -> Iterator[list[Frame]]:
    """Frames of sources in which people come, go, and are away for longer than the time-out."""
    random = np.random.default_rng(seed)
    there: dict[int, list[int]] = {}
    for number in range(batches):
        frames = []
        for source in range(sources):
            if number % 40 == source or source not in there:
                there[source] = sorted(random.choice(12, random.integers(0, 6), replace=False).tolist())
            n = len(there[source])
            corner, sides = random.uniform(-5, 900, (n, 2)), random.uniform(20, 200, (n, 2))
            boxes = np.clip(np.hstack([corner, corner + sides]), 0, SIZE * 2).astype(np.float32)
            time = number / 30 + 1.5 * (number > 100) * (source % 2)
            frames.append(Frame(source, time, there[source], boxes, random.uniform(-0.1, 1, n).astype(np.float32)))
        yield frames


def decided(best: BestSamples, frames: Sequence[Frame]) -> Decisions:
    seen = seen_of(frames, SIZE)
    rows, quality = best.wanted(seen)
    assert (np.diff(rows) > 0).all()
    best.took(seen, rows, quality)
    return [
        (frame.source, frame.time, (rows[part] - first).tolist(), quality[part].tolist())
        for frame, first, last in zip(frames, seen.starts, seen.starts[1:], strict=False)
        for part in [(rows >= first) & (rows < last)]
    ]


@pytest.mark.parametrize("sparse", [False, True])
def test_a_batch_of_many_sources_decides_as_each_source_alone(sparse: bool) -> None:
    together, alone = sampling(sparse), sampling(sparse)
    some = 0
    for frames in people(3, 9, 240):
        found = decided(together, frames)
        assert found == [decided(alone, [frame])[0] for frame in frames]
        some += sum(len(rows) for _, _, rows, _ in found)
    assert some > 100


def test_frames_of_one_source_in_one_batch_follow_each_other() -> None:
    together, alone = sampling(), sampling()
    waiting: list[Frame] = []
    one, other = [], []
    for number, (frame,) in enumerate(people(5, 1, 240)):
        other += decided(alone, [frame])
        waiting.append(frame)
        if number % 3 == 2:
            one += decided(together, waiting)
            waiting.clear()
    wanted = [(time, rows) for _, time, rows, _ in one]
    assert [time for time, _ in wanted] == [time for _, time, _, _ in other]
    # What was there for the frame before is known a batch later: now and then one more is read, never one less.
    assert sum(len(rows) for _, rows in wanted) >= sum(len(rows) for _, _, rows, _ in other) > 20


def test_rows_of_sources_that_have_ended_are_used_again() -> None:
    best = sampling()
    for source in range(50):
        boxes = np.tile(np.array([400, 200, 500, 500], np.float32), (3, 1))
        frame = Frame(source, 0.0, [1, 2, 3], boxes, np.ones(3, np.float32))
        assert len(best.wanted(seen_of([frame], SIZE))[0]) == 3
        best.forget(source)
    assert len(best._slots) <= 16


def test_batches_without_people_want_nothing() -> None:
    best = sampling()
    for frames in ([], [Frame(0, 0.0, [], np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]):
        rows, quality = best.wanted(seen_of(frames, SIZE))
        assert (len(rows), len(quality)) == (0, 0)
