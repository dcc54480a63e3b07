"""Stored tracklets without a person are found, however many have one already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.identities.people import assign, create_person, prepare
from reidstream.identities.schema import members
from reidstream.identities.waiting import Waiting
from reidstream.types import SourceStarted
from tests.identities.conftest import SPACE, Fill, Visit, made_tracklet

VISITS: list[Visit] = [(n, "a", 10.0 * n, 10.0 * n + 5) for n in range(1, 6)]
IDS = [made_tracklet(*visit).id for visit in VISITS]


def test_the_first_come_first_and_what_is_stored_later_is_found(fill: Fill) -> None:
    gallery = fill(VISITS)
    prepare(gallery)
    waiting = Waiting(gallery)
    assert waiting.first(2) == IDS[:2]
    with gallery.write() as connection:
        person = create_person(connection, IDS[0])
        assign(connection, [(tracklet, person, 1.0) for tracklet in (IDS[0], IDS[2])])
    assert waiting.first(9) == [IDS[1], IDS[3], IDS[4]]
    with gallery.write() as connection:
        assign(connection, [(tracklet, person, 1.0) for tracklet in IDS])
    assert waiting.first(9) == []
    late = made_tracklet(9, "a", 900.0, 905.0)
    gallery.add([late])
    assert waiting.first(9) == [late.id]


def test_a_new_one_finds_whom_an_undoing_left_without_a_person(fill: Fill) -> None:
    gallery = fill(VISITS)
    prepare(gallery)
    with gallery.write() as connection:
        assign(connection, [(tracklet, create_person(connection, tracklet), 1.0) for tracklet in IDS])
    assert Waiting(gallery).first(1) == []
    with gallery.write() as connection:
        connection.execute(delete(members).where(members.c.tracklet == IDS[1]))
    assert Waiting(gallery).first(9) == [IDS[1]]


def test_what_is_stored_by_others_while_it_looks_is_found_the_next_time(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GalleryConfig(index="exact")
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=config) as gallery:
        gallery.begin_source(SourceStarted("a", "a.mp4", "content of a", (640, 480), 10, 0.0), "settings")
        prepare(gallery)
        late = [made_tracklet(*visit) for visit in VISITS]
        read = gallery.read

        class Slow:
            """Between two questions something is stored."""

            def __init__(self, connection: Any) -> None:
                self._connection = connection

            def execute(self, *asked: Any) -> Any:
                found = self._connection.execute(*asked)
                if late:
                    gallery.add([late.pop(0)])
                return found

        @contextmanager
        def slowly() -> Iterator[Any]:
            with read() as connection:
                yield Slow(connection)

        monkeypatch.setattr(gallery, "read", slowly)
        waiting = Waiting(gallery)
        found: list[str] = []
        for _ in range(20):
            some = waiting.first(9)
            with gallery.write() as connection:
                assign(connection, [(id, create_person(connection, id), 1.0) for id in some])
            found += some
        assert found == IDS
