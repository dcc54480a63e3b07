"""What a check of a gallery finds in rows, vectors and index, and that it finds nothing where all is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.gallery import Gallery, checking
from reidstream.gallery.checking import (
    _file_problems,
    _index_problems,
    _length_complaints,
    _named,
    _shape_complaint,
)
from reidstream.gallery.facts import read_facts, write_facts
from reidstream.gallery.index.building import INDEX_FOLDER, IndexPlace
from reidstream.gallery.index.exact import ExactIndex, Nearest
from reidstream.types import FloatArray, Tracklet

from .conftest import SIZE, some_tracklets

PEOPLE = some_tracklets(10)
UNIT = np.eye(SIZE, dtype="<f4")[0]


def row(**changes: Any) -> Any:
    """A row as it should be, but for what is said."""
    right = {
        "id": "0" * 31 + "f",
        "reason": "left",
        "start_wall": 5.0,
        "end_wall": 5.0,
        "vector": UNIT.tobytes(),
        "prototypes": UNIT.tobytes() * 2,
        "weights": bytes(8),
        "frames": bytes(24),
        "boxes": bytes(48),
        "jpeg": None,
    }
    return SimpleNamespace(**{**right, **changes})


@pytest.mark.parametrize("changes", [{}, {"jpeg": 1}, {"end_wall": 6.0}])
def test_a_row_as_it_should_be_is_not_complained_about(changes: dict[str, Any]) -> None:
    assert _shape_complaint(row(**changes), SIZE) is None


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"id": "0" * 31}, "row", "32 hexadecimal digits"),
        ({"id": "0" * 31 + "F"}, "row", "32 hexadecimal digits"),
        ({"reason": "boredom"}, "row", "unknown reason (boredom)"),
        ({"end_wall": 4.9}, "row", "ends before it starts"),
        ({"end_wall": float("nan")}, "row", "ends before it starts"),
        ({"vector": None}, "vector", "has no vector"),
        ({"vector": UNIT.tobytes()[4:]}, "vector", f"of {SIZE - 1} dimensions instead of {SIZE}"),
        ({"prototypes": None}, "row", "no prototypes"),
        ({"prototypes": UNIT.tobytes()}, "vector", "another size than its 2 weights"),
        ({"weights": b"", "prototypes": b""}, "vector", "another size than its 0 weights"),
        ({"boxes": bytes(32)}, "row", "frames and boxes of different number"),
        ({"jpeg": 0}, "row", "an empty crop"),
    ],
)
def test_a_row_that_is_not_as_it_should_be_is_named_with_what_is_wrong(
    changes: dict[str, Any], kind: str, said: str
) -> None:
    found = _shape_complaint(row(**changes), SIZE)
    assert found is not None
    assert found[0] == kind
    assert said in found[1]


def test_lengths_of_vectors_and_prototypes_are_looked_at_row_by_row() -> None:
    long, nothing = (2 * UNIT).tobytes(), np.full(SIZE, np.nan, "<f4").tobytes()
    rows = [row(id="a"), row(id="b", vector=long), row(id="c", vector=nothing),
            row(id="d", prototypes=UNIT.tobytes() + long), row(id="e", prototypes=nothing + long)]  # fmt: skip
    found = [(message, ids) for (_, message), ids in _length_complaints(rows, SIZE)]
    assert found[0] == ("has a vector of length 2 instead of 1", ["b"])
    assert found[1][1] == ["c"]
    assert found[2] == ("has a prototype whose length is not 1", ["d", "e"])
    assert len(found) == 3
    assert list(_length_complaints(rows[:1], SIZE)) == list(_length_complaints([], SIZE)) == []


@pytest.mark.parametrize(("count", "lines"), [(0, 0), (1, 1), (3, 3), (4, 4), (9, 4)])
def test_the_first_few_are_named_and_the_others_counted(
    count: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_NAMED", 3)
    found = [problem.message for problem in _named("row", "is odd", [str(n) for n in range(count)], "mend it")]
    assert len(found) == lines
    assert found[:3] == [f"tracklet {n} is odd" for n in range(min(count, 3))]
    assert not found[3:] or found[3].startswith(f"... and {count - 3} more")


def test_a_gallery_where_all_is_right_has_no_problems(gallery: Gallery) -> None:
    report = gallery.check()
    assert (report.tracklets, report.problems, report.warnings) == (len(PEOPLE), [], ())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"erasing": True}, ["an erasure was begun and not finished"]),
        ({"indexed": 10}, []),
        ({"indexed": 11}, ["the index claims revision 11"]),
        ({"revision": 9}, ["a row has revision 10"]),
        ({"revision": 10}, []),
    ],
)
def test_facts_that_do_not_fit_the_rows_are_named(gallery: Gallery, facts: dict[str, Any], said: list[str]) -> None:
    with gallery.write() as connection:
        write_facts(connection, **facts)
    found = [problem.message for problem in gallery.check().problems]
    assert len(found) == len(said)
    for message, words in zip(found, said, strict=True):
        assert words in message


def index_of(some: Sequence[Tracklet]) -> ExactIndex:
    index = ExactIndex(SIZE)
    index.upsert([t.id for t in some], np.stack([t.embedding for t in some]))
    return index


def found_in(gallery: Gallery, index: ExactIndex, indexed: int = 10) -> list[tuple[str, str]]:
    """Who is named, and what for, of an index that claims to be complete up to a revision."""
    with gallery.write() as connection:
        write_facts(connection, indexed=indexed)
        facts = read_facts(connection)
    messages = [problem.message for problem in _index_problems(gallery._database, facts, index)]
    return [(message.split()[1], " ".join(message.split()[2:5])) for message in messages]


@pytest.mark.parametrize("at_once", [500, 3])
def test_an_index_is_compared_with_every_row(gallery: Gallery, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_AT_ONCE", at_once)
    assert found_in(gallery, index_of(PEOPLE)) == []
    assert found_in(gallery, index_of(PEOPLE[:8])) == [(t.id, "is missing from") for t in PEOPLE[8:]]
    # What it does not claim to hold may be missing, or there.
    assert found_in(gallery, index_of(PEOPLE[:8]), indexed=8) == []
    assert found_in(gallery, index_of(PEOPLE), indexed=8) == []
    assert found_in(gallery, index_of(PEOPLE[:7]), indexed=8) == [(PEOPLE[7].id, "is missing from")]
    strange = some_tracklets(1, seed=5, first=77)
    assert found_in(gallery, index_of([*PEOPLE, *strange])) == [(strange[0].id, "is in the")]


def test_another_vector_and_one_that_cannot_be_found_are_named(gallery: Gallery) -> None:
    other = index_of(PEOPLE)
    other.upsert([PEOPLE[3].id], -PEOPLE[3].embedding[None])
    assert (PEOPLE[3].id, "has another vector") in found_in(gallery, other)

    class Blind(ExactIndex):
        def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
            nobody = Nearest([], np.zeros(0, np.float32))
            return [nobody, *super().search(vectors[1:], k)]

    blind = Blind(SIZE)
    blind.upsert([t.id for t in PEOPLE], np.stack([t.embedding for t in PEOPLE]))
    assert found_in(gallery, blind) == [(PEOPLE[0].id, "is not found")]


def test_files_of_no_index_and_an_index_without_files_are_named(gallery: Gallery, tmp_path: Path) -> None:
    place = IndexPlace(tmp_path, "chroma", "ab" * 16, SIZE)
    facts = gallery.facts()
    (missing,) = _file_problems(place, facts)
    assert "are not there" in missing.message
    place.files(facts.generation).mkdir(parents=True)
    assert list(_file_problems(place, facts)) == []
    (tmp_path / INDEX_FOLDER / "old").mkdir()
    (old,) = _file_problems(place, facts)
    assert "belongs to no index" in old.message


def test_files_that_others_can_read_are_warned_of_and_counted(gallery: Gallery) -> None:
    folder = gallery.place.folder
    assert folder is not None
    assert checking.too_wide(folder) == ()
    (folder / "gallery.db").chmod(0o644)
    (warning,) = checking.too_wide(folder)
    assert warning.startswith(f"{folder / 'gallery.db'} can be read by others; `chmod -R go= ")
    beside = folder.with_name("g.events-shop.json")
    beside.touch(0o644)
    beside.chmod(0o644)
    (warning,) = checking.too_wide(folder)
    assert "(and 1 more) can be read" in warning
    assert str(beside) in warning
