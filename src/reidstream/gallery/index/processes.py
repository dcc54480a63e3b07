"""Processes that hold a gallery's vectors in memory and are asked by all who search it; see ``cluster.index_process``.

They are named in the gallery's own table of values, each with a secret: who may read the gallery may ask them. What is
found is looked up in the tables by whoever asked, so that nobody is shown what was erased a moment ago.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select

from reidstream.gallery.facts import Facts, write_facts
from reidstream.gallery.index.exact import Nearest
from reidstream.gallery.rows import Filter
from reidstream.gallery.schema import meta
from reidstream.types import FloatArray

_log = logging.getLogger(__name__)

PATH = "/nearest"
_KEY = "index process "
HEARD_SECONDS = 30.0
"""Who was not heard of for longer is not asked."""
_LOOK_EVERY = 5.0
"""Seconds for which it is remembered who there is."""
_PAUSE = 10.0
"""Seconds for which who did not answer is not asked."""
_PATIENCE = 5.0
_LARGEST = 64 * 2**20
"""Bytes of an answer."""


@dataclass(frozen=True, slots=True)
class IndexProcess:
    """One of them. address: "host:port"."""

    name: str
    address: str
    secret: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What was found for each query. revision: up to which revision of the rows that is everything."""

    nearest: list[Nearest]
    revision: int


def announce(connection: Connection, process: IndexProcess) -> None:
    """Let everybody know of a process, and that it lives; to be said again within ``HEARD_SECONDS``."""
    heard = connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one()
    value = json.dumps({"address": process.address, "secret": process.secret, "heard": float(heard)})
    write_facts(connection, **{f"{_KEY}{process.name}": value})


def withdraw(connection: Connection, name: str) -> None:
    """Take a process out, and all that died without a word."""
    gone = [one for one, _, alive in _announced(connection) if not alive]
    for key in (name, *(one.name for one in gone)):
        connection.execute(delete(meta).where(meta.c.key == f"{_KEY}{key}"))


def announced(connection: Connection) -> list[tuple[IndexProcess, float]]:
    """Those that live, and for how many seconds each was not heard of."""
    return [(one, silent) for one, silent, alive in _announced(connection) if alive]


def _announced(connection: Connection) -> list[tuple[IndexProcess, float, bool]]:
    now = func.extract("epoch", func.clock_timestamp()).label("now")
    found = []
    for row in connection.execute(select(meta.c.key, meta.c.value, now).where(meta.c.key.startswith(_KEY))):
        said = json.loads(row.value)
        silent = float(row.now) - float(said["heard"])
        process = IndexProcess(row.key.removeprefix(_KEY), said["address"], said["secret"])
        found.append((process, silent, silent < HEARD_SECONDS))
    return sorted(found, key=lambda one: (one[1], one[0].name))


class Processes:
    """The index processes of a gallery, for one who searches it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[IndexProcess] = []
        self._looked: float | None = None
        self._silent: dict[str, float] = {}
        self._free: list[tuple[str, http.client.HTTPConnection]] = []

    def ask(self, connection: Connection, facts: Facts, queries: FloatArray, k: int, where: Filter) -> Answered | None:
        """The k nearest to each query float32 (q, d) of those that the filter leaves; None: nobody can be asked."""
        body = _asked(facts, queries, k, where)
        for process in self._alive(connection):
            try:
                return _answered(self._exchanged(process, body), len(queries))
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
                _log.warning(
                    "the index process at %s does not answer (%s); another is asked, or the database",
                    process.address,
                    error,
                )
                with self._lock:
                    self._silent[process.address] = time.monotonic()
                    self._looked = None
        return None

    def _alive(self, connection: Connection) -> list[IndexProcess]:
        now = time.monotonic()
        with self._lock:
            if self._looked is None or now - self._looked > _LOOK_EVERY:
                self._known = [process for process, _ in announced(connection)]
                self._looked = now
            return [p for p in self._known if now - self._silent.get(p.address, -_PAUSE) >= _PAUSE]

    def close(self) -> None:
        """Let go of connections that were kept for the next question."""
        with self._lock:
            free, self._free = self._free, []
        for _, line in free:
            line.close()

    def _exchanged(self, process: IndexProcess, body: bytes) -> dict[str, Any]:
        line = self._kept(process.address)
        if line is not None:
            try:
                return self._said(process, line, body)
            except (http.client.RemoteDisconnected, ConnectionError):
                # It was kept since the last question, and the process has started again meanwhile.
                pass
        return self._said(process, http.client.HTTPConnection(process.address, timeout=_PATIENCE), body)

    def _kept(self, address: str) -> http.client.HTTPConnection | None:
        with self._lock:
            place = next((n for n, (known, _) in enumerate(self._free) if known == address), None)
            return None if place is None else self._free.pop(place)[1]

    def _said(self, process: IndexProcess, line: http.client.HTTPConnection, body: bytes) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {process.secret}", "Content-Type": "application/json"}
        try:
            line.request("POST", PATH, body, headers)
            response = line.getresponse()
            said: dict[str, Any] = json.loads(response.read(_LARGEST))
            if response.status != http.client.OK:
                raise ValueError(str(said.get("error", response.status))[:200])
        except BaseException:
            line.close()
            raise
        with self._lock:
            self._free.append((process.address, line))
        return said


def _asked(facts: Facts, queries: FloatArray, k: int, where: Filter) -> bytes:
    vectors = base64.b64encode(np.ascontiguousarray(queries, "<f4").tobytes()).decode()
    asked = {"gallery": facts.uuid, "space": facts.space.fingerprint, "k": k, "queries": vectors}
    return json.dumps({**asked, "where": asdict(where)}).encode()


def _answered(said: dict[str, Any], queries: int) -> Answered:
    nearest = []
    for one in said["nearest"]:
        similarities = np.frombuffer(base64.b64decode(one["similarities"]), "<f4").astype(np.float32)
        if len(similarities) != len(one["ids"]) or not all(isinstance(id, str) for id in one["ids"]):
            raise ValueError("its answer makes no sense")
        nearest.append(Nearest(one["ids"], similarities))
    if len(nearest) != queries:
        raise ValueError("its answer is to another question")
    return Answered(nearest, int(said["revision"]))


def filter_of(said: dict[str, Any]) -> Filter:
    """The filter that somebody asks with. Raises ValueError, TypeError for what is none."""
    known = {f.name for f in fields(Filter)}
    if unknown := said.keys() - known:
        raise ValueError(f"unknown in a filter: {', '.join(sorted(unknown))}")
    sources, contents, zones = (tuple(map(str, said.get(name) or ())) for name in ("sources", "contents", "zones"))
    times = ("since", "until", "media_since", "media_until")
    since, until, media_since, media_until = (None if said.get(t) is None else float(said[t]) for t in times)
    return Filter(sources, since, until, media_since, media_until, contents, zones)


def answer_of(nearest: Sequence[Nearest], revision: int) -> bytes:
    """What a process says to a question."""
    found = [
        {"ids": one.ids, "similarities": base64.b64encode(one.similarities.astype("<f4").tobytes()).decode()}
        for one in nearest
    ]
    return json.dumps({"nearest": found, "revision": revision}).encode()
