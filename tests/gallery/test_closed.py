"""What was closed refuses use, and who was overtaken cannot write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.errors import EngineError, GalleryError, GalleryLocked
from reidstream.gallery import Gallery
from reidstream.gallery.index.chroma import ChromaIndex
from reidstream.gallery.index.process import ProcessIndex
from reidstream.gallery.ownership import LOCK_FILE
from reidstream.types import SourceEnded

from .conftest import SETTINGS, SPACE, Filled, some_tracklets, started

# How each public method is called. What is not here must be in HARMLESS: a new method has to say what it does.
CALLS: dict[str, Callable[[Gallery], Any]] = {
    "__enter__": lambda g: g.__enter__(),
    "__len__": len,
    "add": lambda g: g.add(some_tracklets(10, seed=1)),
    "batch": lambda g: g.batch().__enter__(),
    "begin_source": lambda g: g.begin_source(started("yard", "content-yard"), SETTINGS),
    "calibration": lambda g: g.calibration,
    "break_off": lambda g: g.break_off(["content-door"]),
    "check": lambda g: g.check(),
    "crop": lambda g: g.crop(some_tracklets(1)[0].id),
    "end_source": lambda g: g.end_source(SourceEnded("never begun", 100, 1004.0)),
    "ends": lambda g: g.ends([some_tracklets(1)[0].id]),
    "erase": lambda g: g.erase([some_tracklets(1)[0].id]),
    "facts": lambda g: g.facts(),
    "find": lambda g: g.find("a"),
    "flush": lambda g: g.flush(),
    "stored_elsewhere": lambda gallery: gallery.stored_elsewhere(),
    "leave_out": lambda g: g.leave_out([]),
    "left_out": lambda g: g.left_out(),
    "left_out_counts": lambda g: g.left_out_counts(),
    "migrate": lambda g: g.migrate("identities", ()),
    "prototypes": lambda g: g.prototypes(),
    "read": lambda g: g.read().__enter__(),
    "rebuild": lambda g: g.rebuild(),
    "routes": lambda g: g.routes([some_tracklets(1)[0].id]),
    "rows": lambda g: g.rows(),
    "search": lambda g: g.search(some_tracklets(1)[0].embedding, 1),
    "some_tracklets": lambda g: g.some_tracklets([some_tracklets(1)[0].id]),
    "sources": lambda g: g.sources(),
    "tracklet": lambda g: g.tracklet(some_tracklets(1)[0].id),
    "tracklets": lambda g: list(g.tracklets()),
    "velocities": lambda g: g.velocities([some_tracklets(1)[0].id]),
    "vectors": lambda g: g.vectors(),
    "write": lambda g: g.write().__enter__(),
}
HARMLESS = {"open", "close", "__init__", "__exit__", "place", "access", "writable", "space", "model"}


def test_every_use_of_a_closed_gallery_is_refused_and_writes_nothing(filled: Filled) -> None:
    public = {n for n, v in vars(Gallery).items() if not n.startswith("_") or n in {"__enter__", "__len__"} if v}
    assert public - HARMLESS == set(CALLS)
    path = filled(some_tracklets(5))
    former = Gallery.open(path, write=True)
    former.begin_source(started(), SETTINGS)
    former.close()
    assert not former.writable
    with Gallery.open(path, write=True) as owner:
        for name, call in CALLS.items():
            with pytest.raises(GalleryError, match="was closed here; open it anew"):
                pytest.fail(f"{name} went on: {call(former)}")
        assert len(owner) == 5
    former.close()


@pytest.mark.parametrize("kind", [ProcessIndex, ChromaIndex])
def test_a_closed_index_refuses_use(tmp_path: Path, kind: type) -> None:
    folder = tmp_path / "index"
    index: Any
    index = ProcessIndex(folder, 4, tmp_path / "lock") if kind is ProcessIndex else ChromaIndex.in_folder(folder, 4)
    vector = np.eye(1, 4, dtype=np.float32)
    index.upsert(["a"], vector)
    index.close()
    index.close()
    for use in (lambda: index.upsert(["b"], vector), lambda: index.search(vector, 1), index.ids, lambda: len(index)):
        with pytest.raises(GalleryError, match="is closed"):
            use()


def test_a_closed_writer_and_a_closed_recording_refuse_use(filled: Filled, tmp_path: Path) -> None:
    from reidstream.engines.recording import Recorder
    from reidstream.pipeline.writer import GalleryWriter

    with Gallery.open(filled(some_tracklets(2)), write=True) as gallery:
        gallery.begin_source(started(), SETTINGS)
        with GalleryWriter(gallery, lambda: None) as writer:
            writer.add(some_tracklets(4))
        with pytest.raises(GalleryError, match="was closed"):
            writer.add(some_tracklets(8))
        with pytest.raises(GalleryError, match="was closed"):
            writer.end_source(SourceEnded("door", 100, 1004.0))
    with Recorder(tmp_path / "events.parquet", SPACE) as recorder:
        recorder.write(started())
    with pytest.raises(EngineError, match="was closed"):
        recorder.write(started())


def test_who_was_overtaken_because_a_lock_file_was_deleted_cannot_write(indexed: Filled) -> None:
    path = indexed(some_tracklets(5))
    former = Gallery.open(path, write=True)
    former.begin_source(started(), SETTINGS)
    former.flush()
    (path / LOCK_FILE).unlink()
    (path / "index.lock").unlink()
    with Gallery.open(path, write=True) as owner:
        with pytest.raises(GalleryLocked, match=r"was taken over by process \d+ on .* open the gallery anew"):
            former.add(some_tracklets(10, seed=1))
        assert len(owner) == 5
        former.close(finish=False)
