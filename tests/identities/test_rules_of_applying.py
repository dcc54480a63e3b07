"""What hangs together of a proposal, what of it is applied, and what the log and the events say of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.applying import Applying, Held, Part, _changes, batches, held_by, parts_of
from reidstream.identities.calibration import Calibration
from reidstream.identities.changes import changes_after, newest_event
from reidstream.identities.operations import Undertaking, built_on, moves_of, restore
from reidstream.identities.outbox import append_events
from reidstream.identities.people import (
    count_of_operations,
    history,
    list_people,
    newest_operation,
)
from reidstream.identities.proposal import Proposal, owners_of_groups
from reidstream.identities.review import Review
from reidstream.identities.schema import former_members, former_people, links, members
from reidstream.identities.verdicts import Outcome, Verdict
from tests.identities.conftest import Fill
from tests.identities.three_people import AT_ONE_DOOR, decided, ids_of

CONFIG = IdentityConfig()
IDS = ids_of(AT_ONE_DOOR)


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Person 1 with three tracklets, 2 with two, 3 with one."""
    return decided(fill, AT_ONE_DOOR)


# -- parts of a proposal


def proposal(
    groups: list[tuple[str, ...]],
    owners: list[str | None],
    doubtful: dict[str, int] | None = None,
    sure: dict[str, float] | None = None,
) -> Proposal:
    """Everybody as sure as can be, but for tracklets that may be of another group."""
    verdicts = {
        tracklet: Verdict(Outcome.DECIDED, number, 1.0) for number, group in enumerate(groups) for tracklet in group
    }
    verdicts |= {tracklet: Verdict(Outcome.UNDECIDED, group, 0.4) for tracklet, group in (doubtful or {}).items()}
    probability = {tracklet: (sure or {}).get(tracklet, 1.0) for group in groups for tracklet in group}
    return Proposal(tuple(groups), tuple(owners), probability, verdicts, (), (), (), Calibration(), 0.0, 1.0, False, 0)


def test_nothing_is_a_part_of_which_nothing_changes() -> None:
    held = {"a": Held("p", 1.0), "b": Held("q", 1.0)}
    assert parts_of(proposal([("a",), ("b",)], ["p", "q"]), held) == []


def test_a_tracklet_that_goes_from_one_to_another_ties_both() -> None:
    held = {"a": Held("p", 1.0), "b": Held("p", 1.0), "c": Held("q", 1.0), "d": Held("r", 1.0)}
    (part,) = parts_of(proposal([("a",), ("b", "c"), ("d",)], ["p", "q", "r"]), held)
    assert part.groups == (("a",), ("b", "c"))
    assert (part.people, part.moved, part.tracklets) == ({"p", "q"}, 1, ["a", "b", "c"])
    assert part.before == {tracklet: held[tracklet] for tracklet in "abc"}


def test_what_has_nothing_in_common_are_two_parts() -> None:
    held = {"a": Held("p", 1.0), "b": Held("q", 1.0)}
    parts = parts_of(proposal([("a", "x"), ("b", "y")], ["p", "q"]), held)
    assert [part.groups for part in parts] == [(("a", "x"),), (("b", "y"),)]
    # New ones do not move.
    assert [part.moved for part in parts] == [0, 0]


def test_who_is_new_is_a_part() -> None:
    (part,) = parts_of(proposal([("a",)], [None]), {})
    assert (part.people, part.moved, part.owners) == (set(), 0, (None,))
    assert part.after == {"a": (1.0, None, None)}


def one(before: Held | None, sure: float = 0.5, candidate: str | None = None, chance: float | None = None) -> Part:
    return Part((("a",),), ("p",), {} if before is None else {"a": before}, {"a": (sure, candidate, chance)})


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (one(None), True),
        (one(Held("q", 0.5)), True),
        (one(Held("p", 0.5)), False),
        (one(Held("p", 0.50001)), False),
        (one(Held("p", 0.4)), True),
        (one(Held("p", 0.5, "c", 0.3)), True),
        (one(Held("p", 0.5), candidate="c", chance=0.3), True),
        (one(Held("p", 0.5, "c", 0.3), candidate="c", chance=0.3), False),
        (one(Held("p", 0.5, "c", 0.3), candidate="c", chance=0.4), True),
        (one(Held("p", 0.5, "c", 0.3), candidate="d", chance=0.3), True),
        (one(Held("p", 0.4, "c", 0.3), candidate="c", chance=0.3), True),
    ],
)
def test_a_tracklet_changes_with_its_person_its_doubt_or_how_sure_it_is(part: Part, changes: bool) -> None:
    assert _changes(part, "a", "p") is changes


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(1, 10))
def test_parts_come_some_at_a_time_and_each_once(sizes: list[int], most: int) -> None:
    parts = [Part((), (), {}, {f"{n} {k}": (1.0, None, None) for k in range(size)}) for n, size in enumerate(sizes)]
    found = list(batches(parts, most))
    assert [part for some in found for part in some] == parts
    for some in found:
        assert len(some) == 1 or sum(len(part.after) for part in some) <= most
    # No two neighbours could have come together.
    for before, after in pairwise(found):
        assert sum(len(part.after) for part in before) + len(after[0].after) > most


