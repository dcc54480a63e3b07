"""What is between those who store, the one who decides, those who stand by for it, and those who hold vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from reidstream.cluster import decider, deciding, in_view, inbox, index_process
from reidstream.cluster.decider import Decider
from reidstream.cluster.deciding import Deciding
from reidstream.cluster.inbox import What
from reidstream.cluster.index_process import HeldVectors, IndexService
from reidstream.cluster.schema import CLUSTER_MIGRATIONS
from reidstream.cluster.worker import register
from reidstream.config import load_config
from reidstream.gallery import Gallery
from reidstream.gallery.database import Database
from reidstream.gallery.fencing import OWNER, take_fence
from reidstream.gallery.index.processes import IndexProcess, announce, announced, withdraw
from reidstream.gallery.storing import remove
from reidstream.identities.people import prepare
from reidstream.server.desk import Desk
from tests.alerts.conftest import sighting
from tests.cluster.processes import wait_until
from tests.cluster.test_opening import database
from tests.identities.conftest import SPACE
from tests.server.conftest import IDS, VISITS, stored

__all__ = ["database"]


@pytest.fixture
def gallery(postgres: str) -> Iterator[Gallery]:
    """Of six visits, of whom nobody has decided who they are; its owner's."""
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as opened:
        opened.migrate("cluster", CLUSTER_MIGRATIONS)
        prepare(opened)
        stored(opened, VISITS)
        yield opened


def rows(of: Database | Gallery, query: str) -> list[Any]:
    with of.read() as connection:
        return [tuple(row) if len(row) > 1 else row[0] for row in connection.execute(text(query))]


def change(of: Database | Gallery, statement: str) -> None:
    with of.write() as connection:
        connection.execute(text(statement))


def test_what_is_noted_again_while_it_is_taken_over_waits_for_the_next_look(gallery: Gallery) -> None:
    with gallery.write() as connection:
        inbox.note(connection, What.CHANGED, IDS[:2])
        seen = inbox.happened(connection)
        inbox.note(connection, What.CHANGED, IDS[:1])
        inbox.taken_over(connection, seen.numbers)
    with gallery.read() as connection:
        assert inbox.happened(connection).changed == (IDS[0],)


def test_new_tracklets_wait_until_they_have_a_person_or_are_gone(gallery: Gallery) -> None:
    with gallery.write() as connection:
        inbox.note(connection, What.NEW, IDS[:2])
        inbox.taken_over(connection, ())
        connection.execute(text(f"UPDATE inbox SET at = at - interval '90 s' WHERE tracklet = '{IDS[1]}'"))
        waits = inbox.backlog(connection)
        # The oldest says how far whoever decides is behind.
        assert waits.rows == 2
        assert 90 <= waits.seconds < 300
        remove(connection, IDS[:1])
        inbox.taken_over(connection, ())
    assert rows(gallery, "SELECT tracklet FROM inbox") == [IDS[1]]
    desk = Desk(gallery)
    desk.settle()
    desk.close()
    with gallery.write() as connection:
        inbox.taken_over(connection, ())
        assert inbox.backlog(connection).rows == 0


def test_whoever_has_come_nearer_is_looked_at_again(gallery: Gallery) -> None:
    with gallery.write() as connection:
        in_view.put(connection, [sighting(1, 0.0, 2.0)])
        (row,) = in_view.waiting(connection, 10)
        in_view.put(connection, [sighting(1, 0.0, 3.0)])
        in_view.looked_at(connection, [row.number])
        (newer,) = in_view.waiting(connection, 10)
    assert in_view.sighting_of(newer).media == 3.0


