"""Sources that a server reads in processes of their own: what they find is stored by the server."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.clips import Clip, ClipShelf, clip_of
from reidstream.config import Config, SourceConfig
from reidstream.errors import ConfigError, GalleryError
from reidstream.gallery import Gallery
from reidstream.gallery.recordings import Begin
from reidstream.pipeline import GalleryRun
from reidstream.server.cameras import Camera, Cameras
from reidstream.server.desk import Desk
from reidstream.server.remote import RemoteShelf, RemoteStore
from reidstream.types import (
    EmbeddingSpace,
    EndReason,
    Event,
    Observed,
    Samples,
    SourceEnded,
    SourceStarted,
    TrackEnded,
)
from tests.identities.conftest import made_tracklet
from tests.server.conftest import VISITS, with_pictures


class Answering:
    """The server's side of a store's pipes, in a thread."""

    def __init__(self, gallery: Gallery, requests: Connection, answers: Connection) -> None:
        self._gallery, self._requests, self._answers = gallery, requests, answers
        self.reports: list[Any] = []
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def _answer(self) -> None:
        while True:
            try:
                name, arguments = self._requests.recv()
            except (EOFError, OSError):
                return
            try:
                self._answers.send((True, self._do(name, arguments)))
            except GalleryError as error:
                self._answers.send((False, str(error)))

    def _do(self, name: str, arguments: Any) -> Any:
        if name == "begin":
            return self._gallery.begin_source(
                arguments[0], arguments[1], replace=arguments[2], formerly=arguments[3]
            ).value
        if name == "add":
            return self._gallery.add(*arguments)
        if name == "clip":
            return getattr(ClipShelf(self._gallery), arguments[0])(*arguments[1])
        if name == "end":
            return self._gallery.end_source(*arguments)
        return self.reports.append(*arguments)


@pytest.fixture
def remote(gallery: Gallery) -> Iterator[tuple[RemoteStore, Answering]]:
    requests_here, requests_there = Pipe(duplex=False)
    answers_there, answers_here = Pipe(duplex=False)
    answering = Answering(gallery, requests_here, answers_here)
    yield RemoteStore(requests_there, answers_there), answering
    for end in (requests_there, answers_there):
        end.close()
    answering.thread.join()
    for end in (requests_here, answers_here):
        end.close()


def test_clips_of_a_camera_process_are_put_into_place_by_the_owner(
    remote: tuple[RemoteStore, Answering], gallery: Gallery
) -> None:
    store, _ = remote
    assert gallery.place.folder is not None
    shelf = RemoteShelf(store, gallery.place.folder / "clips")
    first, second = (made_tracklet(*visit) for visit in VISITS[:2])
    assert shelf.sweep() == 0
    assert shelf.holds(first.id)
    assert not shelf.holds("nobody")
    for visit in (first, second):
        clip = Clip(visit.id, visit.content, f"{visit.id}.mp4", visit.start_media, visit.end_media, 0.0)
        assert shelf.begin(clip)
        written = shelf.folder / f".{visit.id}.{os.getppid()}.partial.mp4"
        written.write_bytes(b"somebody")
        # Another process that starts does not take away what this one writes; it does what a dead one left.
        (shelf.folder / ".x.4194305.partial.mp4").write_bytes(b"half")
        shelf.sweep()
        assert sorted(path.name for path in shelf.folder.glob(".*")) == [written.name]
        assert shelf.finish(clip, written)
    assert clip_of(gallery, first.id) == shelf.folder / f"{first.id}.mp4"
    shelf.drop([first.id])
    assert clip_of(gallery, first.id) is None
    shelf.drop_showing(second.content, second.start_media, second.start_media)
    assert list(shelf.folder.iterdir()) == []


def test_what_a_camera_process_finds_is_stored_by_the_owner(
    remote: tuple[RemoteStore, Answering], gallery: Gallery
) -> None:
    store, _ = remote
    started = SourceStarted("c", "c.mp4", "content of c", (640, 480), 10, 0.0)
    assert store.begin_source(started, "settings") is Begin.NEW
    assert store.add(with_pictures([(7, "c", 0, 5), (8, "c", 1, 6)])) == 2
    store.end_source(SourceEnded("c", 100, 10.0))
    assert len(gallery) == len(VISITS) + 2
    assert {r.source: r.state for r in gallery.sources()}["c"] == "complete"
    assert store.begin_source(started, "settings") is Begin.COMPLETE


def test_an_error_of_the_owner_arrives_in_its_words(remote: tuple[RemoteStore, Answering]) -> None:
    store, _ = remote
    with pytest.raises(GalleryError, match="other settings"):
        store.begin_source(SourceStarted("a", "a.mp4", "content of a", (640, 480), 10, 0.0), "others")


class Scripted:
    """An engine whose events are known beforehand."""

    space = EmbeddingSpace("made-up", "made-up", 64)

    def __init__(self) -> None:
        from reidstream.engines import EngineStatus

        self.status = EngineStatus()

    def events(self) -> Iterator[Event]:
        yield SourceStarted("c", "c.mp4", "content of c", (640, 480), 10.0, 0.0, 20)
        looks = np.zeros((1, 64), np.float32)
        looks[0, 0] = 1
        for frame in range(20):
            samples = Samples(np.array([0]), looks, np.array([0.9], np.float32), (b"\xff\xd8",))
            box = np.array([[10 + 5 * frame, 20, 60 + 5 * frame, 140]], np.float32)
            yield Observed(
                "c", frame, frame / 10, frame / 10, np.array([1], np.uint64), box, np.array([0.9], np.float32), samples
            )
        yield TrackEnded("c", 1, EndReason.LEFT)
        yield SourceEnded("c", 20, 2.0)

    def stop(self) -> None: ...

    def skip(self, source: str) -> None: ...


def test_a_run_without_a_gallery_of_its_own_stores_and_decides_nothing(
    remote: tuple[RemoteStore, Answering], desk: Desk
) -> None:
    store, _ = remote
    run = GalleryRun(Scripted(), store, Config(), settings="settings")
    summary = run.run()
    assert (summary.tracklets, summary.stored, summary.people) == (1, 1, 0)
    assert len(desk.gallery) == len(VISITS) + 1
    desk.wake()
    desk.settle()
    assert len(desk.gallery.rows()) == sum(len(entry.visits) for entry in desk.catalogue.entries())


def test_sources_that_were_added_are_there_again_after_a_start_and_paused_ones_stay_paused(desk: Desk) -> None:
    cameras = Cameras(desk)
    cameras._closing = True
    cameras.add(SourceConfig(uri="rtsp://camera/one", name="one"))
    cameras.add(SourceConfig(uri="rtsp://camera/two", name="two"))
    cameras.pause("two", True)
    with pytest.raises(ConfigError, match="already"):
        cameras.add(SourceConfig(uri="rtsp://camera/three", name="one"))
    again = Cameras(desk, [SourceConfig(uri="rtsp://camera/zero", name="zero")])
    assert [(camera.name, camera.paused, camera.given) for camera in again.all()] == [
        ("one", False, False),
        ("two", True, False),
        ("zero", False, True),
    ]
    with pytest.raises(ConfigError, match="when the server was started"):
        again.remove("zero")
    again.remove("one")
    assert [camera.name for camera in Cameras(desk).all()] == ["two"]


def test_cameras_take_turns_at_the_gpus_that_are_named(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    class Running:
        def __init__(self, order: Any, desk: Any, cameras: list[Camera], ended: Any, live: Any) -> None:
            self.gpus = order.config.local.gpus

        def ask_to_stop(self) -> None:
            pass

        def wait(self) -> None:
            pass

    monkeypatch.setattr("reidstream.server.cameras._Running", Running)
    desk = Desk(gallery, Config.model_validate({"local": {"device": "cuda", "gpus": [4, 6]}}))
    cameras = Cameras(desk, [SourceConfig(uri=f"rtsp://camera/{name}", name=name) for name in "abc"])
    cameras.start()
    assert {name: running.gpus for name, running in cameras._running.items()} == {"a": (4,), "b": (6,), "c": (4,)}
    cameras.close()
    desk.close()


def test_a_source_that_cannot_be_opened_says_so_in_words(desk: Desk, tmp_path: Path) -> None:
    """A real process, real models, and a file that is no video."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    cameras = Cameras(desk, [SourceConfig(uri=str(broken), name="broken")])
    cameras.start()
    running = cameras._running["broken"]
    running._thread.join()
    camera = cameras.get("broken")
    # The models make vectors of another space than this made-up gallery holds: refused before anything is read.
    assert camera.state == "failed"
    assert "cannot be compared" in camera.words
    cameras.close()


def test_how_a_camera_does_is_said_in_words() -> None:
    camera = Camera("gate", SourceConfig(uri="rtsp://joe:hunter2@gate/stream"))
    report = {"error": None, "expected": None, "live": True, "dropped": 3, "frames": 100}
    camera.take({**report, "state": "running"}, 1000.0)
    camera.take({**report, "state": "running", "frames": 150}, 1002.5)
    assert camera.fps == 20.0
    camera.take({**report, "state": "failed", "error": "rtsp://joe:hunter2@gate refused", "frames": 150}, 1003.0)
    assert "refused" in camera.as_dict()["words"]
    assert "hunter2" not in str(camera.as_dict())


def test_a_process_ends_when_its_server_does(tmp_path: Path) -> None:
    from reidstream.children import python_child

    child = python_child(
        "reidstream.server.camera_process", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) != 0
