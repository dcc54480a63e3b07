"""Whose clock is ahead of whose, and what correcting it changes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config.identities import IdentityConfig
from reidstream.identities.clocks import _ahead, _density, _walks, clocks_of, offsets
from reidstream.identities.proposal import propose
from tests.identities.conftest import Fill, Visit


def walks(ahead: float, *, back: bool = True, people: int = 12, turns: int = 3) -> list[Visit]:
    """People who walk from a to b and back, one after the other; b's clock is ahead by so many seconds."""
    rng = np.random.default_rng(4)
    visits: list[Visit] = []
    begin = 1000.0
    for _ in range(turns):
        for person in range(people):
            to, home = rng.uniform(20, 26, 2)
            visits.append((person, "a", begin, begin + 6))
            visits.append((person, "b", begin + 6 + to + ahead, begin + 12 + to + ahead))
            if back:
                visits.append((person, "a", begin + 12 + to + home, begin + 18 + to + home))
            begin += 400.0
    return visits


@pytest.mark.parametrize("ahead", [0.0, 9.0, -31.0, 150.0])
def test_how_far_a_clock_is_ahead_is_found_from_who_walks_there_and_back(fill: Fill, ahead: float) -> None:
    (clock,) = clocks_of(fill(walks(ahead)), IdentityConfig())
    assert {clock.camera, clock.reference} == {"a", "b"}
    assert clock.ahead is not None and clock.error is not None
    measured = clock.ahead if clock.camera == "b" else -clock.ahead
    assert measured == pytest.approx(ahead, abs=max(3 * clock.error, 2.0))
    assert clock.differs == (ahead != 0.0)


def test_where_people_go_one_way_only_nothing_is_said(fill: Fill) -> None:
    (clock,) = clocks_of(fill(walks(0.0, back=False, turns=1)), IdentityConfig())
    assert clock.ahead is None
    assert not clock.differs


