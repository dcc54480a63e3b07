"""What decisions leave behind: links that hold, questions, events, what is remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config.identities import IdentityConfig
from reidstream.errors import ConfigError, DeliveryError, IdentityChanged, IdentityError
from reidstream.gallery import Gallery
from reidstream.identities import remembered
from reidstream.identities.applying import apply
from reidstream.identities.constraints import _LONGEST_TRAVEL, Cameras, HumanLinks, groups_of, read_topology
from reidstream.identities.delivery import Webhook
from reidstream.identities.memberships import Likeness, memberships
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent, all_events_after
from reidstream.identities.people import (
    assign,
    create_person,
    history,
    human_links,
    leave_undecided,
    list_people,
)
from reidstream.identities.proposal import propose
from reidstream.identities.questions import Kind, questions
from reidstream.identities.resolving import _cannot_link
from reidstream.identities.review import Review, _refuse_apart
from reidstream.identities.schema import links
from reidstream.identities.verdicts import Outcome, Verdict
from tests.identities.conftest import Fill, made_tracklet
from tests.identities.three_people import AT_TWO_CAMERAS, decided, ids_of

PAIR = tuple[int, int]
IDS = ids_of(AT_TWO_CAMERAS)


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Person 1 with three visits, person 2 with two, person 3 with one."""
    return decided(fill, AT_TWO_CAMERAS)


def linked(gallery: Gallery) -> tuple[list[int], set[frozenset[int]]]:
    """Of each tracklet the first that reviewers tied it to, and the pairs that they told apart, as places in IDS."""
    with gallery.read() as connection:
        links = human_links(connection, {tracklet: row for row, tracklet in enumerate(IDS)})
    same = groups_of(len(IDS), [(a, b) for a, b in links.same.tolist()]).tolist()
    return same, {frozenset(pair) for pair in links.different.tolist()}


def test_a_merge_ties_every_visit_of_both(gallery: Gallery) -> None:
    Review(gallery, "ana").merge("1", "2")
    assert linked(gallery)[0] == [0, 0, 0, 3, 0, 0]


def test_a_split_ties_both_sides_and_parts_them(gallery: Gallery) -> None:
    Review(gallery, "ana").split("1", [IDS[2], IDS[5]])
    same, different = linked(gallery)
    assert same == [0, 1, 2, 3, 4, 2]
    assert frozenset((0, 2)) in different


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=6),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_who_was_told_apart_is_apart_with_all_that_is_certainly_one_person(
    pairs: list[PAIR], groups: list[int]
) -> None:
    label = np.array([groups.index(group) for group in groups])
    links = HumanLinks(different=np.array(pairs, np.int64).reshape(-1, 2))
    i, j = np.triu_indices(8, 1)
    apart = _cannot_link(8, label, links, i, j)
    told = {frozenset((int(label[a]), int(label[b]))) for a, b in pairs}
    assert apart.tolist() == [frozenset((int(label[a]), int(label[b]))) in told for a, b in zip(i, j, strict=True)]


