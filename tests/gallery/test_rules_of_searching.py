"""How a search puts together what an index knows and what it does not know yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import GalleryConfig
from reidstream.errors import GalleryError
from reidstream.gallery import Filter, Gallery, searching
from reidstream.gallery.facts import read_facts
from reidstream.gallery.index.exact import ExactIndex
from reidstream.gallery.index.processes import Answered
from reidstream.gallery.searching import Searcher
from reidstream.types import Tracklet

from .conftest import SETTINGS, SIZE, SPACE, some_tracklets, started

PEOPLE = some_tracklets(60)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=config) as opened:
        opened.begin_source(started(), SETTINGS)
        opened.begin_source(started("yard", "content-yard"), SETTINGS)
        opened.add(PEOPLE)
        yield opened


def index_of(some: Sequence[Tracklet]) -> ExactIndex:
    index = ExactIndex(SIZE)
    index.upsert([t.id for t in some], np.stack([t.embedding for t in some]))
    return index


def searcher(gallery: Gallery, monkeypatch: pytest.MonkeyPatch, index: Any, indexed: int) -> Searcher:
    """The owner's search over an index that is said to hold every row up to a revision."""
    monkeypatch.setattr(
        searching, "read_facts", lambda connection: replace(read_facts(connection), index="chroma", indexed=indexed)
    )
    place: Any = SimpleNamespace(size=SIZE, is_server=False, folder=None)
    indexer: Any = SimpleNamespace(index=index, open_soon=lambda: None)
    return Searcher(gallery._database, place, indexer, gallery.space)


def finds_everybody(search: Searcher, people: Sequence[Tracklet]) -> bool:
    answers = search.search(np.stack([t.embedding for t in people]), 1, Filter())
    return [a[0].tracklet for a in answers] == [t.id for t in people]


@pytest.mark.parametrize("load", [5000, 7])
@pytest.mark.parametrize("long", [5000, 10])
def test_rows_that_the_index_has_not_got_yet_are_found(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, load: int, long: int
) -> None:
    monkeypatch.setattr(searching, "_LOAD", load)
    monkeypatch.setattr(searching, "_LONG_TAIL", long)
    assert finds_everybody(searcher(gallery, monkeypatch, index_of(PEOPLE[:20]), indexed=20), PEOPLE)
    assert finds_everybody(searcher(gallery, monkeypatch, None, indexed=0), PEOPLE)


