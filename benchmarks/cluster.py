"""Workers, deciders and PostgreSQL: is anything lost, how long is a camera without a worker, how much fits?

    python -m benchmarks.cluster [--part load|takeover|kills] [--blows N] [--minutes M] [--seed 1]

Without --part: load and takeover.

kills: three workers and two deciders read recordings of made-up people, as commands in processes of their own, while
they are killed and stopped at random, connections are cut, slowed and half lost, and PostgreSQL is started again; at
the end everything must be as after a run in which nothing happened. --minutes: storm after storm for so long, each with
another seed.
takeover: cameras that never end, with the settings as they are: how long they are without a worker when theirs is
killed or stands still.
load: tracklets with vectors like those of real people (benchmarks.gallery) and a picture of 20 KB, from several
processes at a given rate, while one decides: how long storing takes, until when they are found, and how far the decider
is behind. Ends with 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.gallery import people as means_of
from benchmarks.gallery import seen
from reidstream.cluster import leases, sources
from reidstream.cluster.deciding import Deciding
from reidstream.cluster.opening import opened
from reidstream.cluster.storing import WorkerStore
from reidstream.config import Config, SourceConfig
from reidstream.gallery import Gallery
from reidstream.server.desk import Desk
from reidstream.types import EmbeddingSpace, SourceStarted, Tracklet
from tests.cluster.processes import fleet, wait_until
from tests.cluster.replays import recorded, walks_of
from tests.cluster.storm import storm
from tests.identities.conftest import made_tracklet
from tests.postgres import PostgresServer

SPACE = EmbeddingSpace("made-up 512", "made-up 512", 512)
_PICTURE = 20_000
_TOGETHER = 64


@contextlib.contextmanager
def server() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    made = PostgresServer(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def kills(blows: int, minutes: float, seed: int) -> bool:
    """Whether all is well."""
    until = time.monotonic() + 60 * minutes
    well = True
    while True:
        with server() as running, tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            report = storm(running, Path(folder), blows=blows, seed=seed, recordings=3 * blows + 12, say=_say)
            _say(f"seed {seed}, {time.monotonic() - began:.0f} s: {report}")
            well &= not report.wrong
        seed += 1
        if time.monotonic() >= until:
            return well


def takeover(blows: int, seed: int) -> bool:
    """Whether no camera was without a worker for more than 30 seconds."""
    rng = random.Random(seed)
    with server() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cameras = [recorded(folder, f"c{n}", walks_of(n, 12, 400), seconds=1602, live=True) for n in range(4)]
        listed = [word for path in cameras for word in ("--cameras", str(path))]
        with fleet(folder, running.new_database(), lease_seconds=15.0, speed=1.0) as fleeting:
            workers = [fleeting.worker("--most", "4", *listed), fleeting.worker("--most", "4")]
            spans: list[float] = []

            wait_until(lambda: "in the list" in workers[0].said, "the list")

            def takeovers() -> int:
                return sum(s["takeovers"] for s in fleeting.status()["sources"])

            def held() -> bool:
                found = fleeting.status()["sources"]
                return len(found) == 4 and all(s["state"] == "running" and s["silent_seconds"] < 10 for s in found)

            def holder() -> int:
                names = {str(s["worker"]) for s in fleeting.status()["sources"]}
                return next((n for n, w in enumerate(workers) if any(f"-{w.child.pid}-" in name for name in names)), 0)

            for _ in range(blows):
                wait_until(held, "all cameras to be read")
                place = holder()
                before = takeovers()
                stopped = workers[place]
                stopped.send(rng.choice([signal.SIGKILL, signal.SIGSTOP]))
                workers[place] = fleeting.worker("--most", "4")
                wait_until(lambda before=before: takeovers() > before, "the takeover")
                wait_until(held, "all cameras to be read again")
                stopped.kill()
                spans.append(max(s["longest_unserved_seconds"] for s in fleeting.status()["sources"]))
                _say(f"at most {spans[-1]:.1f} s from the last renewal to the next taking")
            found = fleeting.status()["sources"]
            rescued, unseen = sum(s["rescued"] for s in found), sum(s["unseen_seconds"] for s in found)
            taken = takeovers()
            _say(f"{taken} takeovers, {rescued} open tracks stored, {unseen / max(taken, 1):.1f} s unseen before each")
    return max(spans, default=0.0) <= 30.0


def load(rate: float, seconds: float, processes: int, people: int, decide: bool) -> None:
    """Print how one database does at so many tracklets a second."""
    with server() as running:
        url = running.new_database()
        names = [f"camera{n}" for n in range(processes)]
        with opened(url, Config(), lambda: (SPACE, "")) as there, there.database.write() as connection:
            sources.add(connection, [SourceConfig(uri=f"{name}.mp4", name=name) for name in names])
        context = multiprocessing.get_context("spawn")
        answers: Any = context.Queue()
        each = rate / processes
        children = [
            context.Process(target=_store, args=(url, n, each, seconds, people, answers)) for n in range(processes)
        ]
        found: dict[str, float] = {}
        lags: list[float] = []
        ended = threading.Event()
        with contextlib.ExitStack() as stack:
            if decide:
                gallery = stack.enter_context(Gallery.open(url, write=True))
                desk = Desk(gallery)
                stack.callback(desk.close)
                stack.enter_context(Deciding(desk, 15.0))
            looking = threading.Thread(target=_look, args=(url, found, lags, ended))
            looking.start()
            for child in children:
                child.start()
            stored: dict[str, tuple[float, float]] = {}
            for _ in children:
                stored |= answers.get()
            for child in children:
                child.join()
            wait_until(lambda: stored.keys() <= found.keys(), "everything to be found")
            ended.set()
            looking.join()
            size = running.psql("SELECT 1") and _size(url)
    spans = np.array([done - asked for asked, done in stored.values()]) * 1000
    waits = np.array([found[id] - asked for id, (asked, _) in stored.items()]) * 1000
    first = min(asked for asked, _ in stored.values())
    last = max(done for _, done in stored.values())
    report = {
        "asked_per_second": rate,
        "stored": len(stored),
        "stored_per_second": round(len(stored) / (last - first), 1),
        "store_ms": _percentiles(spans),
        "until_found_ms": _percentiles(waits),
        "decider_lag_s": _lag(lags) if decide else None,
        "bytes_per_tracklet": round(size / max(len(stored), 1)),
    }
    _say(json.dumps(report))


def _lag(seconds: list[float]) -> dict[str, float]:
    median, most_of = (round(float(np.percentile(seconds, q)), 2) for q in (50, 95))
    return {"median": median, "p95": most_of, "most": round(max(seconds), 2)}


def _percentiles(values: Any) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 1) for q in (50, 95, 99)}


def _size(url: str) -> int:
    with opened(url, Config(), None) as there, there.database.read() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _store(url: str, number: int, rate: float, seconds: float, people: int, answers: Any) -> None:
    """One worker: tracklets as their tracks end, at random times; when each was given to be stored, and was."""
    rng = np.random.default_rng(number)
    done: dict[str, tuple[float, float]] = {}
    with opened(url, Config(), None) as there:
        lease = leases.take(there.database, f"load{number}", 3600.0)
        assert lease is not None
        name = lease.source
        store = WorkerStore(there.database, SPACE, [lease])
        store.begin_source(SourceStarted(name, name, f"content of {name}", (640, 480), 25, time.time()), "settings")
        means, deviation = means_of(people, np.random.default_rng(0))
        ends = np.cumsum(rng.exponential(1 / rate, size=round(rate * seconds))) + time.time()
        count = 0
        while count < len(ends):
            time.sleep(max(0.0, ends[count] - time.time()))
            # What has gathered while the last was stored goes in at once, as in a worker.
            due = min(max(int(np.searchsorted(ends, time.time())), count + 1), count + _TOGETHER)
            batch = []
            for k in range(count, due):
                person = int(rng.integers(people))
                looks = seen(np.repeat(means[person : person + 1], 4, axis=0), deviation, rng)
                batch.append(_tracklet(name, number, k, person, float(ends[k]), looks, rng))
            store.add(batch)
            now = time.time()
            done.update((t.id, (float(ends[count + k]), now)) for k, t in enumerate(batch))
            count = due
    answers.put(done)


def _tracklet(
    source: str, number: int, count: int, person: int, at: float, looks: Any, rng: np.random.Generator
) -> Tracklet:
    mean = looks.mean(axis=0)
    plain = made_tracklet(person + 1, source, at - 10, at)
    return replace(
        plain,
        id=f"{number:08x}{count:024x}",
        track_id=count,
        embedding=(mean / np.linalg.norm(mean)).astype(np.float32),
        prototypes=looks.astype(np.float32),
        prototype_weights=np.full(4, 0.25, np.float32),
        crop=rng.bytes(_PICTURE),
    )


def _look(url: str, found: dict[str, float], lags: list[float], ended: threading.Event) -> None:
    """Note when each tracklet is found first, and how old the oldest row of the inbox is."""
    query = text("SELECT id, revision FROM tracklets WHERE revision > :seen ORDER BY revision")
    lag = text("SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0) FROM inbox")
    seen = 0
    with opened(url, Config(), None) as there:
        while not ended.wait(0.02):
            with there.database.read() as connection:
                rows = connection.execute(query, {"seen": seen}).all()
                lags.append(float(connection.execute(lag).scalar_one()))
            now = time.time()
            for row in rows:
                found[row.id] = now
                seen = row.revision


def _say(words: str) -> None:
    print(words, flush=True)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("kills", "takeover", "load"))
    parser.add_argument("--blows", type=int, help="100 for kills, 3 for takeover")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="*", default=[1.0, 10.0, 50.0, 100.0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--no-decider", action="store_true")
    asked = parser.parse_args(words)
    well = True
    if asked.part in (None, "load"):
        for rate in asked.rates:
            load(rate, asked.seconds, asked.workers, asked.people, not asked.no_decider)
    if asked.part in (None, "takeover"):
        well &= takeover(asked.blows or 3, asked.seed)
    if asked.part == "kills":
        well &= kills(asked.blows or 100, asked.minutes, asked.seed)
    if not well:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
