"""What people decide holds, can be undone, and survives resolving."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityChanged, IdentityError, TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import find_person, history, list_people
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.identities.schema import members, people
from tests.identities.conftest import Fill, made_tracklet
from tests.identities.three_people import AT_TWO_CAMERAS, decided, ids_of

IDS = ids_of(AT_TWO_CAMERAS)


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    return decided(fill, AT_TWO_CAMERAS)


def state(gallery: Gallery) -> set[tuple[str, str, frozenset[str]]]:
    return {(p.name, p.notes, frozenset(p.tracklets)) for p in list_people(gallery)}


def groups(gallery: Gallery) -> set[frozenset[str]]:
    return {frozenset(p.tracklets) for p in list_people(gallery)}


def resolve_again(gallery: Gallery) -> None:
    apply(gallery, propose(gallery, IdentityConfig()))


def test_a_merge_holds_through_resolving_and_undo_brings_both_back(gallery: Gallery) -> None:
    before = state(gallery)
    review = Review(gallery, "ana")
    number = review.merge("1", "3")
    assert frozenset([IDS[0], IDS[2], IDS[5], IDS[3]]) in groups(gallery)
    resolve_again(gallery)
    assert frozenset([IDS[0], IDS[2], IDS[5], IDS[3]]) in groups(gallery)
    review.undo(number)
    resolve_again(gallery)
    assert state(gallery) == before


def test_a_split_holds_through_resolving(gallery: Gallery) -> None:
    Review(gallery, "ana").split("1", [IDS[5]])
    assert frozenset([IDS[5]]) in groups(gallery)
    resolve_again(gallery)
    assert frozenset([IDS[5]]) in groups(gallery)
    assert frozenset([IDS[0], IDS[2]]) in groups(gallery)


def test_merge_then_split_of_the_same_is_what_was_before(gallery: Gallery) -> None:
    before = groups(gallery)
    review = Review(gallery, "ana")
    review.merge("1", "2")
    review.split("1", [IDS[1], IDS[4]])
    assert groups(gallery) == before
    resolve_again(gallery)
    assert groups(gallery) == before


def test_not_this_person_holds_however_alike_they_look(gallery: Gallery) -> None:
    Review(gallery, "ana").reject(IDS[2], "1")
    assert frozenset([IDS[0], IDS[5]]) in groups(gallery)
    resolve_again(gallery)
    assert not any({IDS[0], IDS[2]} <= group or {IDS[5], IDS[2]} <= group for group in groups(gallery))


def test_a_moved_tracklet_stays_where_it_was_put(gallery: Gallery) -> None:
    Review(gallery, "ana").move(IDS[3], "2")
    assert frozenset([IDS[1], IDS[4], IDS[3]]) in groups(gallery)
    resolve_again(gallery)
    assert frozenset([IDS[1], IDS[4], IDS[3]]) in groups(gallery)


def test_names_and_notes_stay_with_the_person_through_resolving(gallery: Gallery) -> None:
    Review(gallery, "ana").label("1", name="Grace", notes="red coat")
    resolve_again(gallery)
    (grace,) = [p for p in list_people(gallery) if p.name == "Grace"]
    assert grace.notes == "red coat"
    assert set(grace.tracklets) == {IDS[0], IDS[2], IDS[5]}


def test_the_log_says_who_did_what_and_what_was_undone(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    first = review.label("1", name="Grace")
    Review(gallery, "ben").undo()
    log = history(gallery)
    assert [(o.author, o.kind) for o in log] == [("ana", "label"), ("ben", "undo")]
    assert (log[0].undone_by, log[1].undoes) == (log[1].id, first)


def test_undoing_what_a_later_operation_builds_on_is_refused_by_name(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    first = review.merge("1", "2")
    review.reject(IDS[3], "1")
    with pytest.raises(IdentityError, match="builds on it; undo that first"):
        review.undo(first)


def test_contradictions_and_strangers_are_refused_and_leave_no_log(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.label("1", name="Grace")
    with pytest.raises(IdentityError, match="same person already"):
        review.merge("1", "Grace")
    with pytest.raises(IdentityError, match="no person called '99'"):
        review.merge("1", "99")
    with pytest.raises(IdentityError, match="already"):
        review.label("2", name="Grace")
    with pytest.raises(IdentityError, match="both sides"):
        review.split("3", [IDS[3]])
    with pytest.raises(IdentityError, match="not tracklets of"):
        review.split("1", [IDS[3]])
    with pytest.raises(TrackletNotFound):
        review.move("ffffffff", "1")
    review.reject(IDS[2], "1")
    other = next(p for p in list_people(gallery) if p.tracklets == (IDS[2],))
    with pytest.raises(IdentityError, match="different people"):
        review.merge("1", str(other.number))
    assert len(history(gallery)) == 2


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["merge", "split", "move", "reject", "label"]), st.integers(0, 5), st.integers(0, 5)),
        min_size=1,
        max_size=5,
    )
)
def test_undoing_everything_restores_the_first_state(gallery: Gallery, steps: list[tuple[str, int, int]]) -> None:
    before = state(gallery)
    review = Review(gallery, "ana")
    done = 0
    for kind, a, b in steps:
        people = list_people(gallery)
        one, two = people[a % len(people)], people[b % len(people)]
        try:
            if kind == "merge":
                review.merge(one.id, two.id)
            elif kind == "split":
                review.split(one.id, [one.tracklets[0]])
            elif kind == "move":
                review.move(one.tracklets[0], two.id)
            elif kind == "reject":
                review.reject(one.tracklets[0], one.id)
            else:
                review.label(one.id, name=f"name {a}")
            done += 1
        except IdentityError:
            continue
    for _ in range(done):
        review.undo()
    assert state(gallery) == before
    with pytest.raises(IdentityError, match="nothing to undo"):
        review.undo()


# Two boxes on person 1 at the same time, and a later visit.
DOUBLE = [(1, "a", 0, 5), (1, "a", 0.8, 5.8), (2, "a", 1, 6), (1, "a", 20, 25), (2, "b", 30, 35)]
TWINS = [made_tracklet(*visit).id for visit in DOUBLE]


@pytest.fixture
def doubled(fill: Fill) -> Gallery:
    made = fill(DOUBLE, "doubled")  # type: ignore[arg-type]
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


def test_overlapping_tracklets_are_two_people_until_they_are_labelled_duplicates(doubled: Gallery) -> None:
    assert not any({TWINS[0], TWINS[1]} <= group for group in groups(doubled))
    number = Review(doubled, "ana").duplicates([TWINS[0], TWINS[1]])
    assert any({TWINS[0], TWINS[1]} <= group for group in groups(doubled))
    resolve_again(doubled)
    assert frozenset([TWINS[0], TWINS[1], TWINS[3]]) in groups(doubled)
    assert {entry.id: entry.kind for entry in history(doubled)}[number] == "duplicates"
    with pytest.raises(IdentityError, match=r"decided everybody anew.*builds on it"):
        Review(doubled, "ben").undo(number)
    Review(doubled, "ben").undo()
    Review(doubled, "ben").undo(number)
    resolve_again(doubled)
    assert not any({TWINS[0], TWINS[1]} <= group for group in groups(doubled))


def test_duplicates_are_no_example_of_two_people(doubled: Gallery) -> None:
    before = propose(doubled, IdentityConfig()).calibration
    Review(doubled, "ana").duplicates([TWINS[0], TWINS[1]])
    after = propose(doubled, IdentityConfig()).calibration
    assert after.together == before.together - 1


def test_duplicates_take_along_what_reviewers_tied_to_them(doubled: Gallery) -> None:
    review = Review(doubled, "ana")
    person = {t: p for p in list_people(doubled) for t in p.tracklets}
    if person[TWINS[3]].id != person[TWINS[1]].id:
        review.move(TWINS[3], person[TWINS[1]].id)
    review.duplicates([TWINS[0], TWINS[1]])
    now = groups(doubled)
    assert any({TWINS[0], TWINS[1], TWINS[3]} <= group for group in now)
    resolve_again(doubled)
    assert groups(doubled) == now


def test_only_tracklets_of_one_camera_and_time_are_duplicates(doubled: Gallery) -> None:
    review = Review(doubled, "ana")
    for wrong, says in (
        ([TWINS[0]], "two or more tracklets of one camera"),
        ([TWINS[2], TWINS[4]], "of one camera"),
        ([TWINS[0], TWINS[3]], "not seen at the same time"),
    ):
        with pytest.raises(IdentityError, match=says):
            review.duplicates(wrong)
    review.split(next(p.id for p in list_people(doubled) if TWINS[2] in p.tracklets), [TWINS[2]])
    review.reject(TWINS[2], next(p.id for p in list_people(doubled) if TWINS[0] in p.tracklets))
    with pytest.raises(IdentityError, match="different people"):
        review.duplicates([TWINS[0], TWINS[2]])
    assert [operation.kind for operation in history(doubled)] == ["split", "reject"]


def test_an_id_of_digits_alone_means_nobody_by_number(fill: Fill) -> None:
    gallery = fill([(1, "a", 0, 5), (2, "a", 1, 6)])
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    first, second = list_people(gallery)
    with gallery.write() as connection:
        # An id that reads as the number of the other person.
        connection.execute(update(members).where(members.c.person == second.id).values(person="000000000001"))
        connection.execute(update(people).where(people.c.id == second.id).values(id="000000000001"))
    with gallery.read() as connection:
        assert find_person(connection, "000000000001") == "000000000001"
        assert find_person(connection, "1") == first.id


def test_a_name_is_given_only_if_it_is_still_the_one_that_was_seen(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.label("1", "Ada", seen_name="")
    review.label("2", "Grace", seen_name="")
    with pytest.raises(IdentityChanged, match="called 'Ada' by now and not ''"):
        review.label("1", "Hedy", seen_name="")
    with pytest.raises(IdentityChanged, match="'Grace' by now and not 'Ada'"):
        review.label("2", "Hedy", seen_name="Ada")
    review.label("1", "Hedy", seen_name="Ada")
    assert {p.name for p in list_people(gallery)} == {"Hedy", "Grace", ""}
