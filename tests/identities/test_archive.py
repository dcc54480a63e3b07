"""A gallery that is exported and imported is the same gallery, decisions and all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, text
from typer.testing import CliRunner

from reidstream.children import command_of
from reidstream.cli.app import app
from reidstream.config.gallery import GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.errors import GalleryCorrupt, GalleryError, GalleryMismatch, GalleryNotFound
from reidstream.gallery import Filter, Gallery, State
from reidstream.identities.applying import apply
from reidstream.identities.archive import Imported, export_gallery, import_gallery, open_archive
from reidstream.identities.decisions import TABLES
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import all_events_after
from reidstream.identities.people import Person, history, list_people, prepare
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.types import EmbeddingSpace, SourceEnded, SourceStarted
from tests.gallery.conftest import contents_of, same_contents
from tests.identities.conftest import SPACE, Fill, made_tracklet

VISITS = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25), (1, "a", 30, 35)]
IDS = [made_tracklet(*visit).id for visit in VISITS]
NOTHING = Imported(0, 0, 0, 0)


@pytest.fixture
def gallery(fill: Fill) -> Gallery:
    """Decided, reviewed by two people, and one review undone."""
    made = fill(VISITS)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    for camera in ("a", "b"):
        made.end_source(SourceEnded(camera, 400, 40.0))
    Review(made, "ana").label("1", name="Grace", notes="red coat")
    Review(made, "ana").split("1", [IDS[5]])
    number = Review(made, "ben").reject(IDS[4], "2")
    Review(made, "ben").undo(number)
    Review(made, "ana").merge("2", "3")
    return made


def empty(tmp_path: Path, name: str = "other", space: EmbeddingSpace = SPACE) -> Gallery:
    return Gallery.open(tmp_path / name, write=True, create=True, space=space, config=GalleryConfig(index="exact"))


def carried(gallery: Gallery, tmp_path: Path, into: Gallery, where: Filter | None = None) -> Imported:
    folder = tmp_path / f"export {len(list(tmp_path.iterdir()))}"
    export_gallery(gallery, folder, where or Filter())
    return import_gallery(into, open_archive(folder))


def groups(gallery: Gallery) -> set[frozenset[str]]:
    return {frozenset(person.tracklets) for person in list_people(gallery)}


def seen_by(gallery: Gallery, person: Person) -> set[str]:
    return set(gallery.rows(ids=person.tracklets).source.tolist())


def tables(gallery: Gallery) -> dict[str, list[Any]]:
    """All that people decided, without the note where it was first decided."""
    with gallery.read() as connection:
        return {
            table.name: sorted(
                repr(tuple(row)) for row in connection.execute(select(*(c for c in table.c if c.name != "origin")))
            )
            for table in TABLES
        }


def test_everything_comes_along(gallery: Gallery, tmp_path: Path) -> None:
    with empty(tmp_path) as other:
        done = carried(gallery, tmp_path, other)
        assert (done.tracklets, done.operations, done.kept) == (6, 5, 0)
        assert same_contents(contents_of(gallery), contents_of(other))
        assert tables(other) == tables(gallery)
        assert [(o.author, o.kind, o.wall, o.undoes) for o in history(other)] == [
            (o.author, o.kind, o.wall, o.undoes) for o in history(gallery)
        ]
        assert [(r.source, r.state, r.frames) for r in other.sources()] == [
            ("a", State.COMPLETE, 400),
            ("b", State.COMPLETE, 400),
        ]
        assert other.check().problems == []


def picture(number: int) -> bytes:
    return b"\xff\xd8" + bytes([number]) * 40


def with_pictures(where: Path) -> Gallery:
    """Of three tracklets the first and the last have pictures beside the best one."""
    made = empty(where, "pictures")
    more = [(picture(1), picture(2)), (), (picture(3),)]
    for camera in ("a", "b"):
        made.begin_source(SourceStarted(camera, camera, f"content of {camera}", (640, 480), 10.0, 0.0), "")
    made.add(
        [
            replace(made_tracklet(*visit), more_crops=some, crop=picture(0))
            for visit, some in zip(VISITS[:3], more, strict=True)
        ]
    )
    return made


def test_all_pictures_of_a_tracklet_come_along(tmp_path: Path) -> None:
    with with_pictures(tmp_path) as gallery, empty(tmp_path) as other, empty(tmp_path, "part") as part:
        carried(gallery, tmp_path, other)
        assert same_contents(contents_of(gallery), contents_of(other))
        assert other.tracklet(IDS[0]).more_crops == (picture(1), picture(2))
        carried(gallery, tmp_path, part, Filter(sources=("b",)))
        assert [t.more_crops for t in part.tracklets()] == [(picture(3),)]


def test_only_an_archive_with_further_pictures_needs_a_program_that_knows_of_them(
    gallery: Gallery, tmp_path: Path
) -> None:
    with with_pictures(tmp_path) as several:
        export_gallery(gallery, tmp_path / "one", Filter())
        export_gallery(several, tmp_path / "many", Filter())
    versions = [json.loads((tmp_path / name / "gallery.json").read_text())["version"] for name in ("one", "many")]
    assert versions == [1, 2]
    assert not (tmp_path / "one" / "pictures.parquet").exists()
    (tmp_path / "many" / "pictures.parquet").write_bytes(b"PAR1")
    with pytest.raises(GalleryCorrupt, match=r"pictures\.parquet is not as it was written"):
        open_archive(tmp_path / "many")


def test_decisions_hold_through_resolving_and_can_be_undone_in_their_new_place(
    gallery: Gallery, tmp_path: Path
) -> None:
    with empty(tmp_path) as other:
        carried(gallery, tmp_path, other)
        for place in (gallery, other):
            apply(place, propose(place, IdentityConfig()))
        assert groups(other) == groups(gallery)
        assert frozenset([IDS[5]]) in groups(other)
        for place in (gallery, other):
            for _ in range(3):
                Review(place, "eve").undo()
            apply(place, propose(place, IdentityConfig()))
        assert groups(other) == groups(gallery)
        assert frozenset([IDS[0], IDS[2], IDS[5]]) in groups(other)
        assert [person.name for person in list_people(other)] == ["", "", ""]


def test_decisions_outlive_the_index(fill: Fill) -> None:
    indexed = fill(VISITS, "indexed", index="chroma")
    OnlineIdentities(indexed, IdentityConfig()).catch_up()
    Review(indexed, "ana").merge("1", "3")
    before = tables(indexed)
    indexed.rebuild()
    assert tables(indexed) == before
    apply(indexed, propose(indexed, IdentityConfig()))
    assert frozenset([IDS[0], IDS[2], IDS[5], IDS[3]]) in groups(indexed)


def test_importing_twice_adds_nothing_and_neither_does_its_own_export(gallery: Gallery, tmp_path: Path) -> None:
    with empty(tmp_path) as other:
        carried(gallery, tmp_path, other)
        before, told = tables(other), len(list(all_events_after(other, 0)))
        assert carried(gallery, tmp_path, other) == NOTHING
        assert carried(other, tmp_path, other) == NOTHING
        assert carried(other, tmp_path, gallery) == NOTHING
        assert tables(other) == before
        assert len(list(all_events_after(other, 0))) == told


def test_later_decisions_and_undoings_follow_with_the_next_export(gallery: Gallery, tmp_path: Path) -> None:
    with empty(tmp_path) as other:
        carried(gallery, tmp_path, other)
        Review(gallery, "ana").undo()
        Review(gallery, "ana").label("3", name="Linus")
        done = carried(gallery, tmp_path, other)
        assert (done.tracklets, done.people, done.operations) == (0, 0, 2)
        assert groups(other) == groups(gallery)
        assert sorted(p.name for p in list_people(other)) == ["", "", "Grace", "Linus"]
        moved = [event for event in all_events_after(other, 0) if event.kind == "TrackletMoved"]
        assert [event.payload["tracklet"] for event in moved] == [IDS[3]]


def test_two_galleries_become_one_with_both_histories(gallery: Gallery, fill: Fill, tmp_path: Path) -> None:
    second = fill([(8, "c", 0, 5), (9, "c", 20, 25), (8, "d", 40, 45)], "second")
    OnlineIdentities(second, IdentityConfig()).catch_up()
    Review(second, "zoe").label("1", name="Hedy")
    Review(second, "zoe").merge("1", "2")
    done = carried(second, tmp_path, gallery)
    assert (done.tracklets, done.people, done.operations) == (3, 2, 2)
    assert [(o.id, o.author) for o in history(gallery)][-2:] == [(6, "zoe"), (7, "zoe")]
    assert len({person.number for person in list_people(gallery)}) == len(list_people(gallery))
    assert {"Grace", "Hedy"} <= {person.name for person in list_people(gallery)}
    Review(gallery, "ana").undo(7)
    apply(gallery, propose(gallery, IdentityConfig()))
    assert sum(bool(seen_by(gallery, person) & {"c", "d"}) for person in list_people(gallery)) == 2
    kinds = [event.kind for event in all_events_after(gallery, 0)]
    assert "GalleryImported" in kinds
    assert kinds.count("TrackletStored") == len(gallery)


def test_of_two_decisions_that_contradict_each_other_the_later_holds(fill: Fill, tmp_path: Path) -> None:
    first, second = fill(VISITS, "first"), fill(VISITS, "second")
    for place in (first, second):
        OnlineIdentities(place, IdentityConfig()).catch_up()
    Review(first, "ana").merge("1", "3")
    Review(second, "zoe").reject(IDS[3], "1")
    export_gallery(first, tmp_path / "merged")
    assert carried(second, tmp_path, first).kept == 0
    assert import_gallery(second, open_archive(tmp_path / "merged")).kept == 1
    for place in (first, second):
        assert frozenset([IDS[3]]) in groups(place)
        apply(place, propose(place, IdentityConfig()))
        assert frozenset([IDS[3]]) in groups(place)


def _person(gallery: Gallery, tracklet: str) -> Person:
    return next(person for person in list_people(gallery) if tracklet in person.tracklets)


def test_a_part_takes_along_only_who_is_in_it(gallery: Gallery, tmp_path: Path) -> None:
    Review(gallery, "ana").label(_person(gallery, IDS[3]).id, name="only in a")
    with empty(tmp_path) as other:
        done = carried(gallery, tmp_path, other, Filter(sources=("b",)))
        assert done.tracklets == 2
        assert {t for person in list_people(other) for t in person.tracklets} == {IDS[2], IDS[4]}
        assert [r.source for r in other.sources()] == ["b"]
        assert carried(gallery, tmp_path, other).tracklets == 4
        assert groups(other) == groups(gallery)


def test_a_recording_that_is_not_whole_in_the_export_can_be_read_again(gallery: Gallery, tmp_path: Path) -> None:
    with empty(tmp_path) as other:
        carried(gallery, tmp_path, other, Filter(sources=("a",), media_until=7))
        assert [recording.state for recording in other.sources()] == [State.STOPPED]
        assert carried(gallery, tmp_path, other).tracklets == 4
        assert {recording.state for recording in other.sources()} == {State.COMPLETE}


@pytest.mark.slow
def test_an_import_that_is_killed_has_added_nothing_and_one_that_ended_all(gallery: Gallery, tmp_path: Path) -> None:
    here, archive, place = tmp_path / "here", tmp_path / "archive", tmp_path / "copies"
    with empty(tmp_path, "here") as other:
        other.begin_source(SourceStarted("c", "c.mp4", "content of c", (640, 480), 10, 0.0), "settings")
        other.add([made_tracklet(7, "c", 0, 5)])
        other.end_source(SourceEnded("c", 400, 40.0))
        OnlineIdentities(other, IdentityConfig()).catch_up()
        before = all_there_is(other)
    export_gallery(gallery, archive)
    place.mkdir()
    job = command_of("tests.identities.importing_job", str(here), str(archive), str(place))
    done = subprocess.run(job, capture_output=True, text=True, check=False, env=with_tests())
    assert done.returncode == 0, done.stderr
    moments = done.stdout.split()
    assert len(set(moments)) > 4
    with Gallery.open(place / "whole", write=True) as whole:
        assert len(whole) == 7
        after = all_there_is(whole)
    archived = open_archive(archive)
    for moment in moments:
        with Gallery.open(place / moment, write=True) as killed:
            assert all_there_is(killed) == before, f"statement {moment}"
            assert killed.check().problems == []
            assert import_gallery(killed, archived).tracklets == 6
            assert {name: len(rows) for name, rows in all_there_is(killed).items()} == {
                name: len(rows) for name, rows in after.items()
            }


def all_there_is(gallery: Gallery) -> dict[str, list[str]]:
    """The rows of every table, without what the gallery notes of itself and whoever opens it."""
    with gallery.read() as connection:
        names = set(inspect(connection).get_table_names()) - {"meta", "fences", "schema_versions"}
        return {name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}")))) for name in names}


def with_tests() -> dict[str, str]:
    """An environment in which a child finds the tests as well."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_what_does_not_fit_is_refused_before_anything_is_changed(gallery: Gallery, fill: Fill, tmp_path: Path) -> None:
    with (
        empty(tmp_path, "strange", EmbeddingSpace("other", "other", SPACE.size)) as strange,
        pytest.raises(GalleryMismatch, match="vectors of different models cannot be compared"),
    ):
        carried(gallery, tmp_path, strange)
    folder = tmp_path / "damaged"
    export_gallery(gallery, folder)
    with pytest.raises(GalleryError, match="new or empty folder"):
        export_gallery(gallery, folder)
    people = json.loads((folder / "people.json").read_text())
    people["people"][0]["name"] = "Mallory"
    (folder / "people.json").write_text(json.dumps(people))
    with pytest.raises(GalleryCorrupt, match="not as it was written"):
        open_archive(folder)
    with pytest.raises(GalleryNotFound, match="no exported gallery"):
        open_archive(tmp_path)
    facts = json.loads((folder / "gallery.json").read_text())
    (folder / "gallery.json").write_text(json.dumps({**facts, "version": 99}))
    with pytest.raises(GalleryMismatch, match="install a newer"):
        open_archive(folder)
    (folder / "gallery.json").write_text("{}")
    with pytest.raises(GalleryCorrupt, match="cannot be read"):
        open_archive(folder)


