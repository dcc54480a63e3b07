"""A process that holds all vectors of a gallery on PostgreSQL in memory, and answers everybody who searches it.

It reads the rows and follows them; it owns nothing, and any number may stand side by side. What it answers from is
derived: it begins with the rows whenever it starts.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from reidstream.cluster.opening import server_of
from reidstream.cluster.worker import own_name
from reidstream.errors import ConfigError, GalleryError, GalleryUnreachable
from reidstream.gallery.database import Database
from reidstream.gallery.facts import Facts, read_facts
from reidstream.gallery.index.memory import MemoryIndex
from reidstream.gallery.index.processes import PATH, IndexProcess, announce, answer_of, filter_of, withdraw
from reidstream.gallery.opening import existing_facts
from reidstream.gallery.rows import Filter, checked_vectors
from reidstream.gallery.schema import embeddings, tracklets
from reidstream.types import FloatArray
from reidstream.wording import counted

_log = logging.getLogger(__name__)

_LOOKS = 0.2
"""Seconds between two looks for what is new."""
_HEARD_EVERY = 5.0
COMPARED_EVERY = 30.0
"""Seconds between two comparisons with the rows: what was erased is out of memory after no more."""
_PAGE = 5000
_MOST_QUERIES, _MOST_K = 4096, 100_000
_LARGEST = 64 * 2**20
"""Bytes of a question."""
_SHORT = 2**16
_COLUMNS = ("start_wall", "end_wall", "start_media", "end_media")
_NAMED = ("source", "content")


class _Refused(Exception):
    """A question that is not answered."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class HeldVectors:
    """The vectors of a gallery as far as they were read, and what a filter can ask about."""

    def __init__(self, facts: Facts) -> None:
        self.of = (facts.uuid, facts.space.fingerprint)
        self.size = facts.space.size
        self.revision = 0
        self.whole = False
        """Whether everything was read once: before that nobody is answered."""
        self._index = MemoryIndex(self.size, len(_NAMED) + len(_COLUMNS))
        self._codes: tuple[dict[str, int], ...] = ({}, {})
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def take_in(self, connection: Connection, until: int) -> int:
        """Read what was stored or changed up to a revision; how many rows that were."""
        c = tracklets.c
        query = (
            select(c.revision, c.id, *(c[name] for name in (*_NAMED, *_COLUMNS)), embeddings.c.vector)
            .join(embeddings, embeddings.c.seq == c.seq)
            .order_by(c.revision)
            .limit(_PAGE)
        )
        taken = 0
        while self.revision < until:
            rows = connection.execute(query.where(c.revision > self.revision)).all()
            if not rows:
                self.revision = until
                break
            revisions, ids, sources, contents, *times, blobs = zip(*rows, strict=True)
            named = [
                [_code(codes, n) for n in names] for codes, names in zip(self._codes, (sources, contents), strict=True)
            ]
            columns = np.array([*named, *times], np.float64).T
            vectors = checked_vectors(ids, blobs, self.size)
            with self._lock:
                self._index.upsert(ids, vectors, columns)
                self.revision = revisions[-1]
            taken += len(rows)
        return taken

    def compare(self, connection: Connection) -> int:
        """Forget what is not in the rows any more, or stands there under another source; how many those were."""
        c = tracklets.c
        held: dict[int, int] = dict(zip(*self._counts(), strict=True))
        query = select(c.source, func.count()).where(c.revision <= self.revision).group_by(c.source)
        there = {self._codes[0].get(source, -1): count for source, count in connection.execute(query)}
        if there == held:
            return 0
        rows = connection.execute(select(c.id, c.source).execution_options(yield_per=_PAGE))
        source_of = {row.id: self._codes[0].get(row.source, -1) for row in rows}
        before = len(self._index)
        own = self._index.columns[:, 0]
        gone = [id for place, id in self._index.placed() if source_of.get(id) != int(own[place])]
        with self._lock:
            self._index.remove(gone)
        renamed = [id for id in gone if id in source_of]
        if renamed:
            # Read again under their new names, from the beginning: it happens when a recorder renames a file.
            self.revision = 0
        return before - len(self._index)

    def _counts(self) -> tuple[list[int], list[int]]:
        codes, counts = np.unique(self._index.columns[:, 0].astype(np.int64), return_counts=True)
        return codes.tolist(), counts.tolist()

    def answer(self, queries: FloatArray, k: int, where: Filter) -> bytes:
        """As ``processes.answer_of`` writes it."""
        with self._lock:
            nearest = self._index.search(queries, k, self._among(where) if where else None)
            revision = self.revision
        return answer_of(nearest, revision)

    def _among(self, where: Filter) -> npt.NDArray[np.bool_]:
        """bool (n,): which rows a filter leaves; the same as ``Filter.holds``."""
        columns = self._index.columns
        start_wall, end_wall, start_media, end_media = columns[:, len(_NAMED) :].T
        among = np.ones(len(columns), bool)
        for names, codes, column in zip((where.sources, where.contents), self._codes, columns.T, strict=False):
            if names:
                wanted = [codes[name] for name in names if name in codes]
                among &= np.isin(column, wanted) if len(wanted) != 1 else column == wanted[0]
        for bound, column, least in (
            (where.since, end_wall, True),
            (where.until, start_wall, False),
            (where.media_since, end_media, True),
            (where.media_until, start_media, False),
        ):
            if bound is not None:
                among &= column >= bound if least else column <= bound
        return among


