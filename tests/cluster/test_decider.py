"""One process decides who is who in what workers store; others stand by."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config
from reidstream.errors import GalleryNotFound
from reidstream.gallery import Gallery
from reidstream.identities.outbox import append_events, events_after
from reidstream.identities.people import list_people, prepare
from reidstream.identities.settling import settle
from tests.cluster.processes import Fleet, fleet, wait_until
from tests.cluster.replays import recorded, walks_of
from tests.identities.conftest import SPACE


def people_of(url: str) -> set[frozenset[str]]:
    """Who is together."""
    with Gallery.open(url) as gallery:
        return {frozenset(person.tracklets) for person in list_people(gallery)}


def decided(running: Fleet, count: int) -> bool:
    try:
        status = running.status()
        with Gallery.open(running.url) as gallery:
            return len(gallery) == count and status["inbox"]["waiting"] == 0 and status["owner"] is not None
    except GalleryNotFound:
        return False


@pytest.fixture
def pile(tmp_path: Path) -> list[str]:
    """Four recordings of twenty visits each, of eight people."""
    return [str(recorded(tmp_path, f"c{n}", walks_of(n, 8, 20), seconds=82)) for n in range(4)]


def resolved(url: str) -> set[frozenset[str]]:
    """Everybody decided anew at once, as at the end of a run."""
    with Gallery.open(url, write=True) as gallery:
        settle(gallery, Config().identities)
    return people_of(url)


@pytest.mark.slow
def test_a_standby_takes_the_place_of_a_decider_that_dies_or_stands_still(
    tmp_path: Path, postgres: str, pile: list[str]
) -> None:
    with fleet(tmp_path, postgres, speed=10) as running:
        listed = [word for path in pile for word in ("--cameras", path)]
        worker = running.worker("--until-done", *listed)
        first = running.decider()
        wait_until(lambda: "deciding who is who" in first.said, "the first decider")
        second = running.decider()
        wait_until(lambda: "standing by" in second.said, "the second")
        first.send(signal.SIGSTOP)
        wait_until(lambda: "deciding who is who" in second.said, "the second to decide")
        first.send(signal.SIGCONT)
        wait_until(lambda: "another process decides by now" in first.said, "the first to notice")
        wait_until(lambda: "standing by" in first.said, "the first to stand by")
        second.kill()
        wait_until(lambda: first.said.count("deciding who is who") == 2, "the first to decide again")
        assert worker.child.wait(180) == 0, running.logs()
        wait_until(lambda: decided(running, 80), "everybody to be decided on")
        done = CliRunner().invoke(app, ["people", "label", "1", "--name", "Ann", "--gallery", postgres, "--json"])
        assert done.exit_code == 0, done.output
        shown = CliRunner().invoke(app, ["workers", "status", "--gallery", postgres, "--json", "--most-lag", "30"])
        assert shown.exit_code == 0, shown.output
        document = json.loads(shown.stdout)
        assert [one["alive"] for one in document["deciders"] if one["role"] == "decider"] == [True]
        assert document["inbox"] == {"waiting": 0, "lag_seconds": 0.0}
        assert first.end() == 0, running.logs()
    with Gallery.open(postgres) as gallery:
        told = [
            event.payload["tracklet"] for event in events_after(gallery, 0, 10_000) if event.kind == "TrackletStored"
        ]
        assert sorted(told) == sorted(gallery.rows().id.tolist())
        assert "Ann" in {person.name for person in list_people(gallery)}


def test_no_event_appears_behind_one_that_is_there_already(postgres: str) -> None:
    """PostgreSQL gives numbers out before a transaction ends: whoever follows would pass the slower one's."""
    order: list[str] = []
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as gallery:
        prepare(gallery)

        def tell() -> None:
            with gallery.write() as connection:
                append_events(connection, [("IdentityCreated", {"person": "second"})])
            order.append("second")

        thread = threading.Thread(target=tell)
        with gallery.write() as connection:
            append_events(connection, [("IdentityCreated", {"person": "first"})])
            thread.start()
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            while not connection.execute(waiting).scalar():
                connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            order.append("first")
        thread.join()
        assert order == ["first", "second"]
        assert [event.payload["person"] for event in events_after(gallery, 0)] == order


def test_what_a_worker_takes_out_is_forgotten_by_who_decides(postgres: str) -> None:
    from reidstream.cluster import inbox
    from reidstream.cluster.deciding import Deciding
    from reidstream.cluster.inbox import What
    from reidstream.gallery.storing import remove
    from reidstream.server.desk import Desk
    from tests.server.conftest import IDS, VISITS
    from tests.server.conftest import stored as stored_visits

    with Gallery.open(postgres, write=True, create=True, space=SPACE) as gallery:
        stored_visits(gallery, VISITS)
        desk = Desk(gallery)
        with Deciding(desk, 5.0):
            desk.settle()
            before = sum(len(entry.person.tracklets) for entry in desk.catalogue.entries())
            with gallery.write() as connection:
                remove(connection, IDS[:1])
                inbox.note(connection, What.GONE, IDS[:1])

            def taken_over() -> bool:
                with gallery.read() as connection:
                    return inbox.backlog(connection).rows == 0

            wait_until(taken_over, "the inbox to be empty")
            assert sum(len(entry.person.tracklets) for entry in desk.catalogue.entries()) == before - 1
        desk.close()


def test_who_decides_erases_what_was_kept_long_enough(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from reidstream.cluster import decider
    from reidstream.config.retention import RetentionConfig
    from reidstream.server.desk import Desk
    from tests.server.conftest import VISITS
    from tests.server.conftest import stored as stored_visits

    monkeypatch.setattr(decider, "_LOOK_EVERY", 0.01)
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as gallery:
        stored_visits(gallery, VISITS)
        desk = Desk(gallery, Config(retention=RetentionConfig(days=30)))
        # For longer than it takes until the hour of the rules.
        desk.begun -= 2 * 24 * 3600
        desk.settle()
        ended = threading.Event()
        retaining = threading.Thread(target=decider._retain, args=(desk, ended))
        retaining.start()
        wait_until(lambda: len(gallery) == 0, "everything to be erased")
        ended.set()
        retaining.join()
        desk.close()
