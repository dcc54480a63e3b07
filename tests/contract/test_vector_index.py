"""What every vector index promises: the same tests for the one that compares all, the one in memory for large
galleries, ChromaDB in a folder, ChromaDB's own server and pgvector."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reidstream.errors import GalleryError
from reidstream.gallery.database import place_of
from reidstream.gallery.index.chroma import COLLECTION, ChromaIndex
from reidstream.gallery.index.exact import ExactIndex, Nearest, VectorIndex
from reidstream.gallery.index.memory import MemoryIndex
from reidstream.gallery.index.pgvector import PgVectorIndex
from reidstream.types import FloatArray

SIZE = 24


def some(n: int, seed: int = 0) -> tuple[list[str], FloatArray]:
    vectors = np.random.default_rng(seed).normal(size=(n, SIZE)).astype(np.float32)
    return [f"{seed:02x}{i:030x}" for i in range(n)], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ChromaDB's own server (`chroma run`)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma-server")
    words = ["run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        command = [str(Path(sys.executable).with_name("chroma")), *words]
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        else:
            raise AssertionError((folder / "log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


_collections = itertools.count()


@pytest.fixture(params=["exact", "memory", "chroma", "chroma server", "pgvector"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    made: Callable[[], VectorIndex] = {
        "exact": lambda: ExactIndex(SIZE),
        "memory": lambda: MemoryIndex(SIZE),
        "chroma server": lambda: ChromaIndex.on_server(
            request.getfixturevalue("chroma_server"), f"contract-{next(_collections)}", SIZE
        ),
        "chroma": lambda: ChromaIndex.in_folder(tmp_path / "index", SIZE),
        "pgvector": lambda: PgVectorIndex(place_of(request.getfixturevalue("postgres")), "0" * 32, 1, SIZE, make=True),
    }[request.param]
    index = made()
    yield index
    index.close()


def test_the_nearest_are_the_truly_most_similar_best_first(index: VectorIndex) -> None:
    ids, vectors = some(600)
    index.upsert(ids, vectors)
    queries = some(20, seed=1)[1]
    for query, nearest in zip(queries, index.search(queries, 10), strict=True):
        similarities = vectors @ query
        best = np.argsort(-similarities)[:10]
        assert nearest.ids == [ids[n] for n in best]
        assert nearest.similarities.dtype == np.float32
        np.testing.assert_allclose(nearest.similarities, similarities[best], atol=1e-5)


def test_an_empty_index_and_no_queries_answer_nothing(index: VectorIndex) -> None:
    ids, vectors = some(3)
    assert [nearest.ids for nearest in index.search(vectors, 5)] == [[], [], []]
    assert len(index) == 0
    assert index.ids() == []
    index.upsert(ids, vectors)
    assert index.search(np.zeros((0, SIZE), np.float32), 5) == []
    index.upsert([], np.zeros((0, SIZE), np.float32))
    index.remove([])
    assert len(index) == 3


def test_asking_for_more_than_there_are_gives_all(index: VectorIndex) -> None:
    ids, vectors = some(7)
    index.upsert(ids, vectors)
    assert [sorted(nearest.ids) for nearest in index.search(vectors[:2], 500)] == [ids, ids]


def test_a_known_id_gets_its_new_vector(index: VectorIndex) -> None:
    ids, vectors = some(5)
    index.upsert(ids, vectors)
    index.upsert(ids[:2], vectors[3:])
    assert len(index) == 5
    np.testing.assert_allclose(index.vectors(ids[:2]), vectors[3:], atol=1e-6)
    assert set(index.search(vectors[3:4], 2)[0].ids) == {ids[0], ids[3]}


def test_of_an_id_given_twice_the_later_vector_stays(index: VectorIndex) -> None:
    ids, vectors = some(3)
    index.upsert([ids[0], ids[1], ids[0]], vectors)
    assert sorted(index.ids()) == ids[:2]
    np.testing.assert_allclose(index.vectors([ids[0]]), vectors[2:], atol=1e-6)


def test_what_was_removed_is_not_found_again(index: VectorIndex) -> None:
    ids, vectors = some(40)
    index.upsert(ids, vectors)
    index.remove([ids[3], ids[17], "unknown"])
    assert len(index) == 38
    assert set(index.ids()) == set(ids) - {ids[3], ids[17]}
    assert ids[3] not in index.search(vectors[3:4], 40)[0].ids
    index.upsert(ids[3:4], vectors[3:4])
    assert index.search(vectors[3:4], 1)[0].ids == [ids[3]]


def test_vectors_come_back_in_the_order_asked_for(index: VectorIndex) -> None:
    ids, vectors = some(30)
    index.upsert(ids, vectors)
    order = [4, 29, 0]
    np.testing.assert_allclose(index.vectors([ids[n] for n in order]), vectors[order], atol=1e-6)
    with pytest.raises(KeyError):
        index.vectors([ids[0], "unknown"])


def test_vectors_of_another_shape_are_refused(index: VectorIndex) -> None:
    ids, vectors = some(2)
    with pytest.raises(ValueError, match=r"vectors must have shape \(2, 24\), got \(2, 23\)"):
        index.upsert(ids, vectors[:, 1:])
    with pytest.raises(ValueError, match=r"vectors must have shape \(1, 24\), got \(2, 24\)"):
        index.upsert(ids[:1], vectors)


def test_what_comes_back_to_chromadb_is_put_in_until_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(ChromaIndex.in_folder(tmp_path / "index", SIZE)) as index:
        ids, vectors = some(20)
        index.upsert(ids, vectors)
        index.remove(ids[3:5])
        search, put = index.search, index._put
        asked: list[int] = []
        times: list[list[str]] = []

        def blind_at_first(queries: FloatArray, k: int) -> list[Nearest]:
            asked.append(len(queries))
            found = search(queries, k)
            return [Nearest([], near.similarities[:0]) for near in found] if len(asked) < 3 else found

        def counted(names: list[str], values: FloatArray) -> None:
            times.append(names)
            put(names, values)

        monkeypatch.setattr(index, "search", blind_at_first)
        monkeypatch.setattr(index, "_put", counted)
        index.upsert(ids[:5], vectors[:5])
        assert times == [ids[:5], ids[3:5], ids[3:5]]
        assert asked == [2, 2, 2]
        assert len(index) == 20


def test_chromadb_finds_after_opening_again_what_was_put_in_before(tmp_path: Path) -> None:
    ids, vectors = some(700)
    for part in (slice(0, 600), slice(600, 700)):
        index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
        index.upsert(ids[part], vectors[part])
        index.save()
        index.close()
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    assert len(index) == 700
    assert [nearest.ids[0] for nearest in index.search(vectors[::50], 1)] == ids[::50]
    index.close()


@pytest.mark.parametrize("count", [1, 2, 3, 40, 499, 500, 650])
def test_a_saved_index_is_whole_in_its_files_and_opening_it_writes_nothing(tmp_path: Path, count: int) -> None:
    ids, vectors = some(count)
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    index.upsert(ids, vectors)
    index.save()
    index.close()
    saved = {path: path.read_bytes() for path in (tmp_path / "index").rglob("*.bin")}
    assert saved
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    assert len(index) == count
    assert [nearest.ids[0] for nearest in index.search(vectors[:50], 1)] == ids[:50]
    index.close()
    assert {path: path.read_bytes() for path in (tmp_path / "index").rglob("*.bin")} == saved


def test_a_saving_that_was_killed_does_not_make_later_changes_slow(tmp_path: Path) -> None:
    """ChromaDB is told to write after every change while a small index is saved."""
    import chromadb
    from chromadb.config import Settings

    def configured() -> int:
        client = chromadb.PersistentClient(str(tmp_path / "index"), settings=Settings(anonymized_telemetry=False))
        found: int = client.get_collection(COLLECTION).configuration_json["hnsw"]["sync_threshold"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            client.get_collection(COLLECTION).modify(configuration={"hnsw": {"sync_threshold": 2, "batch_size": 2}})
        client.close()
        return found

    ChromaIndex.in_folder(tmp_path / "index", SIZE).close()
    usual = configured()
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    index.upsert(*some(10))
    index.save()
    index.close()
    assert configured() == usual > 2


def test_changes_wait_for_files_that_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closed an index lets go of its files a moment later, in ChromaDB's own threads."""
    from chromadb.api.models.Collection import Collection
    from chromadb.api.rust import RustBindingsAPI
    from chromadb.errors import InternalError

    refused: list[str] = []

    def held(kind: type, name: str) -> None:
        usual = getattr(kind, name)

        def first_refused(*args: object, **named: object) -> object:
            if name not in refused:
                refused.append(name)
                raise InternalError("Database error: error returned from database: (code: 5) database is locked")
            return usual(*args, **named)

        monkeypatch.setattr(kind, name, first_refused)

    held(RustBindingsAPI, "get_or_create_collection")
    for change in ("upsert", "delete", "modify"):
        held(Collection, change)
    ids, vectors = some(10)
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    index.upsert(ids, vectors)
    index.remove(ids[:2])
    index.save()
    assert sorted(index.ids()) == sorted(ids[2:])
    index.close()
    assert sorted(refused) == ["delete", "get_or_create_collection", "modify", "upsert"]


def test_other_failures_of_changes_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chromadb.api.models.Collection import Collection
    from chromadb.errors import InternalError

    asked: list[int] = []

    def full(*_: object, **__: object) -> None:
        asked.append(1)
        raise InternalError("database or disk is full")

    monkeypatch.setattr(Collection, "upsert", full)
    index = ChromaIndex.in_folder(tmp_path / "index", SIZE)
    with pytest.raises(GalleryError, match="disk is full"):
        index.upsert(*some(10))
    index.close()
    assert asked == [1]


def test_a_server_that_is_not_there_is_reported() -> None:
    with pytest.raises(GalleryError, match=r"the vector index \(collection people on http://127\.0\.0\.1:9\) failed"):
        ChromaIndex.on_server("http://127.0.0.1:9", "people", SIZE)
