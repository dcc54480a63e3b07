"""Every tracklet is somebody, undecided, or nobody known; what is undecided names its candidate."""

from __future__ import annotations

import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.identities.proposal import propose
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.types import SourceStarted
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
    gallery = fill([], "noisy")
    for camera in "ab":
        started = SourceStarted(camera, f"{camera}.mp4", f"content of {camera}", (640, 480), 10, 0.0)
        gallery.begin_source(started, "settings")
    visits = visits_of_thirty()
    gallery.add([made_tracklet(*visit, noise * (0.5 + k / len(visits))) for k, visit in enumerate(visits)])
    return gallery


def test_resolving_says_of_every_tracklet_whose_it_is_or_may_be(fill: Fill) -> None:
    proposal = propose(gallery_of(fill, 1.6), IdentityConfig())
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
    gallery = gallery_of(fill, 1.6)
    identities = OnlineIdentities(gallery, IdentityConfig(false_merges=0.02))
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
