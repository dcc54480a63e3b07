"""A gallery survives whatever happens to the process that writes it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, event

from reidstream.errors import GalleryError, GalleryLocked
from reidstream.gallery import Begin, Gallery
from reidstream.gallery.index.building import IndexPlace
from reidstream.types import FloatArray, SourceEnded
from tests.slow import first_quick

from .conftest import SETTINGS, SPACE, contents_of, same_contents, some_tracklets, started

COUNT = 600

WRITER = f"""
import importlib.util, sys, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("tracklet_maker", {str(Path(__file__).with_name("conftest.py"))!r})
maker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(maker)
from reidstream.gallery import Gallery
from reidstream.types import FloatArray, SourceEnded

with Gallery.open(sys.argv[1], write=True, create=True, space=maker.SPACE) as gallery:
    gallery.begin_source(maker.started(), maker.SETTINGS)
    tracklets = maker.some_tracklets({COUNT})
    print("ready", flush=True)
    for start in range(0, {COUNT}, 20):
        gallery.add(tracklets[start : start + 20])
        print(start + 20, flush=True)
        if len(sys.argv) > 2:
            time.sleep(float(sys.argv[2]))
    gallery.end_source(SourceEnded("door", 100, 1004.0))
    print("stored", flush=True)
print("closed", flush=True)
"""


def writer(folder: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(folder), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def wait_for(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"the writer ended without saying {word!r}")


@pytest.mark.parametrize("moment", first_quick([2, 0, 1, 3]))
def test_a_killed_run_that_is_repeated_ends_with_the_same_gallery(tmp_path: Path, moment: int) -> None:
    undisturbed = {t.id: t for t in some_tracklets(COUNT)}
    rng = random.Random(moment)
    acknowledged = 0
    for _ in range(2):
        with writer(tmp_path / "g", pause=0.02) as child:
            word = str(20 * rng.randrange(1, COUNT // 20)) if moment else "ready"
            wait_for(child, word)
            acknowledged = max(acknowledged, int(word) if word.isdigit() else 0)
            time.sleep(rng.uniform(0, 0.3))
            child.send_signal(signal.SIGKILL)
    with Gallery.open(tmp_path / "g") as reader:
        found = contents_of(reader)
        assert len(found) >= acknowledged
        assert same_contents(found, {i: undisturbed[i] for i in found})
        last = list(undisturbed.values())[max(acknowledged - 1, 0)]
        assert not acknowledged or reader.search(last.embedding, 1)[0][0].tracklet == last.id
    with Gallery.open(tmp_path / "g", write=True) as gallery:
        # The last kill may have come after everything was stored.
        assert gallery.begin_source(started(), SETTINGS) in (Begin.RESUMED, Begin.COMPLETE)
        gallery.add(list(undisturbed.values()))
        gallery.end_source(SourceEnded("door", 100, 1004.0))
        gallery.flush()
        assert same_contents(contents_of(gallery), undisturbed)
        assert gallery.check().problems == []


def test_while_another_process_writes_readers_see_everything_and_writers_are_refused(tmp_path: Path) -> None:
    tracklets = some_tracklets(COUNT)
    with writer(tmp_path / "g", pause=0.02) as child:
        wait_for(child, "20")
        with Gallery.open(tmp_path / "g") as reader:
            with pytest.raises(GalleryLocked, match=rf"is being written by process {child.pid} on "):
                Gallery.open(tmp_path / "g", write=True)
            for stored in (200, 400, 600):
                wait_for(child, str(stored))
                assert len(reader) >= stored
                answers = reader.search(np.stack([t.embedding for t in tracklets[stored - 20 : stored]]), 1)
                assert [a[0].tracklet for a in answers] == [t.id for t in tracklets[stored - 20 : stored]]
            wait_for(child, "closed")
    Gallery.open(tmp_path / "g", write=True).close()


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    tracklets = some_tracklets(400)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets[:20])
        with gallery.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        stored = 20
        room = pages + 20

        def limit(connection: Connection) -> None:
            # SQLite reports a full disk when the file may not grow any more.
            connection.exec_driver_sql(f"PRAGMA max_page_count={room}")

        event.listen(Engine, "begin", limit)
        try:
            with pytest.raises(GalleryError, match=r"no space left for gallery .* what was stored before is safe"):
                for start in range(20, 400, 20):
                    gallery.add(tracklets[start : start + 20])
                    stored += 20
            assert 20 < stored < 400
            room = 1_000_000
            assert same_contents(contents_of(gallery), {t.id: t for t in tracklets[:stored]})
            assert gallery.add(tracklets) == 400 - stored
        finally:
            event.remove(Engine, "begin", limit)


@pytest.mark.slow
def test_lost_index_files_are_made_anew_when_the_gallery_is_opened(tmp_path: Path) -> None:
    tracklets = some_tracklets(80)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    for path in (tmp_path / "g" / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(b"nonsense")
    with Gallery.open(tmp_path / "g") as reader:
        assert reader.search(tracklets[5].embedding, 1)[0][0].tracklet == tracklets[5].id
        assert {problem.kind for problem in reader.check().problems} == {"index"}
    with Gallery.open(tmp_path / "g", write=True) as gallery:
        gallery.rebuild()
        assert gallery.check().problems == []
        assert gallery.search(tracklets[5].embedding, 1)[0][0].tracklet == tracklets[5].id


@pytest.mark.parametrize(("missed", "anew"), [(3, False), (12, True)])
def test_an_index_is_made_anew_for_what_it_lost_but_not_for_what_its_search_just_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missed: int, anew: bool
) -> None:
    from reidstream.gallery.index.exact import Nearest
    from reidstream.gallery.index.process import ProcessIndex

    tracklets = some_tracklets(80)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    search = ProcessIndex.search

    def approximate(index: ProcessIndex, vectors: FloatArray, k: int) -> list[Nearest]:
        found = search(index, vectors, k)
        others = [Nearest(nearest.ids, nearest.similarities * np.float32(0.9)) for nearest in found[:missed]]
        return [*others, *found[missed:]]

    monkeypatch.setattr(ProcessIndex, "search", approximate)
    with Gallery.open(tmp_path / "g", write=True) as gallery:
        # A search has the index opened, and then it is compared with the rows.
        gallery.search(tracklets[0].embedding, 1)
        gallery.flush()
    assert ("is made anew" in caplog.text) == anew


def test_an_index_that_nothing_happened_to_is_not_opened_by_who_only_writes_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracklets = some_tracklets(20)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    opened: list[int] = []
    monkeypatch.setattr(IndexPlace, "open_apart", lambda place, generation: opened.append(generation))
    with Gallery.open(tmp_path / "g", write=True) as gallery, gallery.write():
        pass
    assert opened == []


def test_an_index_that_was_open_when_its_writer_died_is_compared_with_the_rows(tmp_path: Path) -> None:
    tracklets = some_tracklets(20)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets[:10])
    assert Gallery.open(tmp_path / "g").facts().sealed
    gallery = Gallery.open(tmp_path / "g", write=True)
    gallery.begin_source(started(), SETTINGS, replace=True)
    gallery.add(tracklets[10:])
    gallery.flush()
    assert not gallery.facts().sealed
    gallery.close(finish=False)
    with Gallery.open(tmp_path / "g", write=True) as gallery:
        assert not gallery.facts().sealed
        gallery.flush()
    with Gallery.open(tmp_path / "g") as reader:
        assert reader.facts().sealed
        assert reader.check().problems == []


@pytest.mark.slow
def test_a_rebuilt_index_equals_the_old_one(tmp_path: Path) -> None:
    from reidstream.gallery.index.chroma import ChromaIndex

    tracklets = some_tracklets(700)
    held = []
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    for generation in (1, 2):
        index = ChromaIndex.in_folder(tmp_path / "g" / "index" / f"{generation:06d}", SPACE.size)
        held.append(dict(zip(sorted(index.ids()), index.vectors(sorted(index.ids())), strict=True)))
        index.close()
        with Gallery.open(tmp_path / "g", write=True) as gallery:
            gallery.rebuild()
    assert held[0].keys() == held[1].keys()
    assert all(np.array_equal(held[0][i], held[1][i]) for i in held[0])


def test_a_damaged_database_is_reported_and_not_repaired_in_silence(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(some_tracklets(200))
    path = tmp_path / "g" / "gallery.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 16384 * 16384
    data[middle : middle + 16384] = bytes(16384)
    path.write_bytes(data)
    with Gallery.open(tmp_path / "g") as reader:
        found = reader.check()
    assert {problem.kind for problem in found.problems} == {"facts"}
    assert "damaged" in found.unchecked


def test_check_names_rows_that_contradict_themselves(tmp_path: Path) -> None:
    tracklets = some_tracklets(30)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    connection = sqlite3.connect(tmp_path / "g" / "gallery.db")
    connection.execute("UPDATE embeddings SET vector = ? WHERE seq = 3", ((2 * tracklets[2].embedding).tobytes(),))
    connection.execute("UPDATE embeddings SET vector = ? WHERE seq = 5", (tracklets[20].embedding.tobytes(),))
    connection.execute("DELETE FROM details WHERE seq = 6")
    connection.execute("DELETE FROM tracklets WHERE seq = 7")
    connection.execute("DELETE FROM embeddings WHERE seq = 7")
    connection.execute("DELETE FROM details WHERE seq = 7")
    connection.execute("DELETE FROM crops WHERE seq = 7")
    connection.commit()
    connection.close()
    with Gallery.open(tmp_path / "g") as reader:
        messages = [problem.message for problem in reader.check().problems]
    for place, text in (
        (2, "has a vector of length 2 instead of 1"),
        (4, "has another vector in the index than in its row"),
        (5, "has no prototypes and no path"),
        (6, "is in the index without a row"),
    ):
        assert f"tracklet {tracklets[place].id} {text}" in messages


def test_a_vector_of_another_size_is_named_and_can_be_erased(tmp_path: Path) -> None:
    tracklets = some_tracklets(30)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
    connection = sqlite3.connect(tmp_path / "g" / "gallery.db")
    connection.execute("UPDATE embeddings SET vector = x'00000000' WHERE seq = 4")
    connection.commit()
    connection.close()
    bad = tracklets[3].id
    with Gallery.open(tmp_path / "g") as reader:
        found = reader.check()
        assert [p.message for p in found.problems] == [f"tracklet {bad} has a vector of 1 dimensions instead of 32"]
        assert "cannot be read" in found.unchecked
        with pytest.raises(GalleryError, match=f"tracklet {bad} has a vector of 4 bytes instead of 128"):
            reader.vectors()
    with Gallery.open(tmp_path / "g", write=True) as gallery:
        assert gallery.erase([bad]).proven
    with Gallery.open(tmp_path / "g") as reader:
        assert reader.check().problems == []
