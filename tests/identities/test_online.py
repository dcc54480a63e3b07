"""Giving people to tracklets as they come."""

from __future__ import annotations

from pathlib import Path

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import all_events_after
from reidstream.identities.people import assign, create_person, list_people, person_of_tracklets
from reidstream.identities.review import Review
from reidstream.identities.verdicts import Outcome
from tests.identities.conftest import Fill, Visit, made_tracklet

RETURNS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25), (1, "a", 30, 35)]


def identities_of(gallery: Gallery, visits: list[tuple[int, str, float, float]]) -> list[str]:
    ids = [made_tracklet(*visit).id for visit in visits]
    with gallery.read() as connection:
        held = person_of_tracklets(connection, ids)
    return [held[i][0] for i in ids]


def test_people_who_return_and_pass_other_cameras_are_recognised(fill: Fill) -> None:
    gallery = fill(RETURNS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    assert identities.catch_up() == 6
    assert identities.people == 3
    found = identities_of(gallery, RETURNS)
    assert [found.index(person) for person in found] == [0, 1, 0, 3, 1, 0]


def test_the_same_order_gives_the_same_people(fill: Fill) -> None:
    first, second = fill(RETURNS, "one"), fill(RETURNS, "two")
    for gallery in (first, second):
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert identities_of(first, RETURNS) == identities_of(second, RETURNS)


def test_a_run_that_goes_on_later_decides_as_one_that_never_stopped(fill: Fill) -> None:
    whole, parts = fill(RETURNS, "whole"), fill(RETURNS[:3], "parts")
    OnlineIdentities(whole, IdentityConfig()).catch_up()
    OnlineIdentities(parts, IdentityConfig()).catch_up()
    parts.add([made_tracklet(*visit) for visit in RETURNS[3:]])
    OnlineIdentities(parts, IdentityConfig()).catch_up()
    assert identities_of(parts, RETURNS) == identities_of(whole, RETURNS)


def test_two_who_look_alike_but_are_seen_together_are_two_people(fill: Fill) -> None:
    twins = [(1, "a", 0.0, 5.0), (1, "a", 1.0, 6.0)]
    gallery = fill(twins)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    assert identities.people == 2


def test_a_stranger_is_nobody_known_and_a_known_person_is_recognised_with_probability(fill: Fill) -> None:
    gallery = fill(RETURNS)
    identities = OnlineIdentities(gallery, IdentityConfig())
    identities.catch_up()
    (best, probability), *_ = identities.recognise(made_tracklet(2, "c", 99, 100).prototypes)
    assert best == identities_of(gallery, RETURNS)[1]
    assert probability > 0.8
    (_, chance), *_ = identities.recognise(made_tracklet(77, "c", 99, 100).prototypes)
    assert chance < 0.2


def test_what_happened_is_told_in_order_and_only_once(fill: Fill) -> None:
    gallery = fill(RETURNS)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    told = list(all_events_after(gallery, 0))
    assert [e.seq for e in told] == sorted(e.seq for e in told)
    kinds = [e.kind for e in told]
    assert kinds.count("TrackletStored") == 6
    assert kinds.count("IdentityCreated") == 3
    assert kinds.count("IdentitySeenAgain") == 3
    assert told[0].payload["tracklet"] == made_tracklet(*RETURNS[0]).id


def test_an_erased_tracklet_leaves_no_trace_in_identities(fill: Fill, tmp_path: Path) -> None:
    from reidstream.identities.review import Review

    gallery = fill(RETURNS, index="chroma")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    review = Review(gallery, "tester")
    review.merge("1", "2")
    review.undo()
    wanted = made_tracklet(*RETURNS[0]).id
    report = gallery.erase([wanted])
    gallery.close()
    assert report.proven
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert wanted.encode() not in path.read_bytes(), path


def test_somebody_taken_for_two_is_not_somebody_new_with_every_visit(fill: Fill) -> None:
    visits: list[Visit] = [(1, "a", 0, 5), (1, "b", 10, 15), *((1, "a", 20 + 10 * k, 25 + 10 * k) for k in range(6))]
    gallery = fill(visits[:2], "torn")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    (one,) = list_people(gallery)
    with gallery.write() as connection:
        # As when a bad crop had made two of them; nobody has said that they are two.
        assign(connection, [(one.tracklets[1], create_person(connection, one.tracklets[1]), 1.0)])
    gallery.add([made_tracklet(*visit) for visit in visits[2:]])
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert len(list_people(gallery)) == 2


def test_who_was_split_by_people_remain_rivals(fill: Fill) -> None:
    gallery = fill([(1, "a", 0, 5), (1, "b", 10, 15)], "split")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    (one,) = list_people(gallery)
    Review(gallery, "ana").split(one.id, [one.tracklets[1]])
    decision = OnlineIdentities(gallery, IdentityConfig()).decide(made_tracklet(1, "a", 20, 25))
    assert decision.verdict.outcome is Outcome.UNDECIDED
