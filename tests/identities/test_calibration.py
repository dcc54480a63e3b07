"""What is read from similarities, gaps and ways, on values small enough to check by hand, and what always holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reidstream.expected_looks import ANY
from reidstream.identities import calibration, strangers
from reidstream.identities.calibration import Calibration, Pairs, clarity_of, fitted, shares, strangers_among
from reidstream.identities.constraints import Cameras
from reidstream.identities.evidence import Evidence
from reidstream.identities.lasting import diluted, lasting, lasting_over
from reidstream.identities.strangers import Nearest, Strangers, nearest_strangers, shrunk
from reidstream.identities.travel import TravelTimes, successions

HOUR = 3600.0


def test_the_nearest_quarter_of_the_others_are_strangers_to_measure_by() -> None:
    row = np.array([[0.1, 0.9, 0.2, 0.7, 0.3, 0.0, 0.4, 0.5]])
    mean, spread, count = nearest_strangers(row)
    assert (mean.item(), spread.item(), count.item()) == pytest.approx((0.8, 0.1, 2.0))
    weighed = nearest_strangers(row, np.ones(row.shape))
    assert [each.item() for each in weighed] == pytest.approx([0.8, 0.1, 2.0])


def test_who_is_likely_the_same_person_does_not_count_as_a_stranger() -> None:
    row = np.array([[0.9, 0.7, 0.5, 0.3, 0.1]])
    mean, spread, count = nearest_strangers(row, np.array([[0.0, 1.0, 1.0, 1.0, 1.0]]))
    assert (mean.item(), spread.item(), count.item()) == pytest.approx((0.7, 0.0, 1.0))
    half = nearest_strangers(row, np.array([[0.5, 1.5, 1.0, 1.0, 0.0]]))
    # A quarter of four: half of the first and half of one more.
    assert [each.item() for each in half] == pytest.approx([0.8, 0.1, 1.0])
    nobody = nearest_strangers(row, np.zeros(row.shape))
    assert [each.item() for each in nobody] == pytest.approx([0.0, 0.0, 0.0])


def test_rows_are_measured_each_for_itself_also_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(7, 12)), rng.uniform(size=(7, 12))
    whole = nearest_strangers(values), nearest_strangers(values, weight)
    monkeypatch.setattr(strangers, "_CELLS", 24)
    for one, other in zip(whole, (nearest_strangers(values), nearest_strangers(values, weight)), strict=True):
        np.testing.assert_allclose(one, other)
    assert [len(each) for each in nearest_strangers(np.zeros((0, 3)))] == [0, 0, 0]


def test_what_few_return_looks_like_is_what_normal_strangers_look_like() -> None:
    rng = np.random.default_rng(1)
    n = 400
    values = rng.normal(0.3, 0.1, (n, n))
    values = (values + values.T) / 2
    scale = 0.1 / math.sqrt(2)
    mean, spread, count = strangers.as_if_few_return(values)
    others = values[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    true_mean, true_spread, true_count = nearest_strangers(others)
    assert mean.mean() == pytest.approx(true_mean.mean(), abs=0.1 * scale)
    assert spread.mean() == pytest.approx(true_spread.mean(), rel=0.1)
    assert count.mean() == pytest.approx(true_count.mean(), rel=0.01)
    assert [len(each) for each in strangers.as_if_few_return(np.zeros((1, 1)))] == [1, 1, 1]


def test_many_others_speak_for_themselves_and_none_leave_what_is_usual() -> None:
    mean, spread, count = np.array([0.2, 0.2]), np.array([0.02, 0.02]), np.array([0.0, 1e9])
    own, *usual = shrunk(mean, spread, count, usual=(0.5, 0.04))
    assert usual == [0.5, 0.04]
    assert own.mean == pytest.approx([0.5, 0.2])
    assert own.spread == pytest.approx([0.04, 0.02])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 50), st.floats(0, 1e4)), min_size=1, max_size=6))
def test_nobodys_strangers_are_spread_wider_than_a_few_times_what_is_usual(
    rows: list[tuple[float, float, float]],
) -> None:
    mean, spread, count = (np.array(column) for column in zip(*rows, strict=True))
    own, usual, usual_spread = shrunk(mean, spread, count)
    assert usual_spread <= strangers._WIDEST * ANY.strangers_spread * (1 + 1e-9)
    assert (own.spread <= strangers._WIDEST * usual_spread * (1 + 1e-9)).all()
    low, high = min([*mean, ANY.strangers]), max([*mean, ANY.strangers])
    assert low - 1e-9 <= usual <= high + 1e-9
    assert ((own.mean >= low - 1e-9) & (own.mean <= high + 1e-9)).all()


def test_a_similarity_stands_out_by_both_sides_strangers() -> None:
    strangers = Strangers(np.array([0.5, 0.3]), np.array([0.1, 0.05]), np.full(2, 9.0))
    z, growth = strangers.standing(np.array([0.7]), np.array([0]), np.array([1]))
    assert (z.item(), growth.item()) == pytest.approx(((2.0 + 8.0) / 2, (10.0 + 20.0) / 2))
    again = strangers.standing(np.array([0.7]), np.array([1]), np.array([0]))
    assert (again[0].item(), again[1].item()) == pytest.approx((z.item(), growth.item()))


def test_who_was_left_out_is_a_stranger_again_when_it_is_asked_whether_they_are_two() -> None:
    others, looked, usual = np.linspace(0.4, 0.7, 30), 0.9, (0.55, 0.09)

    def learnt_from(values: np.ndarray) -> Strangers:
        mean, spread, count = np.array([[values.mean()], [values.std()], [float(len(values))]])
        return shrunk(mean, spread, count, usual=usual)[0]

    row, s = np.zeros(1, np.int64), np.array([looked])
    whole = learnt_from(np.append(others, looked)).standing(s, row, row)[0].item()
    without = learnt_from(others)
    assert without.standing(s, row, row, 1.0)[0].item() == pytest.approx(whole, rel=0.02)
    assert whole < 0.95 * without.standing(s, row, row)[0].item()
    # Who was left out in part comes back in part, and who was not left out changes nothing.
    found = [without.standing(s, row, row, part)[0].item() for part in (0.0, 0.3, 0.6, 1.0)]
    assert found == sorted(found, reverse=True)


def test_whose_strangers_are_known_is_the_less_surely_somebody_the_fewer_these_are() -> None:
    """Whoever looks like the same person was never among them, and is put back for the question."""
    read, i, j = Calibration(share=0.05), np.zeros(4, np.int64), np.ones(4, np.int64)
    similarity, clarity = np.array([0.5, 0.62, 0.75, 0.85]), np.full(4, 0.6)

    def known(count: float) -> Strangers:
        return Strangers(np.full(2, 0.6), np.full(2, 0.045), np.full(2, count))

    few, some, many = (read.read(similarity, known(count), i, j, clarity) for count in (2.0, 20.0, 1e9))
    plain = read.log_ratio(similarity, *known(1e9).standing(similarity, i, j), clarity)
    np.testing.assert_allclose(many, plain, atol=1e-5)
    assert (few[2:] < some[2:]).all() and (some[2:] < many[2:]).all()
    # Who is no likely candidate was counted among them.
    np.testing.assert_allclose(few[:2], many[:2], atol=0.1)


def test_some_who_were_looked_at_stand_for_all_of_a_gallery() -> None:
    own = Nearest(0.5, 0.1, 12.0)
    assert own.among(600, 3000) == (0.5, 0.1, 60.0)
    assert own.among(600, 200) == own


def test_strangers_among_a_sample_are_those_who_are_hardly_the_same_person() -> None:
    usual = Calibration(share=0.05)
    others, own = np.linspace(0.5, 0.68, 60), np.full(12, 0.93)

    def found(similarity: np.ndarray, count: float) -> tuple[float, float]:
        c = len(similarity)
        sample = Strangers(np.full(c, usual.usual), np.full(c, usual.usual_spread), np.full(c, count))
        among = strangers_among(similarity[None], sample, usual, 0.6)
        return float(among.count[0]), float(among.mean[0])

    assert found(others, 1e9)[0] == pytest.approx(15.0, rel=0.1)
    without, withal = found(others, 1e9), found(np.append(others, own), 1e9)
    assert withal[0] == pytest.approx(without[0], rel=0.1)
    assert withal[1] == pytest.approx(without[1], abs=0.01)
    # Who stands out by the little that is known of a sample is the likelier a stranger.
    doubtful = np.append(others, np.full(4, 0.8))
    assert found(doubtful, 1.0)[0] > found(doubtful, 1e9)[0] + 0.02


def test_strangers_of_each_are_those_of_all() -> None:
    held = Strangers(np.array([0.5, 0.3]), np.array([0.1, 0.05]), np.array([5.0, 40.0]))
    assert held.each() == [(0.5, 0.1, 5.0), (0.3, 0.05, 40.0)]
    again = Strangers.of(held.each())
    assert [again.mean.tolist(), again.spread.tolist(), again.count.tolist()] == [[0.5, 0.3], [0.1, 0.05], [5.0, 40.0]]
    assert len(Strangers.of([]).mean) == 0


@pytest.mark.parametrize("left_out", [0.0, 0.4, 1.0])
def test_the_growth_of_what_stands_out_is_its_slope(left_out: float) -> None:
    strangers = Strangers(np.array([0.5, 0.3]), np.array([0.1, 0.05]), np.array([5.0, 40.0]))
    i, j = np.zeros(9, np.int64), np.ones(9, np.int64)
    s = np.linspace(0.2, 0.95, 9)
    before, after = (strangers.standing(s + by, i, j, left_out)[0] for by in (-1e-5, 1e-5))
    np.testing.assert_allclose(strangers.standing(s, i, j, left_out)[1], (after - before) / 2e-5, rtol=1e-4)


def test_strangers_stand_as_a_shifted_gamma_distribution_above_its_peak() -> None:
    peak = calibration._MEAN + (calibration._SHAPE - 1 - calibration._SHAPE) * calibration._SCALE
    z = np.linspace(peak, peak + 10, 50)
    expected = stats.pearson3.logpdf(z, calibration._SKEW, calibration._MEAN, calibration._DEVIATION)
    np.testing.assert_allclose(calibration._log_stranger(z), expected, atol=1e-6)
    below = calibration._log_stranger(np.array([peak - 5, peak - 1, peak]))
    np.testing.assert_allclose(below, below[-1])


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3])
def test_before_looking_odds_are_those_of_the_share(share: float) -> None:
    even = Calibration(share=0.5).prior
    odds = Calibration(share=share).prior - even
    assert math.exp(odds) == pytest.approx(share / (1 - share))


def test_somebody_has_as_many_tracklets_in_a_gallery_that_grew() -> None:
    read = Calibration(share=0.02, tracklets=101)
    assert read.group_size == pytest.approx(3.0)
    grown = read.grown(1001)
    assert (grown.group_size, grown.tracklets) == (pytest.approx(3.0), 1001)
    assert read.grown(101).share == pytest.approx(read.share)
    # Of a single one nothing can be said anew, and no more than half of all pairs are one person.
    assert read.grown(1).share == read.share
    assert read.grown(2).share == 0.5
    assert Calibration(tracklets=0).group_size == Calibration(tracklets=1).group_size == 1.0


def test_the_similarity_that_a_join_needs_is_where_its_odds_are_reached() -> None:
    read = Calibration(share=0.1)

    def odds(similarity: float) -> float:
        s = np.array([similarity])
        z, growth = (s - read.usual) / read.usual_spread, np.array([1 / read.usual_spread])
        return float((read.prior + read.log_ratio(s, z, growth, np.array([calibration._MEDIUM]))).item())

    needed = read.threshold(0.0)
    assert needed is not None
    assert read.usual < needed < 1.0
    assert odds(needed) >= 0.0 > odds(needed - 0.002)
    assert read.threshold(1e9) is None
    stricter = read.threshold(2.0)
    assert stricter is not None
    assert stricter > needed


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=6))
def test_candidates_and_nobody_share_one_certainty(odds: list[float]) -> None:
    found = shares(np.array(odds))
    assert 0 < found.sum() <= 1
    nobody = 1 - found.sum()
    assert found / max(nobody, 1e-300) == pytest.approx(np.exp(odds), rel=1e-3) or nobody < 1e-6
    assert shares(np.zeros(1)).item() == 0.5


def test_the_more_crops_the_clearer_is_a_look() -> None:
    found = clarity_of(np.array([0.0, 0.5, 1.0, 8.0, 1e9]))
    assert (np.diff(found) > 0).all()
    assert found[0] == pytest.approx(0.0, abs=0.01)
    assert found[-1] == pytest.approx(1.0)


def people(count: int, each: int, seed: int = 0) -> tuple[Pairs, np.ndarray]:
    """All pairs of some people's tracklets, whose similarities are far apart, and which are one person."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(count), each)
    i, j = np.triu_indices(len(who), 1)
    same = who[i] == who[j]
    similarity = np.where(same, rng.normal(0.85, 0.04, len(i)), rng.normal(0.45, 0.05, len(i))).astype(np.float32)
    ones = np.ones(len(i))
    free, nothing = float(len(i)), np.zeros(len(i), bool)
    return Pairs(i, j, similarity, 0.4 * ones, ~nothing, nothing, free, len(who), ones), same


