"""Tables of every earlier version become those of the present one, and are made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, create_engine, inspect, update

from reidstream.alerts.schema import metadata as alerts_metadata
from reidstream.clips.schema import metadata as clips_metadata
from reidstream.gallery import Gallery
from reidstream.gallery.database import _COMPILED
from reidstream.gallery.fencing import check_fence, take_fence
from reidstream.gallery.migrations import GALLERY_MIGRATIONS, make_tables, migrate
from reidstream.gallery.schema import meta, metadata, tracklets, tracklets_end
from reidstream.identities.schema import metadata as identity_metadata
from reidstream.retention.schema import metadata as retention_metadata
from reidstream.server.access.schema import metadata as server_metadata
from tests.exact import EXACT

from .conftest import SPACE, some_tracklets

PEOPLE = some_tracklets(12)


# What the first tables did not have yet, by the number of the step that brought it.
LATER = [
    (2, "DROP INDEX", tracklets_end.name),
    (3, "DROP TABLE", "fences"),
    (4, "DROP TABLE", "tombstones"),
    (5, "ALTER TABLE recordings DROP COLUMN", "beginning"),
    (5, "ALTER TABLE recordings DROP COLUMN", "length"),
    (6, "DROP TABLE", "left_out"),
    (7, "DROP TABLE", "stays"),
    (8, "DROP TABLE", "next_embeddings"),
    (9, "DROP TABLE", "more_crops"),
    (10, "ALTER TABLE recordings DROP COLUMN", "reader"),
    # Of a server alone.
    (11, "SELECT", "1"),
]


def described(connection: Connection) -> dict[str, set[str]]:
    """The columns of every table, and the names of its indexes."""
    found = inspect(connection)
    return {
        name: {column["name"] for column in found.get_columns(name)}
        | {str(index["name"]) for index in found.get_indexes(name)}
        for name in found.get_table_names()
    }


@pytest.mark.parametrize("version", range(1, len(GALLERY_MIGRATIONS) + 1))
def test_a_gallery_of_every_earlier_version_comes_to_have_what_a_new_one_has(gallery: Gallery, version: int) -> None:
    assert {number for number, *_ in LATER} == set(range(2, len(GALLERY_MIGRATIONS) + 1))
    with gallery.write() as connection:
        wanted = described(connection)
        for number, how, what in LATER:
            if number > version:
                connection.exec_driver_sql(f"{how} {what}")
        earlier = update(meta).where(meta.c.key == "schema:gallery").values(value=str(version))
        connection.execute(earlier)
        done = migrate(connection, "gallery", GALLERY_MIGRATIONS)
        assert done == [migration.name for migration in GALLERY_MIGRATIONS[version:]]
        assert described(connection) == wanted
        assert migrate(connection, "gallery", GALLERY_MIGRATIONS) == []
        check_fence(connection, take_fence(connection, "scope", "ana"), "shop")


@pytest.mark.parametrize(
    "described",
    [metadata, identity_metadata, server_metadata, alerts_metadata, clips_metadata, retention_metadata],
    ids=["gallery", "identities", "server", "alerts", "clips", "retention"],
)
def test_tables_are_those_that_are_described_and_what_is_there_stays(described: MetaData) -> None:
    def made(make: Callable[[Connection], None]) -> list[tuple[str, ...]]:
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            # Others refer to it.
            tracklets.create(connection, checkfirst=True)
            make(connection)
            found = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
        engine.dispose()
        return sorted((kind, name, sql.replace("IF NOT EXISTS ", "").strip()) for kind, name, sql in found)

    def twice(connection: Connection) -> None:
        for _ in range(2):
            make_tables(connection, *described.tables.values())

    assert made(twice) == made(described.create_all)


def test_what_was_put_into_words_for_one_gallery_serves_all_others(tmp_path: Path) -> None:
    told: list[str] = []
    for name in ("one", "other"):
        with Gallery.open(tmp_path / name, write=True, create=True, space=SPACE, config=EXACT) as gallery:
            assert gallery.rows().id.tolist() == []
            told.append(f"{len(_COMPILED)} statements")
    assert told[0] == told[1]
