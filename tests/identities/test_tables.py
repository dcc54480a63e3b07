"""The tables of identities: rows are found by what they refer to; those of earlier versions become the present ones."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection, inspect, select, update

from reidstream.gallery.migrations import migrate
from reidstream.gallery.schema import meta
from reidstream.identities.people import prepare
from reidstream.identities.schema import IDENTITY_MIGRATIONS, members
from tests.identities.conftest import Fill

LOOKED_UP = [
    *(("outbox", "tracklet"), ("links", "b"), ("members", "candidate"), ("former_members", "candidate")),
    *(("former_members", "tracklet"), ("former_people", "person"), ("former_links", "a"), ("former_links", "b")),
]


@pytest.mark.parametrize("before", [False, True])
def test_what_refers_to_a_tracklet_or_person_is_found_without_looking_through_all(fill: Fill, before: bool) -> None:
    gallery = fill([])
    prepare(gallery)
    with gallery.write() as connection:
        if before:
            # As an earlier version left it.
            for table, column in LOOKED_UP[4:]:
                connection.exec_driver_sql(f"DROP INDEX {table}_{column}")
            for migration in IDENTITY_MIGRATIONS[1:]:
                migration.apply(connection)
        held = {
            (table, index["column_names"][0])
            for table in {name for name, _ in LOOKED_UP}
            for index in inspect(connection).get_indexes(table)
        }
        assert set(LOOKED_UP) <= held
        assert connection.execute(select(members.c.tracklet)).all() == []


def as_before(connection: Connection, table: str, *columns: str) -> None:
    """Make an empty table without some of its columns and their indexes, as an earlier version did."""
    gone = re.compile(rf"\b({'|'.join(columns)})\b")
    found = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE tbl_name = ? ORDER BY type DESC", (table,))
    made, *indexes = (row.sql for row in found if row.sql)
    connection.exec_driver_sql(f"DROP TABLE {table}")
    lines = [line for line in made.splitlines() if not gone.search(line)]
    connection.exec_driver_sql(re.sub(r",\s*\)$", ")", "\n".join(lines)))
    for index in indexes:
        if not gone.search(index):
            connection.exec_driver_sql(index)


EARLIER = [
    (2, "operations", ("origin",)),
    (3, "members", ("candidate", "chance")),
    (3, "former_members", ("candidate", "chance", "became")),
]


@pytest.mark.parametrize("version", range(1, len(IDENTITY_MIGRATIONS) + 1))
def test_identities_of_every_earlier_version_come_to_have_what_new_ones_have(fill: Fill, version: int) -> None:
    gallery = fill([])
    prepare(gallery)

    def described(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {
            name: {column["name"] for column in found.get_columns(name)}
            | {str(index["column_names"]) for index in found.get_indexes(name)}
            for name in found.get_table_names()
        }

    with gallery.write() as connection:
        wanted = described(connection)
        for number, table, columns in EARLIER:
            if number > version:
                as_before(connection, table, *columns)
        earlier = update(meta).where(meta.c.key == "schema:identities").values(value=str(version))
        connection.execute(earlier)
        assert (described(connection) == wanted) == (version >= 3)
        migrate(connection, "identities", IDENTITY_MIGRATIONS)
        assert described(connection) == wanted
    prepare(gallery)
