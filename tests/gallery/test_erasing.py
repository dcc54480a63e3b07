"""Erased people are gone from every byte of the gallery."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.errors import GalleryError, TrackletNotFound
from reidstream.gallery import Filter, Gallery, erasing
from reidstream.gallery.next_space import NextVector, begin_move, finish_move, put, waiting
from reidstream.gallery.traces import Traces, find_traces, pieces_of
from reidstream.types import EmbeddingSpace, Tracklet
from tests.slow import first_quick

from .conftest import SETTINGS, SPACE, Filled, contents_of, same_contents, some_tracklets, started


def everything_of(tracklet: Tracklet) -> list[bytes]:
    assert tracklet.crop is not None
    return [tracklet.id.encode(), tracklet.embedding.tobytes(), tracklet.prototypes.tobytes(), tracklet.crop]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_erased_tracklet_is_in_no_file_any_more(indexed: Filled) -> None:
    tracklets = some_tracklets(60)
    path = indexed(tracklets)
    victim = tracklets[23]
    # Crops may be spread over pages, so a stretch from the middle stands for them.
    needles = [b if len(b) < 500 else b[1000:1100] for b in everything_of(victim)]
    assert all(needle in bytes_of(path) for needle in needles)
    with Gallery.open(path, write=True) as gallery:
        erasure = gallery.erase([victim.id])
        assert erasure.proven
        assert erasure.before is not None
        # Only the index's own copies may be in memory alone, waiting to be written.
        assert 90 < len(erasure.before.pieces) <= erasure.pieces
        assert {"gallery.db"} < {trace.file for trace in erasure.before.found}
        assert victim.id not in {m.tracklet for m in gallery.search(victim.embedding, 60)[0]}
        assert same_contents(contents_of(gallery), {t.id: t for t in tracklets if t is not victim})
        assert gallery.check().problems == []
    data = bytes_of(path)
    assert not any(needle in data for needle in needles)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 59
        assert gallery.check().problems == []


def test_what_a_remaining_tracklet_shares_is_left_out_of_the_proof(filled: Filled) -> None:
    first, second, third = some_tracklets(3)
    twin = replace(second, embedding=first.embedding, crop=first.crop)
    with Gallery.open(filled([first, twin, third]), write=True) as gallery:
        erasure = gallery.erase([first.id])
        assert erasure.proven
        assert erasure.shared > 90
        assert gallery.crop(second.id) == first.crop


def test_an_unknown_id_leaves_everything_as_it_was(indexed: Filled) -> None:
    tracklets = some_tracklets(4)
    with Gallery.open(indexed(tracklets), write=True) as gallery:
        with pytest.raises(TrackletNotFound, match=r"no tracklet ffff.*nothing was erased"):
            gallery.erase([tracklets[0].id, "f" * 32])
        assert len(gallery) == 4


def test_a_source_that_was_erased_can_be_ingested_again(filled: Filled) -> None:
    door, yard = some_tracklets(5), some_tracklets(5, source="yard", content="content-yard")
    with Gallery.open(filled([*door, *yard]), write=True) as gallery:
        gallery.erase(gallery.rows(Filter(sources=("door",))).id.tolist(), contents=["content-door"])
        assert [r.source for r in gallery.sources()] == ["yard"]
        assert gallery.begin_source(started(), "settings-2").wanted
        assert gallery.add(door) == 5


@pytest.mark.parametrize("moment", first_quick(["remove", "rebuild", "fold_log"]))
def test_an_erasure_that_was_killed_is_completed_by_the_next_writer(indexed: Filled, moment: str) -> None:
    tracklets = some_tracklets(60)
    path = indexed(tracklets)
    victims = [t.id for t in tracklets[10:20]]
    code = f"""
import os, signal, sys
from reidstream.gallery import Gallery, database, erasing
from reidstream.gallery.index import indexing

def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

gallery = Gallery.open({str(path)!r}, write=True)
gallery.flush()
moment = {moment!r}
if moment == "remove":
    erasing.find_traces = lambda *_: setattr(indexing.Indexer, "rebuild", die)
elif moment == "rebuild":
    indexing.build = die
else:
    database.Database.fold_log = die
gallery.erase({victims!r})
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert child.returncode == -signal.SIGKILL, child.stderr
    pieces = pieces_of([b for t in tracklets[10:20] for b in everything_of(t)], 1000)
    assert find_traces(path, pieces).found
    with Gallery.open(path) as reader:
        assert len(reader) == 50
        assert not {m.tracklet for m in reader.search(tracklets[12].embedding, 60)[0]} & set(victims)
        assert [p.message for p in reader.check().problems if "erasure" in p.message]
    with Gallery.open(path, write=True) as gallery:
        gallery.flush()
        assert gallery.check().problems == []
        assert same_contents(contents_of(gallery), {t.id: t for t in tracklets if t.id not in victims})
    assert find_traces(path, pieces).found == []


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_the_byte_search_finds_pieces_at_any_offset_and_across_chunks(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pieces = rng.integers(0, 256, (40, 32), np.uint8)
    data = bytearray(rng.bytes((1 << 24) + 5000))
    places = [*range(100, 100 + 35 * 37, 37), (1 << 24) - 31, (1 << 24) - 16, (1 << 24) - 1, len(data) - 32, 0]
    for piece, place in zip(pieces, places, strict=True):
        data[place : place + 32] = piece.tobytes()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(data)
    (tmp_path / "empty").touch()
    traces = find_traces(tmp_path, pieces)
    overlapped = {35, 36}  # overwritten by the ones after
    assert {(t.piece, t.offset) for t in traces.found} == {
        (n, place) for n, place in enumerate(places) if n not in overlapped
    }
    assert traces.files == 2


def test_pieces_that_tell_nobody_apart_are_not_used() -> None:
    assert len(pieces_of([bytes(4096)], 100)) == 0
    vector = np.zeros(512, np.float32)
    vector[8:16] = np.linspace(0.1, 0.3, 8)
    assert len(pieces_of([vector.tobytes()], 100)) == 1


def test_searching_for_a_piece_with_zeros_in_it_is_not_slowed_down_by_files_full_of_zeros(tmp_path: Path) -> None:
    vector = np.zeros(8, np.float32)
    vector[5:] = (0.1, 0.2, 0.3)
    (tmp_path / "zeros").write_bytes(bytes(30_000_000) + vector.tobytes())
    traces = find_traces(tmp_path, pieces_of([vector.tobytes()], 1))
    assert [trace.offset for trace in traces.found] == [30_000_000]


def test_a_gallery_without_index_files_is_erased_the_same_way(tmp_path: Path) -> None:
    from reidstream.config import GalleryConfig

    tracklets = some_tracklets(8)
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=config) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        assert gallery.erase([tracklets[0].id, tracklets[5].id]).proven
        assert len(gallery) == 6
        assert not (tmp_path / "g" / "index").exists()


