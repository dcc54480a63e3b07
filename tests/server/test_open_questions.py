"""Which questions are still questions: what is kept up to date agrees with looking at all of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection

import numpy as np
import pytest

from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.people import assign, create_person, prepare
from reidstream.identities.review import Review
from reidstream.server.open_questions import Asked, OpenQuestions, Pair, Question
from tests.identities.conftest import made_tracklet
from tests.server.conftest import stored
from tests.slow import first_quick

CAMERAS = ("a", "b", "c")


@pytest.fixture
def peopled(gallery: Gallery) -> Gallery:
    """Twelve people with three tracklets each; every fourth of them was seen by one camera alone."""
    prepare(gallery)
    visits = [
        (p + 20, CAMERAS[p % 3] if p % 4 == 0 else CAMERAS[(p + k) % 3], 100 * k + 7 * p, 100 * k + 7 * p + 5)
        for p in range(12)
        for k in range(3)
    ]
    stored(gallery, visits)
    ids = [made_tracklet(*visit).id for visit in visits]
    with gallery.write() as connection:
        for first in range(0, len(ids), 3):
            person = create_person(connection, ids[first])
            assign(connection, [(tracklet, person, 0.9) for tracklet in ids[first : first + 3]])
    return gallery


def found(catalogue: Catalogue) -> list[Question]:
    entries = sorted(catalogue.entries(), key=lambda entry: entry.person.number)
    alike = [
        Question("alike", one.person.id, other.person.id, 0.5, 1.0)
        for one, other in itertools.combinations(entries, 2)
        if (one.person.number + other.person.number) % 3 == 0
    ]
    members = [Question("member", e.person.id, visit.tracklet, 0.5, 1.0) for e in entries for visit in e.visits]
    mixed = [question for both in itertools.zip_longest(alike, members) for question in both if question is not None]
    assert len(mixed) > 40
    return mixed


def looked_at_one_by_one(
    catalogue: Catalogue,
    questions: list[Question],
    answered: set[Pair],
    most: int,
    cameras: Collection[str] | None,
    but: list[Pair],
    later: list[Pair],
    hidden: list[str],
    first: Pair | None,
) -> Asked:
    waiting, put_off = [], []
    for question in questions:
        pair = (question.one, question.other)
        people = [question.one] if question.kind == "member" else [question.one, question.other]
        entries = [catalogue.get(person) for person in people]
        if any(entry is None for entry in entries) or pair in answered or pair in but or {*people} & {*hidden}:
            continue
        if question.kind == "member" and catalogue.owner(question.other) != question.one:
            continue
        if cameras is not None and not all({*entry.cameras} <= {*cameras} for entry in entries if entry):
            continue
        (put_off if pair in later else waiting).append(question)
    every = sorted([*waiting, *put_off], key=lambda question: (question.one, question.other) != first)
    return Asked(every[:most], len(every), len(put_off))


@pytest.mark.usefixtures("unproven")
@pytest.mark.parametrize("seed", first_quick(range(4)))
def test_whatever_is_decided_the_same_is_asked_as_by_looking_at_all_questions(peopled: Gallery, seed: int) -> None:
    rng = np.random.default_rng(seed)
    catalogue = Catalogue(peopled)
    questions = found(catalogue)
    open_questions = OpenQuestions(catalogue, questions)
    answered: set[Pair] = set()
    review = Review(peopled, "somebody")

    def some(most: int) -> list[Question]:
        return [questions[n] for n in rng.choice(len(questions), int(rng.integers(0, most + 1)), replace=False)]

    def decide() -> None:
        # As they are now; the one that is followed may not know it yet.
        entries = sorted(Catalogue(peopled).entries(), key=lambda entry: entry.person.number)
        one, other = (entries[n] for n in rng.choice(len(entries), 2, replace=False))
        choice = rng.integers(5)
        if choice == 0 and len(entries) > 6:
            review.merge(one.person.id, other.person.id)
        elif choice == 1 and len(one.visits) > 1:
            review.split(one.person.id, [one.visits[0].tracklet])
        elif choice == 2:
            review.move(other.visits[0].tracklet, one.person.id)
        elif choice == 3:
            peopled.erase([one.visits[-1].tracklet])
        else:
            pairs = {(q.one, q.other) for q in some(5)}
            fresh = [q for q in questions if (q.one, q.other) in pairs - answered]
            assert open_questions.answer(pairs) == fresh
            answered.update(pairs)

    for _ in range(25):
        # What contradicts an earlier decision changes nothing.
        with contextlib.suppress(IdentityError):
            decide()
        # Now and then several decisions come between two looks.
        if rng.random() < 0.3:
            continue
        catalogue.refresh()
        open_questions.follow()
        for cameras in (None, ("a", "b"), ("c",), ()):
            but, later = ([(q.one, q.other) for q in some(6)] for _ in range(2))
            hidden = [q.one for q in some(1)]
            first = next(((q.one, q.other) for q in some(1)), None)
            most = int(rng.choice([1, 5, 1000]))
            asked = open_questions.asked(most, cameras, but=but, later=later, hidden=hidden, first=first)
            assert asked == looked_at_one_by_one(
                catalogue, questions, answered, most, cameras, but, later, hidden, first
            )
            if cameras is None and not (but or hidden):
                assert asked.left == len(open_questions)


def test_a_view_that_was_left_out_for_others_is_made_anew(peopled: Gallery) -> None:
    catalogue = Catalogue(peopled)
    questions = found(catalogue)
    open_questions = OpenQuestions(catalogue, questions)
    first = open_questions.asked(5, ("a",))
    for n in range(20):
        open_questions.asked(1, (f"camera {n}",))
    assert open_questions.asked(5, ("a",)) == first
    assert first.left > 0
