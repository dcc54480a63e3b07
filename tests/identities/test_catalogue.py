"""One person at a glance, as pure values of their visits, and the list of everybody kept up to date."""

from __future__ import annotations

import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.errors import PersonNotFound
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue, Entry, Visit
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import Person
from reidstream.identities.review import Review
from tests.identities.conftest import Fill, made_tracklet

PERSON = Person("a" * 12, 4, "Grace", "tall", 7.0, ("t1", "t2", "t3"), (1.0, 0.5, 0.9))
VISITS = (
    Visit("t2", "yard", 10.0, 18.0, 0.9, 0.4, True, 0.5),
    Visit("t1", "door", 20.0, 60.0, 0.9, 0.9, False, 1.0),
    Visit("t3", "yard", 30.0, 31.0, 0.9, 0.6, True, 0.9),
)
ENTRY = Entry(PERSON, VISITS)


def test_what_all_visits_say_together() -> None:
    assert ENTRY.cameras == ("door", "yard")
    assert (ENTRY.first_seen, ENTRY.last_seen, ENTRY.seconds) == (10.0, 60.0, 49.0)
    assert (ENTRY.least_sure, ENTRY.quality) == (0.5, 0.9)
    # The clearest visit has no picture.
    assert ENTRY.best == "t3"
    assert not ENTRY.undecided


def test_plain_values_are_in_the_order_of_tracklets() -> None:
    values = ENTRY.as_dict()
    assert (values["tracklets"], values["probability"]) == (["t1", "t2", "t3"], [1.0, 0.5, 0.9])
    assert (values["number"], values["name"], values["notes"], values["may_be"]) == (4, "Grace", "tall", None)
    assert (values["seconds"], values["undecided"]) == (49.0, False)


def test_what_is_undecided_says_who_it_may_be() -> None:
    doubtful = Entry(Person("b" * 12, 5, "", "", 0.0, ("t2",), (0.5,), "t1", 0.4), VISITS[:1])
    assert doubtful.as_dict()["may_be"] == ["t1", 0.4]


@pytest.mark.parametrize(
    ("cameras", "seen"),
    [(None, ["t2", "t1", "t3"]), (["door", "yard", "roof"], ["t2", "t1", "t3"]), (["yard"], ["t2", "t3"])],
)
def test_who_may_see_some_cameras_sees_those_visits(cameras: list[str] | None, seen: list[str]) -> None:
    within = ENTRY.within(cameras)
    assert within is not None
    assert [visit.tracklet for visit in within.visits] == seen


@pytest.mark.parametrize("cameras", [[], ["roof"]])
def test_who_may_see_no_camera_of_a_person_sees_nobody(cameras: list[str]) -> None:
    assert ENTRY.within(cameras) is None


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Three people: the first in both cameras, the second at the door, the third in the yard."""
    made = fill([(1, "door", 0, 5), (2, "door", 20, 25), (1, "yard", 40, 45), (3, "yard", 60, 65), (1, "door", 80, 85)])
    OnlineIdentities(made, IdentityConfig()).catch_up()
    return made


def test_nothing_changes_where_nothing_happened(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    version = catalogue.version
    catalogue.refresh()
    assert catalogue.version == version
    assert catalogue.changed_since(version) == (version, set())


def test_who_has_changed_is_told_since_every_version(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    versions = [catalogue.version]
    persons = []
    for number in ("1", "3", "2"):
        Review(gallery, "ana").label(number, name=f"name of {number}")
        catalogue.refresh()
        versions.append(catalogue.version)
        persons.append(catalogue.find(number).person.id)
    assert versions == sorted(set(versions))
    for begin, version in enumerate(versions):
        assert catalogue.changed_since(version) == (versions[-1], set(persons[begin:]))
    # Before it was read, it may have been everybody.
    assert catalogue.changed_since(versions[0] - 1) == (versions[-1], None)


def test_after_reading_all_anew_everybody_may_have_changed(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    version = catalogue.version
    catalogue.reload()
    assert catalogue.version > version
    assert catalogue.changed_since(version) == (catalogue.version, None)
    assert catalogue.changed_since(catalogue.version) == (catalogue.version, set())


def test_who_was_told_of_is_read_anew_without_an_event(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    person = catalogue.find("2").person.id
    catalogue.refresh(told=[person])
    assert catalogue.changed_since(catalogue.version - 1)[1] == {person}
    assert len(catalogue) == 3
    assert catalogue.visits == 5


@pytest.mark.parametrize("word", ["2", "#2", " person 2 ", "Person #2", "Ada", "ADA "])
def test_somebody_is_found_by_number_or_name(gallery: Gallery, word: str) -> None:
    Review(gallery, "ana").label("2", name="Ada")
    assert Catalogue(gallery).find(word).person.number == 2


def test_somebody_is_found_by_an_id_or_enough_of_its_beginning(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    person = catalogue.find("1").person.id
    assert catalogue.find(person).person.id == catalogue.find(person[:4]).person.id == person
    with pytest.raises(PersonNotFound, match="no person called"):
        catalogue.find(person[:3] + "x")
    with pytest.raises(PersonNotFound):
        catalogue.find("")


def test_somebody_is_found_only_by_who_may_see_them(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    assert len(catalogue.find("1", ["yard"]).visits) == 1
    assert len(catalogue.find("1", ["door"]).visits) == 2
    with pytest.raises(PersonNotFound):
        catalogue.find("2", ["yard"])


def test_a_misspelt_name_is_not_guessed_and_the_nearest_is_told(gallery: Gallery) -> None:
    Review(gallery, "ana").label("2", name="Ada")
    with pytest.raises(PersonNotFound, match="no person called 'Adda'; did you mean Ada"):
        Catalogue(gallery).find("Adda")


def test_each_tracklet_has_its_person(gallery: Gallery) -> None:
    catalogue = Catalogue(gallery)
    moved = made_tracklet(1, "yard", 40, 45).id
    assert catalogue.owner(moved) == catalogue.find("1").person.id
    Review(gallery, "ana").move(moved, "2")
    catalogue.refresh()
    assert catalogue.owner(moved) == catalogue.find("2").person.id
    assert catalogue.owner("absent") is None
    assert catalogue.get("absent") is None


def test_a_gallery_of_nobody_has_an_empty_list_until_somebody_is_decided_on(fill: Fill) -> None:
    made = fill([(1, "door", 0, 5)])
    catalogue = Catalogue(made)
    assert (len(catalogue), catalogue.version, catalogue.undecided()) == (0, 0, [])
    OnlineIdentities(made, IdentityConfig()).catch_up()
    catalogue.refresh()
    assert (len(catalogue), catalogue.version) == (1, 1)
