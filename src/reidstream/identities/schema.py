"""The tables of identities, beside the gallery's own.

What people decided (``links``, names, notes) outlives the tracklets' assignment, which is derived and may be made anew
at any time. ``operations`` is the log; ``former_members``, ``former_links`` and ``former_people`` hold what each entry
changed, so that it can be undone. Whatever names a tracklet goes with it when it is erased.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Double, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy import inspect as inspected
from sqlalchemy import text as statement

from reidstream.gallery.migrations import Migration, make_tables
from reidstream.gallery.schema import tracklets

ERASURE = "erase"
"""Kind of the entry of the log that says that people were erased."""

ERASED = "erased"
"""Kind of what was a decision about somebody who was erased, and changes nothing any more."""

ERASED_SUMMARY = "about somebody who was erased"
"""What is left of the words of decisions about somebody who was erased."""

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")


def _tracklet(name: str, *, key: bool = False, optional: bool = False) -> Column[str]:
    reference = ForeignKey(tracklets.c.id, ondelete="CASCADE")
    return Column(name, Text, reference, primary_key=key, nullable=optional)


def _doubt() -> tuple[Column[str], Column[float]]:
    """Of an undecided tracklet: one of the person that it may be, and how likely that is. Elsewhere none.

    A tracklet, not a person, for people come and go; erasing it leaves no trace of it here.
    """
    reference = ForeignKey(tracklets.c.id, ondelete="SET NULL")
    return Column("candidate", Text, reference), Column("chance", Double)


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
    _tracklet("tracklet", key=True),
    Column("person", Text, nullable=False, index=True),
    Column("probability", Double, nullable=False),
    *_doubt(),
)

# kind: same or different. Tracklets, not people: people come and go as identities are resolved, tracklets stay.
links = Table(
    "links",
    metadata,
    _tracklet("a", key=True),
    _tracklet("b", key=True),
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
    Column("undone_by", _Number),
    Column("undoes", _Number),
    # Where an imported operation was made: that gallery's uuid, a colon, and its number there. None for our own.
    Column("origin", Text),
)

former_members = Table(
    "former_members",
    metadata,
    Column("changed_by", _Number, primary_key=True),
    _tracklet("tracklet", key=True),
    # No person: it had none, then the probability is 0; or that person was erased, then it is none, either.
    Column("person", Text),
    Column("probability", Double),
    *_doubt(),
    # Whose it was afterwards; none in entries of earlier versions.
    Column("became", Text),
)

former_links = Table(
    "former_links",
    metadata,
    Column("changed_by", _Number, primary_key=True),
    _tracklet("a", key=True),
    _tracklet("b", key=True),
    Column("kind", Text, primary_key=True),
    Column("operation", _Number, nullable=False),
)

former_people = Table(
    "former_people",
    metadata,
    Column("changed_by", _Number, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("notes", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("wall", Double, nullable=False),
    Column("kind", Text, nullable=False),
    _tracklet("tracklet", optional=True),
    Column("payload", Text, nullable=False),
    sqlite_autoincrement=True,
)

Index("outbox_tracklet", outbox.c.tracklet)
Index("links_b", links.c.b)
Index("members_candidate", members.c.candidate)
Index("former_members_candidate", former_members.c.candidate)
Index("former_members_tracklet", former_members.c.tracklet)
Index("former_people_person", former_people.c.person)
Index("former_links_a", former_links.c.a)
Index("former_links_b", former_links.c.b)


def _tables(connection: Connection) -> None:
    make_tables(connection, *metadata.tables.values())


def _origin_of_operations(connection: Connection) -> None:
    # Tables that were made a moment ago have the column already.
    if "origin" not in {column["name"] for column in inspected(connection).get_columns("operations")}:
        connection.execute(statement("ALTER TABLE operations ADD COLUMN origin TEXT"))


def _undecided(connection: Connection) -> None:
    for table in (members, former_members):
        held = {column["name"] for column in inspected(connection).get_columns(table.name)}
        if "candidate" not in held:
            reference = "TEXT REFERENCES tracklets (id) ON DELETE SET NULL"
            connection.execute(statement(f"ALTER TABLE {table.name} ADD COLUMN candidate {reference}"))
            number = "DOUBLE PRECISION" if connection.dialect.name == "postgresql" else "DOUBLE"
            connection.execute(statement(f"ALTER TABLE {table.name} ADD COLUMN chance {number}"))
            index = f"CREATE INDEX {table.name}_candidate ON {table.name} (candidate)"
            connection.execute(statement(index))
    if "became" not in {column["name"] for column in inspected(connection).get_columns("former_members")}:
        connection.execute(statement("ALTER TABLE former_members ADD COLUMN became TEXT"))


def _what_touched_whom(connection: Connection) -> None:
    named = (("former_members", "tracklet"), ("former_people", "person"), ("former_links", "a"), ("former_links", "b"))
    for table, column in named:
        connection.execute(statement(f"CREATE INDEX IF NOT EXISTS {table}_{column} ON {table} ({column})"))


IDENTITY_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for people, members, links, operations and the outbox", _tables),
    Migration("where imported operations were made", _origin_of_operations),
    Migration("who is undecided, and whose a tracklet became", _undecided),
    Migration("finding what touched a person or a tracklet", _what_touched_whom),
)
