"""What reviewers are asked: which questions there are, what each compares, and what weighs how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.people import Person, assign, create_person, leave_undecided, list_people, prepare
from reidstream.identities.questions import Kind, Question, questions
from reidstream.identities.review import Review
from tests.identities.conftest import Fill, Visit, made_tracklet

CONFIG = IdentityConfig()
ONE = Person("1" * 12, 1, "", "", 0.0, ("a", "b", "c"), (0.9, 1.0, 1.0))
OTHER = Person("2" * 12, 2, "Grace", "", 0.0, ("d",), (1.0,))


def asked(kind: Kind, one: Person, other: Person | None, tracklet: str | None) -> Question:
    return Question(kind, one, other, tracklet, 0.5, 1.0)


def test_two_people_are_compared_by_all_their_tracklets() -> None:
    question = asked(Kind.ALIKE, ONE, OTHER, None)
    assert question.sides == (("a", "b", "c"), ("d",))
    assert question.words == "are person 1 and Grace the same person?"


def test_a_member_is_compared_with_the_others_of_its_person() -> None:
    question = asked(Kind.MEMBER, ONE, None, "b")
    assert question.sides == (("a", "c"), ("b",))
    assert question.words == "is tracklet b person 1?"


@pytest.mark.parametrize(
    ("owner", "holds"),
    [
        ({"a": ONE.id, "b": ONE.id, "c": ONE.id, "d": OTHER.id}, True),
        ({"a": ONE.id, "b": ONE.id, "c": OTHER.id, "d": OTHER.id}, False),
        ({"a": ONE.id, "b": ONE.id, "c": ONE.id, "d": ONE.id}, False),
        ({"a": ONE.id, "b": ONE.id, "c": ONE.id}, False),
    ],
)
def test_a_question_can_be_asked_as_long_as_both_sides_are_whose_they_were(owner: dict[str, str], holds: bool) -> None:
    assert asked(Kind.ALIKE, ONE, OTHER, None).holds(owner) is holds


@pytest.mark.parametrize(("third", "holds"), [(ONE.id, True), (OTHER.id, False)])
def test_a_question_about_a_member_holds_while_it_is_one(third: str, holds: bool) -> None:
    assert asked(Kind.MEMBER, ONE, None, "c").holds({"a": ONE.id, "b": ONE.id, "c": third}) is holds


VISITS: list[Visit] = [(person, "door", 100.0 * person + 20 * n, 100.0 * person + 20 * n + 8) for person, n in
                       ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0))]  # fmt: skip
IDS = [made_tracklet(*visit).id for visit in VISITS]


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Person 1 with three tracklets, 2 with two, 3 with one; all of them sure."""
    made = fill(VISITS)
    prepare(made)
    given(made, [1.0] * 6)
    return made


def given(gallery: Gallery, sure: list[float]) -> None:
    """Give everybody their tracklets, each as sure as said."""
    with gallery.write() as connection:
        held = {person.tracklets: person.id for person in list_people(gallery)}
        rows = []
        for some in (IDS[:3], IDS[3:5], IDS[5:]):
            person = held.get(tuple(sorted(some))) or create_person(connection, some[0])
            rows += [(tracklet, person, sure[IDS.index(tracklet)]) for tracklet in some]
        assign(connection, rows)


def alike(chances: dict[frozenset[str], float]) -> object:
    """Says how probable it is that two people are one, by pairs of first tracklets."""

    def same(gallery: Gallery) -> object:
        first = {person.id: person.tracklets for person in list_people(gallery)}

        def of(person: str, others: list[str]) -> list[float]:
            return [
                next((chance for pair, chance in chances.items() if pair <= {*first[person], *first[other]}
                      and pair & {*first[person]} and pair & {*first[other]}), 0.0)
                for other in others
            ]  # fmt: skip

        return of

    return same


def ask(gallery: Gallery, chances: dict[frozenset[str], float] | None = None) -> list[Question]:
    return questions(gallery, CONFIG, alike(chances or {})(gallery))  # type: ignore[operator]


def test_nothing_is_asked_where_all_is_sure(gallery: Gallery) -> None:
    assert ask(gallery) == []


def test_people_who_may_be_one_are_asked_about_once_and_weigh_as_the_pairs_they_would_join(gallery: Gallery) -> None:
    (question,) = ask(gallery, {frozenset((IDS[0], IDS[3])): 0.4})
    assert question.kind is Kind.ALIKE
    assert question.other is not None
    assert {question.one.number, question.other.number} == {1, 2}
    assert (question.tracklet, question.probability) == (None, 0.4)
    assert question.weight == pytest.approx(0.4 * 3 * 2)


@pytest.mark.parametrize(("chance", "count"), [(0.05, 1), (0.049, 0)])
def test_what_is_hardly_likely_is_no_question(gallery: Gallery, chance: float, count: int) -> None:
    assert len(ask(gallery, {frozenset((IDS[0], IDS[5])): chance})) == count


