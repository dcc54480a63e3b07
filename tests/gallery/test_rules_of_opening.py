"""What opening, closing and reading a gallery leave behind: files, rights, indexes that are let go, and answers."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chromadb
import numpy as np
import pytest
from sqlalchemy import Connection, MetaData, create_engine, inspect, make_url, select, update
from sqlalchemy.exc import OperationalError

from reidstream.alerts.schema import metadata as alerts_metadata
from reidstream.clips.schema import metadata as clips_metadata
from reidstream.config import GalleryConfig
from reidstream.errors import GalleryError, GalleryLocked, GalleryUnreachable, TrackletNotFound
from reidstream.files import OWNER_ONLY, Access
from reidstream.gallery import Filter, Gallery, erasing, opening
from reidstream.gallery.database import _COMPILED, BUSY_SECONDS, DATABASE_FILE, _explained, place_of
from reidstream.gallery.facts import write_facts
from reidstream.gallery.fencing import check_fence, take_fence
from reidstream.gallery.index import chroma
from reidstream.gallery.interchange import EARLIEST, LATEST
from reidstream.gallery.migrations import GALLERY_MIGRATIONS, make_tables, migrate
from reidstream.gallery.opening import Opened, make_folder, open_to, own, unmake
from reidstream.gallery.ownership import (
    INDEX_LOCK_FILE,
    LOCK_FILE,
    OWNER_FILE,
    FolderOwnership,
    ServerOwnership,
    writer_of,
)
from reidstream.gallery.reranking import Reranking
from reidstream.gallery.schema import details, meta, metadata, tracklets, tracklets_end
from reidstream.gallery.sheet import Card, clip_address, clock, tracklet_card, wall_clock, write_gallery_sheet
from reidstream.identities.schema import metadata as identity_metadata
from reidstream.retention.schema import metadata as retention_metadata
from reidstream.server.access.schema import metadata as server_metadata
from tests.exact import EXACT

from .conftest import SETTINGS, SIZE, SPACE, some_tracklets, started

PEOPLE = some_tracklets(12)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The widest umask: what is narrow was made narrow."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as opened:
        opened.begin_source(started(), SETTINGS)
        opened.add(PEOPLE)
        yield opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


GROUP = Access(os.getgid())


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("access", [OWNER_ONLY, GROUP])
def test_a_new_folder_and_its_database_are_for_those_whom_it_is_made_for(tmp_path: Path, access: Access) -> None:
    folder = tmp_path / "deep" / "g"
    make_folder(folder, access)
    assert mode(folder) == access.folder_mode
    assert mode(folder / DATABASE_FILE) == access.file_mode


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("access", [OWNER_ONLY, GROUP])
def test_what_says_who_writes_is_for_those_who_may_use_the_gallery(tmp_path: Path, access: Access) -> None:
    make_folder(tmp_path / "g", access)
    ownership = FolderOwnership(tmp_path / "g")
    assert {mode(tmp_path / "g" / name) for name in (OWNER_FILE, LOCK_FILE)} == {access.file_mode}
    ownership.release()


@pytest.mark.usefixtures("open_umask")
def test_opening_to_a_group_reaches_everything_below(tmp_path: Path) -> None:
    (tmp_path / "g" / "index").mkdir(parents=True)
    (tmp_path / "g" / "index" / "file").touch()
    open_to(tmp_path / "g", GROUP)
    assert mode(tmp_path / "g" / "index") == mode(tmp_path / "g") == GROUP.folder_mode
    assert mode(tmp_path / "g" / "index" / "file") == GROUP.file_mode


def test_a_folder_with_other_things_or_a_file_becomes_no_gallery(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(GalleryError, match=r"holds other things \(notes"):
        make_folder(tmp_path, OWNER_ONLY)
    with pytest.raises(GalleryError, match="is a file; a gallery is a folder"):
        make_folder(tmp_path / "notes", OWNER_ONLY)
    assert not (tmp_path / DATABASE_FILE).exists()


def test_what_a_lost_writer_left_is_no_other_thing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).touch()
    make_folder(tmp_path, OWNER_ONLY)
    assert (tmp_path / DATABASE_FILE).exists()


@pytest.mark.parametrize(("made", "other", "left"), [(True, False, False), (True, True, True), (False, False, True)])
def test_taking_a_gallery_away_keeps_a_folder_that_was_there_or_holds_more(
    tmp_path: Path, made: bool, other: bool, left: bool
) -> None:
    folder = tmp_path / "g"
    make_folder(folder, OWNER_ONLY)
    (folder / LOCK_FILE).touch()
    (folder / f"{DATABASE_FILE}-wal").touch()
    if other:
        (folder / "notes").touch()
    unmake(folder, made)
    assert folder.exists() is left
    assert sorted(path.name for path in folder.glob("*")) == (["notes"] if other else [])


def test_one_writes_at_a_time_and_it_is_said_who(tmp_path: Path) -> None:
    make_folder(tmp_path / "g", OWNER_ONLY)
    assert writer_of(tmp_path / "g") is None
    first = FolderOwnership(tmp_path / "g")
    assert first.holder == f"process {os.getpid()} on {os.uname().nodename}"
    assert writer_of(tmp_path / "g") == first.holder
    with pytest.raises(GalleryLocked, match=f"is being written by process {os.getpid()}"):
        FolderOwnership(tmp_path / "g")
    # Whoever was refused has not taken the first one's word away.
    assert writer_of(tmp_path / "g") == first.holder
    first.release()
    assert writer_of(tmp_path / "g") is None
    assert not (tmp_path / "g" / OWNER_FILE).exists()


def test_a_server_is_asked_only_where_it_can_be_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise GalleryError("needs psycopg")

    monkeypatch.setattr(opening, "demand_psycopg", missing)
    monkeypatch.setattr(opening, "ServerOwnership", lambda url, shown: pytest.fail("asked without a driver"))
    with pytest.raises(GalleryError, match="needs psycopg"):
        own(place_of("postgresql://ana@db/shop"))


@pytest.mark.parametrize("write", [True, False])
def test_an_erasure_that_was_cut_short_is_finished_by_the_next_writer_only(
    gallery: Gallery, caplog: pytest.LogCaptureFixture, write: bool
) -> None:
    with gallery.write() as connection:
        write_facts(connection, erasing=True)
    gallery.close()
    with caplog.at_level(logging.WARNING), Gallery.open(gallery.place.folder or "", write=write) as again:
        assert again.facts().erasing is not write
    assert ("an erasure was interrupted" in caplog.text) is write


def test_opening_finishes_no_erasure_where_none_was_begun(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    gallery.close()
    with caplog.at_level(logging.WARNING), Gallery.open(gallery.place.folder or "", write=True):
        assert caplog.text == ""


def test_closing_lets_the_index_of_a_reader_go(gallery: Gallery) -> None:
    with Gallery.open(gallery.place.folder or "") as reader:
        closed: list[str] = []
        opened: Any = SimpleNamespace(close=lambda: closed.append("index"))
        reader._searcher._opened = opened
    assert closed == ["index"]


class Noted:
    """An indexer that notes what it is told."""

    index = None

    def __init__(self) -> None:
        self.told: list[Any] = []

    def remove(self, ids: list[str], delete_rows: Any) -> None:
        delete_rows()
        self.told.append(("remove", sorted(ids)))

    def wake(self, revision: int) -> None:
        self.told.append(("wake", revision))

    def flush(self) -> None:
        self.told.append("flush")

    def close(self, finish: bool) -> None:
        pass


@pytest.fixture
def indexer(gallery: Gallery) -> Noted:
    noted: Any = Noted()
    gallery._indexer = noted
    return noted  # type: ignore[no-any-return]


def test_the_index_hears_of_what_was_added_and_is_waited_for(gallery: Gallery, indexer: Noted) -> None:
    gallery.add(some_tracklets(2, seed=3, first=50))
    assert indexer.told == [("wake", gallery.facts().revision)]
    gallery.flush()
    assert indexer.told[1:] == ["flush"]


def test_the_index_hears_of_a_batch_and_of_what_went_only_if_anything_did(gallery: Gallery, indexer: Noted) -> None:
    with gallery.batch() as batch:
        batch.begin_source(started("yard", "content-yard"), SETTINGS)
        batch.add(some_tracklets(2, source="yard", content="content-yard"))
    assert indexer.told == [("wake", gallery.facts().revision)]
    indexer.told.clear()
    with gallery.batch() as batch:
        batch.removed.extend([PEOPLE[0].id])
    assert indexer.told == [("remove", [PEOPLE[0].id]), ("wake", gallery.facts().revision)]


def test_what_is_removed_goes_by_way_of_the_index(gallery: Gallery, indexer: Noted) -> None:
    gallery._remove([PEOPLE[0].id])
    assert indexer.told == [("remove", [PEOPLE[0].id])]
    assert len(gallery) == len(PEOPLE) - 1


# What the first tables did not have yet, by the number of the step that brought it.
LATER = [
    (2, "DROP INDEX", tracklets_end.name),
    (3, "DROP TABLE", "fences"),
    (4, "DROP TABLE", "tombstones"),
    (5, "ALTER TABLE recordings DROP COLUMN", "beginning"),
    (5, "ALTER TABLE recordings DROP COLUMN", "length"),
    (6, "DROP TABLE", "left_out"),
    (7, "DROP TABLE", "stays"),
    (8, "DROP TABLE", "next_embeddings"),
    (9, "DROP TABLE", "more_crops"),
    (10, "ALTER TABLE recordings DROP COLUMN", "reader"),
    # Of a server alone.
    (11, "SELECT", "1"),
]


def described(connection: Connection) -> dict[str, set[str]]:
    """The columns of every table, and the names of its indexes."""
    found = inspect(connection)
    return {
        name: {column["name"] for column in found.get_columns(name)}
        | {str(index["name"]) for index in found.get_indexes(name)}
        for name in found.get_table_names()
    }


@pytest.mark.parametrize("version", range(1, len(GALLERY_MIGRATIONS) + 1))
def test_a_gallery_of_every_earlier_version_comes_to_have_what_a_new_one_has(gallery: Gallery, version: int) -> None:
    assert {number for number, *_ in LATER} == set(range(2, len(GALLERY_MIGRATIONS) + 1))
    with gallery.write() as connection:
        wanted = described(connection)
        for number, how, what in LATER:
            if number > version:
                connection.exec_driver_sql(f"{how} {what}")
        earlier = update(meta).where(meta.c.key == "schema:gallery").values(value=str(version))
        connection.execute(earlier)
        done = migrate(connection, "gallery", GALLERY_MIGRATIONS)
        assert done == [migration.name for migration in GALLERY_MIGRATIONS[version:]]
        assert described(connection) == wanted
        assert migrate(connection, "gallery", GALLERY_MIGRATIONS) == []
        check_fence(connection, take_fence(connection, "scope", "ana"), "shop")


@pytest.mark.parametrize(
    "described",
    [metadata, identity_metadata, server_metadata, alerts_metadata, clips_metadata, retention_metadata],
    ids=["gallery", "identities", "server", "alerts", "clips", "retention"],
)
def test_tables_are_those_that_are_described_and_what_is_there_stays(described: MetaData) -> None:
    def made(make: Callable[[Connection], None]) -> list[tuple[str, ...]]:
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            # Others refer to it.
            tracklets.create(connection, checkfirst=True)
            make(connection)
            found = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
        engine.dispose()
        return sorted((kind, name, sql.replace("IF NOT EXISTS ", "").strip()) for kind, name, sql in found)

    def twice(connection: Connection) -> None:
        for _ in range(2):
            make_tables(connection, *described.tables.values())

    assert made(twice) == made(described.create_all)


def test_what_was_put_into_words_for_one_gallery_serves_all_others(tmp_path: Path) -> None:
    told: list[str] = []
    for name in ("one", "other"):
        with Gallery.open(tmp_path / name, write=True, create=True, space=SPACE, config=EXACT) as gallery:
            assert gallery.rows().id.tolist() == []
            told.append(f"{len(_COMPILED)} statements")
    assert told[0] == told[1]


@pytest.mark.parametrize("index", ["chroma", "exact", "http://localhost:1"])
def test_a_gallery_is_kept_as_it_was_asked_for_and_on_a_server_without_files(
    tmp_path: Path, postgres: str, index: str
) -> None:
    config = GalleryConfig(index=index)
    for place, kept in ((tmp_path / "g", index), (postgres, "exact" if index == "chroma" else index)):
        opened = Opened.at(place, write=True, create=True, space=SPACE, model="", config=config, keep_empty=True)
        assert opened.facts.index == kept
        opened.let_go(vanishes=False)


def test_who_was_overtaken_writes_nothing_any_more_and_says_so(gallery: Gallery) -> None:
    folder = gallery.place.folder
    assert folder is not None
    for name in (LOCK_FILE, INDEX_LOCK_FILE):
        (folder / name).unlink(missing_ok=True)
    with Gallery.open(folder, write=True) as owner:
        with pytest.raises(GalleryLocked, match="was taken over by process"):
            gallery.add(some_tracklets(3, seed=3))
        assert len(owner) == len(PEOPLE)


@pytest.mark.parametrize(("text", "passing"), [("disk full", False), ("server closed the connection", True)])
def test_what_may_succeed_later_is_told_from_what_will_not(gallery: Gallery, text: str, passing: bool) -> None:
    broken = OperationalError("SELECT 1", None, sqlite3.OperationalError(text), connection_invalidated=passing)
    with pytest.raises(GalleryError) as told, gallery.read():
        raise broken
    assert isinstance(told.value, GalleryUnreachable) is passing


@pytest.mark.parametrize("left", [True, False])
def test_a_gallery_that_cannot_be_opened_where_its_log_was_left_is_said_to_need_folding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bool
) -> None:
    if left:
        (tmp_path / f"{DATABASE_FILE}-wal").touch()
    monkeypatch.setattr("os.access", lambda *_: False)
    told = str(_explained("unable to open database file", place_of(tmp_path)))
    assert ("was not closed cleanly" in told) is left
    assert "cannot be opened" in str(_explained("unable to open", place_of("postgresql://somebody@host/shop")))


@pytest.mark.parametrize(("count", "said"), [(1, "no tracklet m0 in"), (2, r"no tracklet m0 \(and 1 more\) in")])
def test_tracklets_that_are_not_there_are_counted(gallery: Gallery, count: int, said: str) -> None:
    unknown = [f"m{number}" for number in range(count)]
    for read in (gallery.vectors, gallery.prototypes):
        with pytest.raises(TrackletNotFound, match=said):
            read([PEOPLE[0].id, *unknown])
    with pytest.raises(TrackletNotFound, match=said):
        gallery.erase([PEOPLE[0].id, *unknown])
    assert len(gallery) == len(PEOPLE)


def test_first_and_last_boxes_come_in_the_order_asked_for(gallery: Gallery) -> None:
    wanted = [PEOPLE[5], PEOPLE[2], PEOPLE[9]]
    first, last = gallery.ends([t.id for t in wanted])
    np.testing.assert_array_equal(first, [t.boxes[0] for t in wanted])
    np.testing.assert_array_equal(last, [t.boxes[-1] for t in wanted])


def test_a_track_of_one_box_begins_and_ends_there_and_one_without_is_nowhere(gallery: Gallery) -> None:
    one = replace(PEOPLE[0], id="a" * 32, track_id=900, frames=PEOPLE[0].frames[:1], boxes=PEOPLE[0].boxes[:1])
    gallery.add([one])
    with gallery.write() as connection:
        damaged = connection.execute(tracklets.select().where(tracklets.c.id == PEOPLE[1].id)).one().seq
        connection.execute(update(details).where(details.c.seq == damaged).values(boxes=b"\0" * 15))
    first, last = gallery.ends([PEOPLE[1].id, one.id])
    np.testing.assert_array_equal(first, [[0, 0, 0, 0], one.boxes[0]])
    np.testing.assert_array_equal(first, last)


def test_velocities_are_those_of_the_first_and_last_second(gallery: Gallery) -> None:
    frames = np.arange(100, 200)
    places = np.where(frames < 150, 3.0 * (frames - 100), 150.0 - 2.0 * (frames - 150))
    boxes = np.stack([places, places * 0, places + 20, places * 0 + 50], axis=1).astype(np.float32)
    times = {"start_frame": 100, "end_frame": 199, "start_media": 4.0, "end_media": 7.96}
    walker = replace(PEOPLE[0], id="a" * 32, track_id=900, frames=frames, boxes=boxes, **times)
    still = replace(PEOPLE[0], id="b" * 32, track_id=901, frames=frames[:1], boxes=boxes[:1])
    gallery.add([walker, still])
    first, last = gallery.velocities([still.id, walker.id])
    # 25 frames a second.
    np.testing.assert_allclose(first, [[0, 0], [75, 0]], atol=1e-3)
    np.testing.assert_allclose(last, [[0, 0], [-50, 0]], atol=1e-3)
    with gallery.write() as connection:
        damaged = connection.execute(tracklets.select().where(tracklets.c.id == walker.id)).one().seq
        connection.execute(update(details).where(details.c.seq == damaged).values(boxes=b"\0" * 15))
    np.testing.assert_array_equal(gallery.velocities([walker.id])[0], [[0, 0]])


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (Filter(), True),
        (Filter(sources=("door",)), True),
        (Filter(sources=("yard",)), False),
        (Filter(contents=("c",)), True),
        (Filter(contents=("d",)), False),
        (Filter(since=20.0), True),
        (Filter(since=20.5), False),
        (Filter(until=10.0), True),
        (Filter(until=9.5), False),
        (Filter(media_since=2.0), True),
        (Filter(media_since=2.5), False),
        (Filter(media_until=1.0), True),
        (Filter(media_until=0.5), False),
        (Filter(since=0.0, until=0.0), False),
    ],
)
def test_a_filter_leaves_whatever_touches_its_times(gallery: Gallery, where: Filter, holds: bool) -> None:
    assert where.holds("door", "c", 10.0, 20.0, 1.0, 2.0) is holds
    # The database says the same.
    gallery.begin_source(started("door", "c"), SETTINGS)
    (one,) = some_tracklets(1, content="c")
    one = replace(one, start_wall=10.0, end_wall=20.0, start_media=1.0, end_media=2.0)
    gallery.add([one])
    assert (one.id in gallery.rows(where).id) is holds
    assert bool(where) is (where != Filter())


@pytest.mark.parametrize(
    ("address", "port", "secure"),
    [
        ("http://db", 8000, False),
        ("https://db", 443, True),
        ("http://db:9000", 9000, False),
        ("https://db:9000", 9000, True),
    ],
)
def test_a_server_is_reached_at_the_port_that_is_given_or_usual(
    address: str, port: int, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromadb, "HttpClient", lambda **how: how)
    how = chroma._server(address)
    assert (how["host"], how["port"], how["ssl"]) == ("db", port, secure)


@pytest.mark.parametrize("values", [{"weight": 0.0}, {"weight": 1.0}, {"k1": 1, "k2": 1}, {"candidates": 2}])
def test_reranking_may_be_at_the_ends_of_what_is_allowed(values: dict[str, Any]) -> None:
    order = Reranking(**values).distances(PEOPLE[0].embedding, np.stack([t.embedding for t in PEOPLE])).argsort()
    assert order[0] == 0


@pytest.mark.parametrize(
    "values", [{"weight": -0.1}, {"weight": 1.1}, {"k2": 0}, {"k1": 5, "k2": 6}, {"candidates": 1}]
)
def test_reranking_beyond_the_ends_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Reranking(**values)


def test_a_card_says_where_and_when_and_which_tracklet() -> None:
    one = replace(PEOPLE[0], part=1, parts=3, start_media=3671.0, end_media=3673.5, start_wall=0.0)
    card = tracklet_card(one, 0.5, "door.mp4")
    assert card.title == f"track {one.track_id} part 2 of 3"
    assert card.lines[:3] == ("similarity 0.500, door", "1:01:11 for 2.5 s", "1970-01-01 00:00:00")
    assert (card.sort["similarity"], card.sort["duration"]) == (0.5, 2.5)
    assert card.details == ("door.mp4", "frames 0 to 50", "this picture: frame 20", f"tracklet {one.id}")
    plain = tracklet_card(replace(one, part=0, parts=1, crop=None, crop_frame=None))
    assert (plain.title, plain.data_uri) == (f"track {one.track_id}", None)
    assert plain.details == ("door", "frames 0 to 50", f"tracklet {one.id}")
    assert "similarity" not in plain.sort
    assert Card(b"x", "", (), {}).data_uri == "data:image/jpeg;base64,eA=="


def test_times_are_written_for_people() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 60, 3599, 3600, 36_000)] == [
        "0:00:00",
        "0:00:59",
        "0:01:00",
        "0:59:59",
        "1:00:00",
        "10:00:00",
    ]
    assert wall_clock(1e300) == "1e+300 s"
    assert [wall_clock(moment) for moment in (EARLIEST, LATEST)] == ["0001-01-01 00:00:00", "9999-12-31 23:59:59"]


@pytest.mark.parametrize(("limit", "said"), [(2, "the first 2 of 12 tracklets"), (12, "12 tracklets")])
def test_a_page_says_how_many_of_how_many_it_shows(gallery: Gallery, tmp_path: Path, limit: int, said: str) -> None:
    page = tmp_path / "sheet.html"
    assert write_gallery_sheet(gallery, page, limit=limit) == (limit, 12)
    text = page.read_text()
    assert said in text
    assert ("the first" in text) == (limit < 12)


def test_a_page_names_a_clip_from_its_own_folder(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "sheet.html"
    assert clip_address(page, None) == ""
    assert clip_address(page, tmp_path / "pages" / "a b.mp4") == "a%20b.mp4"
    assert clip_address(page, tmp_path / "clips" / "a.mp4") == "../clips/a.mp4"


@pytest.mark.parametrize(
    ("server", "sqlite", "words"),
    [
        ("", True, []),
        ("", False, ["PostgreSQL"]),
        ("http://ana:secret@chroma:8000", True, ["chroma server"]),
        ("http://chroma:8000", False, ["PostgreSQL", "chroma server"]),
    ],
)
def test_what_an_erasure_cannot_reach_is_said(server: str, sqlite: bool, words: list[str]) -> None:
    database: Any = SimpleNamespace(is_sqlite=sqlite, place="shop")
    said = erasing._reach(database, server)
    assert [word for word in ("PostgreSQL", "chroma server") if word in said] == words
    assert bool(said) is bool(words)
    assert "secret" not in said


def test_readers_are_waited_for_and_then_said_to_be_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(erasing, "time", clock)
    busy = [True, True, False]
    patient: Any = SimpleNamespace(fold_log=lambda: busy.pop(0), place="shop")
    erasing._fold_log(patient)
    assert (busy, now[0] > 0) == ([], True)
    stuck: Any = SimpleNamespace(fold_log=lambda: True, place="shop")
    with pytest.raises(GalleryError, match="another process has been reading gallery shop"):
        erasing._fold_log(stuck)
    assert now[0] > erasing.READERS_PATIENCE


def test_the_indexs_own_copies_of_vectors_are_looked_for_too(gallery: Gallery) -> None:
    """They differ from the rows' in their last bits."""
    copy = np.nextafter(PEOPLE[0].embedding[None], np.float32(2))
    found = erasing._pieces(gallery._database, [PEOPLE[0].id], copy)
    without = erasing._pieces(gallery._database, [PEOPLE[0].id], np.zeros((0, SIZE), np.float32))
    held = {piece.tobytes() for piece in found}
    assert {piece.tobytes() for piece in without} < held
    assert any(piece in copy.tobytes() for piece in held - {piece.tobytes() for piece in without})


