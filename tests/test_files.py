"""Files are there completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.errors import GalleryError
from reidstream.files import beside, whole_file, whole_folder, write_whole


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.html"
    with whole_file(target) as partial:
        partial.write_text("half")
        assert not target.exists()
        assert partial.suffix == ".html"
    assert target.read_text() == "half"
    assert names(target.parent) == {"page.html"}


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")
    with pytest.raises(KeyError), whole_file(target) as partial:
        partial.write_text("new")
        raise KeyError
    assert target.read_text() == "old"
    assert names(tmp_path) == {"page.html"}


def test_what_cannot_be_written_says_where_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GalleryError, match=r"file/page.html cannot be written: .+; name another"):
        write_whole(tmp_path / "file" / "page.html", "text", GalleryError, "name another")


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.mkdir()
    with whole_folder(target) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "facts.json").write_text("{}")
        assert names(target) == set()
    assert (target / "inner" / "facts.json").read_text() == "{}"
    assert names(tmp_path) == {"export"}


def test_a_folder_that_holds_something_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine").write_text("")
    with pytest.raises(GalleryError, match="cannot be written"), whole_folder(tmp_path / "export", GalleryError):
        pass
    assert names(tmp_path / "export") == {"mine"}
    assert names(tmp_path) == {"export"}


def test_two_processes_do_not_write_the_same_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = beside(tmp_path / "page.html")
    monkeypatch.setattr("reidstream.files.os.getpid", lambda: 1)
    assert beside(tmp_path / "page.html") != mine
