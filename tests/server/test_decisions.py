"""Deciding over HTTP: what was seen is part of a decision, and an out-of-date view changes nothing."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from reidstream.identities.people import assign, create_person, leave_undecided
from reidstream.identities.questions import questions
from reidstream.server.access.roles import Role
from reidstream.server.alike import Looks
from reidstream.server.desk import Desk
from tests.identities.conftest import made_tracklet
from tests.server.conftest import IDS, Asking, Client, with_pictures


def test_many_people_are_merged_in_one_operation_and_come_back_with_one_undo(owner: Asking) -> None:
    people = owner.people()
    done = owner.decide("merge", people=[people[n]["id"] for n in (2, 1, 3)], seen=owner.seen(1, 2, 3))
    assert done["kind"] == "merge"
    assert "person 2" in done["summary"]
    assert set(owner.people()) == {2}
    assert set(owner.people()[2]["tracklets"]) == set(IDS)
    owner.decide("undo", operation=done["id"])
    assert owner.people() == people


def test_growth_in_the_meantime_does_not_refuse_a_decision(owner: Asking, desk: Desk) -> None:
    people, seen = owner.people(), owner.seen(1, 3)
    desk.store(with_pictures([(1, "a", 70, 75), (3, "b", 80, 85)]))
    desk.settle()
    owner.decide("merge", people=[people[1]["id"], people[3]["id"]], seen=seen)
    assert len(owner.people()[1]["tracklets"]) == 6


@pytest.mark.parametrize("kind", ["merge", "apart", "split", "confirm", "move", "reject"])
def test_a_contradiction_refuses_a_decision_and_says_how_it_is_now(owner: Asking, kind: str) -> None:
    people, seen = owner.people(), owner.seen(1, 2)
    first, second = people[1]["id"], people[2]["id"]
    # Somebody else finds out that one of the tracklets of person 1 is another person.
    owner.decide("split", person=first, tracklets=[IDS[2]], seen=owner.seen(1))
    split = owner.people()
    (new,) = set(split) - {1, 2, 3}
    values = {
        "merge": {"people": [first, second]},
        "apart": {"people": [first, second]},
        "split": {"person": first, "tracklets": [IDS[0]]},
        "confirm": {"person": first, "tracklets": [IDS[0]]},
        "move": {"tracklet": IDS[0], "person": second},
        "reject": {"tracklet": IDS[0], "person": first},
    }[kind]
    problem = owner.decide(kind, 409, **values, seen=seen)
    assert problem["error"] == "IdentityChanged"
    assert problem["now"] == {IDS[2]: split[new]["id"]}
    assert owner.people() == split
    assert len(owner.get("/operations")["operations"]) == 1


@pytest.mark.usefixtures("unproven")
def test_what_was_erased_meanwhile_is_a_contradiction_too(owner: Asking, desk: Desk) -> None:
    people, seen = owner.people(), owner.seen(1, 2)
    desk.jobs.wait(owner.post("/erasures", {"tracklets": [IDS[5]]}, 202)["id"])
    problem = owner.decide("merge", 409, people=[people[1]["id"], people[2]["id"]], seen=seen)
    assert problem["now"] == {IDS[5]: None}


def test_a_decision_without_what_was_seen_is_refused(owner: Asking) -> None:
    people = owner.people()
    pair = [people[1]["id"], people[2]["id"]]
    owner.decide("merge", 422, people=pair)
    owner.decide("merge", 422, people=pair, seen={})
    owner.decide("merge", 422, people=pair, seen=owner.seen(1))
    owner.decide("split", 422, person=pair[0], tracklets=[IDS[0]], seen={IDS[2]: pair[0]})
    assert owner.people() == people


def test_people_who_are_said_to_be_two_are_no_suggestion_and_cannot_be_merged(owner: Asking) -> None:
    people = owner.people()
    pair = [people[1]["id"], people[2]["id"]]
    owner.decide("apart", people=pair, seen=owner.seen(1, 2))
    alike = {one["id"]: one["same"] for one in owner.get(f"/people/{pair[0]}/alike")["alike"]}
    assert alike[pair[1]] == 0.0
    problem = owner.decide("merge", 409, people=pair, seen=owner.seen(1, 2))
    assert "different people" in problem["detail"]
    owner.decide("undo")
    owner.decide("merge", people=pair, seen=owner.seen(1, 2))


def test_what_is_confirmed_is_sure(owner: Asking) -> None:
    person = owner.people()[1]
    owner.decide("confirm", person=person["id"], tracklets=person["tracklets"], seen=owner.seen(1))
    assert owner.people()[1]["probability"] == [1.0, 1.0, 1.0]


def test_a_name_that_somebody_else_changed_is_not_overwritten(owner: Asking) -> None:
    person = owner.people()[1]["id"]
    owner.decide("label", person=person, name="Ann", seen_name="")
    owner.decide("label", 409, person=person, name="Anna", seen_name="")
    owner.decide("label", person=person, name="Anna", seen_name="Ann")
    owner.decide("label", 409, person=owner.people()[2]["id"], name="Anna", seen_name="")
    assert owner.people()[1]["name"] == "Anna"


def test_nothing_is_given_to_somebody_who_was_merged_away_a_moment_ago(owner: Asking, desk: Desk) -> None:
    people = owner.people()
    owner.decide("merge", people=[people[1]["id"], people[2]["id"]], seen=owner.seen(1, 2))
    desk.store(with_pictures([(2, "a", 90, 95), (1, "b", 100, 105)]))
    desk.settle()
    after = owner.people()
    assert people[2]["id"] not in {person["id"] for person in after.values()}
    assert sum(len(person["tracklets"]) for person in after.values()) == len(IDS) + 2


def test_two_users_decide_and_each_stands_in_the_log(owner: Asking, user: Client) -> None:
    reviewer = user(Role.REVIEWER)
    reviewer.decide("label", person=owner.people()[1]["id"], name="Ann")
    owner.decide("label", person=owner.people()[2]["id"], name="Ben")
    authors = [operation["author"] for operation in owner.get("/operations")["operations"]]
    assert authors[0] == "reviewer None (test)"
    assert authors[1] != authors[0]
    mine = owner.get("/operations", person=owner.people()[2]["id"])["operations"]
    assert [operation["summary"] for operation in mine] == ["labelled person 2 'Ben'"]


def test_deciding_everybody_anew_is_a_job_that_obeys_what_people_decided(owner: Asking, desk: Desk) -> None:
    people = owner.people()
    owner.decide("merge", people=[people[1]["id"], people[2]["id"]], seen=owner.seen(1, 2))
    job = owner.post("/resolve", status=202)
    desk.jobs.wait(job["id"])
    assert owner.get(f"/jobs/{job['id']}")["state"] == "done"
    assert set(owner.people()[1]["tracklets"]) >= {IDS[0], IDS[1]}


def test_skipped_questions_do_not_come_back_and_later_ones_come_last(owner: Asking, user: Client, desk: Desk) -> None:
    # Noisy looks at two people whom nobody has seen before: unsure, so asked about.
    desk.store([made_tracklet(n, "b", 300 + 20 * k, 310 + 20 * k, noise=1.0) for n in (8, 9) for k in range(4)])
    desk.settle()
    first = owner.get("/review")
    assert first["left"] >= 2
    one, two = first["questions"][:2]
    owner.post("/review/answers", {"one": one["one"], "other": one["other"], "answer": "skip"})
    owner.post("/review/answers", {"one": two["one"], "other": two["other"], "answer": "later"})
    now = owner.get("/review", limit=100)
    assert now["left"] == first["left"] - 1
    assert (now["questions"][-1]["one"], now["questions"][-1]["other"]) == (two["one"], two["other"])
    assert user(Role.REVIEWER).get("/review")["left"] == first["left"]
    owner.client.delete("/api/v1/review/answers")
    assert owner.get("/review")["left"] == first["left"]


def test_a_user_comes_back_to_the_question_where_they_were(owner: Asking, user: Client, desk: Desk) -> None:
    desk.store([made_tracklet(n, "b", 300 + 20 * k, 310 + 20 * k, noise=1.0) for n in (8, 9) for k in range(4)])
    desk.settle()
    first, second, *_ = owner.get("/review")["questions"]
    sent = {"one": second["one"], "other": second["other"]}
    assert owner.client.put("/api/v1/review/place", json=sent).status_code == 200
    again = owner.get("/review", limit=1)["questions"]
    assert [(q["one"], q["other"]) for q in again] == [(second["one"], second["other"])]
    other = user(Role.REVIEWER)
    assert other.get("/review")["questions"][0]["one"] == first["one"]
    # Put off: they are at the next one.
    owner.post("/review/answers", {**sent, "answer": "later"})
    now = owner.get("/review")["questions"]
    assert (now[0]["one"], now[0]["other"]) == (first["one"], first["other"])
    assert (now[-1]["one"], now[-1]["other"]) == (second["one"], second["other"])


def test_storing_does_not_wait_for_somebody_who_decides(app: TestClient, desk: Desk) -> None:
    with desk._deciding:
        assert desk.store(with_pictures([(1, "a", 200, 205)])) == 1
    desk.settle()
    assert desk.catalogue.owner(with_pictures([(1, "a", 200, 205)])[0].id) is not None


def test_the_log_comes_in_pages_that_hold_every_entry_once(owner: Asking) -> None:
    person = owner.people()[1]["id"]
    for number in range(5):
        owner.decide("label", person=person, notes=f"note {number}")
    found: list[int] = []
    asked: dict[str, int] = {}
    totals = []
    while True:
        page = owner.get("/operations", limit=2, **asked)
        found = [*(operation["id"] for operation in page["operations"]), *found]
        totals.append(page["total"])
        if page["next"] is None:
            break
        asked = {"before": page["next"]}
    assert found == [operation["id"] for operation in owner.get("/operations")["operations"]]
    assert totals == [5, 3, 1]


def test_looks_follow_decisions_as_if_read_anew(owner: Asking, desk: Desk) -> None:
    desk.looks.nearest(owner.people()[1]["id"], 5)
    for kind in ("merge", "undo", "split", "undo"):
        people = owner.people()
        if kind == "merge":
            owner.decide("merge", people=[people[1]["id"], people[3]["id"]], seen=owner.seen(1, 3))
        elif kind == "split":
            tracklets = people[1]["tracklets"][:1]
            owner.decide("split", person=people[1]["id"], tracklets=tracklets, seen=owner.seen(1))
        else:
            owner.decide("undo")
        fresh = Looks(desk.gallery, desk.catalogue)
        for person in owner.people().values():
            alike = [
                {entry.person.id: round(cosine, 5) for entry, cosine in looks.nearest(person["id"], 5)}
                for looks in (desk.looks, fresh)
            ]
            assert alike[0] == alike[1]
            assert len(alike[0]) == len(owner.people()) - 1


def test_the_queue_asks_in_the_order_of_the_terminal_and_remembers_who_reviewed_what(
    owner: Asking, user: Client, desk: Desk
) -> None:
    with desk.gallery.write() as connection:
        alone = create_person(connection, IDS[5])
        assign(connection, [(IDS[5], alone, 0.9)])
        leave_undecided(connection, [(IDS[5], IDS[0], 0.6)])
    desk.catalogue.reload()
    terminal = questions(desk.gallery, desk.config.identities)
    asked = owner.get("/review", limit=100)
    assert [(q["kind"], q["one"], q["weight"]) for q in asked["questions"]] == [
        (q.kind.value, q.one.id, q.weight) for q in terminal
    ]
    assert asked["reviewed"] == 0
    (doubt,) = [question for question in asked["questions"] if question["kind"] == "undecided"]
    assert doubt["other_person"]["tracklets"] == [IDS[5]]
    owner.decide("merge", people=[doubt["one"], doubt["other"]], seen={IDS[0]: doubt["one"], IDS[5]: doubt["other"]})
    now = owner.get("/review", limit=100)
    assert now["reviewed"] == 1
    assert doubt["other"] not in {question["other"] for question in now["questions"]}
    assert user(Role.REVIEWER).get("/review")["reviewed"] == 0
    owner.client.delete("/api/v1/review/answers")
    assert owner.get("/review")["reviewed"] == 1
