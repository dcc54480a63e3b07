"""Searches answer what exact comparison of the rows would answer, whatever the filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.gallery import Filter, Gallery
from reidstream.types import Stay, Tracklet

from .conftest import SETTINGS, SPACE, some_tracklets, started


@pytest.fixture(scope="module")
def people() -> list[Tracklet]:
    door = some_tracklets(1500)
    yard = some_tracklets(900, source="yard", content="content-yard", start=9000.0)
    for group, zone, every in ((door, "mat", 9), (yard, "till", 4)):
        for n in range(0, len(group), every):
            stay = Stay(zone, 0.0, 1.0, group[n].start_wall, group[n].end_wall)
            group[n] = replace(group[n], stays=(stay, replace(stay, zone="everywhere")))
    return [*door, *yard]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, people: list[Tracklet]) -> Path:
    path = tmp_path_factory.mktemp("searching") / "g"
    with Gallery.open(path, write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.begin_source(started("yard", "content-yard"), SETTINGS)
        gallery.add(people)
    return path


@pytest.fixture(scope="module")
def reader(folder: Path) -> Iterator[Gallery]:
    with Gallery.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(reader: Gallery) -> list[tuple[str, tuple[Any, ...]]]:
    """Of each tracklet its id and what a filter looks at."""
    names = ("source", "content", "start_wall", "end_wall", "start_media", "end_media")
    return [(row["id"], tuple(row[name] for name in names)) for row in reader.rows(Filter()).records()]


@pytest.mark.parametrize("few", [0, 2000])
@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    "where",
    [
        Filter(),
        Filter(sources=("yard",)),
        Filter(since=1100.0, until=2400.0),
        Filter(sources=("door",), since=1100.0, until=1130.0),
        Filter(media_since=30.0, media_until=31.0),
        Filter(since=1e9),
        Filter(zones=("till",)),
        Filter(zones=("mat", "till"), sources=("yard",)),
        Filter(zones=("everywhere",), until=1130.0),
        Filter(zones=("nowhere",)),
    ],
)
def test_a_filtered_search_equals_exact_comparison(
    folder: Path, people: list[Tracklet], where: Filter, write: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidstream.gallery.searching._FEW", few)  # all by the index, or few rows one by one
    with Gallery.open(folder, write=write) as gallery:
        gallery.flush()
        allowed = set(gallery.rows(where).id.tolist())
        chosen = [t for t in people if t.id in allowed]
        queries = np.stack([people[n].embedding for n in (3, 700, 2000)])
        answers = gallery.search(queries, 10, where)
    for query, answer in zip(queries, answers, strict=True):
        similarities = np.array([t.embedding @ query for t in chosen])
        best = np.argsort(-similarities)[:10]
        assert [match.tracklet for match in answer] == [chosen[n].id for n in best]
        np.testing.assert_allclose([match.similarity for match in answer], similarities[best], atol=1e-5)


def test_wrong_queries_are_refused(folder: Path) -> None:
    with Gallery.open(folder) as gallery:
        with pytest.raises(ValueError, match=r"must have shape \(q, 32\), got \(1, 31\)"):
            gallery.search(np.ones((1, 31), np.float32))
        with pytest.raises(ValueError, match="finite and not zero"):
            gallery.search(np.zeros((1, 32), np.float32))
        with pytest.raises(ValueError, match="k must be at least 1"):
            gallery.search(np.ones((1, 32), np.float32), 0)


@given(
    sources=st.sets(st.sampled_from(["yard", "door", "roof"])),
    contents=st.sets(st.sampled_from(["content-yard", "content-door", "content-roof"])),
    wall=st.tuples(st.none() | st.floats(900, 3000), st.none() | st.floats(900, 3000)),
    media=st.tuples(st.none() | st.floats(0, 200), st.none() | st.floats(0, 200)),
)
@settings(max_examples=60, deadline=None)
def test_a_filter_means_the_same_in_sql_and_for_one_row(
    reader: Gallery,
    rows: list[tuple[str, tuple[Any, ...]]],
    sources: set[str],
    contents: set[str],
    wall: tuple[float | None, float | None],
    media: tuple[float | None, float | None],
) -> None:
    where = Filter(tuple(sources), wall[0], wall[1], media[0], media[1], tuple(contents))
    assert reader.rows(where).id.tolist() == [name for name, values in rows if where.holds(*values)]


@pytest.mark.parametrize("long_ones_first", [False, True])
def test_a_reader_finds_what_began_long_before_the_time_asked_for(tmp_path: Path, long_ones_first: bool) -> None:
    short = some_tracklets(40)
    # In view for ten minutes and still there when the filter begins.
    long = [replace(t, id=f"{n:032x}", start_wall=2.5e3 - 600, end_wall=2.5e3) for n, t in enumerate(short[:3])]
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE) as writer:
        writer.begin_source(started(), SETTINGS)
        writer.add(long if long_ones_first else short)
        with Gallery.open(tmp_path / "g") as reader:
            where = Filter(since=2499.0)
            before = {match.tracklet for match in reader.search(short[0].embedding, 10, where)[0]}
            assert before == ({t.id for t in long} if long_ones_first else set())
            writer.add(short if long_ones_first else long)
            assert {match.tracklet for match in reader.search(short[0].embedding, 10, where)[0]} == {t.id for t in long}
            assert len(reader.search(short[0].embedding, 50, Filter(since=1000.0, until=1010.0))[0]) == 11
