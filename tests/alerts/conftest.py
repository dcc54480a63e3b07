"""A gallery of made-up people, a watch on it, and whoever is in view."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from reidstream.alerts import Sighting, Watch
from reidstream.alerts.lists import rule_settings
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent, events_after
from reidstream.identities.review import Review
from reidstream.types import FloatArray, LeftOut, LeftOutReason, Tracklet
from tests.exact import EXACT
from tests.identities.conftest import SPACE, Visit, begin, filled, made_tracklet

# Ten people, each seen four times by two cameras; Ann (1) and Ben (2) have names.
VISITS: list[Visit] = [
    (person, "ab"[turn % 2], 1000.0 * turn + 20 * person, 1000.0 * turn + 20 * person + 10)
    for turn in range(4)
    for person in range(1, 11)
]
DAY = 86_400.0
NOW = 1_800_000_000.0


class Hands:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Scene:
    """What tests ask for most. ``clock`` is the watch's; media and wall times of sightings are the test's own."""

    def __init__(self, gallery: Gallery, clothes: Literal["change", "stay"] = "change") -> None:
        self.gallery = gallery
        self.identities = OnlineIdentities(gallery, IdentityConfig(clothes=clothes))
        self.identities.catch_up()
        self.clock = Hands()
        self.watch = Watch(gallery, lambda: self.identities, clock=self.clock)

    def rule(self, who: str = "listed", *, people: tuple[int, ...] = (1,), **wanted: Any) -> str:
        """A rule about these people, on a list of their own; its id."""
        lists = self.watch.lists
        if who == "listed" or people != (1,):
            made = lists.make(f"list {len(lists.all())}", "to be greeted", NOW + 30 * DAY, "test")
            for person in people:
                lists.add_person(made.id, made_tracklet(*VISITS[person - 1]).id, "test")
            wanted["list"] = made.id
        values = {"name": f"rule {len(lists.rules())}", "purpose": "to be greeted", "who": who, **wanted}
        found = lists.add_rule(rule_settings(values), "test")
        self.watch.reload()
        return found.id

    def see(self, person: int, seconds: float = 2.0, at: float = 5000.0, **how: Any) -> list[str]:
        """Somebody is in view; ids of the alerts that this raises."""
        return self.watch.saw([sighting(person, at, seconds, **how)])

    def store(
        self, person: int, at: float = 5000.0, seconds: float = 8.0, shown: int | None = None, **how: Any
    ) -> Tracklet:
        """Somebody has left and is stored. shown: who it is, if their track was taken for somebody else's."""
        stored = tracklet(person if shown is None else shown, at, at + seconds)
        stored = replace(stored, track_id=track_of(person, at), **how)
        self.gallery.add([stored])
        self.identities.catch_up()
        self.watch.settle()
        return stored

    def leave_out(self, person: int, at: float = 5000.0) -> None:
        """Somebody has left and was not worth storing."""
        short = LeftOutReason.TOO_SHORT
        times = (0, 1, at, at + 1, at, at + 1)
        left = LeftOut("0a", "a", "content of a", track_of(person, at), 0, short, *times, 2, 0.5, None, (0, 0, 9, 9))
        self.gallery.leave_out([left])
        self.watch.settle()

    def alerts(self) -> list[dict[str, Any]]:
        return self.watch.alerts.page()

    def events(self, kind: str) -> list[OutboxEvent]:
        return [event for event in events_after(self.gallery, 0, 10_000) if event.kind == kind]

    def id_of(self, person: int) -> str:
        owner = Catalogue(self.gallery).owner(made_tracklet(*VISITS[person - 1]).id)
        assert owner is not None
        return owner


def track_of(person: int, at: float) -> int:
    return person * 1000 + round(at)


def tracklet(person: int, start: float, end: float) -> Tracklet:
    return made_tracklet(person, "a", start, end)


def looks(person: int, count: int, noise: float = 0.4, seed: int = 0) -> FloatArray:
    """Crops of a person, float32 (count, d), unit length."""
    direction = np.random.default_rng(person).normal(size=SPACE.size)
    rng = np.random.default_rng([person, seed])
    found = direction / np.linalg.norm(direction) + rng.normal(size=(count, SPACE.size)) * noise / np.sqrt(SPACE.size)
    unit: FloatArray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def sighting(person: int, at: float, seconds: float, *, source: str = "a", crops: int = 4, **how: Any) -> Sighting:
    """Somebody who came into view at a time, seen seconds later."""
    return Sighting(
        *(source, f"content of {source}", track_of(person, at), at, at, at + seconds, at + seconds),
        (0.1, 0.2, 0.3, 0.8),
        looks(person, crops, seed=round(at)),
        np.full(crops, 0.8, np.float32),
        **{"crop": b"crop", "frame": b"frame", **how},
    )


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gallery in which it is decided who everybody is, to be copied and not to be written to."""
    folder = tmp_path_factory.mktemp("known") / "gallery"
    with filled(folder, VISITS) as gallery:
        made = Scene(gallery)
        for person, name in ((1, "Ann"), (2, "Ben")):
            Review(gallery, "test").label(made.id_of(person), name=name)
        made.identities.follow()
    return folder


@pytest.fixture
def scene(known: Path, tmp_path: Path) -> Iterator[Scene]:
    shutil.copytree(known, tmp_path / "gallery")
    with Gallery.open(tmp_path / "gallery", write=True, space=SPACE, config=EXACT) as gallery:
        begin(gallery, VISITS)
        yield Scene(gallery)
