"""`reidstream run` on a gallery that a server owns: it reads, and the server stores and decides."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import reidstream
from reidstream.children import command_of, environment
from reidstream.cli.app import app
from reidstream.config import Config
from reidstream.engines.recording import Recorder
from reidstream.errors import ConfigError, GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import Begin, Recording
from reidstream.identities.people import list_people
from reidstream.pipeline import GalleryRun
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.remote import reporting
from reidstream.server.run_port import RunPort, joined
from reidstream.types import SourceEnded, SourceStarted
from tests.identities.conftest import made_tracklet
from tests.server.conftest import VISITS
from tests.server.process import Served, made_gallery
from tests.server.test_cameras import Scripted

STARTED = SourceStarted("c", "c.mp4", "content of c", (640, 480), 10, 0.0)


@pytest.fixture
def cameras(desk: Desk) -> Cameras:
    return Cameras(desk)


@pytest.fixture
def folder(desk: Desk, cameras: Cameras) -> Iterator[Path]:
    """The folder of a gallery whose server takes runs."""
    found = desk.gallery.place.folder
    assert found is not None
    with RunPort(desk, cameras, found):
        yield found


def recorded(path: Path) -> Path:
    """The events of one person who walks by."""
    engine = Scripted()
    with Recorder(path, engine.space) as record:
        for event in engine.events():
            record.write(event)
    return path


def test_a_run_on_a_served_gallery_is_stored_and_decided_by_the_server(tmp_path: Path) -> None:
    events = recorded(tmp_path / "events.parquet")
    with Served(made_gallery(tmp_path / "shop", VISITS)) as served:
        words = ["run", "--replay", str(events), "--gallery", str(served.gallery), "--json", "--resolve"]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert '"stored": 1' in done.stdout
        assert '"people": 4' in done.stdout
        with served.owner() as owner:
            assert owner.facts()["tracklets"] == len(VISITS) + 1
            assert owner.people()["total"] == 4
        assert served.end() == 0
    with Gallery.open(served.gallery) as gallery:
        assert {r.source: r.state for r in gallery.sources()}["c"] == "complete"
        assert sum(len(person.tracklets) for person in list_people(gallery)) == len(VISITS) + 1


def test_a_run_for_a_server_elsewhere_is_refused_with_what_to_do() -> None:
    done = CliRunner().invoke(app, ["run", "a.mp4", "--gallery", "https://shop.example"])
    assert isinstance(done.exception, ConfigError)
    assert "page Sources" in str(done.exception)


def test_what_a_run_reads_is_listed_while_it_reads(folder: Path, cameras: Cameras, desk: Desk) -> None:
    with joined(folder) as store:

        def decided(_: bool) -> Gallery:
            store.settle()
            return desk.gallery

        run = GalleryRun(Scripted(), store, Config(), settings="settings", decided=decided)
        with reporting(run, store):
            summary = run.run()
        assert (summary.stored, summary.people) == (1, 4)
        (listed,) = cameras.all()
        assert (listed.name, listed.by_run, listed.state) == ("c", True, "complete")
        assert listed.as_dict()["removable"] is False
        with pytest.raises(ConfigError, match="no source"):
            cameras.get("c")
    _until_nobody_reads(cameras)


def test_whoever_is_gone_without_a_word_is_broken_off_and_the_next_goes_on(folder: Path, desk: Desk) -> None:
    with joined(folder) as store:
        assert store.begin_source(STARTED, "settings") is Begin.NEW
        with joined(folder) as other:
            # Somebody is reading it just now.
            assert other.begin_source(STARTED, "settings") is Begin.ELSEWHERE
    while (state := _recording(desk).state) == "running":
        os.sched_yield()
    assert (state, "without a word" in str(_recording(desk).error)) == ("stopped", True)
    with joined(folder) as store:
        assert store.begin_source(STARTED, "settings") is Begin.RESUMED
        store.add([made_tracklet(7, "c", 0, 5)])
        store.end_source(SourceEnded("c", 50, 5.0))
    assert _recording(desk).state == "complete"


def test_a_run_ends_with_all_that_it_saw_when_its_server_ends(desk: Desk, cameras: Cameras) -> None:
    found = desk.gallery.place.folder
    assert found is not None
    waits = threading.Event()

    class Endless(Scripted):
        """A camera that delivers until it is stopped."""

        def events(self) -> Iterator[Any]:
            *seen, ended = super().events()
            yield from seen
            waits.wait(60)
            yield ended

        def stop(self) -> None:
            waits.set()

    port = RunPort(desk, cameras, found)
    with port, joined(found) as store:
        run = GalleryRun(Endless(), store, Config(), settings="settings")

        def read() -> None:
            with reporting(run, store):
                run.run()

        reading = threading.Thread(target=read)
        reading.start()
        with _tells(cameras):
            pass
        closing = threading.Thread(target=port.__exit__, args=(None, None, None))
        closing.start()
        reading.join(60)
        assert not reading.is_alive()
        assert run.summary.stored == 1
        # The other end of its connection is what the port waits for.
        store._requests.close()
        closing.join(60)
        assert not closing.is_alive()
    assert len(desk.gallery) == len(VISITS) + 1


def test_a_run_of_another_version_is_refused_in_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Connection.send_bytes

    def another(self: Connection, data: bytes) -> None:
        sent(self, b"0.0.1" if data == reidstream.__version__.encode() else data)

    monkeypatch.setattr(Connection, "send_bytes", another)
    with pytest.raises(GalleryError, match=r"this is 0\.0\.1; start the server again"), joined(folder):
        pass


@pytest.mark.slow
def test_a_gallery_whose_server_has_died_is_written_as_if_there_were_none(tmp_path: Path) -> None:
    events = recorded(tmp_path / "events.parquet")
    with Served(made_gallery(tmp_path / "shop", VISITS)) as served:
        served.end(signal.SIGKILL)
    words = command_of("reidstream", "run", "--replay", str(events), "--gallery", str(served.gallery))
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "server" not in done.stderr


def _recording(desk: Desk) -> Recording:
    """What the gallery knows of the source that runs read here."""
    return {recording.source: recording for recording in desk.gallery.sources()}["c"]


def _until_nobody_reads(cameras: Cameras) -> None:
    while cameras.all():
        os.sched_yield()


@contextmanager
def _tells(cameras: Cameras) -> Iterator[None]:
    """Left when a run has told of a source."""
    yield
    while not cameras.all():
        os.sched_yield()
