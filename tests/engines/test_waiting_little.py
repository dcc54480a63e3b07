"""What the processes of a GPU do so that they seldom wait for each other."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidstream.config import Config
from reidstream.config.local import TrackerConfig
from reidstream.engines.local import tracking_group, worker
from reidstream.engines.local.apart import process
from reidstream.engines.local.apart.messages import send
from reidstream.engines.local.inbox import Inbox
from reidstream.engines.local.sampling import FrameCrops
from reidstream.engines.local.source_reader import Found, Read, ready
from reidstream.engines.local.tracking_group import TrackingGroup
from reidstream.errors import EngineError
from reidstream.sources.frame import ArrayPicture, Frame
from reidstream.tracking import Tracker
from reidstream.tracking.scores import ScoreScale
from reidstream.types import Detections
from tests.blobs import ColourEmbedder


def test_of_frames_that_come_the_nearest_and_the_furthest_are_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in between were the furthest when they came."""
    asked: list[list[float]] = []

    def foreseen(trackers: Any, found: Any, times: Any) -> list[Any]:
        asked.append(list(times))
        return [np.zeros(0, np.int64)] * len(times)

    monkeypatch.setattr(tracking_group, "foreseen", foreseen)
    group = object.__new__(TrackingGroup)
    group._ahead, group._follow = True, False
    group._inbox = Inbox(["a"], 8, ready)
    picture = ArrayPicture(np.zeros((48, 64, 3), np.uint8))
    crops = FrameCrops(picture, Detections.empty(), ColourEmbedder())
    tracked = SimpleNamespace(tracker=Tracker(TrackerConfig(), (64, 48)), scores=ScoreScale())
    for number in range(5):
        known: Future[list[Found]] = Future()
        known.set_result([Found(np.zeros(0, bool), crops)])
        group._inbox.put("a", Read(Frame("a", number, float(number), 0.0, picture), known, 0))
        group._foresee({"a": tracked})  # type: ignore[dict-item]
    assert asked == [[0], [0, 1], [0, 2], [0, 2], [0, 2]]


@pytest.mark.parametrize("serve", [process.run, worker.serve])
def test_processes_of_a_gpu_hand_pythons_lock_on_soon(monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    turns: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", turns.append)

    def fails(*arguments: Any) -> None:
        raise EngineError("there is nothing")

    monkeypatch.setattr(process, "open_models", fails)
    monkeypatch.setattr(worker, "TrackingEngine", fails)
    monkeypatch.setattr(worker, "Connection", fails)
    told: list[Any] = []
    request: tuple[Any, ...] = (
        (Config(), [], None, None, {}) if serve is process.run else (Config(), [], None, None, {}, 7)
    )
    serve(SimpleNamespace(recv=lambda: request), SimpleNamespace(send=told.append))
    assert [kind for kind, _ in told] == ["failed"]
    assert turns == [1e-4]


def test_what_is_sent_arrives_as_it_was() -> None:
    near, far = Pipe()
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    send(near, ("answer", 7, [pixels, EngineError("no")]))
    kind, number, (found, error) = far.recv()
    np.testing.assert_array_equal(found, pixels)
    assert (kind, number, str(error)) == ("answer", 7, "no")
    far.close()
    with pytest.raises(OSError):
        send(near, "nobody hears it")
