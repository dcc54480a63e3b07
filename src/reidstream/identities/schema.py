"""The tables of identities, beside the gallery's own.

What people decided (``links``, names, notes) outlives the tracklets' assignment, which is derived and may be made anew
at any time. ``operations`` is the log: each entry holds what it changed, so that it can be undone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Double, Index, Integer, MetaData, Table, Text

from reidstream.gallery import Migration

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("name", Text, nullable=False, default=""),
    Column("notes", Text, nullable=False, default=""),
    Column("created_wall", Double, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("tracklet", Text, primary_key=True),
    Column("person", Text, nullable=False, index=True),
    Column("probability", Double, nullable=False),
)

# kind: same or different. Tracklets, not people: people come and go as identities are resolved, tracklets stay.
links = Table(
    "links",
    metadata,
    Column("a", Text, primary_key=True),
    Column("b", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("operation", _Number, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("wall", Double, nullable=False),
    Column("author", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("undone_by", _Number),
    Column("undoes", _Number),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("wall", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("subscriber", Text, primary_key=True),
    Column("seq", _Number, nullable=False),
)

Index("links_b", links.c.b)


def _tables(connection: Connection) -> None:
    metadata.create_all(connection)


IDENTITY_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for people, members, links, operations and the outbox", _tables),
)