def test_what_is_stored_between_two_searches_is_found(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    search = searcher(gallery, monkeypatch, index_of(PEOPLE), indexed=60)
    assert finds_everybody(search, PEOPLE)
    more = some_tracklets(5, source="yard", content="content-yard")
    gallery.add(more)
    assert finds_everybody(search, [*PEOPLE, *more])


def test_of_a_row_that_was_replaced_only_what_it_is_now_is_found(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = [replace(PEOPLE[0], embedding=PEOPLE[1].embedding), *PEOPLE[1:]]
    # The index holds a former vector of the first row; the row itself is among the newest.
    search = searcher(gallery, monkeypatch, index_of(former), indexed=0)
    (answer,) = search.search(PEOPLE[1].embedding, 60, Filter())
    assert answer[0].tracklet == PEOPLE[1].id
    assert len({match.tracklet for match in answer}) == len(answer) == 60
    assert finds_everybody(search, PEOPLE)


def test_an_index_that_fails_costs_time_and_no_answer(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(ExactIndex):
        def search(self, vectors: Any, k: int) -> Any:
            raise GalleryError("its process has ended")

    search = searcher(gallery, monkeypatch, Failing(SIZE), indexed=60)
    assert finds_everybody(search, PEOPLE)


@pytest.mark.parametrize("widest", [4000, 8])
def test_a_filter_holds_and_reaches_those_far_behind_everybody_else(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, widest: int
) -> None:
    for name, value in (("_FEW", 0), ("_FIRST_WIDE", 4), ("_WIDEST", widest), ("_AT_ONCE", 3)):
        monkeypatch.setattr(searching, name, value)
    away = [
        replace(t, embedding=-PEOPLE[0].embedding) for t in some_tracklets(3, source="yard", content="content-yard")
    ]
    gallery.add(away)
    search = searcher(gallery, monkeypatch, index_of([*PEOPLE, *away]), indexed=63)
    (answer,) = search.search(PEOPLE[0].embedding, 2, Filter(sources=("yard",)))
    assert len(answer) == 2
    assert {match.tracklet for match in answer} <= {t.id for t in away}


def test_a_row_that_is_gone_is_not_an_answer(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = replace(PEOPLE[0], id="f" * 32)
    search = searcher(gallery, monkeypatch, index_of([stray, *PEOPLE[1:]]), indexed=60)
    (answer,) = search.search(PEOPLE[0].embedding, 5, Filter())
    assert stray.id not in {match.tracklet for match in answer}
    assert len(answer) == 5


@pytest.mark.parametrize("few", [0, 2000])
def test_the_length_of_a_query_does_not_matter(gallery: Gallery, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(searching, "_FEW", few)
    search = searcher(gallery, monkeypatch, index_of(PEOPLE), indexed=60)
    for where in (Filter(), Filter(sources=("door",))):
        plain, long = (search.search(n * PEOPLE[3].embedding, 4, where)[0] for n in (1, 7))
        assert [m.tracklet for m in plain] == [m.tracklet for m in long]
        assert [m.similarity for m in plain] == pytest.approx([m.similarity for m in long], abs=1e-5)


def test_a_reader_follows_the_index_to_its_next_files(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    generation = 1

    def now(connection: Any) -> Any:
        return replace(read_facts(connection), index="http://chroma", indexed=60, generation=generation)

    def open_files(wanted: int) -> ExactIndex:
        opened.append(wanted)
        return index_of(PEOPLE)

    monkeypatch.setattr(searching, "read_facts", now)
    monkeypatch.setattr(searching, "_LONG_TAIL", 10)
    place: Any = SimpleNamespace(size=SIZE, is_server=True, folder=None, open=open_files)
    search = Searcher(gallery._database, place, None, gallery.space)
    assert finds_everybody(search, PEOPLE)
    assert finds_everybody(search, PEOPLE)
    assert opened == [1]
    generation = 2
    for _ in range(2):
        assert finds_everybody(search, PEOPLE)
    assert search._opened_generation == 2 or search._opened is None
    assert 1 not in opened[1:]


@pytest.mark.parametrize("few", [0, 2000])
def test_who_came_before_the_time_asked_for_and_was_still_there_is_found(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(searching, "_FEW", few)
    search = searcher(gallery, monkeypatch, index_of(PEOPLE), indexed=60)
    (answer,) = search.search(PEOPLE[50].embedding, 60, Filter(since=PEOPLE[50].start_wall + 1.5))
    assert answer[0].tracklet == PEOPLE[50].id
    assert len(answer) == 10


times = st.integers(0, 6).map(float)
bound = st.none() | times


@given(bound, bound, bound, bound, times, times, times, times)
def test_a_tracklet_counts_when_any_of_its_time_lies_between(
    since: float | None,
    until: float | None,
    media_since: float | None,
    media_until: float | None,
    start: float,
    length: float,
    media: float,
    seconds: float,
) -> None:
    where = Filter((), since, until, media_since, media_until, ())

    def meets(low: float | None, high: float | None, begin: float, last: float) -> bool:
        return last >= (low if low is not None else -1) and begin <= (high if high is not None else 99)

    wanted = meets(since, until, start, start + length) and meets(media_since, media_until, media, media + seconds)
    assert where.holds("door", "content", start, start + length, media, media + seconds) is wanted


def test_sources_and_contents_are_both_asked_for() -> None:
    where = Filter(sources=("door",), contents=("a",))
    held = [where.holds(source, content, 0, 1, 0, 1) for source in ("door", "yard") for content in ("a", "b")]
    assert held == [True, False, False, False]


def test_rows_that_the_index_has_not_got_are_read_once(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def counted(connection: Any, after: int, *more: Any) -> Any:
        begun.append(after)
        return rows_after(connection, after, *more)

    rows_after = searching.rows_after
    monkeypatch.setattr(searching, "rows_after", counted)
    search = searcher(gallery, monkeypatch, index_of(PEOPLE[:20]), indexed=20)
    for _ in range(3):
        assert finds_everybody(search, PEOPLE)
    assert begun == [0]
    more = some_tracklets(5, source="yard", content="content-yard")
    gallery.add(more)
    assert finds_everybody(search, [*PEOPLE, *more])
    assert begun == [0, 60]


@pytest.mark.parametrize(("widest", "read"), [(4000, 0), (8, 1)])
def test_everything_is_read_only_when_more_candidates_would_be_asked_for_than_that_is_worth(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, widest: int, read: int
) -> None:
    for name, value in (("_FEW", 0), ("_FIRST_WIDE", 4), ("_WIDEST", widest)):
        monkeypatch.setattr(searching, name, value)
    away = [
        replace(t, embedding=-PEOPLE[0].embedding) for t in some_tracklets(3, source="yard", content="content-yard")
    ]
    gallery.add(away)
    search = searcher(gallery, monkeypatch, index_of([*PEOPLE, *away]), indexed=63)
    reads: list[Filter] = []
    exact = search._exact

    def noted(connection: Any, where: Filter) -> ExactIndex:
        reads.append(where)
        return exact(connection, where)

    monkeypatch.setattr(search, "_exact", noted)
    search.search(PEOPLE[0].embedding, 2, Filter(sources=("yard",)))
    assert len(reads) == read
    # Who has enough already asks for no more.
    search.search(PEOPLE[0].embedding, 2, Filter(sources=("door",)))
    assert len(reads) == read


class Answering:
    """Index processes that know some rows, up to a revision. ``wanted``: how many each question asked for."""

    def __init__(self, index: ExactIndex, revision: int) -> None:
        self._index, self._revision = index, revision
        self.wanted: list[int] = []

    def ask(self, _connection: Any, _facts: Any, queries: Any, k: int, _where: Filter) -> Answered:
        self.wanted.append(k)
        return Answered(self._index.search(queries, k), self._revision)


def asking(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, known: Sequence[Tracklet], revision: int
) -> tuple[Searcher, Answering]:
    """A search that asks processes which know some rows, over an index that holds nothing."""
    search = searcher(gallery, monkeypatch, ExactIndex(SIZE), indexed=60)
    answering: Any = Answering(index_of(known), revision)
    search._processes = answering
    return search, answering


@pytest.mark.parametrize(("behind", "known"), [(0, PEOPLE), (7, PEOPLE[:53])])
def test_what_a_process_does_not_know_yet_is_found_beside_what_it_knows(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, behind: int, known: Sequence[Tracklet]
) -> None:
    search, answering = asking(gallery, monkeypatch, known, 60 - behind)
    assert finds_everybody(search, PEOPLE)
    assert len(answering.wanted) == 1
    (answer,) = search.search(PEOPLE[58].embedding, 20, Filter())
    expected = np.argsort(-np.stack([t.embedding for t in PEOPLE]) @ PEOPLE[58].embedding, kind="stable")[:20]
    assert [match.tracklet for match in answer] == [PEOPLE[n].id for n in expected]


@pytest.mark.parametrize(("tail", "asked"), [(7, True), (6, False)])
def test_a_process_that_is_far_behind_is_left_alone(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, tail: int, asked: bool
) -> None:
    monkeypatch.setattr(searching, "_LONG_TAIL", tail)
    search, _ = asking(gallery, monkeypatch, PEOPLE[:53], 53)
    with gallery.read() as connection:
        found = search._asked(connection, PEOPLE[0].embedding[None], 2, Filter())
        assert (found is not None) == asked
        assert search._asked(connection, PEOPLE[0].embedding[None], 2, Filter(zones=("door",))) is None


def test_more_is_asked_for_when_a_process_names_who_is_gone(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_SPARE", 1)
    gone = [replace(t, id=f"{n:032x}") for n, t in enumerate(PEOPLE[:1] * 9)]
    search, answering = asking(gallery, monkeypatch, [*gone, *PEOPLE], 60)
    with gallery.read() as connection:
        found = search._asked(connection, PEOPLE[0].embedding[None], 2, Filter())
        assert found is not None
        assert found[0][0].tracklet == PEOPLE[0].id
        assert answering.wanted == [3, 12]
        # It is given up when the index is quicker.
        answering.wanted.clear()
        monkeypatch.setattr(searching, "_WIDEST", -8)
        assert search._asked(connection, PEOPLE[0].embedding[None], 2, Filter()) is None
        assert answering.wanted == [3]
        # There are no more than it has named: then that is all.
        few, _ = asking(gallery, monkeypatch, [*gone[:1], PEOPLE[5]], 60)
        found = few._asked(connection, PEOPLE[0].embedding[None], 2, Filter())
        assert found is not None
        assert [match.tracklet for match in found[0]] == [PEOPLE[5].id]
