"""Who reads which source: rows that are taken, renewed, and run out by the database's clock.

A lease that has run out is anybody's. Taking it takes the source's fence, so that its former holder can commit nothing
of this source from then on, ends what that one had begun, and stores what its cameras' open tracks had come to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, text, update

from reidstream.cluster import checkpoints, inbox
from reidstream.cluster.schema import leases
from reidstream.config import SourceConfig
from reidstream.gallery import recordings
from reidstream.gallery.database import Database, process_name
from reidstream.gallery.fencing import Fence, take_fence
from reidstream.gallery.schema import recordings as recording_table
from reidstream.types import SourceEnded

HEARTBEATS = 5
"""In the time that a lease lasts without one. With 15 seconds, what an engine takes to open, and one more heartbeat
until somebody looks, a camera of a dead worker is read again within 30 seconds."""
_MOST_FAILURES = 3
"""A recording that fails so often is given up. Cameras are tried for ever."""
_LONGEST_WAIT, _LONGEST_WAIT_OF_CAMERAS = 60.0, 10.0

_FREE = text(
    "SELECT l.source, l.state, l.worker, s.settings, s.live, w.connection,"
    " coalesce(extract(epoch FROM clock_timestamp() - l.heard), 0)::float AS silent,"
    " coalesce(extract(epoch FROM l.heard - t.at), 0)::float AS unseen"
    " FROM leases l JOIN worker_sources s ON s.name = l.source"
    " LEFT JOIN workers w ON w.name = l.worker LEFT JOIN checkpoint_times t ON t.source = l.source"
    " WHERE s.wanted AND ((l.state = 'waiting' AND l.ready <= clock_timestamp())"
    " OR (l.state = 'running' AND l.until < clock_timestamp()))"
    " ORDER BY l.ready, l.source LIMIT 1 FOR UPDATE OF l SKIP LOCKED"
)
_TAKE = text(
    "UPDATE leases SET state = 'running', worker = :worker, token = :token, error = NULL, heard = clock_timestamp(),"
    " until = clock_timestamp() + make_interval(secs => :seconds), takeovers = takeovers + :takeovers,"
    " rescued = rescued + :rescued, unseen_seconds = unseen_seconds + :unseen,"
    " unserved_seconds = greatest(unserved_seconds, :silent) WHERE source = :source"
)
_RENEW = text(
    "UPDATE leases l SET heard = clock_timestamp(), until = clock_timestamp() + make_interval(secs => :seconds)"
    " FROM worker_sources s WHERE s.name = l.source AND l.worker = :worker AND l.state = 'running'"
    " RETURNING l.source, l.token, s.wanted"
)
_BREAK_CONNECTIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :connection"
    " AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)


def scope_of(source: str) -> str:
    """The scope of the fence of a source."""
    return f"source:{source}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to read a source and to store what is seen in it. rescued: tracks of its former holder's."""

    source: str
    config: SourceConfig
    live: bool
    fence: Fence
    rescued: int = 0


@dataclass(frozen=True, slots=True)
class Renewed:
    """Sources whose leases were renewed, by token, and of those the ones that are not wanted any more."""

    tokens: dict[str, int]
    unwanted: frozenset[str]


def take(database: Database, worker: str, seconds: float) -> Lease | None:
    """Take one source that nobody has for so long, in a transaction of its own; None when there is none.

    Raises GalleryUnreachable, also when its former holder stands still in the middle of a transaction.
    """
    with database.write() as connection:
        # A stuck holder must not keep who takes from renewing other leases.
        connection.execute(text("SET LOCAL lock_timeout = '3s'"))
        row = connection.execute(_FREE).one_or_none()
        if row is None:
            return None
        scope = scope_of(row.source)
        ran_out = row.state == "running"
        if ran_out and row.connection and row.connection != process_name():
            # It may stand still in the middle of a transaction, and would hold the fence until the server notices.
            connection.execute(_BREAK_CONNECTIONS, {"connection": row.connection})
        fence = take_fence(connection, scope, worker)
        rescued = _end_of_former(connection, row.source) if ran_out else 0
        values = {"worker": worker, "token": fence.token, "source": row.source, "seconds": seconds}
        counts = {"takeovers": int(ran_out), "rescued": rescued}
        times = {"unseen": max(0.0, row.unseen) if ran_out else 0.0, "silent": row.silent if ran_out else 0.0}
        connection.execute(_TAKE, {**values, **counts, **times})
        config = SourceConfig.model_validate_json(row.settings).model_copy(update={"name": row.source})
        return Lease(row.source, config, row.live, fence, rescued)


