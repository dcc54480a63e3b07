"""Who asks about somebody in the moment in which they are erased hears that nobody is there, and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from reidstream.alerts.lists import WatchLists
from reidstream.alerts.schema import entries
from reidstream.errors import TrackletNotFound
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Entry
from reidstream.server.access.log import AccessLog
from reidstream.server.access.schema import answers, hidden, looks, places
from reidstream.server.api import people as people_routes
from reidstream.server.api import review
from reidstream.server.desk import Desk
from tests.server.conftest import IDS, Asking


@pytest.mark.parametrize("asked", ["search", "tracklet", "frame", "clip"])
def test_a_tracklet_that_is_erased_while_somebody_asks_for_it_is_not_found(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    note = AccessLog.note

    def erased_first(log: AccessLog, *said: Any, **more: Any) -> None:
        desk.gallery._remove([IDS[3]])
        note(log, *said, **more)

    monkeypatch.setattr(AccessLog, "note", erased_first)
    # What is asked for a clip must be there before anything is noted.
    monkeypatch.setattr("reidstream.server.api.clips.recording_to_cut", lambda *_: "a recording")
    if asked == "search":
        problem = owner.post("/search", {"tracklet": IDS[3]}, 404)
    else:
        problem = owner.get(f"/tracklets/{IDS[3]}" + ("" if asked == "tracklet" else f"/{asked}"), 404)
    assert problem["error"] == "TrackletNotFound"
    assert f"no tracklet {IDS[3]}" in problem["detail"]
    assert "FOREIGN" not in problem["detail"]


def test_nothing_about_somebody_is_written_down_after_they_were_erased(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = owner.people()
    cleo, ann = everybody[3]["id"], everybody[1]["id"]
    found = people_routes.entry_of
    stale: list[Entry] = []

    def erased_first(desk: Desk, caller: Any, person: str) -> Entry:
        if not stale:
            stale.append(found(desk, caller, person))
            assert desk.gallery.erase(stale[0].person.tracklets, people=[cleo]).proven
        return stale[0]

    monkeypatch.setattr(people_routes, "entry_of", erased_first)
    owner.get(f"/people/{cleo}", 404)
    put, delete = owner.client.put, owner.client.delete
    for answered in (put(f"/api/v1/people/{cleo}/hidden"), delete(f"/api/v1/people/{cleo}/hidden")):
        assert (answered.status_code, answered.json()["error"]) == (404, "PersonNotFound")
    for one, other in ((cleo, ann), (ann, cleo), (ann, IDS[3])):
        assert put("/api/v1/review/place", json={"one": one, "other": other}).status_code == 404
        owner.post("/review/answers", {"one": one, "other": other, "answer": "skip"}, 404)
    caller = type("Caller", (), {"name": "grace"})()
    # What was decided stands; only that it was asked is not kept.
    review.note_answers(desk, caller, [(cleo, ann), (ann, everybody[2]["id"])], "decided")
    with desk.gallery.read() as connection:
        for table in (looks, hidden, places, answers):
            rows = [tuple(row) for row in connection.execute(select(table)).all()]
            assert not [row for row in rows if cleo in row or IDS[3] in row], table.name
        assert len(connection.execute(select(answers)).all()) == 1


def test_nobody_is_put_on_a_watch_list_by_a_tracklet_that_was_erased(gallery: Gallery) -> None:
    lists = WatchLists(gallery, clock=lambda: 1000.0)
    made = lists.make("thieves", "theft", 2000.0, "grace")
    gallery._remove([IDS[3]])
    with pytest.raises(TrackletNotFound, match="may have been erased a moment ago"):
        lists.add_person(made.id, IDS[3], "grace")
    with gallery.read() as connection:
        assert connection.execute(select(entries)).all() == []
