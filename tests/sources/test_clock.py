from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.sources.clock import MediaClock, Thinning

MS = Fraction(1, 1000)


def times(stamps: list[int | None], fps: float = 25) -> list[float]:
    clock = MediaClock(fps)
    return [clock.media_time(stamp, MS) for stamp in stamps]


def test_times_count_from_the_first_frame() -> None:
    assert times([5000, 5040, 5500]) == pytest.approx([0, 0.04, 0.5])


def test_missing_stamps_follow_at_the_nominal_rate() -> None:
    assert times([None, None, None], fps=10) == pytest.approx([0, 0.1, 0.2])
    assert times([0, None, 80]) == pytest.approx([0, 0.04, 0.08])
    assert times([None, 40, 80]) == pytest.approx([0, 0.04, 0.08])


def test_clock_that_starts_anew_goes_on_one_frame_later() -> None:
    assert times([90_000, 90_040, 0, 40]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_jitter_is_moved_behind_its_predecessor() -> None:
    repaired = times([0, 40, 40, 39, 80])
    assert repaired[1] < repaired[2] < repaired[3] < repaired[4]
    assert repaired[4] == pytest.approx(0.08)


@given(st.lists(st.none() | st.integers(-(10**9), 10**9), min_size=1, max_size=60))
def test_times_always_increase(stamps: list[int | None]) -> None:
    result = times(stamps)
    assert result[0] == 0
    assert (np.diff(result) > 0).all()


@pytest.mark.parametrize(("fps", "max_fps", "kept"), [(30, 10, 100), (30, 30, 300), (25, 10, 100), (30, 100, 300)])
def test_thinning_reaches_the_rate_that_is_allowed(fps: float, max_fps: float, kept: int) -> None:
    thinning = Thinning(max_fps)
    delivered = [i / fps for i in range(int(fps * 10)) if thinning.keeps(round(i / fps, 3))]
    assert len(delivered) == pytest.approx(kept, abs=2)
    assert delivered[0] == 0


def test_thinning_spreads_frames_evenly_after_a_gap() -> None:
    thinning = Thinning(10)
    stamps = [0.0, 5.0, 5.02, 5.04, 5.1, 5.2]
    assert [t for t in stamps if thinning.keeps(t)] == [0.0, 5.0, 5.1, 5.2]
