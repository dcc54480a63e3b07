"""Somebody who sits for an hour is one person although some of their tracks contradict each other; two are two."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.constraints import HumanLinks
from reidstream.identities.evidence import evidence_of
from reidstream.identities.refining import _Groups
from reidstream.identities.resolving import resolve
from reidstream.identities.turns import take_turns
from tests.identities.conftest import Fill, Visit
from tests.identities.given_rows import given_rows

Span = tuple[float, float]


def in_turns(one: list[Span], other: list[Span], tolerance: float = 0.5) -> bool:
    """Whether two groups of visits are there in turns; who is seen at once for longer contradicts each other."""
    start, end = np.array([*one, *other]).T
    both = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    first = np.arange(len(start)) < len(one)
    two = (both > tolerance) & (first[:, None] != first)
    rows = np.arange(len(start))
    found = take_turns(rows[first].tolist(), rows[~first].tolist(), start, end, two)
    assert found == take_turns(rows[~first].tolist(), rows[first].tolist(), start, end, two)
    return found


def sitting(count: int, contradicting: tuple[int, ...] = ()) -> list[Span]:
    """Somebody's tracks of 5 to 60 seconds with a few seconds between; some begin before the last one ends."""
    rng, spans, now = np.random.default_rng(0), [], 0.0
    for k in range(count):
        length = rng.uniform(5, 60)
        spans.append((now - (8.0 if k in contradicting else 0.0), now + length))
        now += length + rng.uniform(2, 8)
    return spans


def by_turns(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    return spans[::2], spans[1::2]


def test_who_is_there_only_while_the_other_is_not_takes_turns() -> None:
    assert in_turns(*by_turns(sitting(40)))
    assert in_turns(*by_turns(sitting(40, contradicting=(7, 20, 33))))


def test_who_is_seen_together_as_often_as_not_are_two() -> None:
    assert not in_turns(*by_turns(sitting(40, contradicting=tuple(range(1, 40, 2)))))
    assert not in_turns(*by_turns(sitting(40, contradicting=tuple(range(40)))))


def test_a_day_of_turns_is_counted_as_an_hour_of_them() -> None:
    assert in_turns(*by_turns(sitting(1400, contradicting=(7, 200, 333))))
    assert not in_turns(*by_turns(sitting(1400, contradicting=tuple(range(1400)))))


def test_a_few_turns_prove_nothing() -> None:
    assert not in_turns(*by_turns(sitting(6, contradicting=(3,))))
    assert not in_turns(*by_turns(sitting(7)))
    assert in_turns(*by_turns(sitting(12, contradicting=(3,))))


def test_two_who_relieve_each_other_are_two_however_long_they_stay() -> None:
    # A shift of an hour in tracks of half a minute, half a minute together, and a shift of the other.
    early = [(30.0 * k, 30.0 * k + 26) for k in range(120)]
    late = [(3570.0 + 30.0 * k, 3596.0 + 30.0 * k) for k in range(120)]
    assert not in_turns(early, late)


def test_two_who_are_seldom_there_are_two_though_they_hardly_ever_meet() -> None:
    # Ten visits of five seconds in an hour each: they would not meet by chance either.
    rng = np.random.default_rng(1)
    one, other = (np.sort(rng.uniform(0, 3600, 10)) for _ in range(2))
    assert not in_turns([(t, t + 5) for t in one.tolist()], [(t, t + 5) for t in other.tolist()])


def test_of_two_who_are_there_at_once_all_the_time_none_takes_turns() -> None:
    one = sitting(40)
    assert not in_turns(one, [(a - 20, b - 5) for a, b in one])


def sitter(people: tuple[int, int]) -> list[Visit]:
    """Sixty tracks at one place, of two by turns (who may be one); five begin while the last one still goes on."""
    spans = sitting(60, contradicting=(7, 20, 33, 41, 52))
    return [(people[k % 2], "a", a, b + k / 1000) for k, (a, b) in enumerate(spans)]


def others(count: int) -> list[Visit]:
    return [(person, "b", 100.0 * person, 100.0 * person + 30) for person in range(3, 3 + count)]


@pytest.fixture
def seat(fill: Fill) -> Gallery:
    return fill([*sitter((1, 1)), *others(8)], "seat")


def test_who_sits_for_an_hour_is_one_person(seat: Gallery) -> None:
    found = resolve(evidence_of(seat), IdentityConfig())
    assert len(set(found.group[:60].tolist())) == 1
    assert len(set(found.group.tolist())) == 9
    # Nor is any of them in doubt for what contradicts it.
    assert found.probability[:60].min() > 0.9


@pytest.mark.parametrize(("ratio", "people"), [(8.0, 1), (1.0, 2)])
def test_the_time_between_visits_does_not_outweigh_what_contradicts(ratio: float, people: int) -> None:
    """Each comes when the other went, which speaks for one person by itself; but some contradict each other."""
    start, end = np.array(sitting(40, contradicting=(7, 20))).T
    who = np.arange(40) % 2
    excluded = np.zeros((40, 40), bool)
    excluded[[6, 7, 19, 20], [7, 6, 20, 19]] = True
    looks = np.where(who[:, None] == who, 20.0, ratio).astype(np.float32)
    np.fill_diagonal(looks, 0.0)
    time = np.eye(40, k=1, dtype=np.float32) * 2
    held = _Groups(who, looks, np.ones(40), given_rows(start, excluded, end=end), time, 1.0)
    held.join()
    assert len(set(held.label.tolist())) == people


def test_what_somebody_said_holds_whoever_takes_turns(seat: Gallery) -> None:
    said = HumanLinks(different=np.array([[6, 7]]))
    group = resolve(evidence_of(seat), IdentityConfig(), said).group
    assert group[6] != group[7]


def test_a_queue_at_one_place_is_as_many_people_as_stand_there(fill: Fill) -> None:
    """One after the other steps up, most while the one before still goes: nobody of them comes again."""
    queue: list[Visit] = [(k + 1, "a", 30.0 * k - 3.0 * (k % 3), 30.0 * k + 29) for k in range(30)]
    group = resolve(evidence_of(fill(queue, "queue")), IdentityConfig()).group
    assert len(set(group.tolist())) == 30


def test_two_by_turns_who_look_different_are_two(fill: Fill) -> None:
    group = resolve(evidence_of(fill([*sitter((1, 40)), *others(30)], "two")), IdentityConfig()).group
    assert set(group[:60:2].tolist()).isdisjoint(group[1:60:2].tolist())
