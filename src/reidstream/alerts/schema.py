"""The tables of watch lists, rules and alerts.

An entry of a list names a tracklet, not a person: people come and go as it is decided anew who is who, and whoever has
that tracklet is meant. An alert has no foreign key, because an erasure must hear of it before it goes (``stores``).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from reidstream.gallery.migrations import Migration, make_tables

metadata = MetaData()

lists = Table(
    "watch_lists",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("purpose", Text, nullable=False),
    Column("until_wall", Double, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_wall", Double, nullable=False),
)

# One of tracklet and photo. vector: float32, of the space that is named; until_wall: when the photo goes.
entries = Table(
    "watch_entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("list", Text, ForeignKey(lists.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("tracklet", Text, index=True),
    Column("photo", LargeBinary),
    Column("vector", LargeBinary),
    Column("space", Text),
    Column("until_wall", Double),
    Column("author", Text, nullable=False),
    Column("created_wall", Double, nullable=False),
)

# settings: a RuleSettings as JSON.
rules = Table(
    "watch_rules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("settings", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_wall", Double, nullable=False),
)

# track: the source's number of it, as text. media, wall: of the frame, seconds. start_media: when the track began.
# tracklet, person: once it is known. entry: the entry of a list that it is about. state: raised, confirmed or
# withdrawn. why: numbers as JSON, never a name. frame, crop: JPEG.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False, index=True),
    Column("source", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("track", Text, nullable=False),
    Column("wall", Double, nullable=False),
    Column("media", Double, nullable=False),
    Column("start_media", Double, nullable=False),
    Column("raised_wall", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("tracklet", Text, index=True),
    Column("person", Text, index=True),
    Column("entry", Text),
    Column("probability", Double, nullable=False),
    Column("why", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("acknowledged_wall", Double),
    Column("acknowledged_by", Text),
    Column("frame", LargeBinary),
    Column("crop", LargeBinary),
)
Index("alerts_track", alerts.c.content, alerts.c.track)
Index("alerts_raised", alerts.c.raised_wall)

# Up to which event everybody who was stored was looked at; one row, and none while no rule holds.
looked = Table("watch_looked", metadata, Column("seq", BigInteger, nullable=False))


def _tables(connection: Connection) -> None:
    make_tables(connection, lists, entries, rules, alerts)


def _looked(connection: Connection) -> None:
    make_tables(connection, looked)


ALERT_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for watch lists, rules and alerts", _tables),
    Migration("how far events were looked at", _looked),
)
