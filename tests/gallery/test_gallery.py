"""What a gallery promises to those who write and read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidstream.errors import GalleryLocked, GalleryMismatch, GalleryNotFound, TrackletNotFound
from reidstream.gallery import Begin, Filter, Gallery, State
from reidstream.types import EmbeddingSpace, EndReason, SourceEnded
from tests.exact import EXACT

from .conftest import (
    SETTINGS,
    SIZE,
    SPACE,
    Filled,
    contents_of,
    same_contents,
    same_tracklet,
    some_tracklets,
    started,
)


def test_a_tracklet_comes_back_as_it_was_stored(filled: Filled) -> None:
    tracklets = some_tracklets(5)
    with Gallery.open(filled(tracklets)) as gallery:
        for tracklet in tracklets:
            assert same_tracklet(gallery.tracklet(tracklet.id), tracklet)
            assert gallery.crop(tracklet.id) == tracklet.crop
        assert len(gallery) == 5


def test_search_finds_a_tracklet_by_its_own_vector_before_and_after_indexing(tmp_path: Path) -> None:
    tracklets = some_tracklets(50)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        at_once = gallery.search(tracklets[7].embedding, 5)[0]
        gallery.flush()
        indexed = gallery.search(tracklets[7].embedding, 5)[0]
    assert at_once[0].tracklet == tracklets[7].id
    assert at_once[0].similarity == pytest.approx(1, abs=1e-5)
    assert [m.tracklet for m in at_once] == [m.tracklet for m in indexed]
    with Gallery.open(tmp_path / "g") as gallery:
        assert [m.tracklet for m in gallery.search(tracklets[7].embedding, 5)[0]] == [m.tracklet for m in at_once]


def test_adding_twice_stores_once(tmp_path: Path) -> None:
    tracklets = some_tracklets(20)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(started(), SETTINGS)
        assert gallery.add(tracklets[:12]) == 12
        assert gallery.add(tracklets) == 8
        assert gallery.add(tracklets) == 0
        assert len(gallery) == 20


def test_a_complete_source_is_not_wanted_again(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        assert gallery.begin_source(started(), SETTINGS) is Begin.NEW
        gallery.end_source(SourceEnded("door", 100, 1004.0))
        assert gallery.begin_source(started(), SETTINGS) is Begin.COMPLETE
        assert not Begin.COMPLETE.wanted
        assert gallery.begin_source(started("other"), SETTINGS) is Begin.ELSEWHERE
        assert gallery.begin_source(started("door", "second file"), SETTINGS) is Begin.NEW
        assert [(r.source, r.content, r.state) for r in gallery.sources()] == [
            ("door", "content-door", State.COMPLETE),
            ("door", "second file", State.RUNNING),
        ]


def test_a_source_read_with_other_settings_is_refused_or_replaced(tmp_path: Path) -> None:
    tracklets = some_tracklets(6)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        gallery.end_source(SourceEnded("door", 100, 1004.0))
        with pytest.raises(GalleryMismatch, match=r"door\.mp4 is in the gallery as 'door', read with other settings"):
            gallery.begin_source(started(), "settings-2")
        gallery.flush()
        assert gallery.begin_source(started(), "settings-2", replace=True) is Begin.NEW
        assert len(gallery) == 0
        assert gallery.search(tracklets[0].embedding, 3) == [[]]
        gallery.add(tracklets[:2])
        assert gallery.search(tracklets[0].embedding, 3)[0][0].tracklet == tracklets[0].id


def test_what_a_stopped_run_cut_short_is_replaced_by_the_next_run(tmp_path: Path) -> None:
    whole = some_tracklets(6)
    # The stopped run saw the last track for a shorter time, and another one that the whole run joins to it.
    cut = replace(whole[5], end_frame=140, reason=EndReason.SHUTDOWN, embedding=whole[4].embedding)
    stray = replace(some_tracklets(1, seed=9, first=90)[0], reason=EndReason.SHUTDOWN)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add([*whole[:5], cut, stray])
        gallery.end_source(SourceEnded("door", 60, 1002.0, stopped=True))
        gallery.flush()
        assert gallery.begin_source(started(), SETTINGS) is Begin.RESUMED
        assert gallery.add(whole) == 0
        gallery.end_source(SourceEnded("door", 100, 1004.0))
        gallery.flush()
        assert same_contents(contents_of(gallery), {t.id: t for t in whole})
        best = gallery.search(whole[5].embedding, 1)[0][0]
        assert (best.tracklet, best.similarity) == (whole[5].id, pytest.approx(1, abs=1e-5))


def test_a_second_writer_is_refused_while_readers_go_on(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as writer:
        writer.begin_source(started(), SETTINGS)
        with pytest.raises(GalleryLocked, match=r"is being written by process \d+ on"):
            Gallery.open(tmp_path / "g", write=True)
        with Gallery.open(tmp_path / "g") as reader:
            assert len(reader) == 0
            tracklets = some_tracklets(9)
            writer.add(tracklets)
            assert len(reader) == 9
            assert reader.search(tracklets[3].embedding, 1)[0][0].tracklet == tracklets[3].id
    Gallery.open(tmp_path / "g", write=True).close()


def test_another_embedding_space_is_refused(filled: Filled) -> None:
    path = filled(some_tracklets(1))
    other = EmbeddingSpace("cd" * 32, "other-reid", SIZE)
    for write in (False, True):
        with pytest.raises(GalleryMismatch, match=r"holds embeddings of test-reid .* not of other-reid"):
            Gallery.open(path, write=write, space=other)
    Gallery.open(path, write=True, space=SPACE).close()


def test_nothing_is_made_where_there_is_no_gallery(tmp_path: Path) -> None:
    for write in (False, True):
        with pytest.raises(GalleryNotFound, match=r"no gallery at .*nowhere"):
            Gallery.open(tmp_path / "nowhere", write=write)
    assert not (tmp_path / "nowhere").exists()


def test_vectors_come_in_the_order_asked_for(filled: Filled) -> None:
    tracklets = some_tracklets(30)
    with Gallery.open(filled(tracklets)) as gallery:
        some = [tracklets[i].id for i in (20, 3, 11)]
        ids, vectors = gallery.vectors(some)
        assert ids == some
        np.testing.assert_array_equal(vectors, [tracklets[i].embedding for i in (20, 3, 11)])
        ids, vectors = gallery.vectors()
        assert ids == [t.id for t in tracklets]
        prototypes = gallery.prototypes(some)
        np.testing.assert_array_equal(prototypes.owner, [0, 0, 1, 1, 2, 2])
        np.testing.assert_array_equal(prototypes.vectors[2:4], tracklets[3].prototypes)
        with pytest.raises(TrackletNotFound, match="no tracklet 0000"):
            gallery.vectors(["0000"])


def test_rows_answer_filters_by_source_and_time(filled: Filled) -> None:
    door = some_tracklets(10)
    yard = some_tracklets(10, source="yard", content="content-yard", start=5000.0)
    with Gallery.open(filled([*door, *yard])) as gallery:
        assert gallery.rows().id.tolist() == [t.id for t in [*door, *yard]]
        assert gallery.rows().track_id[0] == 2**63 + 1
        assert gallery.rows(Filter(sources=("yard",))).id.tolist() == [t.id for t in yard]
        assert gallery.rows(Filter(since=1009.5, until=4000)).id.tolist() == [t.id for t in door[8:]]
        assert gallery.rows(Filter(media_until=1.0, sources=("yard",))).id.tolist() == [t.id for t in yard[:2]]
        assert set(next(iter(gallery.rows().records()))) >= {"id", "source", "track_id", "reason", "purity"}


def test_a_prefix_names_a_tracklet_only_if_it_is_unique(filled: Filled) -> None:
    tracklets = some_tracklets(40)
    with Gallery.open(filled(tracklets)) as gallery:
        assert gallery.find(tracklets[0].id[:12]) == tracklets[0].id
        with pytest.raises(TrackletNotFound, match="no tracklet begins with 'xyz'"):
            gallery.find("xyz")
        with pytest.raises(TrackletNotFound):
            gallery.find("%")
        shared = next(c for c in "0123456789abcdef" if sum(t.id.startswith(c) for t in tracklets) > 1)
        with pytest.raises(TrackletNotFound, match="several tracklets begin"):
            gallery.find(shared)


def test_nonsense_is_refused_and_nothing_of_the_batch_is_stored(tmp_path: Path) -> None:
    good, bad = some_tracklets(2)
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        gallery.begin_source(started(), SETTINGS)
        with pytest.raises(ValueError, match="must have unit length"):
            gallery.add([good, replace(bad, embedding=bad.embedding * 2)])
        with pytest.raises(ValueError, match="must have unit length"):
            gallery.add([good, replace(bad, embedding=bad.embedding * np.float32(np.nan))])
        with pytest.raises(ValueError, match="which no begin_source has announced"):
            gallery.add([good, replace(bad, content="unknown")])
        small = np.ones(1, np.float32)
        with pytest.raises(GalleryMismatch, match="32 dimensions"):
            gallery.add([good, replace(bad, embedding=small, prototypes=small[None], prototype_weights=small)])
        assert len(gallery) == 0
