"""Looks last a day: who comes another day is suggested, unless clothes stay."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.identities.lasting import diluted, lasting_over
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.proposal import propose
from reidstream.identities.verdicts import Outcome
from tests.identities.conftest import Fill, Visit, made_tracklet

HOUR = 3600.0
DAY = 24 * HOUR


def two_days() -> list[Visit]:
    """Twelve people seen three times on one day, in the same clothes six of them once on the next."""
    first = [
        (k, "abc"[turn], turn * HOUR + 60.0 * k, turn * HOUR + 60.0 * k + 8) for turn in range(3) for k in range(12)
    ]
    return first + [(k, "a", DAY + 60.0 * k, DAY + 60.0 * k + 8) for k in range(6)]


def test_looks_last_a_shift_and_never_prove_nothing_at_all() -> None:
    kept = lasting_over(np.array([0.0, 9 * HOUR, 15 * HOUR, DAY, 30 * DAY]), "change")
    assert kept[0] == kept[1] == 1.0
    assert (np.diff(kept) <= 0).all() and 0.0 < kept[-1] < kept[3] < 0.1
    assert (lasting_over(np.array([30 * DAY]), "stay") == 1.0).all()
    # Unlike looks of another day rule nobody out; alike ones say less than on the same day.
    read = diluted(np.array([-6.0, 6.0]), np.array([0.04, 0.04]))
    assert read[0] == pytest.approx(0.0, abs=0.05) and 0.0 < read[1] < 6.0


@pytest.mark.setting("identities.clothes")
def test_people_of_another_day_are_suggested_and_joined_only_where_clothes_stay(fill: Fill) -> None:
    gallery = fill(two_days(), "days")
    assert propose(gallery, IdentityConfig(clothes="stay")).people == 12
    proposal = propose(gallery, IdentityConfig())
    assert proposal.people == 18
    next_day = [made_tracklet(*visit).id for visit in two_days()[36:]]
    assert {proposal.verdicts[tracklet].outcome for tracklet in next_day} == {Outcome.UNDECIDED}
    for tracklet in next_day:
        candidate = proposal.verdicts[tracklet].candidate
        assert candidate is not None and {t[:4] for t in proposal.groups[candidate]} == {tracklet[:4]}


def test_one_after_the_other_too(fill: Fill) -> None:
    gallery = fill(two_days()[:36], "online")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert len(list_people(gallery)) == 12
    tomorrow, later = made_tracklet(3, "a", DAY, DAY + 8), made_tracklet(3, "a", 4 * HOUR, 4 * HOUR + 8)
    assert OnlineIdentities(gallery, IdentityConfig()).decide(later).verdict.outcome is Outcome.DECIDED
    assert OnlineIdentities(gallery, IdentityConfig()).decide(tomorrow).verdict.outcome is Outcome.UNDECIDED
    stay = IdentityConfig(clothes="stay")
    assert OnlineIdentities(gallery, stay).decide(tomorrow).verdict.outcome is Outcome.DECIDED
