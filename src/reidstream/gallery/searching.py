"""Answering searches: candidates from the index, the newest rows compared exactly, filters and truth from SQL.

What an index does not hold yet, or what a reader cannot see in it because another process is writing, is kept in an
exact index in memory, the tail. So an answer never misses a row that was stored before it was asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, func, select

from reidstream.errors import GalleryError
from reidstream.gallery.database import Database
from reidstream.gallery.facts import Facts, demand_same_space, read_facts
from reidstream.gallery.index.building import IndexPlace
from reidstream.gallery.index.exact import ExactIndex, Nearest, VectorIndex, largest
from reidstream.gallery.index.indexing import Indexer
from reidstream.gallery.index.processes import Processes
from reidstream.gallery.ownership import index_files_at_rest
from reidstream.gallery.rows import Filter, checked_vectors, in_chunks, in_zones, rows_after
from reidstream.gallery.schema import embeddings, tracklets
from reidstream.types import EmbeddingSpace, FloatArray, Match

_log = logging.getLogger(__name__)

_FEW = 2000
"""A filter that leaves at most this many tracklets is answered by comparing them all: cheaper than to search widely."""

_FIRST_WIDE = 256
"""Candidates asked for first when there is a filter; fewer would cost hardly less, since the index looks at as many."""

_AT_ONCE = 48
"""Candidates whose rows are looked up together."""

_WIDEST = 4000
"""Candidates beyond which comparing everything the filter leaves is cheaper."""

_CANDIDATES = select(
    *(tracklets.c[name] for name in ("id", "source", "content", "start_wall", "end_wall", "start_media", "end_media"))
).where(tracklets.c.id.in_(bindparam("ids", expanding=True)))
"""What a filter can ask about, of the rows with these ids."""

_IDS = select(tracklets.c.seq, tracklets.c.id).where(tracklets.c.seq.in_(bindparam("numbers", expanding=True)))
"""The ids of the rows with these numbers."""

_SPARE = 6
"""Candidates asked for of an index process beyond those wanted, since some may have been erased a moment ago."""

_LONG_TAIL = 5000
"""Rows in the tail above which the index is looked at again."""

_LOAD = 5000

_ROUNDING = 1e-3
"""Seconds; times in Unix seconds are exact to a quarter of a microsecond."""


class Searcher:
    """Searches one gallery; keeps what it has loaded from one search to the next. Safe to use from several threads."""

    def __init__(self, database: Database, place: IndexPlace, indexer: Indexer | None, space: EmbeddingSpace) -> None:
        """``indexer``: the owner's; None for a reader. space: of the vectors that are searched for."""
        self._space = space
        self._database = database
        self._place = place
        self._indexer = indexer
        self._processes = Processes() if database.place.url is not None else None
        self._lock = threading.Lock()
        self._opened: VectorIndex | None = None
        self._opened_generation = 0
        self._opened_revision = 0
        self._tail = ExactIndex(place.size)
        self._tail_from = 0
        self._tail_to = 0
        self._longest = 0.0
        self._longest_to = 0

    def search(self, vectors: FloatArray, k: int, where: Filter) -> list[list[Match]]:
        """The k most similar of the tracklets that the filter leaves, for each query, best first."""
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        queries = checked_queries(vectors, self._place.size)
        with self._database.read() as connection:
            demand_same_space(connection, str(self._database.place), self._space)
            if (answers := self._asked(connection, queries, k, where)) is not None:
                return answers
            if where and (few := self._few(connection, where)) is not None:
                return _compared(connection, few, queries, k, self._place.size)
            with self._lock:
                facts = read_facts(connection)
                base = self._refreshed(connection, facts)
            return self._widening(connection, queries, k, where, base, facts.revision)

    def _asked(self, connection: Connection, queries: FloatArray, k: int, where: Filter) -> list[list[Match]] | None:
        """What an index process finds, and rows that it does not know yet; None: there is none, or it is behind."""
        # Where somebody was in zones is not in its memory.
        if self._processes is None or where.zones:
            return None
        facts = read_facts(connection)
        wanted = k + _SPARE
        while (answered := self._processes.ask(connection, facts, queries, wanted, where)) is not None:
            if facts.revision - answered.revision > _LONG_TAIL:
                return None
            tail = ExactIndex(self._place.size)
            if answered.revision < facts.revision:
                ids, vectors, _ = rows_after(connection, answered.revision, _LONG_TAIL, self._place.size)
                tail.upsert(ids, vectors)
            newest = tail.search(queries, len(tail))
            found = [_merged(a, b, tail) for a, b in zip(newest, answered.nearest, strict=True)]
            answers = _valid(connection, where, found, k)
            # What was erased since it looked last is not among them: then there may be others behind.
            whole = all(
                len(some) == k or len(nearest.ids) < wanted
                for some, nearest in zip(answers, answered.nearest, strict=True)
            )
            if whole:
                return answers
            if wanted > _WIDEST + 4 * k:
                return None
            wanted *= 4
        return None

    def close(self) -> None:
        if self._processes is not None:
            self._processes.close()
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _few(self, connection: Connection, where: Filter) -> Sequence[Any] | None:
        """Row number and vector of every tracklet that the filter leaves; None when they are not few."""
        clause = where.clause()
        if where.since is not None:
            # Then the index on times need not be read from the beginning of the gallery to what the filter begins with.
            clause &= tracklets.c.start_wall >= where.since - self._longest_until_now(connection)
        matching = select(tracklets.c.seq).where(clause).limit(_FEW + 1)
        if connection.execute(select(func.count()).select_from(matching.subquery())).scalar_one() > _FEW:
            return None
        # Of the tracklets nothing but the number is asked for: an index has it, and their rows need not be read.
        query = select(tracklets.c.seq, embeddings.c.vector).join(embeddings, embeddings.c.seq == tracklets.c.seq)
        return connection.execute(query.where(clause)).all()

    def _longest_until_now(self, connection: Connection) -> float:
        """Seconds that no tracklet was in view for longer; those that were deleted count still."""
        length = select(func.max(tracklets.c.end_wall - tracklets.c.start_wall))
        revision = read_facts(connection).revision
        with self._lock:
            if revision > self._longest_to:
                newer = length.where(tracklets.c.revision > self._longest_to) if self._longest_to else length
                # Room for what rounding does to times in Unix seconds.
                found = (connection.execute(newer).scalar_one() or 0.0) + _ROUNDING
                self._longest, self._longest_to = max(self._longest, found), revision
            return self._longest

    def _exact(self, connection: Connection, where: Filter) -> ExactIndex:
        index = ExactIndex(self._place.size)
        query = (
            select(tracklets.c.id, embeddings.c.vector)
            .join(embeddings, embeddings.c.seq == tracklets.c.seq)
            .where(where.clause())
        )
        for rows in connection.execute(query.execution_options(yield_per=_LOAD)).partitions():
            ids, blobs = zip(*rows, strict=True)
            index.upsert(ids, checked_vectors(ids, blobs, self._place.size))
        return index

    def _refreshed(self, connection: Connection, facts: Facts) -> VectorIndex | None:
        """The index to ask; afterwards the tail holds every row that this index may lack."""
        base, complete_to = self._base(facts)
        if complete_to < self._tail_from or complete_to > self._tail_from + _LONG_TAIL:
            self._tail, self._tail_from, self._tail_to = ExactIndex(self._place.size), complete_to, complete_to
        while self._tail_to < facts.revision:
            ids, vectors, last = rows_after(connection, self._tail_to, _LOAD, self._place.size)
            if not ids:
                self._tail_to = facts.revision
                break
            self._tail.upsert(ids, vectors)
            self._tail_to = last
        return base

    def _base(self, facts: Facts) -> tuple[VectorIndex | None, int]:
        if facts.index == "exact":
            return None, 0
        if self._indexer is not None:
            index = self._indexer.index
            if index is None:
                self._indexer.open_soon()
            return (index, facts.indexed) if index is not None else (None, 0)
        if self._opened is not None and self._opened_generation != facts.generation:
            self._opened.close()
            self._opened = None
        behind = facts.revision - (self._opened_revision if self._opened is not None else self._tail_to)
        if behind > _LONG_TAIL:
            self._open(facts)
        if self._opened is None:
            return None, 0
        return self._opened, facts.indexed if self._place.is_server else self._opened_revision

    def _open(self, facts: Facts) -> None:
        """Load the index, unless somebody is writing to its files just now."""
        try:
            if self._place.is_server:
                if self._opened is None:
                    self._opened, self._opened_generation = self._place.open(facts.generation), facts.generation
                return
            assert self._place.folder is not None
            with index_files_at_rest(self._place.folder) as at_rest:
                if not at_rest or not self._place.files(facts.generation).is_dir():
                    return
                if self._opened is not None:
                    self._opened.close()
                    self._opened = None
                index = self._place.open(facts.generation)
                # ChromaDB loads its files, and may write to them, with the first search.
                index.search(np.ones((1, self._place.size), np.float32), 1)
                self._opened, self._opened_generation = index, facts.generation
                self._opened_revision = facts.indexed
        except GalleryError as error:
            _log.warning("%s; every vector is compared instead", error)
            self._opened = None

    def _widening(
        self,
        connection: Connection,
        queries: FloatArray,
        k: int,
        where: Filter,
        base: VectorIndex | None,
        most: int,
    ) -> list[list[Match]]:
        """Ask for more candidates until k of them are rows that the filter leaves, for every query.

        ``most``: there are no more rows than this.
        """
        wanted = max(k, _FIRST_WIDE) if where else k
        answers: list[list[Match]] = [[] for _ in queries]
        open_queries = np.arange(len(queries))
        while len(open_queries):
            found = self._candidates(queries[open_queries], wanted, base)
            unfinished = []
            fewest = k
            for place, matches in zip(open_queries.tolist(), _valid(connection, where, found, k), strict=True):
                answers[place] = matches
                if len(matches) < k and wanted < most:
                    unfinished.append(place)
                    fewest = min(fewest, len(matches))
            open_queries = np.array(unfinished, np.intp)
            wanted = max(2 * wanted, int(1.5 * wanted * k / max(fewest, 1)))
            if len(open_queries) and wanted > max(_WIDEST, 2 * k):
                exact = self._exact(connection, where)
                for place, nearest in zip(unfinished, exact.search(queries[open_queries], k), strict=True):
                    answers[place] = _matches(nearest)
                break
        return answers

    def _candidates(self, queries: FloatArray, wanted: int, base: VectorIndex | None) -> list[Nearest]:
        with self._lock:
            tail = self._tail
            newest = tail.search(queries, wanted)
        if base is None:
            return newest
        try:
            older = base.search(queries, wanted)
        except GalleryError as error:
            _log.warning("%s; every vector is compared instead", error)
            with self._lock, self._database.read() as connection:
                everything = self._exact(connection, Filter())
            return everything.search(queries, wanted)
        return [_merged(a, b, tail) for a, b in zip(newest, older, strict=True)]


