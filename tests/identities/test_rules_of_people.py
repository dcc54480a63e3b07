"""What tables, archives and texts say of people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import BigInteger, Column, Double, MetaData, Table, Text

from reidstream.config.identities import IdentityConfig
from reidstream.errors import GalleryCorrupt, IdentityError, PersonNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.interchange import EARLIEST, LATEST
from reidstream.identities.archive_rows import checked_rows
from reidstream.identities.kept_out import without_erased
from reidstream.identities.people import (
    NewPeople,
    create_person,
    find_person,
    list_people,
    number_meant,
    refuse_number,
)
from reidstream.identities.profiles import nearest_people, profiles_of
from reidstream.identities.review import Review
from reidstream.identities.stores import _forms, _mentions, _words
from tests.identities.conftest import Fill
from tests.identities.three_people import AT_ONE_DOOR, decided, ids_of

CONFIG = IdentityConfig()
IDS = ids_of(AT_ONE_DOOR)


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Person 1 with three tracklets, 2 with two, 3 with one."""
    return decided(fill, AT_ONE_DOOR)


# -- people


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("4", 4), ("#4", 4), ("person 4", 4), ("Person #4", 4), ("undecided 4", 4), (" 4 ", 4)),
        *(("four", None), ("4a", None), ("", None)),
    ],
)
def test_a_number_means_somebody_and_is_no_name(text: str, number: int | None) -> None:
    assert number_meant(text) == number
    if number is None:
        refuse_number(text)
    else:
        with pytest.raises(IdentityError):
            refuse_number(text)


def test_somebody_is_found_by_number_name_or_enough_of_an_id(gallery: Gallery) -> None:
    person = list_people(gallery)[1].id
    Review(gallery, "ana").label("2", name="Ada")
    with gallery.read() as connection:
        for word in ("2", "ADA", person, person[:4]):
            assert find_person(connection, word) == person
        for word in (person[:3] + "x", "9", "nobody", ""):
            with pytest.raises(PersonNotFound):
                find_person(connection, word)


def test_the_nearest_people_are_others_and_decided(gallery: Gallery) -> None:
    profiles = profiles_of(gallery)
    assert [profile.seconds for profile in profiles] == [24.0, 16.0, 8.0]
    assert (profiles[0].first_seen, profiles[0].last_seen) == (100.0, 148.0)
    assert all(np.linalg.norm(profile.vector) == pytest.approx(1) for profile in profiles)
    wanted = profiles[0].person.id
    found = nearest_people(profiles, [wanted])[wanted]
    assert {person.number for person, _ in found} == {2, 3}
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
    assert len(nearest_people(profiles, [wanted], most=1)[wanted]) == 1


# -- rows of archives


TABLE = Table(
    "some",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, unique=True, nullable=False),
    Column("share", Double),
    Column("made_wall", Double, nullable=False),
)
ROW: dict[str, Any] = {"id": "a", "number": 0, "share": 0.5, "made_wall": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        {"number": 2**53},
        {"share": 0},
        {"share": 1},
        {"share": None},
        {"made_wall": EARLIEST},
        {"made_wall": LATEST},
        {"id": "x" * 100_000},
    ],
)
def test_values_at_the_ends_of_what_a_gallery_can_hold_are_taken(change: dict[str, Any]) -> None:
    checked_rows(TABLE, [{**ROW, **change}])


@pytest.mark.parametrize(
    "change",
    [
        {"number": 2**53 + 1},
        {"number": -1},
        {"number": True},
        {"number": 0.5},
        {"number": None},
        {"share": 1.01},
        {"share": -0.01},
        {"share": True},
        {"share": float("nan")},
        {"share": "0.5"},
        {"made_wall": EARLIEST * 1.01},
        {"made_wall": LATEST * 1.01},
        {"made_wall": float("inf")},
        {"id": "x" * 100_001},
        {"id": 5},
        {"id": None},
    ],
)
def test_values_beyond_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GalleryCorrupt, match="row 0 of the exported table some"):
        checked_rows(TABLE, [{**ROW, **change}])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "must be a list"),
        ([5], "must have the columns"),
        ([{**ROW, "more": 1}], "must have the columns"),
        ([{"id": "a"}], "must have the columns"),
        ([ROW, {**ROW, "number": 1}], r"row 1 of the exported table some is there twice \(id\)"),
        ([ROW, {**ROW, "id": "b"}], r"row 1 of the exported table some is there twice \(number\)"),
    ],
)
def test_rows_of_another_shape_or_twice_are_refused(rows: Any, said: str) -> None:
    with pytest.raises(GalleryCorrupt, match=said):
        checked_rows(TABLE, rows)


