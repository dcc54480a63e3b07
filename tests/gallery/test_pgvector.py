"""A gallery on PostgreSQL whose index is in the same database, by pgvector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from reidstream.config.gallery import GalleryConfig
from reidstream.errors import ConfigError, GalleryError
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.database import Database, place_of
from reidstream.gallery.index.pgvector import PgVectorIndex, schema_of
from tests.postgres import PostgresServer

from .conftest import SETTINGS, SPACE, some_tracklets, started

PGVECTOR = GalleryConfig(index="pgvector")


def opened(url: str) -> Gallery:
    return Gallery.open(url, write=True, create=True, space=SPACE, config=PGVECTOR)


def tables(gallery: Gallery) -> list[str]:
    query = text("SELECT tablename FROM pg_tables WHERE schemaname = :schema ORDER BY 1")
    with gallery.read() as connection:
        return list(connection.execute(query, {"schema": schema_of(gallery.facts().uuid)}).scalars())


@pytest.mark.setting("gallery.index")
def test_the_index_is_filled_and_asked_by_owner_and_readers(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A reader opens the index once there is more than this, as in a large gallery.
    monkeypatch.setattr("reidstream.gallery.searching._LONG_TAIL", 10)
    tracklets = some_tracklets(300)
    with opened(postgres) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets[:200])
        gallery.flush()
        assert tables(gallery) == ["vectors_000001"]
        gallery.add(tracklets[200:])
        vectors = np.stack([t.embedding for t in tracklets])
        asked: list[int] = []
        search = PgVectorIndex.search
        monkeypatch.setattr(PgVectorIndex, "search", lambda self, q, k: (asked.append(k), search(self, q, k))[1])
        with Gallery.open(postgres) as reader:
            for one in (gallery, reader):
                for place in (0, 150, 250):
                    best = np.argsort(-(vectors @ vectors[place]))[:5]
                    found = one.search(vectors[place], 5)[0]
                    assert [match.tracklet for match in found] == [tracklets[n].id for n in best]
                    assert [match.similarity for match in found] == pytest.approx(
                        (vectors @ vectors[place])[best].tolist(), abs=1e-5
                    )
                late = one.search(vectors[0], 300, Filter(since=tracklets[250].start_wall))[0]
                assert {match.tracklet for match in late} <= {t.id for t in tracklets[200:]}
        assert len(asked) >= 6
        gallery.flush()
        assert gallery.check().problems == []


def test_what_is_erased_is_in_no_row_of_the_index_and_its_former_table_is_gone(postgres: str) -> None:
    tracklets = some_tracklets(40)
    with opened(postgres) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        gallery.flush()
        gone = [t.id for t in tracklets[:7]]
        erasure = gallery.erase(gone)
        assert erasure.tracklets == 7
        assert "write-ahead log" in erasure.reach
        assert "chroma" not in erasure.reach
        assert tables(gallery) == ["vectors_000002"]
        with gallery.read() as connection:
            table = f"{schema_of(gallery.facts().uuid)}.vectors_000002"
            held = set(connection.execute(text(f"SELECT id FROM {table}")).scalars())
        assert held == {t.id for t in tracklets[7:]}
        assert gallery.check().problems == []
        assert gallery.search(tracklets[0].embedding, 40)[0][0].tracklet not in gone


def test_what_the_database_keeps_of_erased_rows_is_only_its_log(postgres: str, postgres_server: PostgresServer) -> None:
    tracklets = some_tracklets(200)
    with opened(postgres) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        gallery.flush()
        with gallery.read() as connection:
            own = connection.execute(
                text("SELECT oid FROM pg_database WHERE datname = current_database()")
            ).scalar_one()
            folder = Path(connection.execute(text("SHOW data_directory")).scalar_one()) / "base" / str(own)
        # As PostgreSQL does by itself a while after many rows came; it keeps values of columns in its statistics.
        with gallery.write() as connection:
            connection.execute(text("ANALYZE"))
        ids = [t.id.encode() for t in tracklets[:20]]
        halves = [t.embedding.astype(np.float16).tobytes()[:32] for t in tracklets[:20]]
        wholes = [t.embedding.tobytes()[:32] for t in tracklets[:20]]
        postgres_server.psql("CHECKPOINT")
        # The search finds them while they are there: rows, and the graph's copies in half precision.
        assert readable(folder, ids) and readable(folder, halves) and readable(folder, wholes)
        reach = gallery.erase([t.id for t in tracklets[:20]]).reach
        postgres_server.psql("CHECKPOINT")
        assert readable(folder, [*ids, *halves, *wholes]) == set(), reach


def readable(folder: Path, pieces: list[bytes]) -> set[bytes]:
    """Which pieces can be read in the files of a database's tables and indexes."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {piece for piece in pieces if any(piece in data for data in files)}


def test_an_index_that_is_gone_is_made_anew_and_nothing_is_missed_meanwhile(postgres: str) -> None:
    tracklets = some_tracklets(30)
    with opened(postgres) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(tracklets)
        gallery.flush()
        with gallery.write() as connection:
            connection.execute(text(f"DROP SCHEMA {schema_of(gallery.facts().uuid)} CASCADE"))
        with Gallery.open(postgres) as reader:
            assert reader.search(tracklets[3].embedding, 1)[0][0].tracklet == tracklets[3].id
        assert gallery.search(tracklets[3].embedding, 1)[0][0].tracklet == tracklets[3].id
        gallery.rebuild()
        assert gallery.check().problems == []
        assert tables(gallery) == ["vectors_000002"]


def test_a_folder_and_a_server_without_the_extension_say_what_is_missing(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="is for galleries on PostgreSQL"):
        opened(str(tmp_path / "shop"))
    monkeypatch.setattr("reidstream.gallery.index.pgvector.EXTENSION", "vector_that_is_not_there")
    with pytest.raises(GalleryError, match=r"has no pgvector.*gallery\.index = \"exact\""):
        opened(postgres)
    monkeypatch.undo()
    database = Database(place_of(postgres), write=True)
    with database.write() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN"))
        connection.execute(text("GRANT CREATE ON SCHEMA public TO guest"))
    database.close()
    with pytest.raises(GalleryError, match=r"may not add pgvector.*CREATE EXTENSION vector"):
        opened(postgres.replace("//postgres:", "//guest:"))


def test_embeddings_of_more_dimensions_than_it_indexes_are_refused(postgres: str) -> None:
    with pytest.raises(GalleryError, match="up to 4000 dimensions, and these embeddings have 5000"):
        PgVectorIndex(place_of(postgres), "0" * 32, 1, 5000, make=True)
