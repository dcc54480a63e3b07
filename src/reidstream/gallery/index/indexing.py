"""Keeping the vector index in step with the rows: the work of the one process that owns the gallery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from sqlalchemy import func, select

from reidstream.errors import GalleryError
from reidstream.gallery.database import Database
from reidstream.gallery.facts import Facts, read_facts, write_facts
from reidstream.gallery.index.building import IndexPlace, Progress, build
from reidstream.gallery.index.exact import VectorIndex
from reidstream.gallery.index.process import renew
from reidstream.gallery.rows import rows_after
from reidstream.gallery.schema import tracklets
from reidstream.types import FloatArray

_log = logging.getLogger(__name__)

_BATCH = 500
"""Rows put into the index together; ChromaDB is ten times faster with batches than with single vectors."""

_LINGER = 0.5
"""Seconds to wait for more rows before a small batch is put into the index."""

_RETRY = 10.0
"""Seconds before an index that failed is tried again."""

_SAMPLE = 16
"""Rows that are searched for when an index is opened, since its files may count vectors that they have lost. A quarter
may go unfound: the search is approximate, and among 500,000 tracklets some are out of its reach."""

_SAME = 0.999
"""Similarity that a stored vector must have to what the index finds for it."""


class Indexer:
    """Fills the index from the rows in a thread of its own, so that storing a tracklet never waits for it."""

    def __init__(self, database: Database, place: IndexPlace, facts: Facts) -> None:
        self._database = database
        self._place = place
        self._generation = facts.generation
        self._done = facts.indexed
        self._target = facts.revision
        self._index: VectorIndex | None = None
        # Opening ChromaDB costs seconds, which somebody who only names a person should not pay: files that nothing has
        # happened to are opened when there is something to put into them, or to search for.
        self._checked = facts.sealed and facts.indexed >= facts.revision and not place.is_server
        self._failures = 0
        self._unsaved = False
        self._error: GalleryError | None = None
        self._stopping = False
        self._hurry = False
        self._state = threading.Condition()
        # Held while rows go into the index: a row must not be deleted between being read and being indexed.
        self._work = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="gallery-index", daemon=True)
        self._thread.start()

    @property
    def index(self) -> VectorIndex | None:
        """The index that is being filled; None before it was opened and after it failed."""
        return self._index

    @property
    def generation(self) -> int:
        return self._generation

    def open_soon(self) -> None:
        """Somebody searches: have the index opened, and compared with the rows, in the background."""
        with self._state:
            if self._index is None:
                self._checked = False
                self._state.notify_all()

    def wake(self, revision: int) -> None:
        """Rows up to this revision have been stored."""
        with self._state:
            self._target = max(self._target, revision)
            self._state.notify_all()

    def flush(self) -> None:
        """Wait until every stored row is in the index. Raises GalleryError when the index fails."""
        with self._state:
            self._hurry = True
            self._error = None
            self._state.notify_all()
            self._state.wait_for(lambda: self._error is not None or (self._done >= self._target and self._checked))
            self._hurry = False
            if self._error is not None:
                raise self._error

    def remove(self, ids: Sequence[str], delete_rows: Callable[[], None]) -> None:
        """Delete rows with the given function, and their vectors from the index."""
        with self._work:
            delete_rows()
            # Should this fail, the check finds vectors without rows and makes the index anew.
            self._checked = False
            try:
                self._opened().remove(ids)
            except GalleryError as error:
                self._failed(error)

    def rebuild(self, progress: Progress | None = None) -> None:
        """Make new index files from the rows, use them from now on, and delete the old ones."""
        with self._work:
            generation = self._generation + 1
            # What an earlier attempt may have left there is of no use.
            self._place.delete_others(self._generation)
            done = build(self._database.place, self._place, generation, progress)
            with self._database.write() as connection:
                write_facts(connection, generation=generation, indexed=done, sealed=True)
            former, self._index = self._index, None
            self._generation = generation
            if former is not None:
                former.close()
            if not self._place.is_server:
                renew()
            self._place.delete_others(generation)
            with self._state:
                self._done, self._checked = done, True
                self._state.notify_all()

    def close(self, finish: bool) -> None:
        """Stop the thread, after the remaining rows if ``finish``; they are continued with the next time otherwise."""
        if finish:
            try:
                self.flush()
                if self._unsaved and self._index is not None and not self._place.is_server:
                    self._index.save()
            except GalleryError as error:
                _log.warning("%s; the rows are safe, the index is continued when the gallery is opened again", error)
        with self._state:
            self._stopping = True
            self._state.notify_all()
        self._thread.join()
        if self._index is not None:
            self._index.close()
            self._index = None
            if finish and self._checked and self._done >= self._target:
                with self._database.write() as connection:
                    write_facts(connection, sealed=True)

    def _run(self) -> None:
        while self._wait():
            try:
                self._step()
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, waiting callers must hear of it
                self._failures += 1
                self._failed(error if isinstance(error, GalleryError) else GalleryError(f"indexing failed: {error!r}"))
                with self._state:
                    self._state.wait_for(lambda: self._stopping or self._hurry, timeout=_RETRY)

    def _wait(self) -> bool:
        """Sleep until there is enough to do; False when it is time to stop."""
        with self._state:
            self._state.wait_for(lambda: self._stopping or not self._checked or self._done < self._target)
            self._state.wait_for(
                lambda: self._stopping or self._hurry or self._target - self._done >= _BATCH, timeout=_LINGER
            )
            return not self._stopping

    def _step(self) -> None:
        with self._work:
            if self._failures > 1 and not self._place.is_server:
                # It failed again after it was opened anew: these files are of no use.
                self.rebuild()
            index = self._opened()
            done = self._batch(index)
            if done >= self._target and not self._checked:
                self._check(index)
            with self._state:
                self._state.notify_all()

    def _opened(self) -> VectorIndex:
        if self._index is None:
            if not self._place.is_server:
                self._place.delete_others(self._generation)
            with self._database.write() as connection:
                write_facts(connection, sealed=False)
            self._index = self._place.open_apart(self._generation)
        return self._index

    def _batch(self, index: VectorIndex) -> int:
        with self._state:
            target = self._target
        ids, vectors, last = self._rows_after(self._done, _BATCH)
        if ids:
            index.upsert(ids, vectors)
            self._unsaved = True
        done = last if len(ids) == _BATCH else max(last, target)
        if done > self._done:
            with self._database.write() as connection:
                write_facts(connection, indexed=done)
            with self._state:
                self._done = done
        return done

    def _check(self, index: VectorIndex) -> None:
        """Once all rows are in: does the index hold them and nothing else? A crash could have come in between."""
        with self._database.read() as connection:
            rows = connection.execute(select(func.count()).select_from(tracklets)).scalar_one()
            revision = read_facts(connection).revision
            _, sample, _ = rows_after(connection, 0, _SAMPLE, self._place.size)
        if revision > self._done:
            return
        held = len(index)
        missed = sum(nearest.similarities[:1].sum() < _SAME for nearest in index.search(sample, 1))
        if held != rows or missed > len(sample) // 4:
            _log.warning("the index does not match the %d tracklets (%d vectors) and is made anew", rows, held)
            self.rebuild()
        with self._state:
            self._checked = True

    def _rows_after(self, revision: int, limit: int) -> tuple[list[str], FloatArray, int]:
        with self._database.read() as connection:
            return rows_after(connection, revision, limit, self._place.size)

    def _failed(self, error: GalleryError) -> None:
        _log.warning("%s; searches compare exactly what the index does not hold", error)
        index, self._index = self._index, None
        if index is not None:
            index.close()
        with self._state:
            self._error = error
            # Whoever waited hears of it, and is in no hurry any more: it is tried again after a pause.
            self._hurry = False
            self._checked = False
            self._state.notify_all()
