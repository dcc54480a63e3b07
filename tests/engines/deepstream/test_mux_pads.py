"""Pads of nvstreammux are used again, and never while something of their last source is on its way."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.engines.deepstream.running import mux_pads
from reidstream.engines.deepstream.running.mux_pads import MuxPads
from reidstream.engines.deepstream.running.sampling import BestSamples
from tests.engines.deepstream.batches import seen_alone


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(mux_pads.time, "monotonic", lambda: now[0])
    return now


def test_a_pad_is_given_again_when_the_mux_has_said_that_it_is_gone_and_late_frames_are_through(
    clock: list[float],
) -> None:
    pads = MuxPads(2)
    assert (pads.give(0), pads.give(1), pads.give(2)) == (0, 1, None)
    pads.leaves(0)
    assert pads.give(2) is None
    assert pads.source(0) == 0, "frames that are on their way are the old source's"
    assert pads.deleted(0) == 0
    assert pads.source(0) is None
    assert pads.give(2) is None, "a batch that was made before may still come"
    assert not pads.free
    clock[0] += 1.5
    assert pads.free
    assert pads.give(2) == 0
    assert not pads.free
    assert pads.source(0) == 2


def test_a_pad_rests_from_when_the_mux_has_let_go_of_it(clock: list[float]) -> None:
    """Which takes seconds, while it sends on what it holds."""
    pads = MuxPads(1)
    pads.give(0)
    pads.leaves(0)
    pads.deleted(0)
    clock[0] += 3.0
    pads.released(0)
    assert not pads.free
    clock[0] += 1.5
    assert pads.give(1) == 0
    pads.released(0)
    assert pads.source(0) == 1, "a pad that is another's by now is left alone"


def test_the_pad_that_has_been_free_for_the_longest_is_given_first(clock: list[float]) -> None:
    pads = MuxPads(3)
    for index in range(3):
        pads.give(index)
    for index in (2, 0, 1):
        pads.leaves(index)
        pads.deleted(index)
    clock[0] += 1.5
    assert [pads.give(index) for index in (3, 4)] == [2, 0]
    assert pads.free, "another may have the third"
    assert pads.give(5) == 1


def test_an_old_event_takes_no_pad_from_the_source_that_has_it_now() -> None:
    pads = MuxPads(1)
    pads.give(0)
    assert pads.deleted(0) is None
    assert pads.deleted(7) is None
    assert pads.source(0) == 0


def test_a_mux_that_never_says_that_a_pad_is_gone_keeps_none_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    pads = MuxPads(1)
    pads.give(0)
    pads.leaves(0)
    assert pads.overdue() == []
    monkeypatch.setattr(mux_pads, "_LET_GO", -1.0)
    assert pads.overdue() == [0]


def test_a_source_may_be_forgotten_while_its_last_frame_is_read() -> None:
    """Forgetting happens on the thread that reads events, sampling on NVIDIA's."""
    sampling = BestSamples(2, timeout=1.0, min_size=(16, 32), mux_size=None, sparse=False)
    box = np.array([[400, 200, 500, 500]], np.float32)
    seen = seen_alone(0, 0.0, (960, 540), [7], box)
    rows, quality = sampling.wanted(seen)
    sampling.forget(0)
    sampling.took(seen, rows, quality)
    assert len(sampling.wanted(seen)[0]) == 1
