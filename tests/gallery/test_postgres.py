"""A gallery on a PostgreSQL server keeps the same promises."""

from __future__ import annotations

import os
import threading

import pytest
from sqlalchemy import text

from reidstream.errors import GalleryLocked, GalleryNotFound
from reidstream.gallery import Begin, Filter, Gallery
from reidstream.gallery.database import Database, place_of
from reidstream.gallery.fencing import OWNER, take_fence
from tests.postgres import PostgresServer

from .conftest import SETTINGS, SPACE, contents_of, same_contents, some_tracklets, started


def test_a_gallery_on_postgres_stores_searches_locks_and_erases(postgres: str) -> None:
    url = postgres
    tracklets = some_tracklets(50)
    with Gallery.open(url, write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        assert gallery.add(tracklets) == 50
        assert gallery.add(tracklets) == 0
        assert same_contents(contents_of(gallery), {t.id: t for t in tracklets})
        with pytest.raises(GalleryLocked, match=rf"pid {os.getpid()}"):
            Gallery.open(url, write=True)
        with Gallery.open(url) as reader:
            assert reader.search(tracklets[3].embedding, 1)[0][0].tracklet == tracklets[3].id
            assert len(reader.search(tracklets[3].embedding, 5, Filter(since=1048.5))[0]) == 3
        erasure = gallery.erase([t.id for t in tracklets], contents=["content-door"])
        assert not erasure.proven
        assert "out of reach" in erasure.reach
        assert gallery.check().problems == []
        assert len(gallery) == 0
    with pytest.raises(GalleryNotFound, match="no gallery at postgresql"):
        Gallery.open(url.replace("?", "-that-is-not-there?"))


def opened(url: str) -> Gallery:
    return Gallery.open(url, write=True, create=True, space=SPACE)


def test_after_a_restart_of_the_server_the_first_writer_goes_on_and_a_second_one_is_refused(
    postgres: str, postgres_server: PostgresServer
) -> None:
    with opened(postgres) as first:
        first.begin_source(started(), SETTINGS)
        first.add(some_tracklets(4))
        postgres_server.restart()
        # With the first write after the restart the lock is taken again.
        assert first.add(some_tracklets(8)) == 4
        with pytest.raises(GalleryLocked, match=rf"pid {os.getpid()}"):
            Gallery.open(postgres, write=True)
        assert len(first) == 8


def test_of_two_writers_after_a_restart_of_the_server_only_the_later_one_can_write(
    postgres: str, postgres_server: PostgresServer
) -> None:
    first = opened(postgres)
    first.begin_source(started(), SETTINGS)
    first.add(some_tracklets(4))
    postgres_server.restart()
    with opened(postgres) as second:
        with pytest.raises(GalleryLocked, match=r"is being written by reidstream .* pid"):
            first.add(some_tracklets(8))
        assert second.begin_source(started(), SETTINGS) is Begin.RESUMED
        assert second.add(some_tracklets(8)) == 4
    # The lock is free again, and is not taken back by whoever has been overtaken meanwhile.
    for _ in range(2):
        with pytest.raises(GalleryLocked, match=r"was taken over by reidstream .* open the gallery anew"):
            first.add(some_tracklets(16))
    assert len(first) == 8
    first.close(finish=False)
    with opened(postgres) as third:
        assert third.begin_source(started(), SETTINGS) is Begin.RESUMED
        assert third.add(some_tracklets(16)) == 8


def test_a_transaction_that_began_before_a_takeover_is_committed_before_it(postgres: str) -> None:
    """The fence's row is held for as long as the transaction lasts, so that no write can slip in behind the check."""
    order: list[str] = []
    place = place_of(postgres)
    with opened(postgres) as first:
        database = Database(place, write=True)

        def take() -> None:
            with database.write() as connection:
                take_fence(connection, OWNER, "somebody else")
            order.append("taken")

        thread = threading.Thread(target=take)
        with first.write() as connection:
            thread.start()
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            while not connection.execute(waiting).scalar():
                connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            order.append("written")
        thread.join()
        database.close()
        assert order == ["written", "taken"]
        with pytest.raises(GalleryLocked, match="taken over by somebody else"), first.write():
            pytest.fail("the transaction began")


def test_every_scope_has_a_fence_of_its_own(postgres: str) -> None:
    with opened(postgres) as gallery:
        with gallery.write() as connection:
            door = take_fence(connection, "source:door", "worker 1")
            yard = take_fence(connection, "source:yard", "worker 2")
        with gallery.write(door, yard):
            pass
        with gallery.write() as connection:
            assert take_fence(connection, "source:door", "worker 3").token == door.token + 1
        with gallery.write(yard):
            pass
        with pytest.raises(GalleryLocked, match=r"taken over by worker 3.*source:door, token 1"), gallery.write(door):
            pytest.fail("the transaction began")