def test_what_changes_most_is_asked_first(gallery: Gallery) -> None:
    chances = {frozenset((IDS[0], IDS[5])): 0.3, frozenset((IDS[3], IDS[5])): 0.3, frozenset((IDS[0], IDS[3])): 0.3}
    weights = [question.weight for question in ask(gallery, chances)]
    assert weights == pytest.approx([0.3 * 6, 0.3 * 3, 0.3 * 2])


def test_a_member_that_is_not_sure_is_asked_about_and_weighs_as_the_pairs_it_would_leave(gallery: Gallery) -> None:
    given(gallery, [1.0, 0.6, 1.0, 1.0, 1.0, 1.0])
    (question,) = ask(gallery)
    assert (question.kind, question.tracklet, question.other) == (Kind.MEMBER, IDS[1], None)
    assert question.probability == pytest.approx(0.6)
    assert question.weight == pytest.approx(0.4 * 2)


def test_who_has_one_tracklet_only_is_not_asked_about_however_unsure(gallery: Gallery) -> None:
    given(gallery, [1.0, 1.0, 1.0, 1.0, 1.0, 0.2])
    assert ask(gallery) == []


@pytest.mark.parametrize(("sure", "count"), [(0.94, 1), (0.96, 0)])
def test_a_member_that_is_nearly_sure_is_no_question(gallery: Gallery, sure: float, count: int) -> None:
    given(gallery, [sure, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert len(ask(gallery)) == count


def undecided(gallery: Gallery, candidate: str, chance: float) -> None:
    with gallery.write() as connection:
        leave_undecided(connection, [(IDS[5], candidate, chance)])


def test_what_is_undecided_asks_whether_it_is_who_it_may_be(gallery: Gallery) -> None:
    undecided(gallery, IDS[1], 0.7)
    # Asked once, although both look alike as well.
    (question,) = ask(gallery, {frozenset((IDS[0], IDS[5])): 0.7})
    assert (question.kind, question.tracklet) == (Kind.UNDECIDED, IDS[5])
    assert question.one.number == 1
    assert question.other is not None
    assert question.other.number == 3
    assert question.weight == pytest.approx(0.7 * 3)


def test_whoever_has_a_name_is_not_undecided(gallery: Gallery) -> None:
    undecided(gallery, IDS[1], 0.7)
    Review(gallery, "ana").label("3", name="Cleo")
    assert ask(gallery) == []


def test_what_may_only_be_itself_is_not_asked(gallery: Gallery) -> None:
    undecided(gallery, IDS[5], 0.7)
    assert ask(gallery) == []


@pytest.mark.parametrize(
    ("names", "kept"),
    [({}, 1), ({"2": "Bo"}, 2), ({"1": "Al", "2": "Bo"}, 1)],
)
def test_of_two_who_are_one_the_named_then_the_larger_stays(gallery: Gallery, names: dict[str, str], kept: int) -> None:
    review = Review(gallery, "ana")
    for number, name in names.items():
        review.label(number, name=name)
    (question,) = ask(gallery, {frozenset((IDS[0], IDS[3])): 0.4})
    question.answer(review, True)
    (left,) = [person for person in list_people(gallery) if len(person.tracklets) == 5]
    assert left.number == kept


def test_of_two_equal_ones_who_are_one_the_first_known_stays(gallery: Gallery) -> None:
    review = Review(gallery, "ana")
    review.move(IDS[2], "3")
    (question,) = ask(gallery, {frozenset((IDS[3], IDS[5])): 0.4})
    assert len(question.one.tracklets) == 2
    replace(question, one=question.other, other=question.one).answer(review, True)  # type: ignore[arg-type]
    assert {person.number for person in list_people(gallery)} == {1, 2}


def test_two_who_are_two_are_told_apart_and_both_stay(gallery: Gallery) -> None:
    (question,) = ask(gallery, {frozenset((IDS[0], IDS[3])): 0.4})
    question.answer(Review(gallery, "ana"), False)
    assert len(list_people(gallery)) == 3
    with pytest.raises(Exception, match="different people"):
        Review(gallery, "ana").merge("1", "2")


@pytest.mark.parametrize("same", [True, False])
def test_an_answer_about_a_member_keeps_it_or_takes_it_out(gallery: Gallery, same: bool) -> None:
    given(gallery, [1.0, 0.6, 0.9, 1.0, 1.0, 1.0])
    question = next(question for question in ask(gallery) if question.tracklet == IDS[1])
    question.answer(Review(gallery, "ana"), same)
    (first,) = [person for person in list_people(gallery) if person.number == 1]
    assert (IDS[1] in first.tracklets) is same
    if same:
        assert first.probability[first.tracklets.index(IDS[1])] == 1.0


def test_a_gallery_without_people_asks_nothing(fill: Fill) -> None:
    assert questions(fill(VISITS), CONFIG) == []
