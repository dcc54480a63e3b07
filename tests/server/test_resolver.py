"""Deciding everybody anew in a process of its own: what happens when it dies, and what it respects."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from reidstream.config.identities import IdentityConfig
from reidstream.identities.applying import Applying
from reidstream.identities.operations import moves_of
from reidstream.identities.people import assign, create_person, leave_undecided, people_of
from reidstream.server.desk import Desk
from reidstream.server.resolver import Found, Resolver
from tests.server.conftest import IDS, Asking, with_pictures

LATE = with_pictures([(3, "b", 200, 205)])[0]


class Meanwhile(Resolver):
    """Does something between the finding and the applying."""

    def __init__(self, then: Callable[[], Any]) -> None:
        super().__init__()
        self._then = then

    def propose(self, gallery: str, config: IdentityConfig) -> Found:
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


def test_what_hangs_together_is_applied_together_and_the_rest_without_it(owner: Asking, desk: Desk) -> None:
    """Ann's and Cleo's part was decided about meanwhile; Ben's is put right in a transaction of its own."""
    misplaced(owner, desk)
    found = desk.resolver.propose(desk.gallery.place.address, desk.config.identities)
    assert [sorted(part.tracklets) for part in found.parts] == [
        sorted([IDS[0], IDS[2], IDS[3], IDS[5]]),
        [*sorted([IDS[1], IDS[4]])],
    ]
    (first, second) = found.parts
    applying = Applying(desk.gallery, "ana", found.before)
    assert applying.apply([second])
    owner.decide("confirm", person=owner.people()[3]["id"], tracklets=[IDS[2]], seen=owner.seen(3))
    assert not applying.apply([first])
    number = applying.close(found.counts, found.summary)
    assert number is not None
    desk.catalogue.reload()
    assert (number_of(owner, IDS[2]), number_of(owner, IDS[4])) == (3, 2)
    assert {moved.tracklet for moved in moves_of(desk.gallery, number)} == {IDS[4]}
    owner.decide("undo", operation=number)
    assert number_of(owner, IDS[4]) == 4


def test_whoever_was_named_meanwhile_does_not_vanish(owner: Asking, desk: Desk) -> None:
    misplaced(owner, desk)

    def name() -> None:
        owner.decide("label", person=owner.people()[4]["id"], name="Ben's brother")

    desk.resolver = Meanwhile(name)
    done = resolved(owner, desk)
    assert done["result"]["left_out"] == 1
    assert (number_of(owner, IDS[2]), number_of(owner, IDS[4])) == (1, 4)


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
        counts = desk.resolver.propose(desk.gallery.place.address, settings).counts
        return counts["people"] + counts["undecided"]

    assert groups(1e-9) > groups(0.05)
