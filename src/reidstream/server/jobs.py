"""What takes longer than somebody waits for: one after the other, with progress, and a trace of what came of it."""

from __future__ import annotations

import json
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update

from reidstream.errors import GalleryError, JobNotFound, ReIDStreamError
from reidstream.gallery import Gallery
from reidstream.server.access.schema import jobs

_log = logging.getLogger(__name__)

EXPORT_FOLDER = "exports"
KEPT_SECONDS = 30 * 86400.0
FILES_KEPT_SECONDS = 3600.0
"""An export that nobody fetched in this time is deleted."""

_MOST_WAITING = 20


@dataclass(slots=True)
class Job:
    """state: waiting, running, done, failed, or interrupted (the server was stopped). done, total: its progress."""

    id: int
    kind: str
    who: str
    state: str
    begun: float
    ended: float | None = None
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None

    def advance(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


Work = Callable[[Job], dict[str, Any]]


class Jobs:
    """Runs jobs in a thread, one at a time. Safe to use from several threads."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._active: dict[int, Job] = {}
        self._waiting: queue.Queue[tuple[Job, Work] | None] = queue.Queue()
        with gallery.write() as connection:
            cut = jobs.c.state.in_(("waiting", "running"))
            connection.execute(update(jobs).where(cut).values(state="interrupted", ended_wall=time.time()))
            connection.execute(delete(jobs).where(jobs.c.begun_wall < time.time() - KEPT_SECONDS))
        self.remove_files()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    @property
    def folder(self) -> Path:
        """Where exports wait to be fetched: in the gallery, so that an erasure finds and proves them gone."""
        folder = self._gallery.place.folder
        if folder is None:
            raise GalleryError("a gallery on PostgreSQL has no folder for exports; use `reidstream gallery export`")
        return folder / EXPORT_FOLDER

    def start(self, kind: str, who: str, work: Work) -> Job:
        """Begin a job, or have it wait for those before. Raises GalleryError when too many wait."""
        if self._waiting.qsize() >= _MOST_WAITING:
            raise GalleryError(f"{_MOST_WAITING} jobs are waiting already; try again later")
        begun = time.time()
        with self._gallery.write() as connection:
            values = {"kind": kind, "who": who, "state": "waiting", "begun_wall": begun}
            made = connection.execute(insert(jobs).values(**values))
            assert made.inserted_primary_key is not None
            job = Job(int(made.inserted_primary_key[0]), kind, who, "waiting", begun)
        with self._lock:
            self._active[job.id] = job
        self._waiting.put((job, work))
        return job

    def get(self, number: int) -> Job:
        """A job by its number. Raises JobNotFound."""
        with self._lock:
            if number in self._active:
                return self._active[number]
        with self._gallery.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == number)).one_or_none()
        if row is None:
            raise JobNotFound(f"there is no job {number}")
        return _job(row)

    def wait(self, number: int) -> None:
        """Until a job has ended."""
        with self._ended:
            self._ended.wait_for(lambda: number not in self._active)

    def newest(self, limit: int = 100) -> list[Job]:
        """The newest first."""
        with self._gallery.read() as connection:
            rows = connection.execute(select(jobs).order_by(jobs.c.id.desc()).limit(limit)).all()
        with self._lock:
            return [self._active.get(row.id) or _job(row) for row in rows]

    def remove_files(self, older: float = 0.0) -> None:
        """Delete exports that are older than some seconds."""
        if self._gallery.place.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if time.time() - path.stat().st_mtime >= older:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the running job finish; those that wait are interrupted."""
        while True:
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                self._end(waiting[0], "interrupted")
        self._waiting.put(None)
        self._thread.join()
        self.remove_files()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            job, work = item
            job.state = "running"
            try:
                self.remove_files(FILES_KEPT_SECONDS)
                job.result = work(job)
                self._end(job, "done")
            except ReIDStreamError as error:
                job.error = str(error)
                self._end(job, "failed")
            except Exception as error:  # noqa: BLE001 - the next job must not suffer from it
                _log.exception("job %d (%s) failed", job.id, job.kind)
                job.error = f"{type(error).__name__}; the server's log says more"
                self._end(job, "failed")

    def _end(self, job: Job, state: str) -> None:
        job.state, job.ended = state, time.time()
        values = {"state": state, "ended_wall": job.ended, "error": job.error}
        with self._gallery.write() as connection:
            result = None if job.result is None else json.dumps(job.result)
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values, result=result))
        with self._lock:
            self._active.pop(job.id, None)
            self._ended.notify_all()


def _job(row: Any) -> Job:
    result = None if row.result is None else json.loads(row.result)
    return Job(row.id, row.kind, row.who, row.state, row.begun_wall, row.ended_wall, result=result, error=row.error)