def test_the_share_of_pairs_that_are_one_person_is_found_without_labels() -> None:
    pairs, same = people(12, 5)
    found = fitted(pairs)
    assert found.calibration.share == pytest.approx(same.mean(), rel=0.25)
    assert found.calibration.tracklets == 60
    assert (found.ratio[same] > 0).mean() > 0.95
    assert (found.ratio[~same] < 0).mean() > 0.95
    assert (found.calibration.together, found.calibration.alike) == (0, 0)
    # Strangers' similarities are as they were made.
    assert 0.45 < found.calibration.usual < 0.65


def test_pairs_that_were_seen_together_are_counted_and_those_that_look_like_one_person() -> None:
    pairs, same = people(12, 5)
    closed = np.zeros(len(same), bool)
    closed[np.flatnonzero(same)[:3]] = closed[np.flatnonzero(~same)[:10]] = True
    left = float((~closed).sum())
    found = fitted(
        Pairs(pairs.i, pairs.j, pairs.similarity, pairs.clarity, ~closed, pairs.certain, left, pairs.n, pairs.kept)
    )
    assert (found.calibration.together, found.calibration.alike) == (13, 3)


def test_a_gallery_of_two_says_nearly_nothing() -> None:
    one = np.array([0.5], np.float32)
    zero, first = np.zeros(1, np.int64), np.ones(1, np.int64)
    yes, no = np.ones(1, bool), np.zeros(1, bool)
    found = fitted(Pairs(zero, first, one, np.ones(1), yes, no, 1.0, 2, np.ones(1)))
    assert 0 < found.calibration.share < 0.5
    assert found.ratio.item() < 0


