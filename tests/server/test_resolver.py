"""Deciding everybody anew in a process of its own: what happens when it dies, and what it respects."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reidstream.config.identities import IdentityConfig
from reidstream.identities.calibration import Calibration
from reidstream.identities.people import assign, create_person, leave_undecided, people_of
from reidstream.identities.proposal import Proposal
from reidstream.identities.verdicts import Outcome, Verdict
from reidstream.server.desk import Desk
from reidstream.server.resolver import Resolver, fitted
from tests.server.conftest import IDS, Asking, with_pictures

LATE = with_pictures([(3, "b", 200, 205)])[0]


class Meanwhile(Resolver):
    """Does something between the finding and the applying."""

    def __init__(self, then: Callable[[], Any]) -> None:
        super().__init__()
        self._then = then

    def propose(self, gallery: str, config: IdentityConfig) -> Proposal:
        found = super().propose(gallery, config)
        self._then()
        return found


def resolved(owner: Asking, desk: Desk) -> dict[str, Any]:
    job = owner.post("/resolve", status=202)
    desk.jobs.wait(job["id"])
    done: dict[str, Any] = owner.get(f"/jobs/{job['id']}")
    return done


def misplaced(owner: Asking, desk: Desk) -> None:
    """Ann's visit to b is Cleo's, and Ben's is nobody's but its own: what a look at all of them together puts right."""
    cleo = owner.people()[3]["id"]
    with desk.gallery.write() as connection:
        alone = create_person(connection, IDS[4])
        assign(connection, [(IDS[2], cleo, 0.9), (IDS[4], alone, 0.9)])
    desk.catalogue.reload()


def number_of(owner: Asking, tracklet: str) -> int:
    (number,) = [n for n, person in owner.people().items() if tracklet in person["tracklets"]]
    return number


def test_a_look_at_everybody_together_puts_right_what_was_given_wrongly(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)
    assert resolved(owner, desk)["state"] == "done"
    assert (number_of(owner, IDS[2]), number_of(owner, IDS[4])) == (1, 2)


def test_a_killed_process_is_a_failed_job_and_changes_nothing(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)
    before = owner.people()
    job = owner.post("/resolve", status=202)
    while (process := desk.resolver.process) is None:
        pass
    os.kill(process, signal.SIGKILL)
    desk.jobs.wait(job["id"])
    ended = owner.get(f"/jobs/{job['id']}")
    assert ended["state"] == "failed"
    assert "nothing was changed" in ended["error"]
    assert owner.people() == before
    assert resolved(owner, desk)["state"] == "done"


def test_whom_somebody_decided_about_meanwhile_stays_and_all_others_are_put_right(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)
    cleo = owner.people()[3]["id"]

    def confirm() -> None:
        owner.decide("confirm", person=cleo, tracklets=[IDS[2]], seen=owner.seen(3))

    desk.resolver = Meanwhile(confirm)
    assert resolved(owner, desk)["state"] == "done"
    assert (number_of(owner, IDS[2]), number_of(owner, IDS[4])) == (3, 2)


def test_what_is_stored_meanwhile_keeps_its_person(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)

    def store() -> None:
        desk.store([LATE])
        desk.settle()

    desk.resolver = Meanwhile(store)
    assert resolved(owner, desk)["state"] == "done"
    held = [t for person in owner.people().values() for t in person["tracklets"]]
    assert sorted(held) == sorted([*IDS, LATE.id])
    assert desk.catalogue.owner(LATE.id) is not None


def test_a_server_that_ends_does_not_wait_for_it(owner: Asking, desk: Desk) -> None:
    before = owner.people()
    job = owner.post("/resolve", status=202)
    while desk.resolver.process is None:
        pass
    desk.close()
    ended = desk.jobs.get(job["id"])
    assert ended.state == "failed"
    assert "server was stopped" in (ended.error or "")
    desk.catalogue.reload()
    assert owner.people() == before


TRACKLETS = [f"t{n}" for n in range(8)]


@given(
    now=st.lists(st.integers(0, 4) | st.none(), min_size=8, max_size=8),
    wanted=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    owners=st.permutations([0, 1, 2, 3, 4]),
    touched=st.sets(st.sampled_from(TRACKLETS)),
)
def test_a_fitted_proposal_moves_nobody_that_somebody_decided_about(
    now: list[int | None], wanted: list[int], owners: list[int], touched: set[str]
) -> None:
    """The last two tracklets were stored after the proposal was begun."""
    held = {t: (f"p{person}", 0.5) for t, person in zip(TRACKLETS, now, strict=True) if person is not None}
    groups: dict[int, list[str]] = {}
    for tracklet, group in zip(TRACKLETS, wanted, strict=False):
        groups.setdefault(group, []).append(tracklet)
    present = {person for person, _ in held.values()}
    who = [f"p{owners[group]}" if f"p{owners[group]}" in present else None for group in groups]
    target = {t: o for group, o in zip(groups.values(), who, strict=True) for t in group}
    proposal = Proposal(
        groups=tuple(map(tuple, groups.values())),
        owners=tuple(who),
        probability=dict.fromkeys(target, 0.9),
        verdicts={
            t: Verdict(Outcome.DECIDED, n, 0.9)
            if len(group) > 1
            else Verdict(Outcome.UNDECIDED, (n + 1) % len(groups), 0.6)
            for n, group in enumerate(groups.values())
            for t in group
        },
        moved=tuple(t for t, o in target.items() if t in held and held[t][0] != o),
        joined=(),
        divided=(),
        calibration=Calibration(),
        odds=0.0,
        estimated=0.0,
        separate_cameras=False,
        people_before=len(present),
    )
    found = fitted(proposal, held, touched)
    placed = {t: o for group, o in zip(found.groups, found.owners, strict=True) for t in group}
    assert len(placed) == sum(map(len, found.groups))
    assert set(placed) == set(found.probability) == set(found.verdicts)
    for tracklet, verdict in found.verdicts.items():
        mine = verdict.outcome is Outcome.DECIDED
        assert verdict.person is None or (tracklet in found.groups[verdict.person]) >= mine
    named = [owner for owner in found.owners if owner is not None]
    assert len(named) == len(set(named))
    for tracklet in touched & held.keys():
        assert placed.get(tracklet, held[tracklet][0]) == held[tracklet][0]
    for tracklet in TRACKLETS[6:]:
        if tracklet in held and tracklet not in placed:
            assert held[tracklet][0] in named
    if not touched and all(t in target for t in held):
        assert found == proposal


def test_who_stays_undecided_is_not_made_a_person(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)
    ben = owner.people()[2]
    (seen_first,) = ben["tracklets"]
    with desk.gallery.write() as connection:
        leave_undecided(connection, [(IDS[4], seen_first, 0.6)])
    desk.catalogue.reload()

    def confirm() -> None:
        owner.decide("confirm", person=ben["id"], tracklets=[seen_first], seen=owner.seen(2))

    desk.resolver = Meanwhile(confirm)
    assert resolved(owner, desk)["state"] == "done"
    with desk.gallery.read() as connection:
        (held,) = [person for person in people_of(connection) if IDS[4] in person.tracklets]
    assert held.undecided
    assert (held.tracklets, held.chance) == ((IDS[4],), 0.6)


def test_the_process_decides_by_the_servers_own_settings(desk: Desk) -> None:
    def groups(risk: float) -> int:
        settings = desk.config.identities.model_copy(update={"false_merges": risk})
        return len(desk.resolver.propose(desk.gallery.place.address, settings).groups)

    assert groups(1e-9) > groups(0.05)