def test_tables_of_an_earlier_version_are_exported_and_brought_up_to_date(gallery: Gallery, tmp_path: Path) -> None:
    with gallery.write() as connection:
        connection.execute(text("ALTER TABLE operations DROP COLUMN origin"))
        connection.execute(text("UPDATE meta SET value = '1' WHERE key = 'schema:identities'"))
    assert len(history(gallery)) == 5
    with empty(tmp_path) as other:
        assert carried(gallery, tmp_path, other).operations == 5
    prepare(gallery)
    with gallery.read() as connection:
        assert "origin" in {column["name"] for column in inspect(connection).get_columns("operations")}


def test_the_commands_carry_a_gallery_from_folder_to_folder(gallery: Gallery, tmp_path: Path) -> None:
    gallery.close()
    run = CliRunner().invoke
    done = run(app, ["gallery", "export", str(tmp_path / "out"), "-g", str(gallery.place)], catch_exceptions=False)
    assert "wrote 6 tracklets" in done.stdout
    words = ["gallery", "import", str(tmp_path / "out"), "-g", str(tmp_path / "new"), "--json"]
    first, second = (json.loads(run(app, words, catch_exceptions=False).stdout) for _ in range(2))
    assert (first["tracklets"], first["operations"]) == (6, 5)
    assert (second["tracklets"], second["people"], second["operations"]) == (0, 0, 0)
    with Gallery.open(tmp_path / "new") as new:
        assert "Grace" in {person.name for person in list_people(new)}