def checked_queries(vectors: FloatArray, size: int) -> FloatArray:
    """Queries as float32 (q, size) of unit length. ValueError says what is wrong with them."""
    queries = np.atleast_2d(np.asarray(vectors, np.float32))
    if queries.ndim != 2 or queries.shape[1] != size:
        raise ValueError(f"query vectors must have shape (q, {size}), got {np.shape(vectors)}")
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ValueError("query vectors must be finite and not zero")
    unit: FloatArray = (queries / lengths).astype(np.float32)
    return unit


def _valid(connection: Connection, where: Filter, found: Sequence[Nearest], k: int) -> list[list[Match]]:
    """For each answer of the index the first k, or as many as there are, whose rows the filter leaves."""
    # Mostly the first few will do, and asking SQL for a row costs more than the index takes to find it.
    step = max(_AT_ONCE, 2 * k)
    matches: list[list[Match]] = [[] for _ in found]
    for start in range(0, max((len(nearest.ids) for nearest in found), default=0), step):
        open_answers = [n for n, some in enumerate(matches) if len(some) < k]
        if not open_answers:
            break
        part = slice(start, start + step)
        valid = _rows_that_hold(connection, where, {i for n in open_answers for i in found[n].ids[part]})
        for n in open_answers:
            new = _matches(Nearest(found[n].ids[part], found[n].similarities[part]))
            matches[n] += [match for match in new if match.tracklet in valid]
    return [some[:k] for some in matches]


