"""The server's own tables, beside the gallery's.

Secrets are kept as hashes. What is about people in the pictures is taken out when they are erased (``server.stores``).
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from reidstream.gallery.migrations import Migration, make_tables
from reidstream.gallery.schema import tracklets

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password", Text, nullable=False),
    Column("role", Text, nullable=False),
    # JSON list of sources; null for all of them.
    Column("cameras", Text),
    Column("created_wall", Double, nullable=False),
)


def _user() -> Column[int]:
    return Column("user", _Number, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False)


sessions = Table(
    "sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    _user(),
    Column("begun_wall", Double, nullable=False),
    Column("used_wall", Double, nullable=False),
    Column("address", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _user(),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("cameras", Text),
    Column("begun_wall", Double, nullable=False),
    Column("used_wall", Double),
)

# Accounts of an OpenID provider: who somebody is there, and when they last came from there.
provided = Table(
    "provided_users",
    metadata,
    Column("user", _Number, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("signed_wall", Double, nullable=False),
    UniqueConstraint("issuer", "subject"),
)

# What somebody looked at or tried; decisions are in the log of operations.
looks = Table(
    "looks",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("wall", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("person", Text, index=True),
    Column("tracklet", Text, ForeignKey(tracklets.c.id, ondelete="CASCADE"), index=True),
    Column("detail", Text, nullable=False, default=""),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("begun_wall", Double, nullable=False),
    Column("ended_wall", Double),
    # What came of it, as JSON: numbers, and never whom it was about.
    Column("result", Text),
    Column("error", Text),
)

hidden = Table(
    "hidden_people",
    metadata,
    Column("person", Text, primary_key=True),
    Column("who", Text, nullable=False),
    Column("wall", Double, nullable=False),
)

# What a user said to a question of the review queue that no decision tells: skipped, or later.
answers = Table(
    "review_answers",
    metadata,
    Column("user", Text, primary_key=True),
    Column("one", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("answer", Text, nullable=False),
    Column("wall", Double, nullable=False),
)

# Which question a user was at.
places = Table(
    "review_places",
    metadata,
    Column("user", Text, primary_key=True),
    Column("one", Text, nullable=False),
    Column("other", Text, nullable=False),
)

# What a user has set for themselves, as JSON.
preferences = Table(
    "user_preferences",
    metadata,
    Column("user", _Number, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Requests that come by the database (``server.command_table``), and what was answered.
commands = Table(
    "commands",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("wall", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("response", Text),
)

ERASED = '{"status": 410, "text": "{\\"detail\\": \\"it spoke of somebody who was erased meanwhile\\"}"}'
"""What answers a command whose answer spoke of somebody who was erased."""

source_settings = Table(
    "served_sources",
    metadata,
    Column("name", Text, primary_key=True),
    # A SourceConfig as JSON; its address may hold a password, which is never given out again.
    Column("settings", Text, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
)

notes = Table(
    "server_notes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

Index("looks_wall", looks.c.wall)


def as_json(cameras: Collection[str] | None) -> str | None:
    """Cameras as they are kept; None for all of them."""
    return None if cameras is None else json.dumps(sorted(cameras))


def _tables(connection: Connection) -> None:
    make_tables(connection, *metadata.tables.values())


SERVER_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for users, sessions, tokens, jobs and what was looked at", _tables),
    Migration("what users set for themselves, and where they were in the review queue", _tables),
    Migration("commands that come by the database", _tables),
    Migration("accounts of an OpenID provider", _tables),
)
