"""Every tracklet is somebody, undecided, or nobody known; what is undecided names its candidate."""

from __future__ import annotations

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.evidence import evidence_of
from reidstream.identities.linkage import UNLIKE
from reidstream.identities.memberships import Likeness, _own_ratio, memberships, without_doubtful
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.proposal import propose
from reidstream.identities.resolving import resolve
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.types import SourceStarted, Tracklet
from tests.identities.conftest import Fill, Visit, made_tracklet


def test_a_verdict_names_somebody_unless_it_is_nobody() -> None:
    assert Verdict(Outcome.UNDECIDED, 3, 0.6).candidate == 3
    assert Verdict(Outcome.DECIDED, "p1", 0.95).candidate is None
    with pytest.raises(ValueError, match="nobody"):
        Verdict(Outcome.NOBODY, "p1", 0.9)
    with pytest.raises(ValueError, match="nobody"):
        Verdict[str](Outcome.DECIDED, None, 0.9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Verdict(Outcome.DECIDED, "p1", 1.5)


def visits_of_thirty() -> list[Visit]:
    """Thirty people in one room; every second comes back, the later the less like themselves."""
    first = [(k, "a", 20.0 * k, 20.0 * k + 5) for k in range(30)]
    return first + [(k, "b", 1000 + 20.0 * k, 1005 + 20.0 * k) for k in range(0, 30, 2)]


def gallery_of(fill: Fill, noise: float) -> Gallery:
    visits = visits_of_thirty()
    return stored(
        fill, "noisy", [made_tracklet(*visit, noise * (0.5 + k / len(visits))) for k, visit in enumerate(visits)]
    )


def test_resolving_says_of_every_tracklet_whose_it_is_or_may_be(fill: Fill) -> None:
    proposal = propose(gallery_of(fill, 1.3), IdentityConfig())
    assert set(proposal.verdicts) == {tracklet for group in proposal.groups for tracklet in group}
    outcomes = [verdict.outcome for verdict in proposal.verdicts.values()]
    assert set(outcomes) == set(Outcome)
    assert proposal.undecided == outcomes.count(Outcome.UNDECIDED)
    for number, group in enumerate(proposal.groups):
        for tracklet in group:
            verdict = proposal.verdicts[tracklet]
            match verdict.outcome:
                case Outcome.DECIDED:
                    assert verdict.person == number and len(group) > 1
                case Outcome.UNDECIDED:
                    assert len(group) == 1 and verdict.candidate not in (None, number)
                case Outcome.NOBODY:
                    assert len(group) == 1


def test_deciding_one_after_the_other_leaves_undecided_what_is_not_sure_enough(fill: Fill) -> None:
    gallery = gallery_of(fill, 1.0)
    identities = OnlineIdentities(gallery, IdentityConfig(false_merges=0.05))
    identities.catch_up()
    known = {person.id for person in list_people(gallery)}
    asked = [made_tracklet(k % 40, "b", 5000.0 + k, 5010.0 + k, 0.6 + 0.025 * k) for k in range(60)]
    found = [identities.decide(tracklet) for tracklet in asked]
    assert {decision.verdict.outcome for decision in found} == set(Outcome)
    for decision in found:
        verdict = decision.verdict
        if verdict.outcome is Outcome.UNDECIDED:
            assert verdict.candidate == decision.candidates[0][0] and verdict.candidate in known
            assert decision.nobody < 0.5


def crowd(seed: int, noise: tuple[float, float]) -> list[Tracklet]:
    """Twelve people who come up to nine times and are the less like themselves the more noise there is."""
    rng = np.random.default_rng(seed)
    visits = [(k, float(t)) for k in range(12) for t in rng.uniform(0, 3000, rng.integers(1, 10))]
    visits.sort(key=lambda visit: visit[1])
    return [made_tracklet(k, "ab"[n % 2], t, t + 3, float(rng.uniform(*noise))) for n, (k, t) in enumerate(visits)]


def stored(fill: Fill, name: str, tracklets: list[Tracklet]) -> Gallery:
    gallery = fill([], name)
    for camera in "ab":
        started = SourceStarted(camera, f"{camera}.mp4", f"content of {camera}", (640, 480), 10, 0.0)
        gallery.begin_source(started, "settings")
    gallery.add(tracklets)
    return gallery


@pytest.mark.parametrize("risk", [0.02, 0.1])
def test_of_all_memberships_no_more_than_the_risk_is_expected_wrong(fill: Fill, risk: float) -> None:
    for seed in (1, 2):
        gallery = stored(fill, f"crowd{seed}", crowd(seed, (1.0, 2.0)))
        found = resolve(evidence_of(gallery), IdentityConfig(false_merges=risk))
        sure = found.probability[np.bincount(found.group)[found.group] > 1]
        assert len(sure)
        assert sure.min() >= 0.5
        # Unless each is as sure as a join had to be: of joins no more are expected wrong.
        assert (1.0 - sure).mean() <= risk or sure.min() >= 1.0 / (1.0 + np.exp(-found.odds))


def test_nobody_is_given_a_person_who_they_are_less_likely_than_not(fill: Fill) -> None:
    below = 0
    for seed in (0, 1, 2):
        gallery = stored(fill, f"crowd{seed}", crowd(seed, (0.5, 2.5)))
        identities = OnlineIdentities(gallery, IdentityConfig())
        identities.catch_up()
        for k in range(12):
            for noise in (0.5, 1.0, 1.5, 2.0, 2.5):
                decision = identities.decide(made_tracklet(k, "a", 2000.0, 2005.0, noise))
                if decision.verdict.outcome is Outcome.DECIDED:
                    assert decision.verdict.probability >= 0.5
                elif decision.candidates:
                    below += decision.candidates[0][1] < 0.5
    assert below


def test_who_does_not_belong_leaves_a_group_and_stays_with_whom_they_came() -> None:
    # Rows 0 to 2 are one person, 3 and 4 another; 5 is like nobody. All were joined.
    alike = np.full((6, 6), -3.0)
    alike[:3, :3], alike[3:5, 3:5] = 4.0, 4.0
    i, j = np.nonzero(~np.eye(6, dtype=bool))
    pairs = Likeness(i, j, alike[i, j], np.ones(6))
    together, nobody = np.zeros(6, np.int64), np.zeros(6, bool)
    group = without_doubtful(together, pairs, np.zeros(6), -1.0, 2.2, 0.1, nobody)
    assert group[0] == group[1] == group[2] != group[3] == group[4]
    assert group[5] not in (group[0], group[3])
    # Who was said to be one of them stays, and what the times say counts.
    said = np.arange(6) >= 3
    assert len(set(without_doubtful(together, pairs, np.zeros(6), -1.0, 1.0, 0.1, said).tolist())) == 1
    timely = np.where(np.arange(6) == 5, 9.0, 0.0)
    assert without_doubtful(together, pairs, timely, -1.0, 2.2, 0.1, nobody)[5] == 0


def test_who_left_a_group_may_still_be_one_of_it() -> None:
    alike = np.array([[0.0, 5.0, 1.2], [5.0, 0.0, 1.2], [1.2, 1.2, 0.0]])
    i, j = np.nonzero(~np.eye(3, dtype=bool))
    pairs = Likeness(i, j, alike[i, j], np.ones(3))
    group = without_doubtful(np.zeros(3, np.int64), pairs, np.zeros(3), -1.0, 1.0, 0.04, np.zeros(3, bool))
    assert group[0] == group[1] != group[2]
    # Where more may be wrong, it stays: nobody asks for more than the risk does.
    kept = without_doubtful(np.zeros(3, np.int64), pairs, np.zeros(3), -1.0, 1.0, 0.2, np.zeros(3, bool))
    assert kept.tolist() == [0, 0, 0]
    sure, likeliest, chance = memberships(group, pairs, -1.0, -1.0, np.zeros(3, bool))
    assert likeliest.tolist() == [-1, -1, group[0]]
    assert sure[2] < 0.5 < chance[2]
    # What the times say of the group that it left counts as it did there.
    left = np.array([-1, -1, group[0]])
    timely = memberships(group, pairs, -1.0, -1.0, np.zeros(3, bool), np.array([0.0, 0.0, 0.5]), left)[2]
    assert timely[2] > chance[2]


def test_who_stays_alone_is_nobodys_likeliest() -> None:
    """Two are together: of the third less is expected before looking than of what was the likeliest."""
    rows, others = np.array([0, 1, 2, 0]), np.array([1, 0, 0, 2])
    pairs, group = Likeness(rows, others, np.array([3.0, 3.0, 1.5, 1.5]), np.ones(3)), np.array([0, 0, 1])
    found, other = (memberships(group, pairs, -1.0, alone, np.zeros(3, bool)) for alone in (-1.0, -2.0))
    assert other[0][:2].tolist() == found[0][:2].tolist()
    assert other[0][2] > found[0][2]
    nobody = 1.0 / (1.0 + np.exp(-2.0) * (np.exp(1.5) + np.exp(UNLIKE)) / 2)
    assert other[0][2] == pytest.approx(nobody, rel=1e-5)


def test_the_unlooked_at_of_a_group_speak_against_belonging_to_it() -> None:
    """Row 0 was compared with one of two others: the mean is over both."""
    alike, unlike = 3.0, UNLIKE
    pairs = Likeness(np.array([0, 1]), np.array([1, 0]), np.full(2, alike), np.ones(3))
    whole = (np.exp(alike) + np.exp(unlike)) / 2
    assert _own_ratio(np.zeros(3, np.int64), pairs)[:2] == pytest.approx(np.log(whole))
    assert _own_ratio(np.zeros(3, np.int64), pairs)[2] == pytest.approx(unlike)