def test_people_who_are_two_are_not_merged_by_way_of_a_third(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.apart("2", "3")
    with pytest.raises(IdentityError, match="different people"):
        review.merge("1", "2", "3")
    with pytest.raises(IdentityError, match="different people"):
        review.merge("2", "3")
    assert len(list_people(gallery)) == 3
    # Each of them may be somebody else all the same.
    review.merge("3", "1")
    assert len(list_people(gallery)) == 2


def test_who_is_moved_is_no_longer_told_apart_from_the_new_and_is_from_the_former_person(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.reject(IDS[3], "2")
    assert {frozenset((3, 1)), frozenset((3, 4))} <= linked(gallery)[1]
    review.move(IDS[3], "2")
    same, different = linked(gallery)
    assert not {frozenset((3, 1)), frozenset((3, 4))} & different
    assert same[3] == same[1] == same[4]
    review.move(IDS[5], "2")
    assert frozenset((0, 5)) in linked(gallery)[1]


@pytest.mark.parametrize("action", ["merge", "split", "move", "reject", "label", "confirm", "apart"])
def test_a_decision_made_on_what_is_no_longer_so_is_refused(gallery: Gallery, action: str) -> None:
    people = {person.number: person.id for person in list_people(gallery)}
    review = Review(gallery, "ana", seen={IDS[0]: people[2]})
    actions = {
        "merge": lambda: review.merge("1", "3"),
        "split": lambda: review.split("1", [IDS[5]]),
        "move": lambda: review.move(IDS[5], "2"),
        "reject": lambda: review.reject(IDS[5], "1"),
        "label": lambda: review.label("1", "Ann"),
        "confirm": lambda: review.confirm("1", [IDS[0]]),
        "apart": lambda: review.apart("1", "2"),
    }
    before = [(p.name, p.tracklets, p.probability) for p in list_people(gallery)]
    with pytest.raises(IdentityChanged):
        actions[action]()
    assert [(p.name, p.tracklets, p.probability) for p in list_people(gallery)] == before


def test_who_follows_hears_of_people_that_were_joined(gallery: Gallery) -> None:
    people = {person.number: person.id for person in list_people(gallery)}
    last = max(event.seq for event in all_events_after(gallery, 0))
    found = propose(gallery, IdentityConfig())
    groups = ((IDS[0], IDS[2], IDS[5], IDS[3]), (IDS[1], IDS[4]))
    decided: dict[str, Verdict[int]] = {
        t: Verdict(Outcome.DECIDED, n, 0.9) for n, group in enumerate(groups) for t in group
    }
    both = ((people[1], (people[3],)),)
    owners = (people[1], people[2])
    apply(gallery, replace(found, groups=groups, owners=owners, verdicts=decided, moved=(IDS[3],), joined=both))
    (event,) = (e for e in all_events_after(gallery, last) if e.kind == "IdentityMerged")
    assert event.payload["person"] == people[1]
    assert event.payload["merged"] == [people[3]]


def test_only_tracklets_that_are_new_are_told_as_stored(gallery: Gallery) -> None:
    last = max(event.seq for event in all_events_after(gallery, 0))
    new = made_tracklet(1, "a", 50, 55)
    gallery.add([new])
    apply(gallery, propose(gallery, IdentityConfig()))
    told = [e.payload["tracklet"] for e in all_events_after(gallery, last) if e.kind == "TrackletStored"]
    assert told == [new.id]


def test_of_each_person_only_the_last_visits_are_remembered(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_REMEMBERED", 2)
    identities = OnlineIdentities(fill([(1, "a", 10 * k, 10 * k + 5) for k in range(6)]), IdentityConfig())
    identities.catch_up()
    for person in identities._memory.people:
        assert len(person.prototypes) == len(person.vectors) == len(person.tracklets) <= 2


def test_what_similarities_mean_is_learnt_while_a_gallery_grows(fill: Fill) -> None:
    identities = OnlineIdentities(fill([(k % 8, "ab"[k % 2], 10 * k, 10 * k + 5) for k in range(24)]), IdentityConfig())
    assert identities.decider._calibration.tracklets == 0
    identities.catch_up()
    assert identities.decider._calibration.tracklets >= 16


def test_two_people_by_review_are_surely_not_one_and_look_alikes_may_be(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.split("1", [IDS[5]])
    new = next(p.id for p in list_people(gallery) if IDS[5] in p.tracklets)
    first = next(p.id for p in list_people(gallery) if p.number == 1)
    assert OnlineIdentities(gallery, IdentityConfig()).same(first, [new]) == [0.0]
    # The same looks in two people that nobody has told apart.
    third, one = made_tracklet(1, "b", 50, 55), made_tracklet(1, "a", 60, 65)
    gallery.add([third, one])
    with gallery.write() as connection:
        apart = create_person(connection, one.id)
        assign(connection, [(third.id, first, 1.0), (one.id, apart, 1.0)])
    assert OnlineIdentities(gallery, IdentityConfig()).same(first, [apart])[0] > 0.5


def test_what_reviewers_confirmed_is_not_asked_again_however_impure(gallery: Gallery) -> None:
    impure = replace(made_tracklet(1, "a", 50, 55), purity=0.05)
    gallery.add([impure])
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    owner = next(p for p in list_people(gallery) if impure.id in p.tracklets)
    if len(owner.tracklets) == 1:
        Review(gallery, "ana").move(impure.id, "1")
        owner = next(p for p in list_people(gallery) if impure.id in p.tracklets)
    Review(gallery, "ana").confirm(owner.id, list(owner.tracklets))
    asked = [q.tracklet for q in questions(gallery, IdentityConfig()) if q.kind is Kind.MEMBER]
    assert not set(asked) & set(owner.tracklets)


def test_no_two_questions_ask_about_the_same_people(gallery: Gallery) -> None:
    again = made_tracklet(1, "a", 60, 65)
    gallery.add([again])
    with gallery.write() as connection:
        assign(connection, [(again.id, create_person(connection, again.id), 0.4)])
        leave_undecided(connection, [(again.id, IDS[0], 0.6)])
    pairs = [frozenset((q.one.id, q.other.id)) for q in questions(gallery, IdentityConfig()) if q.other is not None]
    assert len(set(pairs)) == len(pairs) > 0


def test_a_row_whose_group_is_certain_is_sure_whatever_it_looks_like() -> None:
    group = np.array([0, 0, 1])
    rows, others = np.array([0, 1, 0, 2]), np.array([1, 0, 2, 0])
    ratio, weight = np.array([-5.0, -5.0, 2.0, 2.0]), np.ones(3)
    for fixed in (True, False):
        pairs = Likeness(rows, others, ratio, weight)
        sure, *_ = memberships(group, pairs, -1.0, -1.0, np.array([fixed, fixed, False]))
        assert (sure[:2] == 1.0).all() == fixed


def test_of_two_who_may_only_be_each_other_one_is_somebody() -> None:
    rows, others = np.array([0, 1]), np.array([1, 0])
    never = np.zeros(2, bool)
    pairs = Likeness(rows, others, np.full(2, 2.0), np.ones(2))
    sure, likeliest, chance = memberships(np.array([0, 1]), pairs, -1.0, -1.0, never)
    assert likeliest.tolist() == [-1, 0]
    assert chance[0] == 0 < chance[1]
    assert (sure < 0.5).all()


@contextmanager
def answering(status: int, asked: list[bytes]) -> Iterator[str]:
    """The address of a server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "attempts"), [(301, 1), (307, 1), (400, 1), (404, 1), (429, 10), (503, 10)])
def test_an_answer_that_blames_the_request_ends_delivery_and_others_are_tried_again(status: int, attempts: int) -> None:
    asked: list[bytes] = []
    event = OutboxEvent(7, 0.0, "IdentitiesResolved", {"people": 2})
    with answering(status, asked) as address, pytest.raises(DeliveryError, match=str(status)):
        Webhook(address, pause=lambda _: None).deliver([event])
    assert len(asked) == attempts
    assert json.loads(asked[0])["events"][0]["seq"] == 7


def test_who_has_a_name_is_somebody_in_every_table(gallery: Gallery) -> None:
    with gallery.write() as connection:
        leave_undecided(connection, [(IDS[3], IDS[0], 0.7)])
    rows = gallery.rows()
    assert dict(zip(rows.id.tolist(), rows.undecided.tolist(), strict=True)) == {t: t == IDS[3] for t in IDS}
    owner = next(p for p in list_people(gallery) if IDS[3] in p.tracklets)
    Review(gallery, "ana").label(owner.id, "Ann")
    rows = gallery.rows()
    assert not rows.undecided.any()
    assert rows.person_name[rows.id == IDS[3]].tolist() == ["Ann"]


@pytest.mark.parametrize(
    ("seconds", "allowed"),
    [(0, True), (0.5, True), (_LONGEST_TRAVEL, True), (-1, False), (_LONGEST_TRAVEL + 1, False), ("inf", False)],
)
def test_travel_takes_no_time_at_least(tmp_path: Path, seconds: float | str, allowed: bool) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f"[[pairs]]\ncameras = ['a', 'b']\ntravel_seconds = {seconds}\n")
    if allowed:
        cameras = read_topology(file, ["a", "b"])
        assert cameras.travel.tolist() == [[0, seconds], [seconds, 0]]
    else:
        with pytest.raises(ConfigError, match="between 0 and"):
            read_topology(file, ["a", "b"])


def test_who_is_as_likely_somebody_as_nobody_is_nobodys_suggestion() -> None:
    rows, others = np.array([0, 1, 2]), np.array([2, 2, 0])
    # Even odds: nothing speaks for or against.
    pairs = Likeness(rows, others, np.zeros(3), np.ones(3))
    sure, likeliest, _ = memberships(np.array([0, 1, 2]), pairs, 0.0, 0.0, np.array([False, False, True]))
    assert sure[0] == sure[1] == 0.5
    assert likeliest.tolist() == [-1, -1, -1]


def test_parts_of_two_people_who_are_two_are_not_merged_whoever_is_named_first(gallery: Gallery) -> None:
    """What was said of two tracklets holds in whichever order it was noted."""
    with gallery.write() as connection:
        connection.execute(links.insert().values(a=IDS[0], b=IDS[1], kind="different", operation=3))
        for some, others in (([IDS[0]], [IDS[1], IDS[2]]), ([IDS[2], IDS[1]], [IDS[0]])):
            with pytest.raises(IdentityError, match="operation 3 said that they are different"):
                _refuse_apart(connection, some, others)
        for some, others in (([IDS[0]], [IDS[2]]), ([IDS[1]], [IDS[2]]), ([IDS[0], IDS[1]], [IDS[2]])):
            _refuse_apart(connection, some, others)


@pytest.mark.parametrize("names", ["'a', 'not yet'", "'not yet', 'a'"])
def test_a_pair_with_a_camera_that_has_delivered_nothing_yet_says_nothing_about_others(
    tmp_path: Path, names: str
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f"[[pairs]]\ncameras = [{names}]\noverlapping = true\ntravel_seconds = 9\n")
    cameras, known = read_topology(file, ["a", "b", "c"]), Cameras.separate(3)
    assert cameras.together.tolist() == known.together.tolist()
    assert cameras.travel.tolist() == known.travel.tolist()


@pytest.mark.parametrize("separate", [True, False])
def test_whether_nobody_is_in_two_cameras_at_once_is_as_the_topology_says(tmp_path: Path, separate: bool) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f"separate = {str(separate).lower()}\n")
    expected = Cameras.separate(2) if separate else Cameras.independent(2)
    assert read_topology(file, ["a", "b"]).together.tolist() == expected.together.tolist()


def test_the_log_says_what_was_confirmed_and_split(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.confirm("1", IDS[:1])
    review.split("1", IDS[:1])
    said = [entry.summary for entry in history(gallery)]
    assert any("confirmed 1 tracklet of" in words for words in said)
    assert any("split 1 tracklet from" in words for words in said)