def test_looks_of_one_time_last_whoever_came_first() -> None:
    start, end = np.array([0.0, 5.0, 40 * HOUR]), np.array([10.0, 15.0, 40 * HOUR + 5])
    zero, first, later = np.array([0]), np.array([1]), np.array([2])
    assert lasting(start, end, zero, first, "change").item() == 1.0
    over = lasting(start, end, zero, later, "change").item()
    assert over == lasting(start, end, later, zero, "change").item()
    assert over == pytest.approx(lasting_over(np.array([40 * HOUR - 10]), "change").item())
    assert lasting(start, end, zero, later, "stay").item() == 1.0


@given(st.floats(-6, 20), st.floats(0.01, 0.99))
def test_who_may_wear_something_else_is_read_between_alike_and_nothing(ratio: float, kept: float) -> None:
    read = diluted(np.array([ratio]), np.array([kept])).item()
    assert min(ratio, 0.0) - 1e-9 <= read <= max(ratio, 0.0) + 1e-9
    # As a mixture of the likelihoods: nothing is changed where looks say nothing, or surely last.
    assert diluted(np.array([0.0]), np.array([kept])).item() == pytest.approx(0.0, abs=1e-12)
    assert diluted(np.array([ratio]), np.array([1.0])).item() == ratio
    assert math.exp(read) == pytest.approx(kept * math.exp(ratio) + 1 - kept)