class IndexService:
    """``run`` once; ``stop`` from anywhere, a signal handler included.

    listen: host and port; port 0 is any that is free. address: by which others reach it; that one, or this machine's
    name, if it is empty. Raises ConfigError for a folder and for an address that cannot be listened at, GalleryError.
    """

    def __init__(
        self, gallery: str, host: str, port: int, address: str = "", say: Callable[[str], None] = lambda _text: None
    ) -> None:
        self._place = server_of(gallery)
        self._say = say
        self._stopping = threading.Event()
        self._secret = secrets.token_urlsafe(32)
        self._held: HeldVectors | None = None
        self._compared = time.monotonic()
        service = self

        class Handler(_Handler):
            """Asks this service."""

            def knows(self, secret: str) -> bool:
                return service.knows(secret)

            def answered(self, said: bytes) -> bytes:
                return service.answer(said)

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {host} port {port}: {error.strerror or error}; choose another with --port"
            ) from None
        self._server.daemon_threads = True
        self.process = IndexProcess(own_name(), address or _reached(host, self._server.server_port), self._secret)

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Hold the vectors and answer until it is stopped. A database that goes away is waited for."""
        answering = threading.Thread(target=self._server.serve_forever, name="answering", daemon=True)
        answering.start()
        try:
            while not self._stopping.is_set():
                try:
                    self._follow()
                except GalleryUnreachable as error:
                    _log.warning("%s; it is waited for, and what is held is not shown to anybody meanwhile", error)
                    self._stopping.wait(_HEARD_EVERY)
        finally:
            self._server.shutdown()
            self._server.server_close()

    def _follow(self) -> None:
        database = Database(self._place, write=True)
        try:
            existing_facts(database)
            announced = -_HEARD_EVERY
            while not self._stopping.is_set():
                self._look(database)
                if time.monotonic() - announced >= _HEARD_EVERY:
                    with database.write() as connection:
                        announce(connection, self.process)
                    announced = time.monotonic()
                self._stopping.wait(_LOOKS)
            with suppress(GalleryError), database.write() as connection:
                withdraw(connection, self.process.name)
        finally:
            database.close()

    def _look(self, database: Database) -> None:
        with database.read() as connection:
            facts = read_facts(connection)
            held = self._held
            if held is None or held.of != (facts.uuid, facts.space.fingerprint):
                # Another gallery, or the same moved to another model: nothing of the former is of use.
                held = self._held = HeldVectors(facts)
            held.take_in(connection, facts.revision)
            if time.monotonic() - self._compared >= COMPARED_EVERY:
                if gone := held.compare(connection):
                    _log.info("%s left the memory", counted(gone, "tracklet"))
                self._compared = time.monotonic()
        if not held.whole:
            held.whole = True
            self._say(
                f"{counted(len(held), 'tracklet')} of {self._place} in memory, answering at {self.process.address}"
            )

    def knows(self, secret: str) -> bool:
        """Whether this is the process's secret, so that whoever says it may ask."""
        return hmac.compare_digest(secret.encode(), self._secret.encode())

    def answer(self, said: bytes) -> bytes:
        """The answer to one question of somebody who may ask; see ``processes``."""
        held = self._held
        if held is None or not held.whole:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "vectors are being read; ask again later")
        try:
            asked = json.loads(said)
            if (asked["gallery"], asked["space"]) != held.of:
                raise _Refused(HTTPStatus.CONFLICT, "another gallery, or another embedding model, is held here")
            k, where = int(asked["k"]), filter_of(asked["where"])
            queries = np.frombuffer(base64.b64decode(asked["queries"], validate=True), "<f4").reshape(-1, held.size)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"the question cannot be read: {error}") from None
        if where.zones or not 0 < k <= _MOST_K or len(queries) > _MOST_QUERIES or not np.isfinite(queries).all():
            raise _Refused(HTTPStatus.BAD_REQUEST, "such a question is not answered here")
        return held.answer(queries.astype(np.float32), k, where)


def _code(codes: dict[str, int], name: str) -> int:
    """The number that stands for a name; a new one for a new name."""
    return codes.setdefault(name, len(codes))


def _reached(host: str, port: int) -> str:
    import socket

    return f"{socket.gethostname() if host in {'0.0.0.0', '::', ''} else host}:{port}"


class _Handler(BaseHTTPRequestHandler):
    """Questions over HTTP; connections stay open from one to the next."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    wbufsize = -1
    disable_nagle_algorithm = True

    def knows(self, secret: str) -> bool:
        raise NotImplementedError

    def answered(self, said: bytes) -> bytes:
        raise NotImplementedError

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if self.path != PATH or not 0 <= length <= _LARGEST:
            self.close_connection = True
            self._say(HTTPStatus.NOT_FOUND, b'{"error": "questions are asked at /nearest"}')
            return
        scheme, _, secret = self.headers.get("Authorization", "").partition(" ")
        try:
            if scheme != "Bearer" or not self.knows(secret):
                # Nobody unknown has much read. What is short is, since closing on what was not can lose the answer.
                self.rfile.read(min(length, _SHORT))
                raise _Refused(HTTPStatus.UNAUTHORIZED, "the process's secret is wanted")
            self._say(HTTPStatus.OK, self.answered(self.rfile.read(length)))
        except _Refused as refused:
            # What was not read would be taken for the next question.
            self.close_connection = True
            self._say(refused.status, json.dumps({"error": str(refused)}).encode())

    def _say(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        _log.debug(format, *arguments)
