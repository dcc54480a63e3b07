"""The gallery: finished tracks go in, and are listed, searched and read."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sqlalchemy import Connection, func, select

from reidstream.errors import GalleryError, TrackletNotFound
from reidstream.files import OWNER_ONLY, Access, access_of
from reidstream.gallery import appearances, left_out, recordings
from reidstream.gallery.appearances import Prototypes
from reidstream.gallery.batch import Batch
from reidstream.gallery.checking import CheckReport, check
from reidstream.gallery.database import Place
from reidstream.gallery.erasing import Erasure, erase, finish_erasure
from reidstream.gallery.facts import Facts, demand_same_space, read_facts
from reidstream.gallery.fencing import Fence
from reidstream.gallery.index.building import PGVECTOR, IndexPlace, Progress
from reidstream.gallery.index.indexing import Indexer
from reidstream.gallery.migrations import Migration, migrate
from reidstream.gallery.opening import Opened
from reidstream.gallery.ownership import writer_of, writer_on
from reidstream.gallery.partitions import Room
from reidstream.gallery.personal import Subject
from reidstream.gallery.recordings import Begin, Recording
from reidstream.gallery.rows import (
    EVERYTHING,
    Filter,
    Rows,
    in_chunks,
    more_crops_held,
    rows_of,
    stays_of,
    tracklet_of,
    whole_tracklets,
)
from reidstream.gallery.schema import crops, tracklets
from reidstream.gallery.searching import Searcher
from reidstream.gallery.storing import check_tracklets, left_over, remove, store
from reidstream.gallery.unannounced import Unannounced
from reidstream.types import EmbeddingSpace, FloatArray, LeftOut, Match, SourceEnded, SourceStarted, Tracklet

if TYPE_CHECKING:
    from reidstream.config.gallery import GalleryConfig
    from reidstream.search.query import Photo

_log = logging.getLogger(__name__)


class Gallery:
    """A folder or a PostgreSQL database full of tracklets, with a vector index over them.

    One process writes, any number read. ``add`` has stored what it was given when it returns; the index follows in
    the background, and searches are complete at every moment. Safe to use from several threads.
    """

    def __init__(self, opened: Opened) -> None:
        """Use ``Gallery.open``."""
        self._opened = opened
        self._database = database = opened.database
        self._facts = facts = opened.facts
        self._writing = threading.Lock()
        self._attempts: dict[str, int] = {}
        self._open_sources: dict[str, str] = {}
        self.unannounced = Unannounced()
        """What its own process did to stored tracklets that no event tells of."""
        self.kept_out = 0
        """How many tracklets were left out since it was opened, because they had been erased before."""
        self._closed = False
        place = IndexPlace(database.place.folder, facts.index, facts.uuid, facts.space.size, database.place)
        has_indexer = opened.ownership is not None and facts.index != "exact"
        self._indexer = Indexer(database, place, facts) if has_indexer else None
        self._room = None if opened.ownership is None or database.is_sqlite else Room(database)
        self._searcher = Searcher(database, place, self._indexer, facts.space)

    @classmethod
    def open(
        cls,
        path_or_url: str | Path,
        *,
        write: bool = False,
        create: bool = False,
        space: EmbeddingSpace | None = None,
        model: str = "",
        config: GalleryConfig | None = None,
        keep_empty: bool = True,
    ) -> Gallery:
        """Open a gallery: a folder, or ``postgresql://user@host/name``.

        write: become the one process that may change it. create: make it when it is not there (needs ``write`` and
        ``space``; ``model`` is the name or path under which others can open the model of that space).
        space: what the caller's vectors are made with; refused unless it is the gallery's.
        config: how a new gallery is kept. keep_empty: whether one that was made here stays when it is closed before
        anything could be read into it.

        Raises GalleryNotFound, GalleryLocked, GalleryMismatch (other embedding space, newer version), GalleryCorrupt.
        """
        opened = Opened.at(
            path_or_url, write=write, create=create, space=space, model=model, config=config, keep_empty=keep_empty
        )
        gallery = cls(opened)
        if write and opened.facts.erasing:
            try:
                finish_erasure(opened.database, lambda: gallery._rebuild(None))
            except BaseException:
                gallery.close(finish=False)
                raise
        return gallery

    def __enter__(self) -> Gallery:
        self._database.ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(finish=kind is None)

    def close(self, *, finish: bool = True) -> None:
        """Let go of the gallery. The index is brought up to date first if ``finish``, else when it is opened again."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
        try:
            vanishes = self._opened.vanishes()
            if self._indexer is not None:
                self._indexer.close(finish and not vanishes)
            self._searcher.close()
        except BaseException:
            self._opened.abandon()
            raise
        self._opened.let_go(vanishes)

    @property
    def place(self) -> Place:
        return self._database.place

    @property
    def access(self) -> Access:
        """Who may read and change the gallery's files, and what is written out of them."""
        folder = self.place.folder
        return OWNER_ONLY if folder is None else access_of(folder)

    @property
    def writable(self) -> bool:
        return self._opened.ownership is not None and not self._closed

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of its vectors."""
        return self._facts.space

    @property
    def calibration(self) -> str:
        """Name of what its similarities are read with before they say it themselves; see ``expected_looks``."""
        return self.facts().calibration

    @property
    def model(self) -> str:
        """Name or path under which the embedding model was opened; empty when unknown."""
        return self._facts.model

    def facts(self) -> Facts:
        """What the gallery says of itself now."""
        with self.read() as connection:
            return read_facts(connection)

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view of the tables, for packages that keep tables of their own beside these."""
        return self._database.read()

    def write(self, *fences: Fence) -> AbstractContextManager[Connection]:
        """A transaction: all or nothing.

        fences: of further scopes that it writes in, see ``fencing``; the owner's is always checked. Raises GalleryError
        unless the gallery was opened for writing and not closed since, GalleryLocked when somebody has taken it over.
        """
        return self._database.write(*fences)

    def migrate(self, component: str, migrations: Sequence[Migration]) -> list[str]:
        """Bring another component's tables up to date; see ``migrations.migrate``.

        Such tables should refer to ``tracklets.id`` by a foreign key that cascades, so that erasing a person reaches
        them, too; each needs a MetaData of its own.
        """
        with self.write() as connection:
            return migrate(connection, component, migrations)

    # -- writing

    def begin_source(
        self, started: SourceStarted, settings: str, *, replace: bool = False, formerly: str = ""
    ) -> Begin:
        """What to do with a source that has just started; see Begin.

        settings: a fingerprint of everything that decides what its tracklets look like. formerly: the same as an
        earlier version wrote it.
        replace: forget what is stored of this content first, so that it is ingested anew.
        Raises GalleryMismatch when the content was read with other settings before and ``replace`` is not set.
        """
        if replace:
            self._forget(started.content)
        with self._writing, self.write() as connection:
            begin, attempt, renamed = recordings.begin(connection, started, settings, formerly)
        self.unannounced.changed(renamed)
        if begin is not Begin.ELSEWHERE:
            self._attempts[started.content] = attempt
        if begin.wanted:
            self._open_sources[started.source] = started.content
        return begin

    def end_source(self, ended: SourceEnded, content: str | None = None) -> None:
        """Note how a source ended. One that was never begun, or was not wanted, is none of the gallery's business.

        content: which of its recordings has ended; the one that was begun last if not given.
        """
        self._database.ready()
        begun = self._open_sources.pop(ended.source, None)
        content = content or begun
        if content is None:
            return
        with self._writing, self.write() as connection:
            recordings.end(connection, content, ended)
            complete = ended.error is None and not ended.stopped
            stale = left_over(connection, content, self._attempts[content]) if complete else []
        if stale:
            self._remove(stale)

    def break_off(self, contents: Sequence[str]) -> None:
        """Note of recordings that whoever read them is gone without a word; the next run goes on with them."""
        self._database.ready()
        if contents:
            with self._writing, self.write() as connection:
                recordings.break_off(connection, contents)

    def add(self, batch: Sequence[Tracklet]) -> int:
        """Store tracklets whose source has begun; how many were not there before. On the disk when it returns.

        What is there already stays as it is, except for tracks that an earlier, stopped run had cut short. What was
        erased stays away, also when it comes with other ids; ``kept_out`` counts it.
        """
        self._database.ready()
        if not batch:
            return 0
        check_tracklets(batch, self.space.size, self._attempts)
        with self._writing:
            with self.write() as connection:
                stored = store(connection, batch, self._attempts)
            self.unannounced.changed(stored.changed)
            self.kept_out += stored.kept_out
        self._stored(stored.revision)
        return len(stored.new)

    def leave_out(self, batch: Sequence[LeftOut]) -> None:
        """Note what of a source that has begun was not worth storing, and why."""
        self._database.ready()
        if batch:
            with self._writing, self.write() as connection:
                left_out.write(connection, batch)

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Recordings and tracklets that go in together, in one transaction: all, or none when the block fails."""
        self._database.ready()
        with self._writing:
            with self.write() as connection:
                batch = Batch(connection, self.space.size)
                yield batch
            self.unannounced.changed(batch.changed)
            self.unannounced.gone(batch.removed)
            self.kept_out += batch.kept_out
        if self._indexer is not None and batch.removed:
            self._indexer.remove(batch.removed, lambda: None)
        self._stored(batch.revision)

    def stored_elsewhere(self) -> None:
        """Others store, too: the index takes in what they have."""
        self._database.ready()
        if self._indexer is not None or self._room is not None:
            self._stored(self.facts().revision)

    def _stored(self, revision: int) -> None:
        if self._indexer is not None:
            self._indexer.wake(revision)
        if self._room is not None:
            self._room.reach(revision)

    def flush(self) -> None:
        """Wait until the index holds everything that was added. Raises GalleryError when it cannot."""
        self._database.ready()
        if self._indexer is not None:
            self._indexer.flush()

    def rebuild(self, progress: Progress | None = None) -> None:
        """Make the index's files anew from the rows."""
        self._database.ready()
        if not self.writable:
            raise GalleryError(f"gallery {self.place} is open for reading only")
        self._rebuild(progress)

    def _rebuild(self, progress: Progress | None) -> None:
        if self._indexer is not None:
            self._indexer.rebuild(progress)

    def check(self) -> CheckReport:
        """Whether rows, vectors, index and files agree; a reader cannot look at the index while another writes."""
        self.flush()
        return check(self._database, self._indexer.index if self._indexer is not None else None)

    def erase(
        self,
        ids: Sequence[str],
        contents: Sequence[str] = (),
        progress: Progress | None = None,
        *,
        left_out: Sequence[str] = (),
        people: Sequence[str] = (),
        author: str = "",
        exclusive: AbstractContextManager[Any] | None = None,
        deleted: Callable[[Subject], None] = lambda _subject: None,
    ) -> Erasure:
        """Erase tracklets from everything that is kept in and beside the gallery, and prove it; see ``erasing``.

        contents: recordings to forget as well, so that they can be ingested anew; name all of their tracklets.
        left_out: ids of what was not stored; what was seen at the same time as the tracklets goes by itself.
        people: ids of those who go as a whole, with all their tracklets, name, notes and history. Whoever has no
        tracklet left goes as well. author: who wants it, for the history. exclusive, deleted: for whoever decides who
        is who meanwhile; see ``erasing.erase``.
        Raises TrackletNotFound before anything is changed, GalleryError when traces remain.
        """
        self._database.ready()
        wanted = Subject(tuple(ids), tuple(contents), tuple(left_out), tuple(people), author=author)
        server = self._facts.index if self._facts.index not in {"chroma", "exact", PGVECTOR} else ""
        for content in contents:
            self._attempts.pop(content, None)
        try:
            self.flush()
        except GalleryError:
            # An index that cannot be used does not hinder an erasure: it is made anew, and its files are searched.
            _log.warning("the index of gallery %s cannot be used and is made anew", self.place)

        def in_index(ids: Sequence[str]) -> FloatArray:
            if self._indexer is None or (index := self._indexer.index) is None:
                return np.zeros((0, self.space.size), np.float32)
            held = set(index.ids())
            return index.vectors([i for i in ids if i in held])

        return erase(
            self._database,
            lambda: self._rebuild(progress),
            wanted,
            in_index=in_index,
            server=server,
            exclusive=exclusive,
            deleted=deleted,
        )

    def _forget(self, content: str) -> None:
        self._remove(self.rows(Filter(contents=(content,))).id.tolist())
        with self._writing, self.write() as connection:
            recordings.forget(connection, content)

    def _remove(self, ids: Sequence[str]) -> None:
        def delete_rows() -> None:
            with self._writing, self.write() as connection:
                remove(connection, ids)
            self.unannounced.gone(ids)

        if self._indexer is not None:
            self._indexer.remove(ids, delete_rows)
        else:
            delete_rows()

    # -- reading

    def __len__(self) -> int:
        with self.read() as connection:
            return connection.execute(select(func.count()).select_from(tracklets)).scalar_one()

    def sources(self) -> list[Recording]:
        """Everything that was read into the gallery, in order of time; a camera may have delivered several."""
        with self.read() as connection:
            found = recordings.recordings_of(connection)
            if self.writable or all(recording.state is not recordings.State.RUNNING for recording in found):
                return found
            folder = self.place.folder
            writer = writer_on(connection) if folder is None else writer_of(folder)
            elsewhere = recordings.read_elsewhere(connection)
        if writer is not None:
            return found
        return [one if one.content in elsewhere else recordings.broken_off(one) for one in found]

    def rows(self, where: Filter = EVERYTHING, ids: Sequence[str] | None = None) -> Rows:
        """The metadata of tracklets, in the order in which they were stored (with ``ids``: in chunks of that order)."""
        with self.read() as connection:
            return rows_of(connection, where, ids)

    def find(self, prefix: str) -> str:
        """The one id that begins with a prefix. TrackletNotFound when there is none, or more than one."""
        prefix = prefix.strip().lower()
        with self.read() as connection:
            c = tracklets.c.id
            # Between these two an index is looked into; LIKE would look at everybody.
            begins = (c >= prefix, c < f"{prefix}\U0010ffff", c.startswith(prefix, autoescape=True))
            query = select(c).where(*begins).limit(2)
            found: list[str] = list(connection.execute(query).scalars()) if prefix else []
        if len(found) != 1:
            what = "several tracklets begin" if found else "no tracklet begins"
            raise TrackletNotFound(f"{what} with {prefix!r} in gallery {self.place}")
        return found[0]

    def left_out(self, where: Filter = EVERYTHING, most: int | None = None) -> list[LeftOut]:
        """What was seen and not stored, in order of time; ``most`` at most."""
        with self.read() as connection:
            return left_out.read(connection, where, most)

    def left_out_counts(self, where: Filter = EVERYTHING) -> dict[str, int]:
        """How many tracks were not stored, by reason; most first."""
        with self.read() as connection:
            return left_out.counts(connection, where)

    def tracklet(self, id: str) -> Tracklet:
        """All that is known of one tracklet. Raises TrackletNotFound."""
        with self.read() as connection:
            row = connection.execute(whole_tracklets().where(tracklets.c.id == id)).one_or_none()
            if row is None:
                raise TrackletNotFound(f"no tracklet {id} in gallery {self.place}")
            more = more_crops_held(connection, [row.seq]).get(row.seq, ())
            return tracklet_of(row, stays_of(connection, [row.seq]).get(row.seq, ()), more)

    def some_tracklets(self, ids: Sequence[str]) -> list[Tracklet]:
        """All that is known of some tracklets, in the order given. Raises TrackletNotFound."""
        found: dict[str, Tracklet] = {}
        with self.read() as connection:
            for some in in_chunks(ids):
                rows = connection.execute(whole_tracklets().where(tracklets.c.id.in_(some))).all()
                seqs = [row.seq for row in rows]
                stays, more = stays_of(connection, seqs), more_crops_held(connection, seqs)
                for row in rows:
                    found[row.id] = tracklet_of(row, stays.get(row.seq, ()), more.get(row.seq, ()))
        if missing := [id for id in ids if id not in found]:
            raise TrackletNotFound(f"no tracklet {missing[0]} in gallery {self.place}")
        return [found[id] for id in ids]

    def tracklets(self, where: Filter = EVERYTHING) -> Iterator[Tracklet]:
        """Whole tracklets one after the other, in the order in which they were stored."""
        last = 0
        while True:
            query = whole_tracklets().where(tracklets.c.seq > last, where.clause()).order_by(tracklets.c.seq).limit(500)
            with self.read() as connection:
                found = connection.execute(query).all()
                seqs = [row.seq for row in found]
                stays, more = stays_of(connection, seqs), more_crops_held(connection, seqs)
            if not found:
                return
            yield from (tracklet_of(row, stays.get(row.seq, ()), more.get(row.seq, ())) for row in found)
            last = found[-1].seq

    def vectors(self, ids: Sequence[str] | None = None) -> tuple[list[str], FloatArray]:
        """Ids and their pooled embeddings, float32 (n, d): in the order given, or all in order of storing.

        Raises TrackletNotFound.
        """
        with self.read() as connection:
            demand_same_space(connection, str(self.place), self.space)
            return appearances.vectors(connection, self.place, self.space.size, ids)

    def prototypes(self, ids: Sequence[str] | None = None) -> Prototypes:
        """The prototypes of these tracklets, in the order given, or of all in order of storing."""
        with self.read() as connection:
            demand_same_space(connection, str(self.place), self.space)
            return appearances.prototypes(connection, self.place, self.space.size, ids)

    def ends(self, ids: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """The first and the last box of each of these tracklets, float32 (n, 4) each, xyxy, in the order given."""
        with self.read() as connection:
            return appearances.ends(connection, ids)

    def velocities(self, ids: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """How the middles of the boxes move when each of these tracklets begins and ends, float32 (n, 2) each, pixels a
        second, in the order given; zero where that cannot be told."""
        with self.read() as connection:
            return appearances.velocities(connection, ids)

    def routes(self, ids: Sequence[str]) -> dict[str, appearances.Route]:
        """Where these tracklets were, by id. Who is not there (any more), or whose row is damaged, is left out."""
        with self.read() as connection:
            return appearances.routes(connection, ids)

    def crop(self, id: str) -> bytes | None:
        """The best crop of a tracklet as a JPEG file; None when none was kept. Raises TrackletNotFound."""
        query = (
            select(tracklets.c.id, crops.c.jpeg)
            .outerjoin(crops, crops.c.seq == tracklets.c.seq)
            .where(tracklets.c.id == id)
        )
        with self.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise TrackletNotFound(f"no tracklet {id} in gallery {self.place}")
        jpeg: bytes | None = row.jpeg
        return jpeg

    def search(self, query: FloatArray | Photo, k: int = 10, where: Filter = EVERYTHING) -> list[list[Match]]:
        """The k tracklets most similar to each query, best first; fewer if there are fewer.

        query: vectors, float32 (q, d) or (d,); or one photo, a path or a BGR picture uint8 (height, width, 3), in which
        the largest person is looked for with the gallery's own models. ``reidstream.search`` says who it is, too.
        Raises SourceError for a photo that cannot be used, ValueError for vectors of another size.
        """
        from reidstream.search.query import is_photo

        if is_photo(query):
            from reidstream.search.answers import vectors_of

            return self._searcher.search(vectors_of(self, [query]), k, where)
        return self._searcher.search(cast("FloatArray", query), k, where)
