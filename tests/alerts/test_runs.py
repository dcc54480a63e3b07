"""Rules of a gallery while ``reidstream run`` reads into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from reidstream.alerts.frames import FrameShelf
from reidstream.alerts.sightings import Moment
from reidstream.config import Config
from reidstream.config.local import TrackletConfig
from reidstream.engines import EngineStatus
from reidstream.gallery import Gallery
from reidstream.identities.outbox import events_after
from reidstream.pipeline import GalleryRun
from reidstream.types import EndReason, Event, Observed, Samples, SourceEnded, SourceStarted, TrackEnded
from tests.alerts.conftest import Scene, looks
from tests.identities.conftest import SPACE, fill

__all__ = ["fill"]

FPS = 10
COMES = 2.0
"""Seconds of media time at which somebody comes into view."""


class OnePerson:
    """An engine that sees one person, paced as a camera is by its media times.

    guessed: the tracker follows where the detector found nobody, but for the first half second.
    """

    space = SPACE

    def __init__(self, person: int, seconds: float, guessed: bool = False) -> None:
        self.status = EngineStatus()
        self._person, self._seconds, self._guessed = person, seconds, guessed

    def events(self) -> Iterator[Event]:
        yield SourceStarted("gate", "gate.mp4", "content of gate", (640, 480), FPS, 9000.0, None, True)
        count = round((COMES + self._seconds) * FPS)
        crops = looks(self._person, count)
        for frame in range(count):
            there = frame >= COMES * FPS
            samples = None
            if there and frame % 4 == 0:
                samples = Samples(np.array([0]), crops[frame][None], np.array([0.8], np.float32), (b"\xff\xd8",))
            box = np.array([[10 + 3 * frame, 20, 60 + 3 * frame, 200]], np.float32)[: int(there)]
            found = not self._guessed or frame < COMES * FPS + 5
            scores = np.array([0.9 if found else -0.1], np.float32)[: int(there)]
            ids = np.array([1], np.uint64)[: int(there)]
            yield Observed("gate", frame, frame / FPS, 9000 + frame / FPS, ids, box, scores, samples)
        yield TrackEnded("gate", 1, EndReason.LEFT)
        yield SourceEnded("gate", count, 9000 + count / FPS)

    def stop(self) -> None: ...

    def skip(self, source: str) -> None: ...


def alerts(gallery: Gallery) -> list[dict[str, Any]]:
    from reidstream.alerts import Alerts

    return Alerts(gallery).page()


def run(scene: Scene, engine: OnePerson, least: int = 3, **how: Any) -> None:
    # No second look: made-up vectors are not those of people.
    config = Config(tracklets=TrackletConfig(second_look=False, min_observations=least))
    GalleryRun(engine, scene.gallery, config, settings="settings", **how).run()


def test_somebody_on_a_list_is_told_of_within_two_seconds(scene: Scene) -> None:
    scene.rule()
    frames = FrameShelf()
    place = (0.1, 0.2, 0.3, 0.9)
    frames.at = lambda source, frame: Moment(b"frame %d" % frame, {1: place})  # type: ignore[method-assign]
    run(scene, OnePerson(1, 8.0), frames=frames)
    (alert,) = alerts(scene.gallery)
    assert alert["wall"] - (9000.0 + COMES) <= 2.0
    assert (alert["state"], alert["person"]["name"]) == ("confirmed", "Ann")
    assert alert["tracklet"] is not None
    picture = scene.watch.alerts.picture(alert["id"])
    assert picture is not None
    assert int(picture.split()[1]) / FPS - COMES <= 2.0
    assert alert["why"]["box"] == list(place)
    kinds = [event.kind for event in events_after(scene.gallery, 0, 10_000)]
    assert kinds.index("AlertRaised") < len(kinds) - 1
    assert "AlertWithdrawn" not in kinds


def test_an_unknown_person_is_told_of_within_two_seconds(scene: Scene) -> None:
    scene.rule("unknown")
    run(scene, OnePerson(77, 8.0))
    (alert,) = alerts(scene.gallery)
    assert alert["wall"] - (9000.0 + COMES) <= 2.0
    assert alert["state"] == "confirmed"


def test_what_turns_out_not_to_be_worth_storing_is_withdrawn(scene: Scene) -> None:
    scene.rule("anybody")
    run(scene, OnePerson(5, 8.0, guessed=True), least=10)
    (alert,) = alerts(scene.gallery)
    assert alert["state"] == "withdrawn"
    assert alert["reason"] == "in view too briefly to be kept"
    assert "gate" not in scene.gallery.rows().source


def test_without_rules_nothing_is_looked_at(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from reidstream.alerts import sightings

    monkeypatch.setattr(sightings.OpenTracks, "take", lambda *_: pytest.fail("somebody was looked at"))
    run(scene, OnePerson(1, 4.0))
    assert alerts(scene.gallery) == []
