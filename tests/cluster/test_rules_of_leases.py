"""Who may do what with a lease, on a real server: what is refused to who lost it, and what its next holder finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from reidstream.cluster import leases, sources
from reidstream.cluster.leases import Lease
from reidstream.cluster.status import drain, status
from reidstream.cluster.storing import WorkerStore
from reidstream.cluster.worker import Worker, register
from reidstream.config import SourceConfig
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.gallery.database import Database
from reidstream.types import EndReason, LeftOut, LeftOutReason, SourceEnded, Tracklet
from tests.alerts.conftest import sighting
from tests.cluster.test_opening import DOOR, database, listed, taken
from tests.identities.conftest import SPACE, made_tracklet

__all__ = ["database"]

ANN, BEN = made_tracklet(1, "door", 0, 5), made_tracklet(2, "door", 6, 9)
AT_DOOR = sighting(1, 0.0, 2.0, source="door")


def left_out(tracklet: Tracklet) -> LeftOut:
    t = tracklet
    times = (t.start_frame, t.end_frame, t.start_media, t.end_media, t.start_wall, t.end_wall)
    short = LeftOutReason.TOO_SHORT
    return LeftOut(t.id, t.source, t.content, t.track_id, 0, short, *times, 2, 0.5, None, (0.0, 0.0, 9.0, 9.0))


def rows(database: Database, query: str) -> list[Any]:
    with database.read() as connection:
        return [tuple(row) if len(row) > 1 else row[0] for row in connection.execute(text(query))]


def change(database: Database, statement: str) -> None:
    with database.write() as connection:
        connection.execute(text(statement))


def run_out(database: Database, source: str = "door") -> None:
    change(database, f"UPDATE leases SET until = clock_timestamp() WHERE source = '{source}'")


def camera(database: Database) -> Lease:
    with database.write() as connection:
        sources.add(connection, [SourceConfig(uri="rtsp://10.0.0.5/door", name="door")])
    return taken(database, "one")


def begun(database: Database) -> WorkerStore:
    """What stores for a worker that has a camera and reads it."""
    store = WorkerStore(database, SPACE, [camera(database)])
    assert store.begin_source(DOOR, "settings").wanted
    return store


def test_nobody_takes_what_has_not_run_out_and_renewing_puts_that_off(database: Database) -> None:
    listed(database, "door")
    lease = leases.take(database, "one", 3.0)
    assert lease is not None
    assert leases.take(database, "two", 3.0) is None
    leases.renew(database, "one", 600.0)
    assert rows(database, "SELECT until > clock_timestamp() + interval '500 s' FROM leases") == [True]


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.checkpoint("door", [BEN]),
        lambda store: store.leave_out([left_out(BEN)]),
        lambda store: store.saw([AT_DOOR]),
        lambda store: store.end_source(SourceEnded("door", 100, 10.0)),
        lambda store: store.add([BEN]),
    ],
    ids=["checkpoint", "leave_out", "saw", "end_source", "add"],
)
def test_whatever_whoever_lost_a_lease_wants_to_write_is_refused(
    database: Database, act: Callable[[WorkerStore], object]
) -> None:
    store = begun(database)
    run_out(database)
    taken(database, "two")
    change(database, "UPDATE recordings SET state = 'as it is'")
    act(store)
    assert store._gone == {"door"}
    for table in ("checkpoints", "checkpoint_times", "left_out", "in_view", "tracklets", "inbox"):
        assert rows(database, f"SELECT count(*) FROM {table}") == [0], table
    assert rows(database, "SELECT state FROM recordings") == ["as it is"]
    assert rows(database, "SELECT state, worker FROM leases") == [("running", "two")]


def test_who_takes_a_lease_stores_what_its_former_holder_had_in_view(database: Database) -> None:
    store = begun(database)
    store.checkpoint("door", [ANN, BEN])
    change(database, "UPDATE checkpoint_times SET at = at - interval '60 s'")
    run_out(database)
    assert taken(database, "two").rescued == 2
    assert rows(database, "SELECT id FROM tracklets ORDER BY seq") == [ANN.id, BEN.id]
    assert sorted(rows(database, "SELECT tracklet, what FROM inbox")) == sorted([(ANN.id, "new"), (BEN.id, "new")])
    assert rows(database, "SELECT state FROM recordings") == ["stopped"]
    assert rows(database, "SELECT (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM checkpoint_times)") == [
        (0, 0)
    ]
    (door,) = status(database)["sources"]
    assert (door["takeovers"], door["rescued"]) == (1, 2)
    assert 59 < door["unseen_seconds"] < 600


def test_what_was_forgotten_meanwhile_is_not_stored_by_who_takes_a_lease(database: Database) -> None:
    store = begun(database)
    store.checkpoint("door", [ANN, replace(BEN, content="forgotten")])
    run_out(database)
    assert taken(database, "two").rescued == 1
    assert rows(database, "SELECT id FROM tracklets") == [ANN.id]


def test_a_track_that_has_ended_is_kept_no_longer_whether_it_is_stored_or_not(database: Database) -> None:
    store = begun(database)
    cleo = made_tracklet(3, "door", 10, 12)
    store.checkpoint("door", [ANN, BEN, cleo])
    store.add([ANN])
    assert sorted(rows(database, "SELECT id FROM checkpoints")) == sorted([BEN.id, cleo.id])
    store.leave_out([left_out(BEN)])
    assert rows(database, "SELECT id FROM checkpoints") == [cleo.id]
    store.end_source(SourceEnded("door", 100, 10.0, stopped=True))
    assert rows(database, "SELECT (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM checkpoint_times)") == [
        (0, 0)
    ]


def test_a_camera_is_tried_for_ever_and_a_recording_three_times(database: Database) -> None:
    listed(database, "film")
    film = taken(database, "one")
    door = camera(database)
    for _ in range(4):
        with database.write() as connection:
            for lease in (film, door):
                leases.failed(connection, lease, "it cannot be opened")
        change(database, f"UPDATE leases SET state = 'running' WHERE state = 'waiting' AND token = {door.fence.token}")
    states = {source["name"]: source for source in status(database)["sources"]}
    assert (states["film"]["state"], states["film"]["failures"]) == ("failed", 3)
    assert (states["door"]["state"], states["door"]["failures"]) == ("running", 4)
    # What is listed anew begins anew.
    listed(database, "film")
    states = {source["name"]: source for source in status(database)["sources"]}
    assert (states["film"]["state"], states["film"]["failures"], states["film"]["error"]) == ("waiting", 0, None)


def test_a_former_holder_neither_ends_nor_abandons_what_is_anothers(database: Database) -> None:
    former = camera(database)
    run_out(database)
    taken(database, "two")
    leases.abandon(database, former)
    with database.write() as connection:
        leases.failed(connection, former, "it cannot be opened")
    held = "SELECT worker, state, until > clock_timestamp() FROM leases"
    assert rows(database, held) == [("two", "running", True)]


def test_of_a_recording_read_again_what_was_not_seen_again_goes_once_it_is_whole(database: Database) -> None:
    listed(database, "door")
    cut = replace(BEN, reason=EndReason.SHUTDOWN)

    def read(store: WorkerStore, *seen: Tracklet, **how: Any) -> list[str]:
        assert store.begin_source(DOOR, "settings").wanted
        store.add(seen)
        store.end_source(SourceEnded("door", 50, 5.0, **how))
        change(database, "UPDATE leases SET ready = clock_timestamp()")
        return rows(database, "SELECT id FROM tracklets ORDER BY seq")

    assert read(WorkerStore(database, SPACE, [taken(database, "one")]), ANN, cut, error="it ends") == [ANN.id, BEN.id]
    # Whoever is stopped in the middle takes nothing out either.
    assert read(WorkerStore(database, SPACE, [taken(database, "two")]), ANN, stopped=True) == [ANN.id, BEN.id]
    change(database, "DELETE FROM inbox")
    assert read(WorkerStore(database, SPACE, [taken(database, "one")]), ANN) == [ANN.id]
    assert rows(database, "SELECT tracklet FROM inbox WHERE what = 'gone'") == [BEN.id]


def test_whoever_was_renamed_with_their_recording_is_told_of(database: Database) -> None:
    listed(database, "door", "yard")
    grown = replace(DOOR, beginning="the first seconds", length=1000)
    first = WorkerStore(database, SPACE, [taken(database, "one")])
    first.begin_source(grown, "settings")
    first.add([ANN])
    first.end_source(SourceEnded("door", 100, 10.0))
    change(database, "DELETE FROM inbox")
    second = WorkerStore(database, SPACE, [taken(database, "one")])
    second.begin_source(replace(grown, source="yard", uri="yard.mp4", length=2000), "settings")
    with Gallery.open(database.place.address) as gallery:
        assert gallery.rows().source.tolist() == ["yard"]
    assert rows(database, "SELECT tracklet, what FROM inbox") == [(ANN.id, "changed")]


class Held:
    """A reading of some leases, as a worker has it."""

    finished, fatal = False, None
    store = SimpleNamespace(stored=3, lost=1)

    def __init__(self, *held: Lease) -> None:
        self.held = {lease.source: lease for lease in held}
        self.rested: list[str] = []

    def rest(self, source: str) -> None:
        self.rested.append(source)


def working(database: Database, most: int = 3) -> Worker:
    return Worker(database, SPACE, pytest.fail, most=most, lease_seconds=60.0)


def test_a_worker_hears_that_it_is_drained_and_that_a_source_is_paused(database: Database) -> None:
    listed(database, "door", "yard")
    worker = working(database)
    worker._register()
    reading = Held(taken(database, worker.name), taken(database, worker.name))
    worker._readings.append(reading)  # type: ignore[arg-type]
    with database.write() as connection:
        sources.want(connection, "yard", False)
    worker._renew()
    assert (reading.rested, sorted(reading.held)) == (["yard"], ["door", "yard"])
    worker._beat()
    assert not worker._draining
    assert drain(database, worker.name) == [worker.name]
    worker._beat()
    assert worker._draining
    assert rows(database, "SELECT stored, lost FROM workers") == [(3, 1)]


def test_a_worker_reads_no_more_than_it_may_and_waits_for_what_others_read(database: Database) -> None:
    listed(database, "a", "b", "c", "d")
    worker = working(database, most=3)
    worker._readings.append(Held(*(taken(database, worker.name) for _ in range(3))))  # type: ignore[arg-type]
    worker._take()
    assert rows(database, "SELECT source FROM leases WHERE state = 'waiting'") == ["d"]
    taken(database, "another")
    assert worker._waiting()
    change(database, "UPDATE leases SET state = 'done'")
    assert not worker._waiting()


def test_a_worker_says_by_how_much_its_clock_is_ahead(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = working(database)
    worker._register()
    real = time.time
    monkeypatch.setattr("reidstream.cluster.worker.time.time", lambda: real() + 3600)
    worker._beat()
    assert 3590 < rows(database, "SELECT clock_ahead FROM workers")[0] < 3610


def test_who_is_not_heard_of_is_not_drained_and_where_nobody_decides_it_is_said(database: Database) -> None:
    with database.write() as connection:
        register(connection, "gpu-1", "worker", 4)
    change(database, "UPDATE workers SET heard = heard - interval '10 minutes'")
    with pytest.raises(ConfigError, match="no worker that is alive is called 'gpu'; there are: gpu-1"):
        drain(database, "gpu")
    begun(database).add([ANN])
    assert any("nobody decides who 1 stored tracklets are" in words for words in status(database)["troubles"])
