from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.sources.clock import LiveClock, MediaClock, Thinning

MS = Fraction(1, 1000)


def times(stamps: list[int | None], fps: float = 25) -> list[float]:
    return timed(stamps, fps)[0]


def timed(stamps: list[int | None], fps: float = 25) -> tuple[list[float], int]:
    """The times of frames with these stamps (ms), which must come in order, and how many stamps were replaced."""
    clock: MediaClock[int] = MediaClock(fps)
    out: list[tuple[int, float]] = []
    for index, stamp in enumerate(stamps):
        out.extend(clock.take(index, stamp, MS))
        assert index + 1 - len(out) < 4
    out.extend(clock.finish())
    assert [index for index, _ in out] == list(range(len(stamps)))
    return [time for _, time in out], clock.mended


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


HOURS = 36_000_000


def steady(count: int, start: int = 0) -> list[int | None]:
    return [start + 40 * i for i in range(count)]


@pytest.mark.parametrize("odd", [[HOURS], [-HOURS], [HOURS, HOURS + 40], [HOURS, -HOURS], [3000], [0, 0]])
@pytest.mark.parametrize("at", [20, 38])
def test_only_the_stamps_that_are_odd_are_replaced(odd: list[int], at: int) -> None:
    stamps = steady(40)
    stamps[at : at + len(odd)] = odd
    result, mended = timed(stamps)
    right = np.delete(np.arange(40), slice(at, at + len(odd)))
    np.testing.assert_allclose(np.array(result)[right], right * 0.04)
    assert (np.diff(result) > 0).all()
    assert max(result) < 1.6
    assert mended == sum(abs(stamp - 40 * at) > 1100 for stamp in odd)


@pytest.mark.parametrize("first", [HOURS, -HOURS])
def test_a_first_stamp_that_is_odd_moves_nothing(first: int) -> None:
    stamps = steady(40)
    stamps[0] = first
    result, mended = timed(stamps)
    np.testing.assert_allclose(result, np.arange(40) * 0.04)
    assert mended == 1


@pytest.mark.parametrize("gap", [5_000, 4_900_000, HOURS])
@pytest.mark.parametrize("behind", [1, 3, 4, 20])
def test_a_gap_in_a_recording_stays(gap: int, behind: int) -> None:
    result, mended = timed([*steady(20), *steady(behind, start=800 + gap), *steady(5, 800 + gap + 40 * behind)])
    assert result[19:21] == pytest.approx([0.76, 0.8 + gap / 1000])
    assert mended == 0


def test_a_stamp_that_is_stuck_ahead_says_nothing() -> None:
    """GStreamer's decoders give frames whose stamps go back the last one before."""
    result, mended = timed([*steady(20), *[HOURS] * 20])
    np.testing.assert_allclose(result, np.arange(40) * 0.04)
    assert mended == 20


def test_uneven_video_keeps_all_its_times() -> None:
    stamps = [0, 10_000, 20_000, 20_500, 31_000, 60_000, 61_000, 90_000]
    assert timed(list(stamps)) == (pytest.approx(np.array(stamps) / 1000), 0)


def test_a_clock_of_more_than_a_year_ahead_was_set_anew() -> None:
    result, _ = timed([*steady(10), *steady(10, start=2**60)])
    np.testing.assert_allclose(result, np.arange(20) * 0.04)


def live_times(stamps: list[float], arrivals: list[float]) -> tuple[list[float], int]:
    clock = LiveClock(10)
    return [clock.media_time(s, a) for s, a in zip(stamps, arrivals, strict=True)], clock.mended


@pytest.mark.parametrize("odd", [5.0, 36_000.0, -5.0, -36_000.0])
def test_a_cameras_odd_stamp_moves_nothing(odd: float) -> None:
    arrivals = (100 + np.arange(40) / 25).tolist()
    stamps = (7 + np.arange(40) / 25).tolist()
    stamps[20] += odd
    result, mended = live_times(stamps, arrivals)
    np.testing.assert_allclose(result, np.arange(40) / 25)
    assert mended == 1


def test_a_cameras_stamps_hold_while_the_network_stalls() -> None:
    stamps = (np.arange(100) / 25).tolist()
    arrivals = np.maximum(np.array(stamps), 3.0 * (np.arange(100) >= 25)).tolist()
    result, mended = live_times(stamps, arrivals)
    np.testing.assert_allclose(result, stamps)
    assert mended == 0


@pytest.mark.parametrize("moved", [3600.0, -3600.0])
def test_a_camera_that_sets_its_clock_goes_on_with_ours(moved: float) -> None:
    stamps = (np.arange(60) / 25 + moved * (np.arange(60) >= 30)).tolist()
    result, mended = live_times(stamps, (np.arange(60) / 25).tolist())
    np.testing.assert_allclose(result, np.arange(60) / 25)
    assert mended == 0


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


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20))
def test_a_cameras_times_always_increase(stamps: list[float]) -> None:
    """Also when it sends the same stamp twice."""
    clock = LiveClock(1.0)
    found = [clock.media_time(stamp, now) for now, stamp in enumerate([*stamps, stamps[-1]])]
    assert (np.diff(found) > 0).all()


def test_a_camera_whose_clock_runs_fast_is_tied_to_ours_again_and_again() -> None:
    clock = LiveClock(1.0)
    away = [abs(clock.media_time(1.02 * second, float(second)) - second) for second in range(600)]
    assert max(away) <= 1.1