PLACE, ELSEWHERE = (0.0, 0.0, 10.0, 20.0), (100.0, 0.0, 110.0, 20.0)


def seen(
    visits: list[tuple[int, float, float]],
    boxes: dict[int, tuple[float, ...]] | None = None,
    tracks: list[int] | None = None,
) -> Evidence:
    """Evidence of visits (camera, start, end), all at one place unless a row has another box."""
    n = len(visits)
    camera, start, end = (np.array(column) for column in zip(*visits, strict=True))
    place = np.array([(boxes or {}).get(row, PLACE) for row in range(n)], np.float32)
    ones, numbers = np.ones(n, np.float32), np.arange(n)
    vectors = np.eye(n, dtype=np.float32)
    track = numbers if tracks is None else np.array(tracks)
    names = [str(number) for number in range(int(camera.max()) + 1)]
    return Evidence(
        [str(number) for number in numbers], names, camera.astype(np.int64), track, numbers * 0, start.astype(float),
        end.astype(float), vectors, vectors, np.arange(n + 1), ones, ones, 0.9 * ones, ones, place, place,
        place[:, :2] * 0, place[:, :2] * 0,
    )  # fmt: skip


def walks() -> tuple[Evidence, np.ndarray]:
    """Twenty people who go from camera 0 to 1 in ten seconds, and others who are seen by camera 2 at other times."""
    visits, who = [], []
    for person in range(20):
        at = 60.0 * person
        visits += [(0, at, at + 5), (1, at + 15, at + 20)]
        who += [person, person]
    visits += [(2, 60.0 * person + 15, 60.0 * person + 20) for person in range(20)]
    who += list(range(100, 120))
    return seen(visits), np.array(who)


