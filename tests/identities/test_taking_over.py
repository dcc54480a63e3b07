"""Decisions that go from one gallery to another: what comes along, what holds, and that it can be undone there."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.decisions import TakenOver, checked_document, decisions_of, take_over
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import history, list_people
from reidstream.identities.review import Review
from reidstream.identities.schema import links, operations
from tests.identities.conftest import Fill, Visit, made_tracklet

VISITS: list[Visit] = [(1, "door", 0, 8), (1, "door", 20, 28), (1, "door", 40, 48), (2, "door", 60, 68),
                       (2, "door", 80, 88), (3, "yard", 100, 108)]  # fmt: skip
IDS = [made_tracklet(*visit).id for visit in VISITS]


@pytest.fixture
def galleries(fill: Fill) -> tuple[Gallery, Gallery]:
    """Two galleries of the same visits; person 1 with three, 2 with two, 3 with one."""
    made = fill(VISITS, "one"), fill(VISITS, "other")
    for gallery in made:
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
        assert [len(person.tracklets) for person in list_people(gallery)] == [3, 2, 1]
    return made


def carried(one: Gallery, other: Gallery, some: list[str] = IDS, present: list[str] = IDS) -> TakenOver:
    document = checked_document(decisions_of(one, some))
    with other.write() as connection:
        return take_over(connection, document, other.facts().uuid, set(present))


def said(gallery: Gallery, kind: str) -> set[frozenset[str]]:
    with gallery.read() as connection:
        return {frozenset((row.a, row.b)) for row in connection.execute(select(links).where(links.c.kind == kind))}


def groups(gallery: Gallery) -> set[frozenset[str]]:
    return {frozenset(person.tracklets) for person in list_people(gallery)}


def at(gallery: Gallery, number: int, wall: float) -> None:
    """Say when a decision was made."""
    with gallery.write() as connection:
        connection.execute(update(operations).where(operations.c.id == number).values(wall=wall))


def test_a_decision_comes_along_once_and_is_undone_there_as_here(galleries: tuple[Gallery, Gallery]) -> None:
    one, other = galleries
    before = groups(other)
    Review(one, "ana").move(IDS[2], "2")
    done = carried(one, other)
    assert (done.operations, done.kept, done.people) == (1, 0, ())
    assert groups(other) == groups(one) != before
    again = carried(one, other)
    assert (again.operations, again.kept, again.assigned) == (0, 0, ())
    (entry,) = history(other)
    assert (entry.author, entry.summary) == ("ana", history(one)[0].summary)
    Review(other, "ben").undo(entry.id)
    assert groups(other) == before
    assert said(other, "same") == said(other, "different") == set()


def test_what_a_decision_overruled_is_overruled_there_and_comes_back_with_its_undoing(
    galleries: tuple[Gallery, Gallery],
) -> None:
    one, other = galleries
    Review(one, "ana").confirm("1", IDS[:3])
    carried(one, other)
    tied = said(other, "same")
    assert frozenset((IDS[0], IDS[1])) in tied
    Review(one, "ana").split("1", [IDS[0]])
    carried(one, other)
    assert not tied & said(other, "same")
    assert said(other, "different") == said(one, "different") != set()
    Review(other, "ben").undo(history(other)[-1].id)
    assert said(other, "same") == tied
    assert said(other, "different") == set()
    # What is known already overrules nothing a second time.
    carried(one, other)
    assert said(other, "same") == tied


def test_an_undoing_comes_along(galleries: tuple[Gallery, Gallery]) -> None:
    one, other = galleries
    before = groups(other)
    number = Review(one, "ana").move(IDS[2], "2")
    carried(one, other)
    Review(one, "ana").undo(number)
    carried(one, other)
    assert groups(other) == before
    first, second = history(other)
    assert (first.undone_by, second.undoes) == (second.id, first.id)


@pytest.mark.parametrize(("theirs", "ours", "kept"), [(200.0, 100.0, 0), (100.0, 200.0, 1)])
def test_of_two_decisions_that_contradict_the_later_holds(
    galleries: tuple[Gallery, Gallery], theirs: float, ours: float, kept: int
) -> None:
    one, other = galleries
    at(one, Review(one, "ana").apart("2", "3"), theirs)
    mine = Review(other, "ben").merge("2", "3")
    at(other, mine, ours)
    contradiction = {frozenset((a, b)) for a in IDS[3:5] for b in IDS[5:]}
    held = said(other, "same") & contradiction
    assert held
    assert carried(one, other).kept == kept
    assert (said(other, "same") & contradiction == held) is bool(kept)
    assert bool(said(other, "different") & held) is not bool(kept)


def test_what_both_said_is_there_once_and_is_the_first_ones(galleries: tuple[Gallery, Gallery]) -> None:
    one, other = galleries
    Review(one, "ana").confirm("2", IDS[3:5])
    mine = Review(other, "ben").confirm("2", IDS[3:5])
    assert carried(one, other).kept == 0
    with other.read() as connection:
        (link,) = connection.execute(select(links)).all()
    assert (link.kind, link.operation) == ("same", mine)


def test_only_decisions_that_touch_the_tracklets_come_along_with_what_undid_them(
    galleries: tuple[Gallery, Gallery],
) -> None:
    one, other = galleries
    review = Review(one, "ana")
    number = review.move(IDS[2], "2")
    undoing = review.undo(number)
    label = review.label("3", name="Cleo")
    people = [person.id for person in list_people(one)]
    document = decisions_of(one, IDS[:5])
    assert [row["id"] for row in document["operations"]] == [number, undoing]
    assert {row["id"] for row in document["people"]} == set(people[:2])
    assert {row["tracklet"] for row in document["members"]} == set(IDS[:5])
    assert [row["id"] for row in decisions_of(one, IDS[5:])["operations"]] == [label]
    assert [row["id"] for row in decisions_of(one, IDS)["operations"]] == [number, undoing, label]
    carried(one, other, IDS[:5])
    assert [entry.summary for entry in history(other)] == [entry.summary for entry in history(one)[:2]]


@pytest.mark.parametrize(("theirs", "ours", "name"), [(200.0, 100.0, "Ada"), (100.0, 200.0, "Bea")])
def test_of_two_names_the_later_holds(
    galleries: tuple[Gallery, Gallery], theirs: float, ours: float, name: str
) -> None:
    one, other = galleries
    at(one, Review(one, "ana").label("1", name="Ada"), theirs)
    at(other, Review(other, "ben").label("1", name="Bea"), ours)
    carried(one, other)
    assert list_people(other)[0].name == name


def test_whoever_has_a_person_keeps_them_unless_a_decision_speaks_of_it(galleries: tuple[Gallery, Gallery]) -> None:
    one, other = galleries
    people = [person.id for person in list_people(other)]
    Review(other, "ben").move(IDS[2], "2")
    assert carried(one, other).assigned == ()
    assert {len(person.tracklets) for person in list_people(other)} == {2, 3, 1}
    Review(one, "ana").move(IDS[2], "3")
    carried(one, other)
    (third,) = [person for person in list_people(other) if person.id == people[2]]
    assert IDS[2] in third.tracklets


def test_what_is_not_there_does_not_come(galleries: tuple[Gallery, Gallery], fill: Fill) -> None:
    one, _ = galleries
    Review(one, "ana").merge("2", "3")
    few = fill(VISITS[:4], "few")
    OnlineIdentities(few, IdentityConfig()).catch_up()
    carried(one, few, IDS, IDS[:4])
    assert {tracklet for group in groups(few) for tracklet in group} == set(IDS[:4])
    assert all(pair <= set(IDS[:4]) for pair in said(few, "same"))


@pytest.mark.usefixtures("unproven")
def test_who_was_somebody_else_only_goes_when_nothing_is_left_to_give_back(fill: Fill) -> None:
    """An erased tracklet takes along whoever once had it and nothing else."""
    gallery = fill(VISITS)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    Review(gallery, "ana").merge("1", "2", "3")
    assert gallery.erase([IDS[3]]).people == 0
    assert gallery.erase([IDS[5]]).people == 1
    assert gallery.erase([IDS[4]]).people == 1
    assert groups(gallery) == {frozenset(IDS[:3])}
