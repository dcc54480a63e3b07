"""Workers share a list of sources in PostgreSQL, in processes of their own, replaying events."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from reidstream.errors import GalleryNotFound
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import State
from tests.cluster.processes import Fleet, fleet, wait_until
from tests.cluster.replays import recorded, walks_of


def stored(url: str) -> dict[str, str]:
    """Ids of the tracklets, and how each one's track ended."""
    try:
        with Gallery.open(url) as gallery:
            rows = gallery.rows()
    except GalleryNotFound:
        return {}
    return dict(zip(rows.id.tolist(), rows.reason.tolist(), strict=True))


def sources(running: Fleet) -> dict[str, dict[str, object]]:
    return {source["name"]: source for source in running.status()["sources"]}


@pytest.fixture
def pile(tmp_path: Path) -> list[str]:
    """Six recordings of twenty visits each."""
    return [str(recorded(tmp_path, f"c{n}", walks_of(n, 12, 20), seconds=82)) for n in range(6)]


@pytest.mark.slow
def test_workers_read_every_recording_once(tmp_path: Path, postgres: str, pile: list[str]) -> None:
    with fleet(tmp_path, postgres, speed=0) as running:
        listed = [word for path in pile for word in ("--cameras", path)]
        first = running.worker("--until-done", "--most", "2", *listed)
        wait_until(lambda: "in the list" in first.said or not first.running, "the list")
        second = running.worker("--until-done", "--most", "2")
        for worker in (first, second):
            assert worker.child.wait(180) == 0, running.logs()
        assert {source["state"] for source in sources(running).values()} == {"done"}
        assert running.status()["workers"] == []
        assert running.status()["inbox"]["waiting"] == 120
        assert len(stored(postgres)) == 120
        # The same again changes nothing.
        assert running.worker("--until-done", *listed).child.wait(180) == 0
        assert len(stored(postgres)) == 120
    with Gallery.open(postgres) as gallery:
        assert {(r.state, r.attempt) for r in gallery.sources()} == {(State.COMPLETE, 1)}


@pytest.mark.slow
def test_a_killed_workers_recording_is_read_again_by_another(tmp_path: Path, postgres: str, pile: list[str]) -> None:
    with fleet(tmp_path, postgres, speed=8) as running:
        first = running.worker("--cameras", pile[0], "--cameras", pile[1])
        wait_until(lambda: first.said.count("reading ") == 2, "both to be read")
        wait_until(lambda: len(stored(postgres)) > 3, "the first tracklets")
        before = stored(postgres)
        first.send(signal.SIGKILL)
        second = running.worker("--until-done")
        assert second.child.wait(180) == 0, running.logs()
        after = stored(postgres)
        assert len(after) == 40
        assert before.keys() <= after.keys()
        assert [source["takeovers"] for source in sources(running).values()] == [1, 1]
    with Gallery.open(postgres) as gallery:
        assert {(r.state, r.attempt) for r in gallery.sources()} == {(State.COMPLETE, 2)}


@pytest.mark.setting("workers.lease_seconds", "workers.checkpoint_seconds")
def test_tracks_that_were_open_when_a_worker_died_end_at_their_last_checkpoint(tmp_path: Path, postgres: str) -> None:
    camera = recorded(tmp_path, "door", [(1, 0.0, 500.0), (2, 0.0, 500.0)], seconds=500, live=True)
    settings = ("--set", "workers.checkpoint_seconds=0.2", "--set", "tracklets.max_seconds=600")
    with fleet(tmp_path, postgres) as running:
        first = running.worker("--cameras", str(camera), *settings)
        wait_until(lambda: first.said.count("reading ") == 1, "the camera")
        from sqlalchemy import text

        from reidstream.cluster.opening import opened
        from reidstream.config import Config

        def kept() -> int:
            with opened(postgres, Config(), None) as there, there.database.read() as connection:
                return int(connection.execute(text("SELECT count(*) FROM checkpoints")).scalar_one())

        wait_until(lambda: kept() == 2, "checkpoints")
        assert stored(postgres) == {}
        first.kill()
        second = running.worker(*settings)
        wait_until(lambda: "2 open tracks of its former worker stored" in second.said, "the rescue")
        assert list(stored(postgres).values()) == ["shutdown", "shutdown"]
        (door,) = sources(running).values()
        assert door["rescued"] == 2
        wait_until(lambda: kept() == 2, "checkpoints of the second")
        # Drained, it stores what it sees itself.
        assert second.end() == 0, running.logs()
        assert list(stored(postgres).values()) == ["shutdown"] * 4
        assert kept() == 0
        assert sources(running)["door"]["state"] == "waiting"
    with Gallery.open(postgres) as gallery:
        assert [r.state for r in gallery.sources()] == [State.STOPPED, State.STOPPED]


@pytest.mark.slow
def test_a_worker_that_stood_still_longer_than_its_lease_stores_nothing_of_it(tmp_path: Path, postgres: str) -> None:
    camera = recorded(tmp_path, "door", walks_of(1, 5, 300, every=0.5), seconds=160, live=True)
    with fleet(tmp_path, postgres) as running:
        frozen = running.worker("--cameras", str(camera))
        wait_until(lambda: len(stored(postgres)) > 1, "the first tracklets")
        frozen.send(signal.SIGSTOP)
        other = running.worker()
        wait_until(lambda: "reading door" in other.said, "the takeover")
        with Gallery.open(postgres) as gallery:
            (former,) = [r for r in gallery.sources() if r.state is not State.RUNNING]
        before = former.tracklets
        frozen.send(signal.SIGCONT)
        wait_until(lambda: "was taken over by another worker" in frozen.said, "it to notice")
        wait_until(lambda: sources(running)["door"]["worker"] is not None, "the lease")
        assert frozen.end() == 0, running.logs()
        with Gallery.open(postgres) as gallery:
            (same,) = [r for r in gallery.sources() if r.content == former.content]
        assert same.tracklets == before
        assert same.state is State.STOPPED
        assert other.end() == 0, running.logs()


@pytest.mark.slow
def test_connections_that_are_cut_and_a_restarted_server_cost_nothing(
    tmp_path: Path, postgres: str, postgres_server: object, pile: list[str]
) -> None:
    from tests.postgres import PostgresServer

    assert isinstance(postgres_server, PostgresServer)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'reidstream%'"
    with fleet(tmp_path, postgres, speed=20) as running:
        listed = [word for path in pile for word in ("--cameras", path)]
        worker = running.worker("--until-done", "--most", "6", *listed)
        for least in (5, 20, 40):
            wait_until(lambda least=least: len(stored(postgres)) > least, "tracklets")  # type: ignore[misc]
            postgres_server.psql(cut)
        wait_until(lambda: len(stored(postgres)) > 60, "tracklets")
        postgres_server.restart()
        assert worker.child.wait(180) == 0, running.logs()
        assert len(stored(postgres)) == 120
        assert {source["state"] for source in sources(running).values()} == {"done"}
