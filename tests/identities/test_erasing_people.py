"""A person is erased as a whole: from the pictures, the names, the history, the events and later exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config
from reidstream.errors import GalleryError, IdentityError
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.personal import Subject
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.erasing import _without_visits, erase_person, person_to_erase
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import all_events_after
from reidstream.identities.people import Person, create_person, history, list_people
from reidstream.identities.review import Review
from reidstream.identities.schema import members, people
from reidstream.identities.stores import _erase
from reidstream.types import SourceStarted
from tests.exact import EXACT
from tests.slow import first_quick

from .conftest import SPACE, Fill, Visit, made_tracklet

VISITS: list[Visit] = [
    *((person, "door", 100.0 * n + 20 * person, 100.0 * n + 20 * person + 8) for n in range(3) for person in range(4)),
]


def peopled(fill: Fill, index: str = "exact") -> Gallery:
    gallery = fill(VISITS, index=index)
    OnlineIdentities(gallery, Config().identities).catch_up()
    return gallery


def called(gallery: Gallery, title: str) -> Person:
    return next(person for person in list_people(gallery) if person.title == title)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def remembered(gallery: Gallery) -> list[Person]:
    """People with a history: Zoë, once called Mathilda, with notes, in whom a second person was merged."""
    review = Review(gallery, "reviewer")
    review.label("1", "Mathilda", "limps a little")
    review.label("Mathilda", "Zoë O'Brien", 'wears a "blue" coat')
    review.label("2", "Bartholomew", None)
    review.label("3", "Confucius", "")
    review.merge("Zoë O'Brien", "Bartholomew")
    review.undo()
    review.merge("Zoë O'Brien", "Bartholomew")
    review.label("4", "Wilhelmina", "stays")
    return list_people(gallery)


WORDS = ("Mathilda", "limps a little", "Zoë O'Brien", "Zo\\u00eb O'Brien", "blue", "Bartholomew")


@pytest.mark.parametrize("index", first_quick(["exact", "chroma"]))
def test_nothing_of_an_erased_person_can_be_read_in_any_file(fill: Fill, index: str) -> None:
    gallery = peopled(fill, index)
    before = {person.number: person for person in list_people(gallery)}
    zoe = called(gallery, "person 1")
    remembered(gallery)
    folder = gallery.place.folder
    assert folder is not None
    visits = called(gallery, "Zoë O'Brien").tracklets
    assert len(visits) == 6
    gallery.flush()
    found = bytes_of(folder)
    assert all(word.encode() in found for word in WORDS)
    erasure = erase_person(gallery, "zoë o'brien", "officer")
    assert erasure.proven
    assert (erasure.tracklets, erasure.people, erasure.elsewhere) == (6, 2, ())
    gallery.close()
    left = bytes_of(folder)
    assert not [word for word in WORDS if word.encode() in left]
    assert not [visit for visit in visits if visit.encode() in left]
    for person in (zoe.id, before[2].id):
        # The event that tells others to forget the person has to name the person.
        assert left.count(person.encode()) == 1
    with Gallery.open(folder) as reader:
        assert [person.title for person in list_people(reader)] == ["Confucius", "Wilhelmina"]
        assert reader.check().problems == []
        told = [event for event in all_events_after(reader, 0) if event.kind == "PersonErased"]
        assert {event.payload["person"] for event in told} == {zoe.id, before[2].id}
        last = history(reader)[-1]
        assert (last.kind, last.author, last.summary) == ("erase", "officer", "erased 2 people with 6 visits")


def test_a_later_export_says_nothing_of_an_erased_person(fill: Fill, tmp_path: Path) -> None:
    gallery = peopled(fill)
    remembered(gallery)
    persons = [called(gallery, "Zoë O'Brien").id]
    erase_person(gallery, "Zoë O'Brien", "officer")
    export_gallery(gallery, tmp_path / "export")
    exported = bytes_of(tmp_path / "export")
    assert not [word for word in (*WORDS, *persons) if word.encode() in exported]
    assert b"Wilhelmina" in exported


@pytest.mark.usefixtures("unproven")
def test_decisions_about_others_can_still_be_undone_and_those_about_the_erased_cannot(fill: Fill) -> None:
    gallery = peopled(fill)
    review = Review(gallery, "reviewer")
    # One visit of the second person is moved to the first and back by hand.
    second = called(gallery, "person 2")
    moved = review.move(second.tracklets[0], "1")
    review.label("1", "Zoë")
    back = review.move(second.tracklets[0], "2")
    kept = review.label("3", "Confucius")
    erase_person(gallery, "Zoë", "officer")
    log = {operation.id: operation for operation in history(gallery)}
    assert {log[number].summary for number in (moved, moved + 1, back)} == {"about somebody who was erased"}
    with pytest.raises(IdentityError, match=f"no operation {moved + 1} that can be undone"):
        review.undo(moved + 1)
    with pytest.raises(IdentityError, match="can be undone"):
        review.undo(max(log))
    review.undo(kept)
    assert called(gallery, "person 3")
    # Whoever has been somebody else for a while is not given back to who is no more.
    review.undo(back)
    assert called(gallery, "person 2").tracklets == second.tracklets


def test_who_loses_the_last_visit_is_erased_with_it_and_who_keeps_one_is_not(fill: Fill) -> None:
    gallery = peopled(fill)
    review = Review(gallery, "reviewer")
    review.label("1", "Mathilda", "limps a little")
    visits = called(gallery, "Mathilda").tracklets
    assert gallery.erase(visits[:1]).people == 0
    assert called(gallery, "Mathilda").notes == "limps a little"
    erasure = gallery.erase(visits[1:])
    assert erasure.proven
    assert erasure.people == 1
    folder = gallery.place.folder
    assert folder is not None
    assert b"Mathilda" not in bytes_of(folder)
    assert [e.kind for e in all_events_after(gallery, 0)].count("PersonErased") == 1


TABLES = ("people", "members", "operations", "former_members", "former_people", "outbox", "meta", "recordings")


def test_a_person_is_erased_from_a_server_and_stays_away(postgres: str, tmp_path: Path) -> None:
    tracklets = [made_tracklet(*visit) for visit in VISITS]
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(SourceStarted("door", "door.mp4", "content of door", (640, 480), 10, 0.0), "settings")
        gallery.add(tracklets)
        OnlineIdentities(gallery, Config().identities).catch_up()
        remembered(gallery)
        export_gallery(gallery, tmp_path / "export")
        gone = called(gallery, "Zoë O'Brien")
        erasure = erase_person(gallery, "Zoë O'Brien", "officer")
        assert (erasure.tracklets, erasure.people, erasure.proven) == (6, 2, False)
        assert "out of reach" in erasure.reach
        with gallery.read() as connection:
            tables = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in TABLES}
        said = [str(tuple(row)) for rows in tables.values() for row in rows]
        assert not [line for line in said for word in WORDS if word in line]
        assert ["PersonErased" in line for line in said if gone.id in line] == [True]
        assert gallery.add(tracklets) == 0
        assert gallery.kept_out == 6
        done = import_gallery(gallery, open_archive(tmp_path / "export"))
        assert (done.tracklets, done.people, done.kept_out) == (0, 0, 6)
        assert [person.title for person in list_people(gallery)] == ["Confucius", "Wilhelmina"]


def test_whoever_names_a_person_names_all_visits(fill: Fill) -> None:
    gallery = peopled(fill)
    erasure = gallery.erase([], people=[called(gallery, "person 2").id], author="officer")
    assert (erasure.tracklets, erasure.people, erasure.proven) == (3, 1, True)
    assert len(gallery) == len(VISITS) - 3


def test_a_name_that_stands_for_something_else_stays_and_is_said(fill: Fill) -> None:
    gallery = peopled(fill)
    review = Review(gallery, "reviewer")
    review.label("1", "door")
    erasure = erase_person(gallery, "door", "officer")
    assert erasure.proven
    assert "tracklets.source" in erasure.elsewhere


@pytest.mark.usefixtures("unproven")
def test_the_number_of_an_erased_person_is_not_given_to_another(fill: Fill) -> None:
    gallery = peopled(fill)
    assert person_to_erase(gallery, "4").number == 4
    erase_person(gallery, "4", "officer")
    gallery.add([made_tracklet(9, "door", 900.0, 908.0)])
    OnlineIdentities(gallery, Config().identities).catch_up()
    assert [person.number for person in list_people(gallery)] == [1, 2, 3, 5]


def test_a_person_whose_visits_are_gone_already_can_be_erased(fill: Fill) -> None:
    gallery = peopled(fill)
    Review(gallery, "reviewer").label("1", "Mathilda")
    with gallery.write() as connection:
        # As versions before this one left galleries behind.
        connection.exec_driver_sql(
            "DELETE FROM tracklets WHERE id IN (SELECT tracklet FROM members m, people p "
            "WHERE p.id = m.person AND p.name = 'Mathilda')"
        )
    assert erase_person(gallery, "Mathilda", "officer").proven
    with pytest.raises(IdentityError, match="no person called 'Mathilda'"):
        person_to_erase(gallery, "Mathilda")


def test_nothing_is_erased_while_a_table_is_declared_nowhere(fill: Fill) -> None:
    gallery = peopled(fill)
    with gallery.write() as connection:
        connection.exec_driver_sql("CREATE TABLE sightings (person TEXT, seen REAL)")
    with pytest.raises(GalleryError, match=r"what erases people from the table 'sightings'.*nothing was erased"):
        erase_person(gallery, "1", "officer")
    with gallery.write() as connection:
        connection.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('schema:sightings', '1')")
    with pytest.raises(GalleryError, match=r"erase people from the tables of 'sightings'.*nothing was erased"):
        gallery.erase(gallery.rows(Filter()).id.tolist()[:1])
    assert len(gallery) == len(VISITS)
    assert len(list_people(gallery)) == 4


@pytest.mark.usefixtures("unproven")
def test_an_erased_person_does_not_come_back_by_an_import(fill: Fill, tmp_path: Path) -> None:
    gallery = peopled(fill)
    before = {person.title: person for person in list_people(gallery)}
    remembered(gallery)
    export_gallery(gallery, tmp_path / "export")
    erase_person(gallery, "Zoë O'Brien", "officer")
    folder = gallery.place.folder
    assert folder is not None
    for _ in range(2):
        done = import_gallery(gallery, open_archive(tmp_path / "export"))
        assert (done.tracklets, done.people, done.operations, done.kept_out) == (0, 0, 0, 6)
    assert [person.title for person in list_people(gallery)] == ["Confucius", "Wilhelmina"]
    gallery.close()
    left = bytes_of(folder)
    assert not [word for word in WORDS if word.encode() in left]
    assert left.count(before["person 1"].id.encode()) == 1


@pytest.mark.usefixtures("unproven")
def test_new_visits_of_an_erased_person_are_imported_without_the_name(fill: Fill, tmp_path: Path) -> None:
    gallery = peopled(fill)
    export_gallery(gallery, tmp_path / "first")
    elsewhere = Gallery.open(tmp_path / "elsewhere", write=True, create=True, space=SPACE, config=EXACT)
    import_gallery(elsewhere, open_archive(tmp_path / "first"))
    elsewhere.begin_source(SourceStarted("yard", "yard.mp4", "content of yard", (640, 480), 10, 0.0), "settings")
    new = made_tracklet(1, "yard", 900.0, 908.0)
    elsewhere.add([new])
    OnlineIdentities(elsewhere, Config().identities).catch_up()
    review = Review(elsewhere, "other reviewer")
    review.label("2", "Mathilda", "limps a little")
    visits = called(elsewhere, "Mathilda").tracklets
    if new.id not in visits:
        review.move(new.id, "Mathilda")
    export_gallery(elsewhere, tmp_path / "second")
    elsewhere.close()
    erase_person(gallery, "2", "officer")
    done = import_gallery(gallery, open_archive(tmp_path / "second"))
    assert (done.tracklets, done.kept_out) == (1, 3)
    (person,) = (person for person in list_people(gallery) if new.id in person.tracklets)
    assert (person.tracklets, person.name, person.notes) == ((new.id,), "", "")
    folder = gallery.place.folder
    assert folder is not None
    gallery.close()
    assert b"Mathilda" not in bytes_of(folder)


def test_the_command_erases_and_shows_the_proof(fill: Fill) -> None:
    gallery = peopled(fill)
    Review(gallery, "reviewer").label("1", "Mathilda")
    path = str(gallery.place)
    gallery.close()
    runner = CliRunner()
    refused = runner.invoke(app, ["people", "erase", "Mathilda", "--gallery", path], input="n\n")
    assert refused.exit_code == 1
    assert "Erase Mathilda with 3 of 12 tracklets" in refused.output
    done = runner.invoke(app, ["people", "erase", "Mathilda", "--gallery", path, "--yes", "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["tracklets"], answer["people"], answer["proven"]) == (3, 1, True)
    shown = runner.invoke(app, ["people", "erase", "2", "--gallery", path, "--yes"])
    assert "erased 3 tracklets and 1 person" in shown.output
    assert "proof: of" in shown.output


def test_somebody_without_visits_is_named_by_their_whole_name_id_or_number(fill: Fill) -> None:
    gallery = peopled(fill)
    with gallery.write() as connection:
        first, second = (create_person(connection, made_tracklet(n, "z", 0, 5).id) for n in (50, 51))
        numbers = {row.id: row.number for row in connection.execute(select(people))}
        for person in (first, second):
            assert _without_visits(connection, f" {numbers[person]} ") == person
            assert _without_visits(connection, person) == person
            assert _without_visits(connection, person[:-1]) is None
        assert _without_visits(connection, str(max(numbers.values()) + 1)) is None


def test_nobody_is_left_with_a_person_who_is_gone(fill: Fill) -> None:
    """Whatever was theirs when they went: a visit that somebody gave them meanwhile has nobody then."""
    gallery = peopled(fill)
    with gallery.write() as connection:
        held = connection.execute(select(members)).all()[0]
        _erase(connection, Subject((), people=(held.person,)))
        assert connection.execute(select(members).where(members.c.tracklet == held.tracklet)).all() == []
        assert connection.execute(select(people).where(people.c.id == held.person)).all() == []
