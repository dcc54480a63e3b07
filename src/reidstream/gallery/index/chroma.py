"""The vector index in ChromaDB: embedded in a folder that one process owns, or on a `chroma run` server."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from reidstream.config.redaction import redacted
from reidstream.config.secrets import filled_in
from reidstream.errors import GalleryCorrupt, GalleryError
from reidstream.gallery.index.exact import Nearest
from reidstream.types import FloatArray

COLLECTION = "tracklets"

HNSW: dict[str, Any] = {
    "space": "cosine",
    "max_neighbors": 32,
    "ef_construction": 200,
    "ef_search": 200,
    "sync_threshold": 500,
    "batch_size": 500,
}
"""Chosen so that at 100,000 vectors of people recall@10 against exact search stays above 0.99 (benchmarks/gallery.py).

ChromaDB's own defaults (16 neighbours, 100, 100) lose recall where many tracklets of one person lie close together.
The files are written after every ``sync_threshold`` changes.
"""

_EVERY_CHANGE = 2
"""The smallest number of changes that ChromaDB takes for how many come before its files are written."""

_UPSERT_LIMIT = 5000
"""Vectors in one call; ChromaDB 1.5 refuses more than 5,461."""

_GET_LIMIT = 10000

_NEAR = 10
"""Among so many nearest a vector must be: others may be alike to the last digit."""

_TRIES = 5
"""How often a vector that comes back is put in until it is found: 4 in 1,000 are not at the first time."""

_LOCKED_SECONDS = 30.0
"""How long a change waits for what still holds an embedded index's files."""


def chromadb() -> ModuleType:
    """ChromaDB, whose import takes half a second of processor.

    While it is imported it compares each of its methods with the one that it overrides, which is a sixth of that and
    what its own tests are for.
    """
    with contextlib.ExitStack() as stack:
        if "chromadb" not in sys.modules and importlib.util.find_spec("overrides") is not None:
            checking = importlib.import_module("overrides")
            for name in ("override", "overrides"):
                stack.callback(setattr, checking, name, getattr(checking, name))
                setattr(checking, name, _taken_on_trust)
        return importlib.import_module("chromadb")


def _taken_on_trust(method: Any = None, **_: bool) -> Any:
    """What ``overrides.override`` does, but for comparing."""
    if method is None:
        return _taken_on_trust
    method.__override__ = True
    return method