@given(
    st.lists(st.lists(st.integers(0, 9), unique=True, max_size=4), max_size=4),
    st.dictionaries(st.integers(0, 9), st.sampled_from("pqr")),
)
def test_a_person_stays_one_group_and_the_largest_part_decides(groups: list[list[int]], before: dict[int, str]) -> None:
    named = [[str(t) for t in group] for group in groups]
    held = {str(t): person for t, person in before.items()}
    owners = owners_of_groups(named, held)
    given_away = [owner for owner in owners if owner is not None]
    assert len(given_away) == len(set(given_away))
    for group, owner in zip(named, owners, strict=True):
        shares = {person: sum(held.get(t) == person for t in group) for person in "pqr"}
        if owner is not None:
            assert shares[owner] > 0
        for person, share in shares.items():
            # Whoever has more of them here is somebody else with as many.
            if share > (shares[owner] if owner is not None else 0):
                place = owners.index(person)
                assert sum(held.get(t) == person for t in named[place]) >= share


def test_what_was_decided_meanwhile_is_left_as_it_is_and_counted(gallery: Gallery) -> None:
    people = [person.id for person in list_people(gallery)]
    before = newest_operation(gallery)
    with gallery.read() as connection:
        held = held_by(connection)
        assert held_by(connection, IDS[:2]) == {t: held[t] for t in IDS[:2]}
    groups = [(IDS[0], IDS[1]), (IDS[2],), (IDS[3], IDS[4]), (IDS[5],)]
    sure = {tracklet: one.probability for tracklet, one in held.items()}
    parts = parts_of(proposal(groups, [people[0], None, people[1], people[2]], {IDS[5]: 2}, sure), held)
    assert [part.groups for part in parts] == [tuple(groups[:2]), tuple(groups[3:])]
    Review(gallery, "ana").label(people[0], name="Grace")
    applying = Applying(gallery, "program", before)
    assert applying.apply(parts) == {people[2]}
    assert (applying.applied.parts, applying.applied.left_out, applying.applied.moved) == (1, 1, 0)
    assert applying.apply(parts[:1]) == set()
    assert applying.applied.left_out == 2
    # Told while it is being made, and at its end.
    entry = history(gallery)[-1]
    assert (entry.summary, entry.id) == ("decided everybody anew", applying.applied.operation)
    assert applying.close({"people": 3}, "done") == entry.id
    assert history(gallery)[-1].summary == "done"
    (doubtful,) = [person for person in list_people(gallery) if person.id == people[2]]
    assert (doubtful.candidate in IDS[3:5], doubtful.chance) == (True, 0.4)


def test_where_nothing_but_certainty_changes_there_is_no_entry_in_the_log(gallery: Gallery) -> None:
    (first, *_) = list_people(gallery)
    with gallery.read() as connection:
        held = held_by(connection)
    part = Part((first.tracklets,), (first.id,), {t: held[t] for t in first.tracklets},
                dict.fromkeys(first.tracklets, (0.123, None, None)))  # fmt: skip
    applying = Applying(gallery, "program", None)
    assert applying.apply([part]) == {first.id}
    assert applying.close({"people": 3}, "done") is None
    assert history(gallery) == []
    assert set(list_people(gallery)[0].probability) == {0.123}


# -- the log


def test_the_log_is_read_in_order_and_up_to_a_number(gallery: Gallery) -> None:
    numbers = [Review(gallery, "ana").label("1", notes=f"note {n}") for n in range(3)]
    assert [entry.id for entry in history(gallery)] == numbers
    assert [entry.id for entry in history(gallery, before=numbers[2])] == numbers[:2]
    assert [entry.id for entry in history(gallery, before=numbers[2], newest=1)] == [numbers[1]]
    assert [entry.id for entry in history(gallery, numbers[1])] == [numbers[1]]
    assert count_of_operations(gallery) == 3
    assert count_of_operations(gallery, before=numbers[2]) == 2
    assert newest_operation(gallery) == numbers[2]


def test_an_entry_says_where_each_tracklet_went(gallery: Gallery) -> None:
    people = [person.id for person in list_people(gallery)]
    moved = Review(gallery, "ana").move(IDS[2], "2")
    (move,) = moves_of(gallery, moved)
    assert (move.tracklet, move.before, move.after) == (IDS[2], people[0], people[1])
    label = Review(gallery, "ana").label("1", name="Grace")
    assert moves_of(gallery, label) == []
    with pytest.raises(IdentityError, match="no operation 99"):
        moves_of(gallery, 99)