def _rows_that_hold(connection: Connection, where: Filter, ids: set[str]) -> set[str]:
    held: set[str] = set()
    # Not filtered by SQL: SQLite then goes through all rows of a camera instead of through these few. Only who was in
    # which zone is asked for, since that is no column of a row.
    candidates = _CANDIDATES.where(in_zones(where.zones)) if where.zones else _CANDIDATES
    for some in in_chunks(sorted(ids)):
        held.update(row[0] for row in connection.execute(candidates, {"ids": list(some)}) if where.holds(*row[1:]))
    return held


def _merged(newest: Nearest, older: Nearest, tail: ExactIndex) -> Nearest:
    # A row that was replaced is in both; what the index holds of it is its former vector.
    stay = [n for n, i in enumerate(older.ids) if i not in tail]
    ids = newest.ids + [older.ids[n] for n in stay]
    similarities = np.concatenate([newest.similarities, older.similarities[stay]])
    order = np.argsort(-similarities, kind="stable")
    return Nearest([ids[n] for n in order], similarities[order])


def _compared(connection: Connection, rows: Sequence[Any], queries: FloatArray, k: int, size: int) -> list[list[Match]]:
    """The k most similar of these rows, for each query."""
    if not rows:
        return [[] for _ in queries]
    numbers, blobs = zip(*rows, strict=True)
    vectors = checked_vectors([f"in row {number}" for number in numbers], blobs, size)
    answers = []
    for query in queries:
        similarities = vectors @ query
        best = largest(similarities, k)
        answers.append([(numbers[place], float(similarities[place])) for place in best])
    wanted = sorted({number for answer in answers for number, _ in answer})
    ids: dict[int, str] = {}
    for some in in_chunks(wanted):
        ids.update((row[0], row[1]) for row in connection.execute(_IDS, {"numbers": list(some)}))
    return [[Match(ids[number], similarity) for number, similarity in answer] for answer in answers]


def _matches(nearest: Nearest) -> list[Match]:
    return [Match(i, float(s)) for i, s in zip(nearest.ids, nearest.similarities, strict=True)]