def test_a_gallery_of_a_group_is_made_for_it_from_the_beginning(tmp_path: Path) -> None:
    import grp

    config = GalleryConfig(index="exact", group=grp.getgrgid(os.getgid()).gr_name)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=config) as made:
        assert made.access == GROUP
        assert {mode(path) for path in (tmp_path / "g").iterdir()} == {GROUP.file_mode}


def test_emptying_the_log_does_not_keep_writers_waiting_for_readers(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(started(), SETTINGS)
        folding: list[bool] = []
        with gallery.read() as connection:
            connection.execute(select(tracklets.c.id)).all()
            gallery.add(some_tracklets(5))
            thread = threading.Thread(target=lambda: folding.append(gallery._database.fold_log()))
            thread.start()
            # A reader that holds on to what it saw: emptying gives up long before whoever writes would.
            thread.join(BUSY_SECONDS / 2)
            assert folding == [True]
        assert gallery._database.fold_log() is False
        # Those who use the connection afterwards are as patient as before.
        assert int(gallery._database._alone("PRAGMA busy_timeout")[0][0]) == round(1000 * BUSY_SECONDS)


def test_a_server_that_goes_away_while_a_gallery_is_taken_can_be_waited_for(tmp_path: Path) -> None:
    nobody = make_url(f"postgresql+psycopg://shop@/shop?host={tmp_path}")
    with pytest.raises(GalleryUnreachable, match="the server of gallery shop cannot be reached"):
        ServerOwnership(nobody, "shop")