def _end_of_former(connection: Connection, source: str) -> int:
    """End what the former holder of a lease had begun; how many open tracks were stored as far as they are known."""
    _break_off(connection, source)
    stored = checkpoints.rescue(connection, source)
    inbox.note_stored(connection, stored)
    return len(stored.new) + len(stored.changed)


def _break_off(connection: Connection, source: str) -> None:
    """Note that nobody reads what has been begun of a source and not ended."""
    c = recording_table.c
    begun = (c.reader == scope_of(source), c.state == recordings.State.RUNNING.value)
    recordings.break_off(connection, list(connection.execute(select(c.content).where(*begun)).scalars()))


def renew(database: Database, worker: str, seconds: float) -> Renewed:
    """Renew all leases of a worker for so long, those that have run out among them as long as nobody has taken them."""
    with database.write() as connection:
        rows = connection.execute(_RENEW, {"worker": worker, "seconds": seconds}).all()
    return Renewed({row.source: row.token for row in rows}, frozenset(row.source for row in rows if not row.wanted))


def source_ended(connection: Connection, lease: Lease, ended: SourceEnded) -> None:
    """Give a source back after the end of what was read of it, in the transaction that notes the end."""
    if ended.error is None and (ended.stopped or lease.live):
        give_back(connection, lease, seconds=0.0 if ended.stopped else 1.0)
    elif ended.error is None:
        _settle(connection, lease, state="done", error=None, failures=0)
    else:
        failed(connection, lease, ended.error)


def give_back(connection: Connection, lease: Lease, *, seconds: float = 0.0) -> None:
    """Let others have a source, in ``seconds`` from now."""
    _settle(connection, lease, state="waiting", seconds=seconds)


def abandon(database: Database, lease: Lease) -> None:
    """Let others have a source as if its reader were dead: what is known of its open tracks is stored by who takes it.

    For a reader that is there and gets nothing any more out of what reads.
    """
    c = leases.c
    mine = (c.source == lease.source, c.token == lease.fence.token, c.state == "running")
    with database.write() as connection:
        # Without a name, so that nobody cuts the connections of who abandons it.
        past = text("clock_timestamp() - interval '1 millisecond'")
        connection.execute(update(leases).where(*mine).values(worker=None, until=past))


def done(connection: Connection, lease: Lease, note: str | None = None) -> None:
    """A recording need not be read: the gallery has it."""
    _settle(connection, lease, state="done", error=note, failures=0)


def failed(connection: Connection, lease: Lease, why: str, *, final: bool = False) -> None:
    """A source could not be read; it is tried again after a growing pause, a recording three times in all."""
    before = connection.execute(select(leases.c.failures).where(leases.c.source == lease.source)).scalar() or 0
    given_up = final or (not lease.live and before + 1 >= _MOST_FAILURES)
    wait = min(2.0 ** min(before + 1, 10), _LONGEST_WAIT_OF_CAMERAS if lease.live else _LONGEST_WAIT)
    state = "failed" if given_up else "waiting"
    _settle(connection, lease, state=state, seconds=wait, error=why, failures=before + 1)


def _settle(connection: Connection, lease: Lease, *, seconds: float = 0.0, **values: Any) -> None:
    ready = text("clock_timestamp() + make_interval(secs => :seconds)").bindparams(seconds=seconds)
    c = leases.c
    # What has come to its end in the transaction that stored it stays as it is when its reader leaves.
    mine = (c.source == lease.source, c.token == lease.fence.token, c.state == "running")
    if connection.execute(update(leases).where(*mine).values(worker=None, until=None, ready=ready, **values)).rowcount:
        _break_off(connection, lease.source)
        checkpoints.forget(connection, lease.source)


def silence(database: Database, name: str) -> None:
    """Cut the connections of a process that has not been heard of, so that nothing it had begun holds others up."""
    with database.read() as connection:
        connection.execute(_BREAK_CONNECTIONS, {"connection": name})
