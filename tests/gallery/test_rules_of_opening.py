"""What opening and closing a gallery leave behind: files, rights, and indexes that are let go."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chromadb
import numpy as np
import pytest
from sqlalchemy import make_url, select
from sqlalchemy.exc import OperationalError

from reidstream.config import GalleryConfig
from reidstream.errors import GalleryError, GalleryLocked, GalleryUnreachable
from reidstream.files import OWNER_ONLY, Access
from reidstream.gallery import Gallery, erasing, opening
from reidstream.gallery.database import BUSY_SECONDS, DATABASE_FILE, _explained, place_of
from reidstream.gallery.facts import write_facts
from reidstream.gallery.index import chroma
from reidstream.gallery.opening import Opened, make_folder, open_to, own, unmake
from reidstream.gallery.ownership import (
    INDEX_LOCK_FILE,
    LOCK_FILE,
    OWNER_FILE,
    FolderOwnership,
    ServerOwnership,
    writer_of,
)
from reidstream.gallery.schema import tracklets
from tests.exact import EXACT

from .conftest import SETTINGS, SIZE, SPACE, some_tracklets, started

PEOPLE = some_tracklets(12)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The widest umask: what is narrow was made narrow."""
    before = os.umask(0)
    yield
    os.umask(before)


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
