"""A server makes recent decisions again while cameras run, without anybody asking for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.identities import online
from reidstream.identities.people import history, list_people
from reidstream.server import assigning
from reidstream.server.desk import Desk
from reidstream.types import SourceStarted
from tests.cluster.processes import wait_until
from tests.identities.conftest import SPACE, made_tracklet
from tests.identities.test_revisiting import VISITS


def test_a_server_puts_right_what_it_decided_too_early_and_everybody_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "_REVISITED", 16)
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "gallery", write=True, create=True, space=SPACE, config=config) as gallery:
        for camera in "ab":
            gallery.begin_source(SourceStarted(camera, camera, f"content of {camera}", (640, 480), 10, 0.0), "settings")
        desk = Desk(gallery)
        for first in range(0, 80, 10):
            desk.store([made_tracklet(*visit) for visit in VISITS[first : first + 10]])
        desk.settle()
        assert "revisit" in {entry.kind for entry in history(gallery)}
        held = {person.id: frozenset(person.tracklets) for person in list_people(gallery)}
        assert {entry.person.id: frozenset(entry.person.tracklets) for entry in desk.catalogue.entries()} == held
        desk.close()


def test_while_conclusions_are_drawn_tracklets_are_given_people_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    conclude = online.OnlineIdentities.conclude

    def slow(*arguments: Any, **named: Any) -> Any:
        begun.set()
        may_end.wait()
        return conclude(*arguments, **named)

    batches: list[int] = []
    catch_up = online.OnlineIdentities.catch_up

    def noting(self: online.OnlineIdentities, most: int | None = None) -> int:
        batches.append(catch_up(self, most))
        return batches[-1]

    monkeypatch.setattr(online.OnlineIdentities, "conclude", slow)
    monkeypatch.setattr(online.OnlineIdentities, "catch_up", noting)
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "gallery", write=True, create=True, space=SPACE, config=config) as gallery:
        for camera in "ab":
            gallery.begin_source(SourceStarted(camera, camera, f"content of {camera}", (640, 480), 10, 0.0), "settings")
        desk = Desk(gallery)
        desk.store([made_tracklet(*visit) for visit in VISITS[:20]])
        assert begun.wait(60)
        wait_until(lambda: sum(batches) == 20, "the first to have a person")
        desk.store([made_tracklet(*visit) for visit in VISITS[20:60]])
        wait_until(lambda: sum(batches) == 60, "everybody to have a person")
        assert max(batches[-6:]) == assigning._AT_ONCE
        may_end.set()
        desk.settle()
        desk.close()


def test_while_decisions_are_made_again_what_is_stored_gets_its_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "_REVISITED", 16)
    begun, may_end = threading.Event(), threading.Event()
    made = assigning.decided

    def slow(*arguments: object) -> object:
        begun.set()
        may_end.wait()
        return made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(assigning, "decided", slow)
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "gallery", write=True, create=True, space=SPACE, config=config) as gallery:
        for camera in "ab":
            gallery.begin_source(SourceStarted(camera, camera, f"content of {camera}", (640, 480), 10, 0.0), "settings")
        desk = Desk(gallery)

        def given() -> int:
            return sum(len(person.tracklets) for person in list_people(gallery))

        desk.store([made_tracklet(*visit) for visit in VISITS[:20]])
        assert begun.wait(60)
        desk.store([made_tracklet(*visit) for visit in VISITS[20:60]])
        wait_until(lambda: given() == 60, "everybody to have a person")
        may_end.set()
        desk.settle()
        desk.close()