def test_a_way_that_people_take_is_likelier_than_one_that_nobody_takes() -> None:
    evidence, who = walks()
    ratio = TravelTimes(evidence, Cameras.separate(3)).ratios(*successions(who, evidence.start))
    onward, aside = ratio[0, 1], ratio[0, 40]
    # Both come ten seconds later: only where they go differs.
    assert evidence.start[1] == evidence.start[40]
    assert onward > 0 > aside


def test_a_time_that_people_take_is_likelier_than_another() -> None:
    evidence, who = walks()
    ratio = TravelTimes(evidence, Cameras.separate(3)).ratios(*successions(who, evidence.start))
    assert ratio[0, 1] > ratio[0, 3]
    # It takes about as long back.
    back = TravelTimes(evidence, Cameras.separate(3)).ratios(*successions(who, -evidence.start))
    assert np.isfinite(back).all()


def test_without_anybody_to_learn_from_times_say_nothing_and_a_single_example_proves_nothing() -> None:
    evidence, _ = walks()
    nothing = np.zeros(0, np.int64)
    times = TravelTimes(evidence, Cameras.separate(3))
    np.testing.assert_allclose(times.ratios(nothing, nothing), 0.0, atol=1e-6)
    alone = times.ratios(np.array([0]), np.array([1]))
    # Its own gap does not count for itself.
    assert alone[0, 1] == pytest.approx(0.0, abs=0.05)
    assert alone[2, 3] > 0


def test_who_follows_whom_in_a_group_goes_by_time() -> None:
    p, q = successions(np.array([0, 1, 0, 1, 0]), np.array([5.0, 1.0, 3.0, 2.0, 9.0]))
    assert list(zip(p.tolist(), q.tolist(), strict=True)) == [(2, 0), (0, 4), (1, 3)]
