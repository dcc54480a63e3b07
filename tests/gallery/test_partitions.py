"""Large tables in partitions on PostgreSQL: what an erasure writes anew, and who makes the next one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text, update

from reidstream.config.gallery import GalleryConfig
from reidstream.errors import GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.database import Database, Place, place_of, table_names
from reidstream.gallery.migrations import GALLERY_MIGRATIONS
from reidstream.gallery.partitions import Room
from reidstream.gallery.schema import PARTITIONED, meta
from reidstream.types import SourceStarted
from tests.gallery.conftest import SPACE, some_tracklets

EXACT = GalleryConfig(index="exact")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reidstream.gallery.partitions.SIZE", 20)
    monkeypatch.setattr("reidstream.gallery.partitions._AHEAD", 10)
    monkeypatch.setattr("reidstream.gallery.partitions._AGAIN", 3)


@pytest.fixture
def gallery(postgres: str) -> Iterator[Gallery]:
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=EXACT) as opened:
        begin(opened)
        yield opened


def begin(gallery: Gallery) -> None:
    gallery.begin_source(SourceStarted("door", "door.mp4", "content-door", (640, 480), 10, 0.0), "settings")


def add(gallery: Gallery, n: int, first: int = 0) -> list[str]:
    batch = some_tracklets(n, first=first)
    gallery.add(batch)
    gallery.flush()
    return [tracklet.id for tracklet in batch]


def files(connection: Connection) -> dict[str, int]:
    """The file of every table and partition, which changes when it is written anew."""
    query = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    return {row.relname: row.relfilenode for row in connection.execute(text(query))}


def ends(connection: Connection, name: str) -> list[int]:
    return sorted(int(part.rpartition("_")[2]) for part in files(connection) if part.startswith(f"{name}_below_"))


def beyond(connection: Connection, name: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {name}_beyond")).scalar_one())


def test_partitions_are_made_before_they_are_wanted(gallery: Gallery) -> None:
    with gallery.read() as connection:
        assert {table.name: ends(connection, table.name) for table in PARTITIONED} == {
            table.name: [20] for table in PARTITIONED
        }
    for first in range(0, 50, 5):
        add(gallery, 5, first)
    with gallery.read() as connection:
        for table in PARTITIONED:
            assert ends(connection, table.name) == [20, 40, 60, 80]
            assert beyond(connection, table.name) == 0
        assert {table.name for table in PARTITIONED} < set(table_names(connection))
        assert not [name for name in table_names(connection) if "_below_" in name or "_beyond" in name]
    assert len(gallery.vectors()[0]) == 50
    assert gallery.check().problems == []


def test_who_stores_much_at_once_loses_nothing_and_the_next_partition_begins_behind_it(gallery: Gallery) -> None:
    ids = add(gallery, 45)
    with gallery.read() as connection:
        assert beyond(connection, "embeddings") == 45 - 19
        # Ten are left for those who store while it is made.
        assert ends(connection, "embeddings") == [20, 45 + 10 + 20]
    more = add(gallery, 20, 45)
    with gallery.read() as connection:
        assert beyond(connection, "embeddings") == 45 - 19 + 9
    assert sorted(gallery.vectors()[0]) == sorted([*ids, *more])


def test_an_erasure_writes_anew_what_held_somebody_and_no_other_partition(gallery: Gallery) -> None:
    ids = [id for first in range(0, 50, 5) for id in add(gallery, 5, first)]
    with gallery.read() as connection:
        before = files(connection)
    gallery.erase([ids[24], ids[25]])
    with gallery.read() as connection:
        after = files(connection)
    kept = {name for name in before if before[name] == after.get(name)}
    large = {name for name in before if "_below_" in name or "_beyond" in name}
    assert large - kept == {"embeddings_below_40", "details_below_40", "crops_below_40"}
    assert not kept - large
    assert len(gallery.vectors()[0]) == 48


def test_an_erasure_that_was_interrupted_writes_all_of_it_anew(gallery: Gallery, postgres: str) -> None:
    add(gallery, 15)
    with gallery.write() as connection:
        before = files(connection)
        connection.execute(update(meta).where(meta.c.key == "erasing").values(value="1"))
    gallery.close()
    with Gallery.open(postgres, write=True) as again, again.read() as connection:
        after = files(connection)
    assert {name for name in before if before[name] == after[name]} == set()


@contextlib.contextmanager
def reading(postgres: str, query: str) -> Iterator[None]:
    """Somebody is in the middle of reading, with one view of it all."""
    engine = create_engine(place_of(postgres).url or "", isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.execute(text(query))
        yield
        connection.rollback()
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1", "has been reading for 0 s and may still see what was deleted"),
        ("SELECT count(*) FROM crops", "somebody has been reading crops_below_20 for 0 s"),
    ],
)
def test_an_erasure_says_who_still_reads(
    gallery: Gallery, postgres: str, monkeypatch: pytest.MonkeyPatch, query: str, said: str
) -> None:
    ids = add(gallery, 15)
    monkeypatch.setattr("reidstream.gallery.partitions.READERS_PATIENCE", 0.2)
    monkeypatch.setattr("reidstream.gallery.database._TABLE_SECONDS", 0.1)
    with reading(postgres, query):
        assert said in gallery.erase(ids[:1]).reach
    assert "reading" not in gallery.erase(ids[1:2]).reach


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT count(*) FROM crops"])
def test_an_erasure_waits_for_who_reads(
    gallery: Gallery, postgres: str, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    ids = add(gallery, 15)
    monkeypatch.setattr("reidstream.gallery.database._TABLE_SECONDS", 0.1)
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        with reading(postgres, query):
            begun.set()
            while len(gallery) == len(ids):
                ended.wait(0.05)
            ended.wait(0.3)
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait()
    assert "reading" not in gallery.erase(ids[:1]).reach
    assert ended.is_set()
    reader.join()


def test_an_erasure_says_when_statistics_stay(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add(gallery, 15)
    assert "statistics" not in gallery.erase(ids[:1]).reach
    # Whoever does not own the database is passed over.
    monkeypatch.setattr("reidstream.gallery.database._statistics_file", lambda connection: 1)
    assert "statistics could not be written anew" in gallery.erase(ids[1:2]).reach


def test_who_waited_briefly_for_a_table_waits_as_long_as_others_afterwards(gallery: Gallery, postgres: str) -> None:
    database = Database(place_of(postgres), write=True)

    def waits() -> str:
        with database.read() as connection:
            return str(connection.execute(text("SHOW lock_timeout")).scalar_one())

    usual = waits()
    with pytest.raises(GalleryError, match="no_such_table"):
        database.vacuum_tables(["no_such_table"], [], 1.0)
    assert waits() == usual
    assert database.vacuum_tables(["meta"], ["crops"], 1.0) == []
    assert waits() == usual
    database.close()


def test_nobody_waits_long_for_a_partition(gallery: Gallery, postgres: str) -> None:
    add(gallery, 5)
    other = create_engine(place_of(postgres).url or "")
    database = Database(place_of(postgres), write=True)
    room = Room(database)
    with other.connect() as connection:
        connection.execute(text("LOCK TABLE tracklets IN ROW EXCLUSIVE MODE"))
        room.reach(15)
        connection.rollback()
    room.reach(16)
    with gallery.read() as connection:
        assert ends(connection, "crops") == [20]
    room.reach(18)
    room.reach(19)
    with gallery.read() as connection:
        assert ends(connection, "crops") == [20, 40]
    database.close()
    other.dispose()


def test_who_may_not_make_tables_stores_all_the_same_and_hears_of_it_once(
    gallery: Gallery, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    administrator = create_engine(place_of(postgres).url or "")
    with administrator.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS storing"))
        connection.execute(text("CREATE ROLE storing LOGIN"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO storing"))
    url = place_of(postgres).url
    assert url is not None
    database = Database(Place(url=url.set(username="storing")), write=True)
    room = Room(database)
    with caplog.at_level("WARNING"):
        for last in (12, 15, 18):
            room.reach(last)
    assert [record.getMessage().count("meanwhile") for record in caplog.records] == [1]
    database.close()
    with administrator.begin() as connection:
        assert ends(connection, "crops") == [20]
        connection.execute(text("DROP OWNED BY storing"))
        connection.execute(text("DROP ROLE storing"))
    administrator.dispose()


def test_the_tables_of_an_earlier_version_become_the_first_partitions(gallery: Gallery, postgres: str) -> None:
    ids = add(gallery, 33)
    vectors = gallery.vectors(ids)[1]
    with gallery.write() as connection:
        for table in PARTITIONED:
            name = table.name
            connection.execute(text(f"CREATE TABLE former (LIKE {name} INCLUDING ALL)"))
            connection.execute(text(f"INSERT INTO former SELECT * FROM {name}"))
            connection.execute(text(f"DROP TABLE {name}"))
            connection.execute(text(f"ALTER TABLE former RENAME TO {name}"))
            connection.execute(text(f"ALTER INDEX former_pkey RENAME TO {name}_pkey"))
            connection.execute(
                text(f"ALTER TABLE {name} ADD FOREIGN KEY (seq) REFERENCES tracklets (seq) ON DELETE CASCADE")
            )
        version = update(meta).where(meta.c.key == "schema:gallery")
        connection.execute(version.values(value=str(len(GALLERY_MIGRATIONS) - 1)))
        before = files(connection)
    gallery.close()
    with Gallery.open(postgres, write=True) as moved:
        with moved.read() as connection:
            after = files(connection)
        for table in PARTITIONED:
            # Nothing was copied.
            assert after[f"{table.name}_below_40"] == before[table.name]
        assert (moved.vectors(ids)[1] == vectors).all()
        begin(moved)
        more = add(moved, 20, 33)
        moved.erase([ids[3], more[2]])
        assert len(moved.vectors()[0]) == 51
        assert moved.check().problems == []
