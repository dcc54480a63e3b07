"""How the index follows the rows, when it is not trusted and made anew, and when it is known to be whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.database import Place
from reidstream.gallery.facts import write_facts
from reidstream.gallery.index import building, indexing, process
from reidstream.gallery.index.exact import ExactIndex
from reidstream.gallery.index.indexing import Indexer
from reidstream.types import Tracklet

from .conftest import SIZE, some_tracklets

PEOPLE = some_tracklets(40)


def index_of(some: Sequence[Tracklet], kind: Callable[[int], ExactIndex] = ExactIndex) -> ExactIndex:
    index = kind(SIZE)
    if some:
        index.upsert([t.id for t in some], np.stack([t.embedding for t in some]))
    return index


class Workshop:
    """An indexer over an index that a test has made; ``built`` are those that were made anew from the rows."""

    def __init__(
        self,
        gallery: Gallery,
        monkeypatch: pytest.MonkeyPatch,
        index: ExactIndex,
        indexed: int,
        sealed: bool = False,
        server: bool = False,
    ) -> None:
        self.built: list[int] = []
        self.deleted: list[int] = []
        self._gallery, self._index = gallery, index
        monkeypatch.setattr(indexing, "build", self._build)
        monkeypatch.setattr(indexing, "renew", lambda: None)
        place: Any = SimpleNamespace(
            size=SIZE,
            is_server=server,
            folder=None,
            delete_others=self.deleted.append,
            open_apart=lambda _: self._index,
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


@pytest.mark.parametrize(("held", "server", "finish", "saved"), [
    (20, False, True, 1), (20, False, False, 0), (20, True, True, 0), (40, False, True, 0)
])  # fmt: skip
def test_files_are_written_when_something_came_into_them_and_they_are_closed_in_order(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, held: int, server: bool, finish: bool, saved: int
) -> None:
    written: list[int] = []

    class Noting(ExactIndex):
        def save(self) -> None:
            written.append(len(self))

    workshop = Workshop(gallery, monkeypatch, index_of(PEOPLE[:held], Noting), indexed=held, server=server)
    assert workshop.holds(PEOPLE)
    workshop.indexer.close(finish=finish)
    assert written == [40] * saved


class Failing(ExactIndex):
    """Fails so many times when rows are put into it."""

    failures = 0

    def upsert(self, tracklets: Sequence[str], vectors: np.ndarray) -> None:
        if Failing.failures:
            Failing.failures -= 1
            raise GalleryError("torn")
        super().upsert(tracklets, vectors)


@pytest.mark.parametrize(("failures", "server", "anew"), [(1, False, False), (2, False, True), (3, True, False)])
def test_an_index_that_fails_is_opened_anew_and_made_anew_when_that_does_not_help(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, failures: int, server: bool, anew: bool
) -> None:
    monkeypatch.setattr(indexing, "_RETRY", 0.01)
    monkeypatch.setattr(Failing, "failures", failures)
    held = Failing(SIZE)
    workshop = Workshop(gallery, monkeypatch, held, indexed=0, server=server)
    for _ in range(failures + 2):
        # Whoever waits hears of a failure.
        with contextlib.suppress(GalleryError):
            workshop.indexer.flush()
    assert workshop.holds(PEOPLE)
    assert bool(workshop.built) is anew
    # A server's other generations are its own business until the index is made anew.
    assert bool(workshop.deleted) is (not server)
    workshop.indexer.close(finish=True)


def test_a_failure_reaches_whoever_waits_and_searches_compare_exactly_meanwhile(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Failing, "failures", 1)
    workshop = Workshop(gallery, monkeypatch, Failing(SIZE), indexed=0)
    with pytest.raises(GalleryError, match="torn"):
        workshop.indexer.flush()
    assert workshop.indexer.index is None
    workshop.indexer.close(finish=False)


class Asked:
    """A worker process that notes what it is asked."""

    pid, alive = 1, True

    def __init__(self) -> None:
        self.open_indexes: set[int] = set()
        self.asked: list[str] = []
        self.stopped = 0

    def call(self, name: str, _number: int, arguments: tuple[Any, ...]) -> Any:
        self.asked.append(name)
        if name == "vectors":
            return np.zeros((len(arguments[0]), SIZE), np.float32)
        return 0

    def stop(self) -> int:
        self.stopped += 1
        return 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    made = Asked()
    monkeypatch.setattr(process, "_process", lambda: made)
    monkeypatch.setattr(process, "_current", made)
    yield made
    monkeypatch.setattr(process, "_current", None)


def test_the_process_is_ended_only_when_no_index_is_open_in_it(asked: Asked, tmp_path: Path) -> None:
    index = process.ProcessIndex(tmp_path, SIZE, tmp_path / "lock")
    process.renew()
    assert asked.stopped == 0
    index.close()
    index.close()
    assert asked.asked == ["open", "close"]
    process.renew()
    assert asked.stopped == 1
    with pytest.raises(GalleryError, match="is closed"):
        index.ids()


def test_many_vectors_go_in_several_messages(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_AT_ONCE", 4)
    index = process.ProcessIndex(tmp_path, SIZE, tmp_path / "lock")
    index.upsert(list("abcdefghi"), np.zeros((9, SIZE), np.float32))
    index.upsert(list("abcd"), np.zeros((4, SIZE), np.float32))
    assert asked.asked[1:] == ["upsert"] * 4
    assert index.vectors(list("abcdefghi")).shape == (9, SIZE)
    assert index.vectors([]).shape == (0, SIZE)
    with pytest.raises(ValueError, match="must have shape"):
        index.upsert(["a"], np.zeros((1, SIZE + 1), np.float32))


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_opened_to_fill_a_servers_index_is_closed(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    closed: list[str] = []
    reading = building.Database

    class Noted(reading):  # type: ignore[misc, valid-type]
        def close(self) -> None:
            closed.append("rows")
            super().close()

    class Server(ExactIndex):
        def upsert(self, tracklets: Sequence[str], vectors: np.ndarray) -> None:
            if fails:
                raise GalleryError("gone")
            super().upsert(tracklets, vectors)

        def close(self) -> None:
            closed.append("index")

    monkeypatch.setattr(building, "Database", Noted)
    index = Server(SIZE)
    place: Any = SimpleNamespace(is_server=True, size=SIZE, open_empty=lambda _: index)
    told: list[tuple[int, int]] = []
    if fails:
        with pytest.raises(GalleryError, match="gone"):
            building.build(gallery.place, place, 1)
    else:
        monkeypatch.setattr(building, "_BATCH", 15)
        assert building.build(gallery.place, place, 1, lambda *done: told.append(done)) == gallery.facts().revision
        assert sorted(index.ids()) == sorted(t.id for t in PEOPLE)
        assert told == [(15, 40), (30, 40), (40, 40)]
    assert closed == ["index", "rows"]


def test_generations_of_an_index_that_are_not_used_are_deleted(tmp_path: Path) -> None:
    place = building.IndexPlace(tmp_path, "chroma", "ab" * 16, SIZE)
    for generation in (1, 2, 3):
        place.files(generation).mkdir(parents=True)
    place.delete_others(2)
    assert [path.name for path in (tmp_path / building.INDEX_FOLDER).iterdir()] == [place.files(2).name]
    assert [building.IndexPlace(tmp_path, kind, "", SIZE).is_server for kind in ("chroma", "exact", "http://db")] == [
        *(False, False, True),
    ]
    # Without a folder there is nothing to delete.
    building.IndexPlace(None, "exact", "", SIZE).delete_others(1)
    building.IndexPlace(tmp_path / "absent", "chroma", "", SIZE).delete_others(1)


def test_a_gallery_that_vanished_is_named_by_who_makes_its_index(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(GalleryError, match=rf"the index of gallery {gone} cannot be made: .*No such file"):
        building.build(Place(gone), building.IndexPlace(gone, "chroma", "1" * 32, SIZE), 1)
    assert capfd.readouterr().err == ""


def test_a_gallery_that_vanishes_while_its_index_is_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setattr(building, "_in_a_process_of_its_own", lambda *_: 7)
    with pytest.raises(GalleryError, match=rf"the index of gallery {gone} cannot be put into its place"):
        building.build(Place(gone), building.IndexPlace(gone, "chroma", "1" * 32, SIZE), 1)
