"""What a worker refuses, and in which words; and what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import psycopg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.cluster import leases, opening, sources
from reidstream.cluster.checkpoints import packed_tracklet, unpacked_tracklet
from reidstream.cluster.leases import Lease
from reidstream.cluster.opening import opened
from reidstream.cluster.reading import Reading
from reidstream.cluster.status import status
from reidstream.cluster.storing import WorkerStore
from reidstream.cluster.worker import Worker, WorkerReport, register
from reidstream.config import Config, SourceConfig
from reidstream.errors import (
    ConfigError,
    GalleryCorrupt,
    GalleryError,
    GalleryLocked,
    GalleryMismatch,
    GalleryNotFound,
    GalleryUnreachable,
    SourceError,
)
from reidstream.gallery import Begin, Gallery
from reidstream.gallery.database import Database, place_of
from reidstream.gallery.migrations import GALLERY_MIGRATIONS, schema_version
from reidstream.types import SourceEnded, SourceStarted, Stay, Tracklet
from tests.cluster.processes import wait_until
from tests.identities.conftest import SPACE, made_tracklet
from tests.postgres import PostgresServer

DOOR = SourceStarted("door", "door.mp4", "content of door", (640, 480), 10, 0.0)


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    """Of a new gallery, as a worker has it open."""
    with opened(postgres, Config(), lambda: (SPACE, "")) as there:
        yield there.database


def listed(database: Database, *names: str) -> None:
    with database.write() as connection:
        sources.add(connection, [SourceConfig(uri=f"{name}.mp4", name=name) for name in names])


def taken(database: Database, worker: str) -> Lease:
    lease = leases.take(database, worker, 60.0)
    assert lease is not None
    return lease


def test_a_folder_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"is a folder.*PostgreSQL.*reidstream serve"),
        opened(str(tmp_path), Config(), None),
    ):
        pytest.fail("it was opened")


def test_where_there_is_no_gallery_only_who_reads_makes_one(postgres: str) -> None:
    with pytest.raises(GalleryNotFound, match="holds no gallery"), opened(postgres, Config(), None):
        pytest.fail("it was opened")
    with opened(postgres, Config(), lambda: (SPACE, "a model")) as there:
        assert there.space == SPACE
    with Gallery.open(postgres) as gallery:
        assert gallery.model == "a model"


def test_workers_that_start_at_once_make_one_gallery(postgres: str) -> None:
    spaces = []

    def start() -> None:
        with opened(postgres, Config(), lambda: (SPACE, "")) as there:
            spaces.append(there.space)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spaces == [SPACE] * 3


def test_a_gallery_of_an_earlier_version_is_brought_up_to_date_by_who_decides(postgres: str) -> None:
    with Gallery.open(postgres, write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(DOOR, "settings")
        gallery.add([made_tracklet(1, "door", 0, 5)])
        with gallery.write() as connection:
            connection.execute(text("ALTER TABLE recordings DROP COLUMN reader"))
            connection.execute(text("UPDATE meta SET value = '9' WHERE key = 'schema:gallery'"))
    with pytest.raises(GalleryMismatch, match="open it for writing once"), opened(postgres, Config(), None):
        pytest.fail("it was opened")
    with Gallery.open(postgres, write=True) as gallery, gallery.read() as connection:
        assert schema_version(connection, "gallery") == len(GALLERY_MIGRATIONS)
        assert len(gallery) == 1
    with opened(postgres, Config(), None) as there:
        assert there.space == SPACE


def test_who_may_not_write_is_told_what_to_grant(database: Database, postgres_server: PostgresServer) -> None:
    postgres_server.psql("DROP ROLE IF EXISTS looker")
    postgres_server.psql("CREATE ROLE looker LOGIN")
    address = database.place.address
    with database.write() as connection:
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker"))
    as_looker = address.replace("//postgres:", "//looker:").replace("+psycopg", "")
    refused = pytest.raises(GalleryError, match=r"may not write into .*grant it SELECT, INSERT")
    with refused, opened(as_looker, Config(), None):
        pytest.fail("it was opened")
    with database.write() as connection:
        connection.execute(text("DROP OWNED BY looker"))
    refused = pytest.raises(GalleryError, match=r"permission denied.*grant it what is missing")
    with refused, opened(as_looker, Config(), None):
        pytest.fail("it was opened")


@pytest.mark.parametrize(("off", "words"), [(3600.0, "3600 s ahead of"), (-3600.0, "3600 s behind")])
def test_a_machine_whose_clock_is_wrong_dates_no_visits(
    database: Database, monkeypatch: pytest.MonkeyPatch, off: float, words: str
) -> None:
    real = opening.time.time
    monkeypatch.setattr(opening.time, "time", lambda: real() + off)
    with pytest.raises(GalleryError, match=rf"clock is {words}.*NTP"), opened(database.place.address, Config(), None):
        pytest.fail("it was opened")


def test_a_clock_that_goes_wrong_while_a_worker_works_is_a_trouble_of_the_status(database: Database) -> None:
    with database.write() as connection:
        register(connection, "gpu-1", "worker", 4)
    assert status(database)["troubles"] == []
    with database.write() as connection:
        connection.execute(text("UPDATE workers SET clock_ahead = -3600"))
    (trouble,) = status(database)["troubles"]
    assert "the clock of worker gpu-1 is -3600 s from the database's" in trouble


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        ("rtsp://viewer:{env:CAMERA}@10.0.0.5/stream", True),
        ("rtsp://viewer:{file:/run/secrets/camera}@10.0.0.5/stream", True),
        ("rtsp://10.0.0.5/stream?token={env:TOKEN}", True),
        ("rtsp://10.0.0.5/stream", True),
        ("rtsp://viewer:secret@10.0.0.5/stream", False),
        ("rtsp://viewer:se{env:CAMERA}@10.0.0.5/stream", False),
        ("rtsp://10.0.0.5/stream?token=secret", False),
    ],
)
def test_passwords_do_not_get_into_the_list(uri: str, fits: bool) -> None:
    if fits:
        assert [source.uri for source in sources.listed([SourceConfig(uri=uri)])] == [uri]
    else:
        with pytest.raises(ConfigError, match=r"where passwords do not belong") as refused:
            sources.listed([SourceConfig(uri=uri)])
        assert "secret@" not in str(refused.value)


def test_a_lease_is_one_workers_until_it_runs_out(database: Database) -> None:
    listed(database, "door", "yard")
    door, yard = taken(database, "one"), taken(database, "two")
    assert (door.source, yard.source) == ("door", "yard")
    assert leases.take(database, "three", 60.0) is None
    assert leases.renew(database, "one", 60.0).tokens == {"door": door.fence.token}
    with database.write() as connection:
        connection.execute(text("UPDATE leases SET until = clock_timestamp() WHERE source = 'yard'"))
        with pytest.raises(ConfigError, match=r"one reads 'door'.*pause door"):
            sources.remove(connection, "door")
    assert taken(database, "three").fence.token == yard.fence.token + 1
    with database.write() as connection:
        leases.give_back(connection, yard)
    # A former holder gives nothing back.
    assert leases.renew(database, "three", 60.0).tokens == {"yard": yard.fence.token + 1}


def test_what_is_done_stays_done_when_its_reader_leaves(database: Database) -> None:
    listed(database, "door")
    door = taken(database, "one")
    with database.write() as connection:
        leases.done(connection, door)
    with database.write() as connection:
        leases.give_back(connection, door)
    assert [source["state"] for source in status(database)["sources"]] == ["done"]
    assert leases.take(database, "two", 60.0) is None


class Ended:
    """A reading that has ended because what it wanted to store was refused."""

    finished, fatal = True, None
    store = SimpleNamespace(stored=0, lost=2)

    def __init__(self, *held: Lease) -> None:
        self.held = {lease.source: lease for lease in held}
        self.given_back: list[str] = []

    def taken(self, source: str) -> None:
        del self.held[source]

    def give_back(self) -> None:
        self.given_back = list(self.held)


def test_whoever_lost_a_lease_says_so_though_its_reading_has_ended_before(database: Database) -> None:
    listed(database, "door", "yard")
    lost, kept = taken(database, "one"), taken(database, "one")
    with database.write() as connection:
        connection.execute(text("UPDATE leases SET until = clock_timestamp() WHERE source = 'door'"))
    assert taken(database, "two").source == lost.source
    said: list[str] = []
    worker = Worker(database, SPACE, pytest.fail, most=2, lease_seconds=60.0, say=said.append)
    reading = Ended(lost, kept)
    worker._readings.append(reading)  # type: ignore[arg-type]
    worker._collect()
    assert said == ["door was taken over by another worker"]
    assert reading.given_back == ["yard"]
    assert not worker._readings


def test_what_a_former_holder_writes_is_refused_and_counted(database: Database) -> None:
    listed(database, "door", "yard")
    held = [taken(database, "one"), taken(database, "one")]
    gone: list[str] = []
    store = WorkerStore(database, SPACE, held, gone.append)
    yard_started = SourceStarted("yard", "yard.mp4", "content of yard", (640, 480), 10, 0.0)
    assert store.begin_source(DOOR, "settings") is Begin.NEW
    assert store.begin_source(yard_started, "settings") is Begin.NEW
    assert store.add([made_tracklet(1, "door", 0, 5), made_tracklet(1, "yard", 0, 5)]) == 2
    assert store.add([made_tracklet(1, "door", 0, 5)]) == 0
    with database.write() as connection:
        connection.execute(text("UPDATE leases SET until = clock_timestamp() WHERE source = 'door'"))
    other = taken(database, "two")
    # Its own go in, those of the lease that it has no longer do not.
    assert store.add([made_tracklet(2, "door", 6, 9), made_tracklet(2, "yard", 6, 9)]) == 1
    assert (gone, store.lost, store.stored) == (["door"], 1, 3)
    store.end_source(SourceEnded("door", 100, 10.0))
    with Gallery.open(database.place.address) as gallery:
        assert sorted(gallery.rows().source.tolist()) == ["door", "yard", "yard"]
        states = {recording.source: recording.state for recording in gallery.sources()}
        assert states == {"door": "stopped", "yard": "running"}
    second = WorkerStore(database, SPACE, [other])
    assert second.begin_source(DOOR, "settings") is Begin.RESUMED
    second.end_source(SourceEnded("door", 100, 10.0))
    with database.read() as connection:
        rows = connection.execute(text("SELECT source, state, worker FROM leases ORDER BY source")).all()
    assert [tuple(row) for row in rows] == [("door", "done", None), ("yard", "running", "one")]


def test_a_recording_that_was_read_with_other_settings_is_given_up_in_words(database: Database) -> None:
    listed(database, "door")
    first = WorkerStore(database, SPACE, [taken(database, "one")])
    first.begin_source(DOOR, "settings")
    first.end_source(SourceEnded("door", 100, 10.0))
    listed(database, "door")
    second = WorkerStore(database, SPACE, [taken(database, "one")])
    assert second.begin_source(DOOR, "other settings") is Begin.ELSEWHERE
    assert "read with other settings" in second.refused["door"]


def test_a_source_that_was_refused_is_not_tried_again(database: Database) -> None:
    listed(database, "door", "yard")
    held = [taken(database, "one"), taken(database, "one")]

    def ends(*_: object) -> NoReturn:
        raise SourceError("the disk with the recordings went away")

    reading = Reading(database, SPACE, held, ends)
    wait_until(lambda: reading.finished, "the reading to end")
    reading.store.refused["door"] = "read with other settings before"
    reading.give_back()
    found = {source["name"]: (source["state"], source["error"]) for source in status(database)["sources"]}
    assert found == {
        "door": ("failed", "read with other settings before"),
        "yard": ("waiting", "the disk with the recordings went away"),
    }


def test_a_full_disk_is_waited_for_and_nothing_is_lost(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    listed(database, "door")
    store = WorkerStore(database, SPACE, [taken(database, "one")])
    store.begin_source(DOOR, "settings")
    full = (
        "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left "
        "on device' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON embeddings EXECUTE FUNCTION full_disk()"
    )
    with database.write() as connection:
        connection.execute(text(full))
    added: list[int] = []
    storing = threading.Thread(target=lambda: added.append(store.add([made_tracklet(1, "door", 0, 5)])))
    storing.start()
    wait_until(lambda: "no space left" in caplog.text, "the warning")
    assert added == []
    with database.write() as connection:
        connection.execute(text("DROP TRIGGER full_disk ON embeddings"))
    storing.join()
    assert added == [1]


def test_vectors_of_another_model_are_refused_even_when_the_gallery_moved_meanwhile(database: Database) -> None:
    listed(database, "door")
    store = WorkerStore(database, SPACE, [taken(database, "one")])
    store.begin_source(DOOR, "settings")
    with database.write() as connection:
        connection.execute(text("UPDATE meta SET value = 'another' WHERE key = 'space_fingerprint'"))
    with pytest.raises(GalleryMismatch, match="moved to another"):
        store.add([made_tracklet(1, "door", 0, 5)])


def test_a_drained_or_paused_name_that_is_not_there_is_a_mistake_in_words(database: Database) -> None:
    listed(database, "door")
    address = database.place.address.replace("+psycopg", "")
    for words in (["worker", "drain", "nobody"], ["workers", "pause", "dor"], ["workers", "remove", "dor"]):
        done = CliRunner().invoke(app, [*words, "--gallery", address])
        assert isinstance(done.exception, ConfigError)
        assert "there are:" in str(done.exception)
    for words, wanted in ((["workers", "pause", "door"], "resting"), (["workers", "resume", "door"], "waiting")):
        assert CliRunner().invoke(app, [*words, "--gallery", address]).exit_code == 0
        shown = CliRunner().invoke(app, ["workers", "status", "--gallery", address])
        assert wanted in shown.output
    assert CliRunner().invoke(app, ["workers", "remove", "door", "--gallery", address]).exit_code == 0
    assert leases.take(database, "one", 60.0) is None


def with_everything() -> Sequence[Tracklet]:
    from dataclasses import replace

    plain = made_tracklet(1, "door", 0, 5)
    stay = Stay("till", 1.0, 2.0, 1.0, 2.0)
    box = (1.0, 2.0, 3.0, 4.0)
    pictures = {"crop": b"best", "crop_frame": 3, "crop_box": box, "more_crops": (b"second", b"third")}
    return [plain, replace(plain, track_id=2**64 - 1, stays=(stay,), **pictures)]  # type: ignore[arg-type]


@pytest.mark.parametrize("tracklet", with_everything())
def test_a_checkpoint_holds_everything_of_a_tracklet(tracklet: Tracklet) -> None:
    held = unpacked_tracklet(packed_tracklet(tracklet))
    for name in ("embedding", "prototypes", "prototype_weights", "frames", "boxes"):
        assert getattr(held, name).tolist() == getattr(tracklet, name).tolist()
        assert getattr(held, name).dtype == getattr(tracklet, name).dtype
    for name in ("id", "track_id", "reason", "stays", "crop", "crop_box", "crop_frame", "more_crops", "start_wall"):
        assert getattr(held, name) == getattr(tracklet, name)


@pytest.mark.parametrize("payload", [b"", b"nothing of the kind", packed_tracklet(made_tracklet(1, "a", 0, 5))[:200]])
def test_a_damaged_checkpoint_is_an_error_in_words(payload: bytes) -> None:
    with pytest.raises(GalleryCorrupt, match="checkpoint of an open track cannot be read"):
        unpacked_tracklet(payload)


def test_another_owner_does_not_call_workers_recordings_broken_off(database: Database) -> None:
    listed(database, "door")
    store = WorkerStore(database, SPACE, [taken(database, "one")])
    store.begin_source(DOOR, "settings")
    with Gallery.open(database.place.address, write=True) as gallery:
        assert [recording.state for recording in gallery.sources()] == ["running"]
        with pytest.raises(GalleryLocked):
            Gallery.open(database.place.address, write=True)
        # Whoever owns the gallery and who works store side by side, each row with a revision of its own.
        gallery.begin_source(SourceStarted("own", "own.mp4", "content of own", (640, 480), 10, 0.0), "settings")
        gallery.add([made_tracklet(1, "own", 0, 5)])
        store.add([made_tracklet(1, "door", 0, 5)])
        gallery.add([made_tracklet(2, "own", 6, 9)])
        assert gallery.search(made_tracklet(1, "door", 0, 5).embedding, 3)[0][0].tracklet == gallery.rows().id[1]
        assert gallery.facts().revision == 3


def test_a_database_that_starts_again_is_waited_for_by_who_works(
    database: Database, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    address = database.place.address
    database.close()
    postgres_server.stop()
    spaces = []

    def start() -> None:
        with opened(address, Config(), None, patience=120.0) as there:
            spaces.append(there.space)

    working = threading.Thread(target=start)
    try:
        with pytest.raises(GalleryUnreachable, match="cannot be reached"), opened(address, Config(), None):
            pytest.fail("it was opened")
        working.start()
        wait_until(lambda: "waiting for it" in caplog.text, "the warning")
    finally:
        postgres_server.start()
    working.join()
    assert spaces == [SPACE]


def test_a_worker_whose_database_goes_away_before_it_has_begun_begins_when_it_is_back(
    database: Database, postgres_server: PostgresServer
) -> None:
    said: list[str] = []
    worker = Worker(database, SPACE, pytest.fail, most=1, lease_seconds=0.5, say=said.append)
    reports: list[WorkerReport] = []
    working = threading.Thread(target=lambda: reports.append(worker.run()))
    postgres_server.stop()
    try:
        working.start()
        wait_until(lambda: said or not working.is_alive(), "a word")
    finally:
        postgres_server.start()
    wait_until(lambda: any("reads up to 1" in line for line in said) or not working.is_alive(), "it to begin")
    with database.read() as connection:
        assert connection.execute(text("SELECT role FROM workers")).scalars().all() == ["worker"]
    worker.drain()
    working.join(60)
    assert [report.name for report in reports] == [worker.name]
    with database.read() as connection:
        assert not connection.execute(text("SELECT role FROM workers")).all()


def test_a_worker_that_was_forgotten_while_it_was_away_is_listed_again(database: Database) -> None:
    said: list[str] = []
    worker = Worker(database, SPACE, pytest.fail, most=1, lease_seconds=0.5, say=said.append)
    worker._register()
    with database.write() as connection:
        connection.execute(text("DELETE FROM workers"))
    worker._beat()
    worker._beat()
    with database.read() as connection:
        assert connection.execute(text("SELECT name FROM workers")).scalars().all() == [worker.name]


def test_a_worker_whose_database_is_away_at_its_end_ends_with_its_report(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(database, SPACE, pytest.fail, most=1, lease_seconds=0.5)
    write = database.write

    def away(*_: object) -> NoReturn:
        raise GalleryUnreachable("the server has gone away")

    def last_turn() -> bool:
        monkeypatch.setattr(database, "write", away)
        return True

    monkeypatch.setattr(worker, "_turn", last_turn)
    assert worker.run() == WorkerReport(worker.name, 0, 0, 0, 0)
    assert "gone away" in caplog.text
    monkeypatch.setattr(database, "write", write)


class Broken(psycopg.OperationalError):
    """An error of the driver's, with the words that a network has for it."""


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("could not receive data from server: Connection reset by peer", GalleryUnreachable),
        ("connection to server failed: Network is unreachable", GalleryUnreachable),
        ("connection to server failed: No route to host", GalleryUnreachable),
        ("could not translate host name: Temporary failure in name resolution", GalleryUnreachable),
        ("connection refused", GalleryUnreachable),
        ('password authentication failed for user "shop"', GalleryNotFound),
    ],
)
def test_a_network_that_is_down_is_waited_for_and_a_wrong_password_is_not(
    monkeypatch: pytest.MonkeyPatch, words: str, kind: type[GalleryError]
) -> None:
    def fails(*_: object, **__: object) -> NoReturn:
        raise Broken(words)

    monkeypatch.setattr(psycopg, "connect", fails)
    monkeypatch.setattr(psycopg.Connection, "connect", fails)
    with pytest.raises(kind, match=words[-20:]):
        Database(place_of("postgresql://shop@db/shop"), write=True)
