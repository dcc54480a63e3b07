"""What exactly a decision says, and that a list kept up to date by events is the list read anew."""

from __future__ import annotations

from itertools import count, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from reidstream.config.identities import IdentityConfig
from reidstream.errors import IdentityError
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.review import Review
from reidstream.identities.schema import links
from tests.identities.conftest import Fill
from tests.identities.test_review import IDS
from tests.identities.three_people import AT_TWO_CAMERAS


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    made = fill(AT_TWO_CAMERAS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


ANN, BEN = [IDS[0], IDS[2], IDS[5]], [IDS[1], IDS[4]]


def told_apart(gallery: Gallery) -> set[frozenset[str]]:
    with gallery.read() as connection:
        rows = connection.execute(select(links.c.a, links.c.b).where(links.c.kind == "different"))
        return {frozenset((row.a, row.b)) for row in rows}


@pytest.mark.parametrize(
    ("seen", "first", "second"),
    [
        ((), ANN, BEN),
        ((ANN[2], BEN[0]), ANN[2:], BEN[:1]),
        # Who was looked at on one side alone: all of the other.
        ((ANN[1],), ANN[1:2], BEN),
    ],
)
def test_two_people_are_told_apart_by_what_was_looked_at(
    gallery: Gallery, seen: tuple[str, ...], first: list[str], second: list[str]
) -> None:
    Review(gallery, "ana").apart("1", "2", seen=seen)
    assert told_apart(gallery) == {frozenset(pair) for pair in product(first, second)}


def everybody(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    return {entry.person.id: entry.as_dict() for entry in catalogue.entries()}


numbers = count()
actions = st.lists(
    st.sampled_from(["merge", "label", "notes", "split", "apart", "undo", "move"]), min_size=1, max_size=5
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_a_list_kept_up_to_date_is_the_list_read_anew(fill: Fill, actions: list[str]) -> None:
    made = fill(AT_TWO_CAMERAS, f"gallery {next(numbers)}")
    OnlineIdentities(made, IdentityConfig()).catch_up()
    kept, review = Catalogue(made), Review(made, "ana")
    for number, action in enumerate(actions):
        # Some are refused: the person has gone, or there is nothing left to undo.
        try:
            if action == "merge":
                review.merge("1", "2")
            elif action == "label":
                review.label("1", name=f"name {number}")
            elif action == "notes":
                review.label("3", notes=f"notes {number}")
            elif action == "split":
                review.split("1", [IDS[5]])
            elif action == "apart":
                review.apart("1", "3")
            elif action == "move":
                review.move(IDS[4], "3")
            else:
                review.undo()
        except IdentityError:
            pass
        kept.refresh()
        assert everybody(kept) == everybody(Catalogue(made))
