"""A track goes on where another ended when somebody was lost there and goes on as they went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.identities.calibration import estimated_share
from reidstream.identities.constraints import Cameras, HumanLinks, groups_of
from reidstream.identities.continuing import Continuations, continuations, left_over
from reidstream.identities.evidence import Evidence
from reidstream.identities.resolving import compared, resolve
from reidstream.types import FloatArray

Track = tuple[float, float, float, float]
"""From, to (seconds), where its middle is then and then (pixels from the left)."""
_HEIGHT, _WIDTH, _FLOOR = 100.0, 40.0, 300.0


def walked(
    tracks: list[Track], cameras: list[int] | None = None, looks: FloatArray | None = None, size: float = 1.0
) -> Evidence:
    """Evidence of people of 100 pixels who walk along a line, each looking like nobody else unless ``looks`` says so.

    size: how many times as far away everything lies, and as large everybody is.
    """
    n = len(tracks)
    start, end, first, last = np.array(tracks, float).T * np.array([[1.0], [1.0], [size], [size]])
    velocity = np.zeros((n, 2), np.float32)
    velocity[:, 0] = (last - first) / np.maximum(end - start, 1e-6)
    half, floor, height = _WIDTH / 2 * size, _FLOOR * size, _HEIGHT * size

    def boxes(middle: np.ndarray) -> FloatArray:
        flat = np.full(n, floor)
        return np.stack([middle - half, flat, middle + half, flat + height], axis=1).astype(np.float32)

    vectors = np.eye(max(n, 8), dtype=np.float32)[:n] if looks is None else looks
    camera, ones, numbers = np.array(cameras or [0] * n), np.ones(n, np.float32), np.arange(n)
    names = [f"camera {number}" for number in range(int(camera.max()) + 1)]
    return Evidence(
        [f"{number:032x}" for number in numbers], names, camera, numbers, numbers * 0, start, end, vectors, vectors,
        np.arange(n + 1), ones, ones, 0.9 * ones, 3 * ones, boxes(first), boxes(last), velocity, velocity,
    )  # fmt: skip


def found_in(evidence: Evidence, ratio: dict[tuple[int, int], float] | None = None) -> Continuations:
    """What may go on from what, where looks say nothing but for these pairs."""
    i, j = np.triu_indices(len(evidence), 1)
    said = np.array([(ratio or {}).get(pair, 0.0) for pair in zip(i.tolist(), j.tolist(), strict=True)])
    return continuations(evidence, i, j, said)


def odds_of(found: Continuations, one: int, other: int) -> float:
    """The log-odds of a pair; minus infinity where it is not even thought of."""
    there = (found.earlier == one) & (found.later == other)
    return float(found.log_odds[there].item()) if there.any() else -np.inf


ONWARD: Track = (0.0, 5.0, 100.0, 500.0)


def test_who_was_lost_for_seconds_is_found_where_they_were_going() -> None:
    going = odds_of(found_in(walked([ONWARD, (7.0, 12.0, 620.0, 1000.0)])), 0, 1)
    stood = odds_of(found_in(walked([ONWARD, (7.0, 12.0, 500.0, 900.0)])), 0, 1)
    behind = odds_of(found_in(walked([ONWARD, (7.0, 12.0, 250.0, 650.0)])), 0, 1)
    assert going > stood > behind
    assert going > 0 > behind


def test_it_is_the_less_likely_the_longer_it_takes() -> None:
    standing = [(0.0, 5.0, 100.0, 100.0)]
    later = [odds_of(found_in(walked([*standing, (5 + gap, 15 + gap, 100.0, 100.0)])), 0, 1) for gap in (0.1, 2, 8)]
    assert later[0] > later[1] > later[2]
    assert odds_of(found_in(walked([*standing, (30.0, 40.0, 100.0, 100.0)])), 0, 1) == -np.inf


def test_only_another_track_before_the_same_camera_that_begins_after_the_end_can_go_on() -> None:
    assert odds_of(found_in(walked([ONWARD, (5.2, 9.0, 510.0, 900.0)], cameras=[0, 1])), 0, 1) == -np.inf
    assert odds_of(found_in(walked([ONWARD, (3.0, 9.0, 510.0, 900.0)])), 0, 1) == -np.inf
    assert odds_of(found_in(walked([(5.2, 9.0, 510.0, 900.0), ONWARD])), 1, 0) > 0
    # Nobody goes on in themselves, however short, nor ends before who they go on from.
    assert len(found_in(walked([(0.0, 0.0, 1.0, 1.0)] * 2)).earlier) == 0


def test_where_many_come_in_whoever_comes_in_is_hardly_anybody_who_was_lost() -> None:
    pair = [ONWARD, (6.0, 12.0, 580.0, 900.0)]
    door = [(60.0 + 3 * k, 62.0 + 3 * k, 580.0, 1000.0) for k in range(60)]
    elsewhere = [(60.0 + 3 * k, 62.0 + 3 * k, 1800.0, 1500.0) for k in range(60)]
    assert odds_of(found_in(walked(pair + elsewhere)), 0, 1) > odds_of(found_in(walked(pair + door)), 0, 1) + 1


def test_who_may_as_well_be_another_is_less_likely_each_of_them() -> None:
    pair = [ONWARD, (6.0, 12.0, 580.0, 900.0)]
    alone = odds_of(found_in(walked([*pair, (20.0, 21.0, 1500.0, 1500.0)])), 0, 1)
    # Two ended there: looks say which of them it is.
    both = [*pair, (0.0, 5.0, 105.0, 505.0)]
    assert alone > odds_of(found_in(walked(both)), 0, 1)
    told = found_in(walked(both), {(0, 1): 4.0, (1, 2): -4.0})
    assert odds_of(told, 0, 1) > odds_of(found_in(walked(both)), 0, 1)
    assert told.same[(told.earlier == 0) & (told.later == 1)].item() > 0.9


def test_what_counts_is_how_far_it_is_for_people_of_that_size() -> None:
    tracks = [ONWARD, (6.0, 12.0, 640.0, 900.0), (30.0, 31.0, 1500.0, 1500.0)]
    near, far = found_in(walked(tracks)), found_in(walked(tracks, size=0.25))
    np.testing.assert_allclose(near.log_odds, far.log_odds, atol=1e-3)
    small = walked(tracks)
    small.entry[1, 1] += 60.0
    small.entry[1, 3] -= 10.0
    assert odds_of(found_in(small), 0, 1) < odds_of(near, 0, 1)


def test_how_many_go_on_and_after_how_long_is_learnt_from_the_gallery() -> None:
    def broken(gap: float, goes_on: bool) -> Continuations:
        tracks: list[Track] = []
        for k in range(30):
            at, place = 40.0 * k, 200.0 + 57.0 * (k % 20)
            tracks += [(at, at + 5, place, place)]
            # Who does not go on is somebody else elsewhere.
            tracks += [(at + 5 + gap, at + 12, place if goes_on else 1900.0 - place * 0.7, place)]
        return found_in(walked(tracks))

    soon, late, never = broken(0.3, True), broken(4.0, True), broken(0.3, False)
    assert soon.share > 0.4 > 0.2 > never.share
    assert late.lost > soon.lost


def test_parts_that_were_taken_apart_are_worth_less_and_who_is_likely_before_looking_needs_little() -> None:
    evidence = walked([ONWARD, (5.2, 9.0, 515.0, 900.0)])
    found = found_in(evidence)
    apart = replace(evidence, track=np.array([3, 3]))
    assert 0 < found.worth(apart, -4.0).item() < found.worth(evidence, -4.0).item()
    assert found.worth(evidence, 50.0).item() == pytest.approx(0.0, abs=1e-6)
    assert (found.worth(evidence, -4.0) >= 0).all()


def test_without_places_nothing_goes_on() -> None:
    evidence = walked([ONWARD, (5.2, 9.0, 515.0, 900.0)])
    nowhere = replace(evidence, entry=evidence.entry * 0, exit=evidence.exit * 0)
    assert len(found_in(nowhere).earlier) == 0


def a_square(seed: int = 3) -> tuple[Evidence, np.ndarray]:
    """Forty people who cross a square and are lost on the way, and who each looks like some others: whose each track
    is."""
    rng = np.random.default_rng(seed)
    tracks: list[Track] = []
    who: list[int] = []
    for person in range(40):
        at, place, speed = 4.0 * person, float(rng.uniform(200, 1200)), float(rng.choice([-60, 60]))
        for _ in range(2):
            tracks.append((at, at + 4, place, place + 4 * speed))
            who.append(person)
            gap = float(rng.uniform(0.5, 2.5))
            at, place = at + 4 + gap, place + (4 + gap) * speed
    directions = rng.normal(size=(40, 64)) / 8 + 1.3 * rng.normal(size=64) / 8
    looks = directions[who] + rng.normal(size=(80, 64)) * 1.2 / 8
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    order = np.argsort([track[0] for track in tracks], kind="stable")
    evidence = walked([tracks[k] for k in order], looks=looks[order].astype(np.float32))
    return evidence, np.array(who)[order]


def pairs_of(group: np.ndarray, who: np.ndarray) -> tuple[int, int]:
    """How many pairs that are put together are one person, and how many are two."""
    i, j = np.triu_indices(len(who), 1)
    together = group[i] == group[j]
    return int((together & (who[i] == who[j])).sum()), int((together & (who[i] != who[j])).sum())


def test_on_a_square_those_who_were_lost_are_found_and_nobody_else() -> None:
    evidence, who = a_square()
    nowhere = replace(evidence, entry=evidence.entry * 0, exit=evidence.exit * 0)
    right, wrong = pairs_of(resolve(evidence, IdentityConfig()).group, who)
    before, _ = pairs_of(resolve(nowhere, IdentityConfig()).group, who)
    assert right >= 38 and wrong <= 2
    assert right > before


def test_what_goes_on_is_no_reason_to_expect_that_others_return() -> None:
    evidence, _ = a_square()
    pairs, read, _ = compared(evidence, IdentityConfig(), HumanLinks(), Cameras.independent(1))
    found = continuations(evidence, pairs.i, pairs.j, read.ratio)
    assert 0 < left_over(found, pairs, read.ratio) < 0.7
    nothing = np.zeros(0, np.int64)
    none = Continuations(nothing, nothing, np.zeros(0), np.zeros(0), 0.3, 2.0)
    assert left_over(none, pairs, read.ratio) == 1.0


def test_pairs_within_a_track_that_goes_on_are_no_pairs_that_could_return() -> None:
    """The share of those who return is a part of the pairs that are left, of which there are fewer then."""
    evidence, _ = a_square()
    pairs, read, _ = compared(evidence, IdentityConfig(), HumanLinks(), Cameras.independent(1))
    found = continuations(evidence, pairs.i, pairs.j, read.ratio)
    surely = found.same > 0.5
    track = groups_of(pairs.n, list(zip(found.earlier[surely].tolist(), found.later[surely].tolist(), strict=True)))
    apart = pairs.open & (track[pairs.i] != track[pairs.j])
    fewer = pairs.free - float(pairs.open.sum() - apart.sum())
    assert fewer < pairs.free
    shares = [
        estimated_share(read.ratio[some], pairs.kept[some], free, pairs.n)
        for some, free in ((apart, fewer), (pairs.open, pairs.free))
    ]
    assert left_over(found, pairs, read.ratio) == pytest.approx(shares[0] / shares[1])
