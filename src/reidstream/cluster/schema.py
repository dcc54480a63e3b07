"""The tables of workers. Times are the database's own (``timestamptz``): machines' clocks are never compared."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from reidstream.gallery.migrations import Migration, make_tables

metadata = MetaData()

_Time = DateTime(timezone=True)

# What is to be read. settings: a SourceConfig as JSON. wanted: False while it is paused.
worker_sources = Table(
    "worker_sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("settings", Text, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("wanted", Boolean, nullable=False),
)

# state: waiting, running, done or failed. token: of the fence "source:NAME". ready: not to be taken before.
# rescued: tracks that were stored from checkpoints. unseen_seconds: between the last checkpoint and the last renewal
# of leases that ran out. unserved_seconds: the longest time from a last renewal to the next taking.
leases = Table(
    "leases",
    metadata,
    Column("source", Text, ForeignKey(worker_sources.c.name, ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("worker", Text),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("until", _Time),
    Column("heard", _Time),
    Column("ready", _Time, nullable=False, server_default=func.clock_timestamp()),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("takeovers", Integer, nullable=False, server_default="0"),
    Column("rescued", Integer, nullable=False, server_default="0"),
    Column("unseen_seconds", Double, nullable=False, server_default="0"),
    Column("unserved_seconds", Double, nullable=False, server_default="0"),
)

# Who works, and who stands by. role: worker, decider or standby. connection: how its connections are called.
# clock_ahead: seconds that its clock is before the database's. lost: finished tracks that a taken lease cost.
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("started", _Time, nullable=False, server_default=func.clock_timestamp()),
    Column("heard", _Time, nullable=False, server_default=func.clock_timestamp()),
    Column("most", Integer, nullable=False),
    Column("draining", Boolean, nullable=False, server_default="false"),
    Column("stored", BigInteger, nullable=False, server_default="0"),
    Column("lost", BigInteger, nullable=False, server_default="0"),
    Column("clock_ahead", Double, nullable=False, server_default="0"),
)

# What the decider has not taken over yet. what: new, changed or gone.
inbox = Table(
    "inbox",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("tracklet", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("at", _Time, nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("tracklet", "what"),
)

# Open tracks of cameras. id: of the tracklet that it would be. payload: see checkpoints.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("track_id", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

# Whoever is in view of a camera about which there is a rule, until it was looked at. track: the source's number of it,
# as text. id: of the tracklet that it would be. number: of the newest sighting. payload: see in_view. frame: JPEG;
# frame_box: JSON. Not written to the server's log: what a crash of it costs is told again half a second later.
in_view = Table(
    "in_view",
    metadata,
    Column("content", Text, primary_key=True),
    Column("track", Text, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),
    Column("frame", LargeBinary),
    Column("frame_box", Text),
    prefixes=["UNLOGGED"],
)

checkpoint_times = Table(
    "checkpoint_times",
    metadata,
    Column("source", Text, primary_key=True),
    Column("at", _Time, nullable=False),
)


def _tables(connection: Connection) -> None:
    make_tables(connection, worker_sources, leases, workers, inbox, checkpoints, checkpoint_times)


def _in_view(connection: Connection) -> None:
    make_tables(connection, in_view)


CLUSTER_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for sources, leases, workers, the inbox and checkpoints", _tables),
    Migration("a table for whoever is in view", _in_view),
)
