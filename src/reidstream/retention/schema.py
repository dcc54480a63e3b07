"""The table of runs: what was erased when, by which rules, without a word about whom."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Connection, Double, Integer, MetaData, Table, Text

from reidstream.gallery.migrations import Migration, make_tables

metadata = MetaData()

# state: running, done, failed or interrupted. rules: JSON. tracklets, left_out, people: what was due when it began.
retention_runs = Table(
    "retention_runs",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("begun_wall", Double, nullable=False),
    Column("ended_wall", Double),
    Column("state", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("tracklets", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("people", Integer, nullable=False),
    Column("proven", Boolean),
    Column("reach", Text, nullable=False, default=""),
)


def _table(connection: Connection) -> None:
    make_tables(connection, retention_runs)


RETENTION_MIGRATIONS: tuple[Migration, ...] = (Migration("the table of runs that erased what was due", _table),)