def test_who_is_erased_while_a_gallery_moves_to_another_model_is_in_neither_space(indexed: Filled) -> None:
    tracklets = some_tracklets(20)
    path = indexed(tracklets)
    victim = tracklets[7]
    with Gallery.open(path, write=True) as gallery:
        with gallery.write() as connection:
            begin_move(connection, EmbeddingSpace("other", "other", 16), "other")
            units = np.random.default_rng(1).normal(size=(20, 16)).astype(np.float32)
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            made = {
                t.id: NextVector(u, u[None], np.ones(1, np.float32), 1, 1)
                for t, u in zip(tracklets, units, strict=True)
            }
            assert put(connection, made) == 20
        needle = units[7].tobytes()
        gallery.flush()
        erasure = gallery.erase([victim.id])
        assert erasure.proven
        with gallery.read() as connection:
            assert waiting(connection) == []
    assert needle not in bytes_of(path)


def test_after_a_move_the_former_vectors_are_in_no_file_any_more(indexed: Filled) -> None:
    tracklets = some_tracklets(20)
    path = indexed(tracklets)
    needles = [bytes for t in tracklets for bytes in (t.embedding.tobytes(), t.prototypes.tobytes())]
    with Gallery.open(path, write=True) as gallery, gallery.write() as connection:
        begin_move(connection, EmbeddingSpace("other", "other", 4), "other")
        one = np.eye(4, dtype=np.float32)[0]
        put(connection, {t.id: NextVector(one, one[None], one[:1], 1, 1) for t in tracklets})
        finish_move(connection)
    with Gallery.open(path, write=True) as gallery:
        gallery.rebuild()
    data = bytes_of(path)
    assert not any(needle in data for needle in needles)


class _WritingBeside:
    """Another process's connection that writes a text into a row and takes it back, before each of some searches."""

    def __init__(self, path: Path, text: str, searches: set[int]) -> None:
        self._connection = sqlite3.connect(path / "gallery.db", isolation_level=None, timeout=60)
        self._text, self._searches, self.search = text, searches, 0

    def __call__(self, *asked: Any) -> Traces:
        self.search += 1
        if self.search in self._searches:
            ((before,),) = self._connection.execute("SELECT uri FROM recordings").fetchall()
            for uri in (self._text, before):
                self._connection.execute("UPDATE recordings SET uri = ?", (uri,))
        return find_traces(*asked)


@pytest.mark.parametrize(("searches", "proven"), [({2, 3, 4}, True), (set(range(2, 9)), False)])
def test_who_writes_between_the_emptying_of_the_log_and_the_search_does_not_spoil_the_proof(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, searches: set[int], proven: bool
) -> None:
    """Unless it is so each time: then what is read there is a trace, and said to be one."""
    tracklets = some_tracklets(12)
    path = filled(tracklets)
    victim = tracklets[5].id
    beside = _WritingBeside(path, victim, searches)
    monkeypatch.setattr(erasing, "find_traces", beside)
    monkeypatch.setattr(erasing, "_PAUSES", (0.0, 0.0, 0.0))
    with Gallery.open(path, write=True) as gallery:
        if proven:
            assert gallery.erase([victim]).proven
        else:
            with pytest.raises(GalleryError, match=r"gallery\.db-wal at byte \d+ .*each of 4 times"):
                gallery.erase([victim])
    # The first one is before the erasure.
    assert beside.search == (5 if proven else 6)
    if proven:
        assert victim.encode() not in bytes_of(path)


def test_a_row_that_says_it_for_good_is_a_trace_however_often_it_is_looked(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracklets = some_tracklets(12)
    path = filled(tracklets)
    victim = tracklets[5].id
    beside = sqlite3.connect(path / "gallery.db", isolation_level=None, timeout=60)

    def search(*asked: Any) -> Traces:
        beside.execute("UPDATE recordings SET uri = ?", (victim,))
        return find_traces(*asked)

    monkeypatch.setattr(erasing, "find_traces", search)
    monkeypatch.setattr(erasing, "_PAUSES", (0.0, 0.0))
    with Gallery.open(path, write=True) as gallery, pytest.raises(GalleryError, match=r"gallery\.db at byte"):
        gallery.erase([victim])