class ChromaIndex:
    """A VectorIndex over one ChromaDB collection with cosine distance.

    Embedded, the folder belongs to one process at a time: two writers lose vectors without an error, and a reader
    that was open before does not see what is written later. Opening may write, too.
    """

    def __init__(self, size: int, client: Callable[[], Any], collection: str, where: str) -> None:
        self._size = size
        self._where = where
        self._connect = client
        self._name = collection
        self._closed = False
        self._removed: set[str] = set()
        with self._explained():
            self._open()
            if self._collection.configuration_json["hnsw"]["sync_threshold"] != HNSW["sync_threshold"]:
                # Somebody was killed while saving.
                self._written_after(HNSW["sync_threshold"])

    def _open(self) -> None:
        self._client = self._connect()
        try:
            opened = partial(self._client.get_or_create_collection, self._name)
            self._collection = _unlocked(partial(opened, embedding_function=None, configuration={"hnsw": HNSW}))
        except BaseException:
            _let_go(self._client)
            raise

    @classmethod
    def in_folder(cls, folder: Path, size: int) -> ChromaIndex:
        """The index in a folder, made when it is not there. ``size``: number of dimensions."""

        def client() -> Any:
            return chromadb().PersistentClient(str(folder), settings=_settings())

        folder.mkdir(parents=True, exist_ok=True)
        return cls(size, client, COLLECTION, f"{folder}")

    @classmethod
    def on_server(cls, address: str, collection: str, size: int) -> ChromaIndex:
        """The named collection on the server at ``http://host:port``, made when it is not there."""
        return cls(size, lambda: _server(address), collection, f"collection {collection} on {redacted(address)}")

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        if vectors.shape != (len(ids), self._size):
            raise ValueError(f"vectors must have shape ({len(ids)}, {self._size}), got {vectors.shape}")
        # ChromaDB refuses an id that is given twice in one call; the later vector stays, as in two calls.
        last = {i: place for place, i in enumerate(ids)}
        names, places = list(last), list(last.values())
        with self._explained():
            for start in range(0, len(names), _UPSERT_LIMIT):
                some = slice(start, start + _UPSERT_LIMIT)
                self._put(names[some], vectors[places[some]])
        if back := [n for n, name in enumerate(names) if name in self._removed]:
            self._let_be_found([names[n] for n in back], vectors[[places[n] for n in back]])

    def _let_be_found(self, ids: list[str], vectors: FloatArray) -> None:
        """Have those that came back be found.

        HNSW only marks a removed vector as gone. The same one put in again may be linked with that alone, so that no
        search comes by it, not even one for everything; which links it gets is drawn by lot each time.
        """
        for _ in range(_TRIES):
            found = self.search(vectors, _NEAR)
            lost = [n for n, (i, near) in enumerate(zip(ids, found, strict=True)) if i not in near.ids]
            if not lost:
                return
            ids, vectors = [ids[n] for n in lost], vectors[lost]
            self.remove(ids)
            for start in range(0, len(ids), _UPSERT_LIMIT):
                with self._explained():
                    self._put(ids[start : start + _UPSERT_LIMIT], vectors[start : start + _UPSERT_LIMIT])

    def remove(self, ids: Sequence[str]) -> None:
        self._removed.update(ids)
        with self._explained():
            for start in range(0, len(ids), _UPSERT_LIMIT):
                _unlocked(partial(self._collection.delete, ids=list(ids[start : start + _UPSERT_LIMIT])))

    def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
        if k <= 0 or not len(vectors):
            return [Nearest([], np.zeros(0, np.float32)) for _ in vectors]
        with self._explained():
            found = self._collection.query(
                query_embeddings=np.asarray(vectors, np.float32), n_results=k, include=["distances"]
            )
        return [
            Nearest(list(ids), 1 - np.asarray(distances, np.float32))
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def save(self) -> None:
        """Have the HNSW files of an embedded index written now.

        Otherwise every process that opens it later indexes the last changes again, and writes files itself: at first
        with whatever it had in memory in the places of vectors that are not there.
        """
        threshold = HNSW["sync_threshold"]
        with self._explained():
            some = self._collection.get(include=["embeddings"], limit=threshold)
            # Nothing but changes makes ChromaDB write; putting the same again changes nothing else.
            if len(some["ids"]) == threshold:
                self._put(some["ids"], some["embeddings"])
            elif some["ids"]:
                # Too few for that: what is opened after it was told so writes after every change.
                self._written_after(_EVERY_CHANGE)
                for _ in range(2):
                    self._put(some["ids"][:1], some["embeddings"][:1])
                self._written_after(threshold)

    def _put(self, ids: list[str], vectors: FloatArray) -> None:
        _unlocked(lambda: self._collection.upsert(ids=ids, embeddings=vectors))

    def _written_after(self, changes: int) -> None:
        with warnings.catch_warnings():
            # It says that collections without a function that embeds are of an older kind.
            warnings.simplefilter("ignore", DeprecationWarning)
            hnsw = {"sync_threshold": changes, "batch_size": changes}
            _unlocked(lambda: self._collection.modify(configuration={"hnsw": hnsw}))
        _let_go(self._client)
        self._open()

    def ids(self) -> list[str]:
        ids: list[str] = []
        with self._explained():
            while len(some := self._collection.get(include=[], limit=_GET_LIMIT, offset=len(ids))["ids"]):
                ids.extend(some)
        return ids

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        place = {i: n for n, i in enumerate(ids)}
        vectors = np.zeros((len(ids), self._size), np.float32)
        seen = 0
        for start in range(0, len(ids), _UPSERT_LIMIT):
            with self._explained():
                found = self._collection.get(ids=list(ids[start : start + _UPSERT_LIMIT]), include=["embeddings"])
            if len(found["ids"]):
                vectors[[place[i] for i in found["ids"]]] = found["embeddings"]
            seen += len(found["ids"])
        if seen != len(place):
            raise KeyError(f"{len(place) - seen} of {len(place)} ids are not in the index")
        return vectors

    def __len__(self) -> int:
        with self._explained():
            return int(self._collection.count())

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            _let_go(self._client)

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        if self._closed:
            raise GalleryError(f"the vector index ({self._where}) is closed")
        return _explained(self._where)


def drop_collections(address: str, prefix: str, keep: str) -> None:
    """Delete a server's collections whose names begin with a prefix, except one.

    Their vectors stay readable in the server's files until these are deleted.
    """
    with _explained(redacted(address)):
        client = _server(address)
        try:
            for collection in client.list_collections():
                if collection.name.startswith(prefix) and collection.name != keep:
                    client.delete_collection(collection.name)
        finally:
            _let_go(client)


def _server(address: str) -> Any:
    parts = urlsplit(filled_in(address))
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    return chromadb().HttpClient(host=parts.hostname or "", port=port, ssl=secure, settings=_settings())


def _let_go(client: Any) -> None:
    """Close a client, and what ChromaDB leaves open of one that asks a server: connections of both its halves."""
    halves = (client, getattr(client, "_admin_client", None))
    sessions = [getattr(getattr(half, "_server", None), "_session", None) for half in halves]
    client.close()
    for session in sessions:
        if session is not None:
            session.close()


def _unlocked(change: Callable[[], Any]) -> Any:
    """What a change gives, asked again while the database of an embedded index is locked.

    A client that was closed lets go of the files a moment later, in ChromaDB's own threads: whoever opens them next may
    be refused at once. All changes that are asked for here can be made twice.
    """
    end, pause = time.monotonic() + _LOCKED_SECONDS, 0.01
    while True:
        try:
            return change()
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    # ChromaDB's failures come as its own errors, as ValueError (no connection), as whatever the transport raises,
    # and, for damaged files, as an exception of its Rust half that is not an Exception.
    try:
        yield
    except (GalleryError, KeyError, TypeError, ImportError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        text = str(error).strip() or type(error).__name__
        kind = GalleryCorrupt if type(error).__name__ == "PanicException" else GalleryError
        raise kind(f"the vector index ({where}) failed: {text}") from error


def _settings() -> Any:
    return chromadb().Settings(anonymized_telemetry=False)
