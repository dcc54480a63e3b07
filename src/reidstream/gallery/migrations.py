"""Bringing a gallery's tables to the version that this program expects.

Each component (the gallery itself, identities, ...) keeps an explicit tuple of migrations, oldest first, and its own
version: the number of migrations that have been applied. A migration is never changed after it was released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Table, delete, insert, inspect, make_url, select, text
from sqlalchemy.schema import CreateIndex, CreateTable

from reidstream.errors import GalleryMismatch
from reidstream.gallery.partitions import into_partitions
from reidstream.gallery.schema import (
    fences,
    left_out,
    meta,
    metadata,
    more_crops,
    next_embeddings,
    stays,
    tombstones,
    tracklets_end,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: what it does, in a few words, and the function that does it inside the caller's transaction."""

    name: str
    apply: Callable[[Connection], None]


def make_tables(connection: Connection, *tables: Table) -> None:
    """Make these tables with their indexes, in this order, except those that are there."""
    for statement in _making(tables, connection.dialect.name):
        connection.exec_driver_sql(statement)


@cache
def _making(tables: tuple[Table, ...], backend: str) -> tuple[str, ...]:
    # Putting thirty tables into words takes longer than making them, and the words are always the same.
    words: list[CreateTable | CreateIndex] = []
    for table in tables:
        words.append(CreateTable(table, if_not_exists=True))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        words += [CreateIndex(index, if_not_exists=True) for index in indexes]
    dialect = make_url(f"{backend}://").get_dialect()()
    return tuple(str(one.compile(dialect=dialect)) for one in words)


def _first_tables(connection: Connection) -> None:
    make_tables(connection, *metadata.tables.values())


def _index_of_ends(connection: Connection) -> None:
    connection.execute(CreateIndex(tracklets_end, if_not_exists=True))


def _tombstones(connection: Connection) -> None:
    make_tables(connection, tombstones)


def _fences(connection: Connection) -> None:
    make_tables(connection, fences)


def _beginnings(connection: Connection) -> None:
    held = {column["name"] for column in inspect(connection).get_columns("recordings")}
    for name, kind in (("beginning", "TEXT"), ("length", "BIGINT")):
        if name not in held:
            connection.execute(text(f"ALTER TABLE recordings ADD COLUMN {name} {kind}"))


def _left_out(connection: Connection) -> None:
    make_tables(connection, left_out)


def _stays(connection: Connection) -> None:
    make_tables(connection, stays)


def _next_embeddings(connection: Connection) -> None:
    make_tables(connection, next_embeddings)


def _more_crops(connection: Connection) -> None:
    make_tables(connection, more_crops)


def _readers(connection: Connection) -> None:
    if "reader" not in {column["name"] for column in inspect(connection).get_columns("recordings")}:
        connection.execute(text("ALTER TABLE recordings ADD COLUMN reader TEXT"))


GALLERY_MIGRATIONS: tuple[Migration, ...] = (
    Migration("tables for recordings, tracklets, embeddings, details and crops", _first_tables),
    Migration("an index of the times at which tracklets end, for searches since a time", _index_of_ends),
    Migration("fencing tokens of those who write", _fences),
    Migration("marks by which erased visits are known when they come again", _tombstones),
    Migration("what recordings begin with, to know them again when they have grown", _beginnings),
    Migration("what was not stored, and why", _left_out),
    Migration("stays in named zones", _stays),
    Migration("vectors for the embedding space that a gallery is moved to", _next_embeddings),
    Migration("more than one picture of a tracklet", _more_crops),
    Migration("who reads a recording, when it is not the owner", _readers),
    Migration("large tables in partitions, on a server", into_partitions),
)


def migrate(connection: Connection, component: str, migrations: Sequence[Migration]) -> list[str]:
    """Apply what is missing of a component's migrations; the names of those that were applied.

    Runs in the caller's transaction: all or nothing. Raises GalleryMismatch when the gallery was written by a
    newer version of the program.
    """
    version = schema_version(connection, component)
    if version > len(migrations):
        raise GalleryMismatch(
            f"the gallery's {component} tables have version {version}, this program knows up to {len(migrations)}; "
            "install a newer reidstream to use it"
        )
    missing = migrations[version:]
    for migration in missing:
        migration.apply(connection)
    if missing:
        key = f"schema:{component}"
        connection.execute(delete(meta).where(meta.c.key == key))
        connection.execute(insert(meta).values(key=key, value=str(len(migrations))))
    return [migration.name for migration in missing]


def schema_version(connection: Connection, component: str) -> int:
    """How many of a component's migrations have been applied; 0 for an empty database."""
    if not inspect(connection).has_table("meta"):
        return 0
    value = connection.execute(select(meta.c.value).where(meta.c.key == f"schema:{component}")).scalar()
    return int(value) if value is not None else 0