# -- names in texts


def test_a_name_is_looked_for_as_a_word_of_its_own_in_every_form() -> None:
    said = _words(["Zoë", "A+B"])
    assert [said(text) for text in ("labelled 'Zoë'", "Zoë", "Zoës", "xZoë", "of A+B.", "AAB")] == [
        *(True, True, False, False, True, False),
    ]
    assert not _words([])("anything")
    assert _forms("Zoë") == {"Zoë", "Zo\\u00eb"}
    assert _forms("O'B") == {"O'B"}
    assert _forms('"') == {'"', '\\"'}


@pytest.mark.parametrize(
    ("payload", "mentions"),
    [
        ({"person": "p"}, True),
        ({"person": "q", "merged": ["x", "p"]}, True),
        ({"deep": {"name": "Zoë"}}, True),
        ({"person": "q", "number": 5, "none": None}, False),
        ({"p": "q"}, False),
        ([], False),
    ],
)
def test_a_payload_mentions_somebody_by_id_or_name_wherever(payload: Any, mentions: bool) -> None:
    assert _mentions(payload, {"p"}, {"Zoë"}) is mentions


def test_decisions_about_who_stays_outside_lose_their_words_and_others_keep_them(gallery: Gallery) -> None:
    """Of an exported gallery, where person "gone" has no visit among those that are here."""
    person = {"number": 1, "notes": "", "created_wall": 0.0}

    def named(number: int, whom: str) -> dict[str, Any]:
        return {"changed_by": number, "person": whom, "name": "", "notes": ""}

    def entry(number: int, summary: str, undoes: int | None = None) -> dict[str, Any]:
        return {"id": number, "summary": summary, "undoes": undoes}

    document: dict[str, list[dict[str, Any]]] = {
        "people": [{"id": "stays", "name": "Ada", **person}, {"id": "gone", "name": "Zoë", **person}],
        "members": [{"tracklet": "here", "person": "stays"}, {"tracklet": "away", "person": "gone"}],
        "former_members": [
            {"tracklet": "here", "person": "stays", "changed_by": 1},
            {"tracklet": "here", "person": "stays", "changed_by": 2},
            {"tracklet": "here", "person": "stays", "changed_by": 5},
        ],
        "former_people": [named(1, "stays"), named(2, "gone"), named(4, "gone")],
        "links": [],
        "former_links": [],
        "operations": [
            entry(1, "labelled person 1"),
            entry(2, "moved a tracklet"),
            entry(3, "undid 1", 1),
            entry(4, "about nobody here"),
            entry(5, "merged Zoë into Ada"),
            entry(6, "undid 2", 2),
        ],
    }
    with gallery.read() as connection:
        left = without_erased(connection, document, {"here"})
    assert [row["id"] for row in left["people"]] == ["stays"]
    assert [row["person"] for row in left["former_people"]] == ["stays"]
    words = {row["id"]: row["summary"] for row in left["operations"]}
    assert set(words) == {1, 2, 3, 5, 6}
    assert (words[1], words[3]) == ("labelled person 1", "undid 1")
    assert words[2] == words[5] == words[6] == "about somebody who was erased"


def test_a_new_person_never_gets_the_id_of_somebody_who_is_there(gallery: Gallery) -> None:
    """Whether its first tracklet was announced or not: ids come from it, and may have been given before."""
    with gallery.write() as connection:
        for seed in ("announced", "by itself"):
            there = create_person(connection, seed)
            new = NewPeople(connection, ["announced"])
            first, second = new.add(seed), new.add(seed)
            assert len({there, first, second}) == 3
            new.write()
    assert len({person.id for person in list_people(gallery)}) == len(list_people(gallery))
