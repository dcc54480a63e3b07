"""How workers, sources and the decider are doing, as one document; all ages by the database's clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select, text, update

from reidstream.cluster.inbox import backlog
from reidstream.cluster.opening import CLOCK_SECONDS
from reidstream.cluster.schema import leases, worker_sources, workers
from reidstream.errors import ConfigError
from reidstream.gallery.database import Database
from reidstream.gallery.ownership import writer_on

SILENT_SECONDS = 30.0
"""A worker, or the reader of a camera, that was not heard of for longer is a trouble."""

Document = dict[str, Any]


def status(database: Database) -> Document:
    """What there is to say; ``troubles`` are words about what should not be so."""
    with database.read() as connection:
        owner = writer_on(connection)
        processes = _processes(connection, owner)
        sources = _sources(connection)
        waits = backlog(connection)
    document: Document = {
        "workers": [one for one in processes if one["role"] == "worker"],
        "deciders": [one for one in processes if one["role"] != "worker"],
        "owner": owner,
        "sources": sources,
        "inbox": {"waiting": waits.rows, "lag_seconds": round(waits.seconds, 3)},
    }
    return {**document, "troubles": _troubles(document)}


def _processes(connection: Connection, owner: str | None) -> list[Document]:
    c = workers.c
    silent = func.extract("epoch", func.clock_timestamp() - c.heard).label("silent")
    up = func.extract("epoch", func.clock_timestamp() - c.started).label("up")
    mine = (leases.c.worker == c.name, leases.c.until > func.clock_timestamp())
    held = select(func.count()).select_from(leases).where(*mine).scalar_subquery().label("held")
    rows = connection.execute(select(workers, silent, up, held).order_by(c.role, c.name)).all()
    return [
        {
            "name": row.name,
            "role": "worker" if row.role == "worker" else "decider" if row.connection == owner else "standby",
            "alive": float(row.silent) < SILENT_SECONDS,
            "silent_seconds": round(float(row.silent), 1),
            "up_seconds": round(float(row.up), 1),
            "version": row.version,
            "sources": int(row.held),
            "most": row.most,
            "draining": row.draining,
            "stored": row.stored,
            "lost": row.lost,
            "clock_ahead_seconds": round(row.clock_ahead, 3),
        }
        for row in rows
    ]


def _sources(connection: Connection) -> list[Document]:
    s, c = worker_sources.c, leases.c
    silent = func.extract("epoch", func.clock_timestamp() - func.coalesce(c.heard, c.ready)).label("silent")
    query = select(s.name, s.live, s.wanted, leases, silent).join(leases, c.source == s.name).order_by(s.name)
    return [
        {
            "name": row.name,
            "live": row.live,
            "state": row.state if row.wanted else "resting",
            "worker": row.worker,
            "silent_seconds": round(float(row.silent), 1),
            "takeovers": row.takeovers,
            "rescued": row.rescued,
            "unseen_seconds": round(row.unseen_seconds, 1),
            "longest_unserved_seconds": round(row.unserved_seconds, 1),
            "failures": row.failures,
            "error": row.error,
        }
        for row in connection.execute(query)
    ]


def _troubles(document: Document) -> list[str]:
    troubles = []
    for source in document["sources"]:
        unserved = source["state"] in ("waiting", "running") and source["silent_seconds"] > SILENT_SECONDS
        if source["live"] and unserved:
            troubles.append(f"nobody has read {source['name']} for {source['silent_seconds']:.0f} s")
        if source["state"] == "failed":
            troubles.append(f"{source['name']} was given up: {source['error']}")
    troubles += [
        f"worker {worker['name']} has not been heard of for {worker['silent_seconds']:.0f} s"
        for worker in document["workers"]
        if not worker["alive"]
    ]
    troubles += [
        f"the clock of worker {worker['name']} is {worker['clock_ahead_seconds']:+.0f} s from the database's: what it "
        "sees is dated wrongly; set it by NTP"
        for worker in document["workers"]
        if worker["alive"] and abs(worker["clock_ahead_seconds"]) > CLOCK_SECONDS
    ]
    waiting = document["inbox"]["waiting"]
    if waiting and document["owner"] is None:
        troubles.append(f"nobody decides who {waiting} stored tracklets are: start `reidstream decide`")
    return troubles


def drain(database: Database, word: str) -> list[str]:
    """Ask the workers whose names begin with a word to end; their names. Raises ConfigError when there is none."""
    with database.write() as connection:
        alive = workers.c.heard > func.clock_timestamp() - text(f"interval '{SILENT_SECONDS} s'")
        meant = (workers.c.role == "worker", workers.c.name.startswith(word, autoescape=True))
        asked = update(workers).where(*meant, alive).values(draining=True).returning(workers.c.name)
        names = sorted(connection.execute(asked).scalars())
        every = sorted(connection.execute(select(workers.c.name).where(workers.c.role == "worker")).scalars())
    if not names:
        raise ConfigError(f"no worker that is alive is called {word!r}; there are: {', '.join(every) or 'none'}")
    return names