def test_a_clock_that_shares_nobody_with_the_reference_is_measured_through_a_third(fill: Fill) -> None:
    rng = np.random.default_rng(7)
    # Some go from a to b and back, others from b to c or from c to d.
    ahead = {"a": 0.0, "b": 20.0, "c": 45.0, "d": 30.0}
    visits: list[Visit] = []
    begin = 1000.0
    for turn in range(3):
        for person in range(30):
            one, other = ("ab", "bc", "cd")[person // 10]
            at = begin
            for camera in (one, other, one):
                visits.append((person, camera, at + ahead[camera], at + 6 + ahead[camera]))
                at += 6 + float(rng.uniform(20, 26))
            begin += 400.0
        begin += 1000.0 * turn
    found = {clock.camera: clock for clock in clocks_of(fill(visits), IdentityConfig())}
    (reference,) = set(ahead) - set(found)
    for camera, clock in found.items():
        assert clock.ahead == pytest.approx(ahead[camera] - ahead[reference], abs=2.0)
        assert clock.differs


def test_pairs_of_cameras_are_put_together_by_how_sure_they_are() -> None:
    ahead, error = offsets(3, {(0, 1): (10.0, 0.1), (1, 2): (5.0, 0.1), (0, 2): (18.0, 1.0)}, 0)
    # By way of the second it is 15, with a tenth of the error.
    assert ahead[0] == error[0] == 0.0
    assert ahead[1] == pytest.approx(10.0, abs=0.2)
    assert 15.0 < ahead[2] < 15.3
    # What fits is surer together than any of it alone; what does not is less sure.
    fitting = offsets(3, {(0, 1): (10.0, 0.1), (1, 2): (5.0, 0.1), (0, 2): (15.0, 0.1)}, 0)
    assert fitting[0] == pytest.approx([0.0, 10.0, 15.0])
    assert (fitting[1][1:] < 0.1).all()
    contradicting = offsets(3, {(0, 1): (10.0, 0.1), (1, 2): (5.0, 0.1), (0, 2): (19.0, 0.1)}, 0)
    assert (contradicting[1][1:] > 1.0).all()


def test_of_a_clock_that_nobody_leads_to_nothing_is_said() -> None:
    ahead, error = offsets(4, {(2, 3): (4.0, 0.1), (0, 1): (-3.0, 0.2)}, 0)
    assert ahead[1] == pytest.approx(-3.0) and error[1] == pytest.approx(0.2)
    assert np.isnan(ahead[2:]).all() and np.isnan(error[2:]).all()
    assert np.isnan(offsets(2, {}, 1)[0][0])


@pytest.mark.setting("identities.clocks")
def test_what_is_told_is_corrected_for(fill: Fill) -> None:
    gallery = fill(walks(31.0))
    (clock,) = clocks_of(gallery, IdentityConfig(clocks={"b": 31.0}))
    assert clock.ahead is not None and not clock.differs
    assert abs(clock.told) == 31.0


def test_times_that_clocks_made_impossible_no_longer_part_people(fill: Fill) -> None:
    # By b's clock everybody is there while they are still before a.
    gallery = fill(walks(-28.0, people=6))
    wrong = propose(gallery, IdentityConfig(cameras="separate"))
    right = propose(gallery, IdentityConfig(cameras="separate", clocks={"b": -28.0}))
    assert wrong.people > 6
    assert right.people == 6


def test_the_command_prints_the_setting_that_corrects_it(fill: Fill) -> None:
    gallery = fill(walks(31.0))
    place = str(gallery.place)
    gallery.close()
    done = CliRunner().invoke(app, ["people", "clocks", "--gallery", place])
    assert done.exit_code == 0, done.output
    assert "identities.clocks = {" in done.output
    (clock,) = json.loads(CliRunner().invoke(app, ["people", "clocks", "--gallery", place, "--json"]).output)
    assert clock["differs"] is True


def walks_between(seed: int, count: int = 14) -> tuple[Any, ...]:
    """Visits to two cameras whose clocks agree, in the words of ``_ahead``: people walk there and back in 5 to 30 s."""
    rng = np.random.default_rng(seed)
    order = np.arange(2 * count)
    there = np.concatenate([rng.uniform(5, 30, count), -rng.uniform(200, 900, count)])
    back = np.concatenate([-rng.uniform(200, 900, count), rng.uniform(5, 30, count)])
    return order, order, there, back


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", [0.0, 17.0, -41.5, 299.0])
def test_a_clock_that_is_moved_is_ahead_by_as_much_more(seed: int, by: float) -> None:
    p, q, there, back = walks_between(seed)
    ahead, error, onward, homeward = _ahead(p, q, there, back)
    assert abs(ahead) < 6.0
    assert (onward, homeward) == (14, 14)
    moved = _ahead(p, q, there + by, back - by)
    assert moved == pytest.approx((ahead + by, error, onward, homeward), abs=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_the_other_clock_is_behind_by_as_much(seed: int) -> None:
    p, q, there, back = walks_between(seed)
    ahead, error, onward, homeward = _ahead(p, q, there + 20.0, back - 20.0)
    assert _ahead(q, p, back - 20.0, there + 20.0) == pytest.approx((-ahead, error, homeward, onward), abs=1e-2)


def test_a_walk_is_the_next_visit_within_two_minutes_and_begins_when_the_last_one_ends_at_the_earliest() -> None:
    begun = np.array([0, 0, 1, 1, 2, 3, 4])
    gaps = np.array([9.0, 4.0, -1.0, 30.0, 121.0, 0.0, 120.0])
    assert sorted(_walks(begun, gaps).tolist()) == [1, 3, 5, 6]


def test_quick_walks_weigh_more_than_slow_ones() -> None:
    assert _density(np.array([0.0, 60.0, 120.0])) == pytest.approx(1.5)
    assert _density(np.zeros(0)) == 0.0
