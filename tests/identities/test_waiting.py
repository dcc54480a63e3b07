"""Stored tracklets without a person are found, however many have one already."""

from __future__ import annotations

from sqlalchemy import delete

from reidstream.identities.people import assign, create_person, prepare
from reidstream.identities.schema import members
from reidstream.identities.waiting import Waiting
from tests.identities.conftest import Fill, Visit, made_tracklet

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
