"""A file is read for its fingerprint once in a run, and again as soon as it is another file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reidstream.config import Config, SourceConfig
from reidstream.pipeline import build_gallery
from reidstream.sources import fingerprint, remembered
from reidstream.sources.fingerprint import file_fingerprint, folder_fingerprint
from tests.blobs import BlobDetector, ColourEmbedder, write_blobs
from tests.exact import EXACT


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_digests", type(remembered._digests)())


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for a fingerprint."""
    paths: list[Path] = []
    compute = fingerprint._file_digest

    def counted(path: Path) -> str:
        paths.append(path)
        return compute(path)

    monkeypatch.setattr(fingerprint, "_file_digest", counted)
    return paths


def test_a_run_reads_a_file_once_for_its_fingerprint(tmp_path: Path, read: list[Path]) -> None:
    def run(video: Path) -> None:
        sources = [SourceConfig(uri=str(video))]
        config = Config(gallery=EXACT)
        build_gallery(sources, config, tmp_path / "g", detector=BlobDetector(), embedder=ColourEmbedder())

    first, second = write_blobs(tmp_path / "a.mp4", [0], 20), write_blobs(tmp_path / "b.mp4", [1], 20)
    run(first)
    # Now the gallery holds something that a file is compared with before it is read.
    run(second)
    assert read == [first, second]


def test_a_file_that_has_changed_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = file_fingerprint(path)
    assert file_fingerprint(path) == before
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_fingerprint(path) != before
    assert len(read) == 2


def test_a_file_that_is_replaced_by_another_with_its_times_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    for each in (path, other):
        os.utime(each, ns=(1, 1))
    before = file_fingerprint(path)
    other.replace(path)
    assert file_fingerprint(path) != before


def test_what_is_written_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")

    def compute() -> str:
        path.write_bytes(b"longer")
        return "of what was there before"

    remembered.remembered("file", [path], compute)
    assert remembered.digests() == {}


def test_kinds_and_rates_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    path.write_bytes(b"picture")
    assert len({file_fingerprint(path), folder_fingerprint([path], 5), folder_fingerprint([path], 10)}) == 3
    assert folder_fingerprint(iter([path]), 5) == folder_fingerprint([path], 5)


def test_another_process_takes_over_what_is_known(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    value = file_fingerprint(path)
    handed = remembered.digests()
    remembered._digests.clear()
    remembered.remember(handed)
    assert file_fingerprint(path) == value
    assert read == [path]


def test_it_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_MOST", 3)
    remembered.remember({bytes([n]): str(n) for n in range(5)})
    assert list(remembered.digests().values()) == ["2", "3", "4"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_fingerprint(tmp_path / "none")