def test_what_builds_on_an_entry_is_what_came_later_and_holds(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    first = review.move(IDS[2], "2")
    other = review.label("3", name="Cleo")
    again = review.move(IDS[2], "3")
    with gallery.read() as connection:
        later = built_on(connection, first, 99)
        assert later is not None
        assert later.id == again
        assert built_on(connection, first, again) is None
        assert built_on(connection, again, 99) is None
    review.undo(again)
    with gallery.read() as connection:
        assert built_on(connection, first, 99) is None
        # An entry about others does not build on it.
        assert other not in {first, again}


def pairs(gallery: Gallery, kind: str) -> set[frozenset[str]]:
    with gallery.read() as connection:
        return {frozenset((row.a, row.b)) for row in connection.execute(select(links).where(links.c.kind == kind))}


def test_an_entry_that_overruled_another_gives_it_back_once(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.confirm("1", IDS[:3])
    tied = pairs(gallery, "same")
    assert tied == {frozenset((IDS[0], IDS[1])), frozenset((IDS[0], IDS[2]))}
    split = review.split("1", [IDS[0]])
    assert not tied & pairs(gallery, "same")
    # Somebody else said the same again meanwhile.
    with gallery.write() as connection:
        connection.execute(insert(links).values(a=min(IDS[:2]), b=max(IDS[:2]), kind="same", operation=split - 1))
        restore(connection, split)
    assert pairs(gallery, "same") == tied
    assert pairs(gallery, "different") == set()
    assert len(list_people(gallery)) == 3


def test_links_that_are_there_are_not_said_again(gallery: Gallery) -> None:
    a, b, c = sorted(IDS[:3])
    with gallery.write() as connection:
        operation = Undertaking("test", "ana")
        operation.open(connection)
        operation.link(connection, "same", [(b, a), (a, b)])
        operation.link(connection, "same", [(a, b), (a, c)])
        operation.link(connection, "different", [(a, b)])
    assert (pairs(gallery, "same"), pairs(gallery, "different")) == (
        {frozenset((a, b)), frozenset((a, c))},
        {frozenset((a, b))},
    )
    with gallery.write() as connection:
        operation.unlink(connection, [b], [a])
        operation.unlink(connection, [c], [b])
    assert (pairs(gallery, "same"), pairs(gallery, "different")) == ({frozenset((a, c))}, {frozenset((a, b))})


def test_an_entry_that_goes_on_remembers_how_everybody_was_at_its_beginning(gallery: Gallery) -> None:
    owner = {t: person.id for person in list_people(gallery) for t in person.tracklets}
    for tracklets, persons in ((IDS[:2], [owner[IDS[0]]]), (IDS[1:4], [owner[IDS[0]], owner[IDS[3]]])):
        with gallery.write() as connection:
            entry = Undertaking("revisit", "reidstream")
            entry.go_on(connection)
            if not entry.id:
                entry.open(connection)
            entry.touch(connection, tracklets, persons)
            connection.execute(members.update().where(members.c.tracklet.in_(tracklets)).values(person="somebody else"))
            entry.close(connection)
    with gallery.read() as connection:
        was = select(former_members.c.tracklet, former_members.c.person).where(former_members.c.changed_by == entry.id)
        assert {row.tracklet: row.person for row in connection.execute(was)} == {t: owner[t] for t in IDS[:4]}
        named = select(former_people.c.person).where(former_people.c.changed_by == entry.id)
        assert sorted(connection.execute(named).scalars()) == sorted({owner[IDS[0]], owner[IDS[3]]})


def test_the_log_calls_people_as_they_were_called_and_never_by_id(gallery: Gallery) -> None:
    person = list_people(gallery)[1].id
    review = Review(gallery, "ana")
    review.label(person, notes="tall")
    review.label("2", notes="small")
    assert [entry.summary for entry in history(gallery)] == ["labelled person 2", "labelled 2"]


# -- what happened


def test_events_name_whom_they_change(gallery: Gallery) -> None:
    people = [person.id for person in list_people(gallery)]
    with gallery.read() as connection:
        begin = newest_event(connection)
        assert not changes_after(connection, begin)
    number = Review(gallery, "ana").move(IDS[2], "2")
    with gallery.read() as connection:
        moved = changes_after(connection, begin)
        begin = moved.seq
    assert (moved.people, moved.tracklets, moved.named) == ({people[1]}, {IDS[2]}, True)
    Review(gallery, "ana").undo(number)
    with gallery.read() as connection:
        undone = changes_after(connection, begin)
    assert undone.people >= {people[0], people[1]}
    assert IDS[2] in undone.tracklets


@pytest.mark.parametrize(
    ("kind", "told", "named"),
    [
        ("GalleryImported", False, False),
        ("GalleryImported", True, True),
        ("Unheard", True, False),
        ("IdentityLabelled", False, True),
    ],
)
def test_events_that_name_not_everybody_need_who_made_them(
    gallery: Gallery, kind: str, told: bool, named: bool
) -> None:
    with gallery.write() as connection:
        begin = newest_event(connection)
        append_events(connection, [(kind, {"person": "p", "merged": ["q", "r"]})])
        found = changes_after(connection, begin, told=told)
        assert found.named is named
        assert found.people == (frozenset("pqr") if named else frozenset())
        assert bool(found)
        # Events that were erased with their tracklets leave a smaller number.
        assert changes_after(connection, 10_000).named is False
        assert changes_after(connection, 10_000, told=True).named is True