def test_who_decides_is_heard_of_and_hears_what_has_changed(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_LOOKS", 0.02)
    desk = Desk(gallery)
    heard: list[tuple[Sequence[str], Sequence[str]]] = []
    monkeypatch.setattr(desk, "heard_of", lambda changed, gone: heard.append((changed, gone)))
    with Deciding(desk, 0.1) as running:
        change(gallery, "UPDATE workers SET heard = heard - interval '1 hour'")
        fresh = "SELECT heard > clock_timestamp() - interval '60 s' FROM workers WHERE role = 'decider'"
        wait_until(lambda: rows(gallery, fresh) == [True], "it to be heard of")
        with gallery.write() as connection:
            inbox.note(connection, What.CHANGED, IDS[:1])
            inbox.note(connection, What.GONE, IDS[1:2])
        wait_until(lambda: not rows(gallery, "SELECT 1 FROM inbox"), "both to be taken over")
        assert heard == [((IDS[0],), (IDS[1],))]
        with closing(Database(gallery.place, write=True)) as other, other.write() as connection:
            take_fence(connection, OWNER, "another")
        assert running.lost.wait(60)
    desk.close()


def test_a_lag_is_said_once_until_it_is_over(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(gallery)
    running = Deciding(desk, 5.0)
    for seconds in (59.0, 61.0, 70.0, 1.0, 80.0):
        running._alarm(inbox.Backlog(3, seconds))
    said = [record.getMessage() for record in caplog.records if "wait for their people" in record.getMessage()]
    assert [words.rpartition(" for ")[2] for words in said] == ["61 s", "80 s"]
    desk.close()


def test_whoever_stands_by_is_heard_of_and_takes_no_place_of_somebody_who_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    silenced: list[str] = []
    monkeypatch.setattr(decider, "writer_on", lambda _connection: "the owner")
    monkeypatch.setattr(decider, "silence", lambda _database, name: silenced.append(name))
    standing = Decider(database.place.address, load_config(None, ["workers.lease_seconds=1"]))
    with database.write() as connection:
        register(connection, "standby", "decider")
        register(connection, "owner", "decider")
    change(database, "UPDATE workers SET connection = 'the owner' WHERE name = 'owner'")
    with database.write() as connection:
        register(connection, "standby", "decider")
    # Heard of for as long as ten looks of another take.
    change(database, "UPDATE workers SET heard = clock_timestamp() + interval '1 hour' WHERE name = 'owner'")
    change(database, "UPDATE workers SET heard = heard - interval '1 hour' WHERE name = 'standby'")
    watching = threading.Thread(target=standing._watch, args=(database, "standby"))
    watching.start()
    fresh = "SELECT heard > clock_timestamp() - interval '60 s' FROM workers WHERE name = 'standby'"
    wait_until(lambda: rows(database, fresh) == [True], "it to be heard of")
    assert silenced == []
    change(database, "UPDATE workers SET heard = clock_timestamp() - interval '1 hour' WHERE name = 'owner'")
    watching.join(60)
    assert silenced == ["the owner"]
    standing.stop()


def test_a_moment_of_silence_is_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def owner(_connection: object) -> str | None:
        looks.append(None)
        return "the owner" if len(looks) < 4 else None

    silenced: list[str] = []
    monkeypatch.setattr(decider, "writer_on", owner)
    monkeypatch.setattr(decider, "silence", lambda _database, name: silenced.append(name))
    monkeypatch.setattr(Decider, "_every", 0.01)
    with database.write() as connection:
        register(connection, "owner", "decider")
        connection.execute(text("UPDATE workers SET connection = 'the owner', heard = heard - interval '5 s'"))
    Decider(database.place.address, load_config(None, ["workers.lease_seconds=300"]))._watch(database, "standby")
    assert silenced == []


def test_vectors_of_another_model_are_read_anew_and_nobody_is_answered_meanwhile(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = IndexService(str(gallery.place.address), "127.0.0.1", 0)
    database = Database(gallery.place, write=True)
    service._look(database)
    former = service._held
    assert former is not None
    assert (len(former), former.whole) == (len(IDS), True)
    change(gallery, "UPDATE meta SET value = 'another' WHERE key = 'space_fingerprint'")
    service._look(database)
    assert service._held is not former
    assert service._held is not None
    assert service._held.of[1] == "another"
    service._held = HeldVectors(gallery.facts())
    with pytest.raises(index_process._Refused, match="being read"):
        service.answer(b"{}")
    service._server.server_close()
    database.close()


def test_a_process_says_again_that_it_lives_and_who_leaves_takes_the_dead_along(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_process, "_LOOKS", 0.02)
    monkeypatch.setattr(index_process, "_HEARD_EVERY", 0.05)
    with gallery.write() as connection:
        announce(connection, IndexProcess("dead", "nowhere:1", "secret"))
    change(gallery, "UPDATE meta SET value = regexp_replace(value, '\"heard\": [0-9.]+', '\"heard\": 1.0')"
           " WHERE key LIKE 'index process %'")  # fmt: skip
    with gallery.read() as connection:
        assert announced(connection) == []
    service = IndexService(str(gallery.place.address), "127.0.0.1", 0)
    running = threading.Thread(target=service.run)
    running.start()
    heard = f"SELECT value FROM meta WHERE key = 'index process {service.process.name}'"
    wait_until(lambda: rows(gallery, heard), "it to be known")
    before = rows(gallery, heard)
    wait_until(lambda: rows(gallery, heard) != before, "it to be heard of again")
    service.stop()
    running.join()
    with gallery.write() as connection:
        withdraw(connection, "nobody")
    assert rows(gallery, "SELECT key FROM meta WHERE key LIKE 'index process %'") == []
