"""How the index follows the rows, when it is not trusted and made anew, and when it is known to be whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.gallery import Gallery
from reidstream.gallery.facts import write_facts
from reidstream.gallery.index import indexing
from reidstream.gallery.index.exact import ExactIndex
from reidstream.gallery.index.indexing import Indexer
from reidstream.types import Tracklet
from tests.exact import EXACT

from .conftest import SETTINGS, SIZE, SPACE, some_tracklets, started

PEOPLE = some_tracklets(40)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as opened:
        opened.begin_source(started(), SETTINGS)
        opened.add(PEOPLE)
        yield opened


def index_of(some: Sequence[Tracklet], kind: Callable[[int], ExactIndex] = ExactIndex) -> ExactIndex:
    index = kind(SIZE)
    if some:
        index.upsert([t.id for t in some], np.stack([t.embedding for t in some]))
    return index


class Workshop:
    """An indexer over an index that a test has made; ``built`` are those that were made anew from the rows."""

    def __init__(
        self, gallery: Gallery, monkeypatch: pytest.MonkeyPatch, index: ExactIndex, indexed: int, sealed: bool = False
    ) -> None:
        self.built: list[int] = []
        self._gallery, self._index = gallery, index
        monkeypatch.setattr(indexing, "build", self._build)
        monkeypatch.setattr(indexing, "renew", lambda: None)
        place: Any = SimpleNamespace(
            size=SIZE, is_server=False, folder=None, delete_others=lambda _: None, open_apart=lambda _: self._index
        )
        with gallery.write() as connection:
            write_facts(connection, indexed=indexed, sealed=sealed)
        self.indexer = Indexer(gallery._database, place, gallery.facts())

    def _build(self, _where: object, _place: object, generation: int, _progress: object) -> int:
        self.built.append(generation)
        held = list(self._gallery.tracklets())
        self._index = index_of(held)
        return self._gallery.facts().revision

    def holds(self, people: Sequence[Tracklet]) -> bool:
        """Whether the index has these and nobody else, each with its own vector."""
        self.indexer.flush()
        index = self.indexer.index or self._index
        return sorted(index.ids()) == sorted(t.id for t in people) and all(
            nearest.ids == [t.id]
            for t, nearest in zip(people, index.search(np.stack([t.embedding for t in people]), 1), strict=True)
        )


def test_rows_that_are_not_indexed_yet_come_into_the_index(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = Workshop(gallery, monkeypatch, index_of(PEOPLE[:10]), indexed=10)
    assert workshop.holds(PEOPLE)
    assert gallery.facts().indexed == 40
    more = some_tracklets(3, first=900, seed=4)
    gallery.add(more)
    workshop.indexer.wake(gallery.facts().revision)
    assert workshop.holds([*PEOPLE, *more])
    assert workshop.built == []
    workshop.indexer.close(finish=True)


@pytest.mark.parametrize("wrong", ["one too many", "one too few", "other vectors"])
def test_an_index_that_does_not_hold_the_rows_is_made_anew(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    held = {
        "one too many": [*PEOPLE, replace(PEOPLE[0], id="f" * 32)],
        "one too few": PEOPLE[:-1],
        "other vectors": [replace(t, embedding=some_tracklets(1, seed=9)[0].embedding) for t in PEOPLE],
    }[wrong]
    workshop = Workshop(gallery, monkeypatch, index_of(held), indexed=40)
    assert workshop.holds(PEOPLE)
    assert len(workshop.built) == 1
    assert gallery.facts().generation == workshop.built[0]
    workshop.indexer.close(finish=True)


def test_an_index_that_keeps_what_was_taken_out_is_made_anew(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keeping(ExactIndex):
        def remove(self, tracklets: Sequence[str]) -> None:
            pass

    workshop = Workshop(gallery, monkeypatch, index_of(PEOPLE, Keeping), indexed=40)
    assert workshop.holds(PEOPLE)
    gone = [t.id for t in PEOPLE[:3]]
    workshop.indexer.remove(gone, lambda: gallery._remove(gone))
    assert workshop.holds(PEOPLE[3:])
    assert len(workshop.built) == 1
    workshop.indexer.close(finish=True)


def test_an_index_is_known_to_be_whole_only_after_it_was_finished(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for finish in (False, True):
        workshop = Workshop(gallery, monkeypatch, index_of(PEOPLE[:20]), indexed=20, sealed=True)
        assert workshop.holds(PEOPLE)
        # Whoever dies now leaves files that have to be looked at.
        assert not gallery.facts().sealed
        workshop.indexer.close(finish=finish)
        assert gallery.facts().sealed is finish


def test_files_that_are_known_to_be_whole_are_not_opened_before_somebody_searches(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(gallery, monkeypatch, index_of(PEOPLE), indexed=40, sealed=True)
    workshop.indexer.flush()
    assert workshop.indexer.index is None
    assert gallery.facts().sealed
    workshop.indexer.open_soon()
    workshop.indexer.flush()
    assert workshop.indexer.index is not None
    assert workshop.built == []
    workshop.indexer.close(finish=True)
