"""Where a gallery's index is, and making its files anew from the rows.

Files are made by a process of their own. ChromaDB's HNSW files are larger than what is in them, and the rest is
whatever the process had in that memory before: a process that has ever read a vector can write it into the files of an
index that does not hold it. The new process has read nothing but the rows that are there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from reidstream.children import python_child
from reidstream.errors import GalleryError
from reidstream.files import access_of
from reidstream.gallery.database import Database, Place
from reidstream.gallery.facts import read_facts
from reidstream.gallery.index.exact import VectorIndex
from reidstream.gallery.ownership import WORKER_LOCK_FILE
from reidstream.gallery.rows import rows_after
from reidstream.gallery.schema import tracklets

INDEX_FOLDER = "index"
PGVECTOR = "pgvector"
"""The kind of index that lies in the gallery's own PostgreSQL database."""

_BATCH = 500
"""Rows put into the index together."""

Progress = Callable[[int, int], None]
"""Called with how many of how many rows are done."""


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where the index of a gallery is. folder: the gallery's, None when its facts are on a server; place: the same
    with the server's address."""

    folder: Path | None
    kind: str
    uuid: str
    size: int
    place: Place | None = None

    @property
    def is_server(self) -> bool:
        return self.kind not in {"chroma", "exact"}

    def files(self, generation: int) -> Path:
        """The folder of an embedded index."""
        assert self.folder is not None
        return self.folder / INDEX_FOLDER / f"{generation:06d}"

    def open(self, generation: int) -> VectorIndex:
        """The index itself, empty if it is not there. Not for the kind "exact", which keeps nothing."""
        if self.kind == PGVECTOR:
            return self._in_database(generation)
        from reidstream.gallery.index.chroma import ChromaIndex

        if self.is_server:
            return ChromaIndex.on_server(self.kind, self._collection(generation), self.size)
        return ChromaIndex.in_folder(self.files(generation), self.size)

    def open_apart(self, generation: int) -> VectorIndex:
        """The same for the gallery's owner: calls that take long do not hold up the other threads of this process."""
        if self.kind == PGVECTOR:
            return self._in_database(generation, make=True)
        if self.is_server:
            return self.open(generation)
        from reidstream.gallery.index.process import ProcessIndex

        assert self.folder is not None
        return ProcessIndex(self.files(generation), self.size, self.folder / WORKER_LOCK_FILE)

    def open_empty(self, generation: int) -> VectorIndex:
        """The same for whoever fills it with everything there is, and saves it then."""
        return self._in_database(generation, make=True, bulk=True) if self.kind == PGVECTOR else self.open(generation)

    def delete_others(self, generation: int) -> None:
        """Delete every generation of this gallery's index but one."""
        if self.kind == PGVECTOR:
            from reidstream.gallery.index.pgvector import drop_tables

            assert self.place is not None
            drop_tables(self.place, self.uuid, generation)
        elif self.is_server:
            from reidstream.gallery.index.chroma import drop_collections

            drop_collections(self.kind, f"reidstream-{self.uuid[:12]}-", self._collection(generation))
        elif self.folder is not None and (self.folder / INDEX_FOLDER).is_dir():
            for path in (self.folder / INDEX_FOLDER).iterdir():
                if path != self.files(generation):
                    shutil.rmtree(path, ignore_errors=True)

    def _in_database(self, generation: int, **how: bool) -> VectorIndex:
        from reidstream.gallery.index.pgvector import PgVectorIndex

        assert self.place is not None
        return PgVectorIndex(self.place, self.uuid, generation, self.size, **how)

    def _collection(self, generation: int) -> str:
        return f"reidstream-{self.uuid[:12]}-{generation:06d}"


def build(place: Place, index_place: IndexPlace, generation: int, progress: Progress | None = None) -> int:
    """Make a new generation of the index from the rows; the revision up to which it is complete."""
    if index_place.is_server or place.folder is None:
        database = Database(place, write=False)
        index = index_place.open_empty(generation)
        try:
            done = _fill(database, index, index_place.size, progress or (lambda _done, _total: None))
            index.save()
            return done
        finally:
            index.close()
            database.close()
    target = index_place.files(generation)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    done = _in_a_process_of_its_own(place.folder, partial, index_place.size, progress)
    try:
        partial.rename(target)
    except OSError as error:
        raise GalleryError(f"the index of gallery {place.folder} cannot be put into its place: {error}") from None
    return done


def _in_a_process_of_its_own(folder: Path, target: Path, size: int, progress: Progress | None) -> int:
    done: int | None = None
    error = ""
    # Its standard input is closed when this process ends, however it ends; then the child ends, too.
    arguments = (str(folder), str(target), str(size))
    module = "reidstream.gallery.index.building"
    with python_child(module, *arguments, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for line in child.stdout:
            message = json.loads(line)
            if "total" in message and progress is not None:
                progress(message["done"], message["total"])
            done = message.get("revision", done)
            error = message.get("error", error)
    if child.returncode != 0 or done is None:
        raise GalleryError(error or f"the index of gallery {folder} could not be made (exit status {child.returncode})")
    return done


def _fill(database: Database, index: VectorIndex, size: int, progress: Progress) -> int:
    with database.read() as connection:
        total = connection.execute(select(func.count()).select_from(tracklets)).scalar_one()
        target = read_facts(connection).revision
    done = filled = 0
    while done < target:
        with database.read() as connection:
            ids, vectors, last = rows_after(connection, done, _BATCH, size)
        if not ids:
            break
        index.upsert(ids, vectors)
        done, filled = last, filled + len(ids)
        progress(filled, max(total, filled))
    return max(done, target)


def _main(folder: Path, target: Path, size: int) -> int:
    from reidstream.gallery.index.chroma import ChromaIndex

    def say(**message: int | str) -> None:
        print(json.dumps(message), flush=True)

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        os.umask(access_of(folder).umask)
        database = Database(Place(folder), write=False)
        index = ChromaIndex.in_folder(target, size)
        revision = _fill(database, index, size, lambda done, total: say(done=done, total=total))
        index.save()
        index.close()
        database.close()
    except GalleryError as error:
        say(error=str(error))
        return 1
    except OSError as error:
        # The folder was removed, or the disk is full.
        say(error=f"the index of gallery {folder} cannot be made: {error}")
        return 1
    say(revision=revision)
    return 0


if __name__ == "__main__":
    # The thread that waits for standard input would keep the interpreter from ending.
    os._exit(_main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
