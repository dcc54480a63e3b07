"""Alerts and watch lists over the server: who may, what is shown, and what an erasure takes."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from reidstream.identities.outbox import events_after
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from tests.alerts.conftest import sighting
from tests.server.conftest import IDS, Asking, Client
from tests.server.test_live import LIVE, Studio, header_of, owner_of, picture, studio

__all__ = ["studio"]

RULE = {"name": "seen", "purpose": "to be greeted", "who": "anybody", "cooldown": 0}


def seen(desk: Desk, person: int = 7, at: float = 500.0, **how: Any) -> None:
    """Somebody is in view at camera a (or another), and the rules have been looked at."""
    desk.watching.put([sighting(person, at, 2.0, **how)])
    desk.watching.wait()


def made_list(owner: Asking, name: str = "barred") -> dict[str, Any]:
    values = {"name": name, "purpose": "banned by a court", "until": time.time() + 86_400}
    made: dict[str, Any] = owner.post("/watch/lists", values, 201)
    return made


def test_a_rule_raises_an_alert_with_its_frame_and_somebody_sees_to_it(owner: Asking, desk: Desk, user: Client) -> None:
    assert owner.get("/watch/rules")["rules"] == []
    seen(desk)
    assert owner.get("/alerts")["alerts"] == []
    rule = owner.post("/watch/rules", RULE, 201)
    seen(desk, frame=b"\xff\xd8frame")
    (alert,) = owner.get("/alerts", state="open")["alerts"]
    assert (alert["rule"], alert["source"], alert["state"]) == ({"id": rule["id"], "name": "seen"}, "a", "raised")
    assert alert["why"]["risk"] == 0.1
    shown = owner.client.get(f"/api/v1/alerts/{alert['id']}/frame")
    assert (shown.content, shown.headers["content-type"]) == (b"\xff\xd8frame", "image/jpeg")
    user(Role.VIEWER).post(f"/alerts/{alert['id']}/acknowledge", {}, 403)
    done = user(Role.REVIEWER).post(f"/alerts/{alert['id']}/acknowledge", {})
    assert done["acknowledged_by"].startswith("reviewer")
    assert owner.get("/alerts", state="open")["alerts"] == []
    assert owner.get(f"/alerts/{alert['id']}")["acknowledged"] is not None
    owner.get("/alerts/none", 404)
    looked = [entry for entry in owner.get("/log")["entries"] if entry["action"] == "looked at an alert"]
    assert len(looked) == 1


def test_rules_are_switched_off_and_deleted_and_say_nothing_then(owner: Asking, desk: Desk) -> None:
    rule = owner.post("/watch/rules", RULE, 201)
    owner.post("/watch/rules", RULE, 422)
    owner.post("/watch/rules", {**RULE, "name": "other", "purpose": ""}, 422)
    owner.post("/watch/rules", {**RULE, "name": "other", "who": "listed"}, 422)
    owner.post("/watch/rules", {**RULE, "name": "other", "who": "listed", "list": "none"}, 404)
    off = owner.client.patch(f"/api/v1/watch/rules/{rule['id']}", json={"active": False}).json()
    assert off["active"] is False
    seen(desk)
    owner.client.patch(f"/api/v1/watch/rules/{rule['id']}", json={"active": True})
    seen(desk, 8, at=510.0)
    assert len(owner.get("/alerts")["alerts"]) == 1
    assert owner.client.delete(f"/api/v1/watch/rules/{rule['id']}").status_code == 200
    seen(desk, 9, at=520.0)
    (alert,) = owner.get("/alerts")["alerts"]
    assert alert["rule"]["name"] == "a rule that was deleted"


def test_people_and_photos_are_put_on_lists_and_taken_off(owner: Asking, desk: Desk) -> None:
    made = made_list(owner)
    person = owner.people()[1]
    entry = owner.post(f"/watch/lists/{made['id']}/people", {"person": "1"}, 201)
    assert (entry["kind"], entry["person"]) == ("person", person["id"])
    owner.post(f"/watch/lists/{made['id']}/people", {"person": "1"}, 422)
    owner.post(f"/watch/lists/{made['id']}/people", {"person": "nobody"}, 404)
    owner.post("/watch/lists/none/people", {"person": "1"}, 404)
    _, photo = cv2.imencode(".jpg", np.full((160, 80, 3), 90, np.uint8))
    sent = owner.client.post(
        "/api/v1/watch/lists/none/photos", content=photo.tobytes(), headers={"content-type": "image/jpeg"}
    )
    assert sent.status_code == 404
    (found,) = owner.get("/watch/lists")["lists"]
    assert [one["title"] for one in found["entries"]] == ["person 1"]
    assert owner.client.delete(f"/api/v1/watch/lists/barred/entries/{entry['id']}").status_code == 200
    assert owner.get("/watch/lists")["lists"][0]["entries"] == []
    assert owner.client.delete(f"/api/v1/watch/lists/{made['id']}").status_code == 200
    assert owner.get("/watch/lists")["lists"] == []


def test_whoever_sees_some_cameras_hears_of_alerts_there_alone_and_has_no_lists(
    owner: Asking, desk: Desk, user: Client
) -> None:
    owner.post("/watch/rules", RULE, 201)
    seen(desk, 7, source="a")
    seen(desk, 8, source="b")
    some = user(Role.OPERATOR, ["b"])
    (alert,) = some.get("/alerts")["alerts"]
    assert alert["source"] == "b"
    assert some.get("/alerts", camera="a")["alerts"] == []
    (hidden,) = [one for one in owner.get("/alerts")["alerts"] if one["source"] == "a"]
    some.get(f"/alerts/{hidden['id']}", 404)
    assert some.client.get(f"/api/v1/alerts/{hidden['id']}/frame").status_code == 404
    some.post(f"/alerts/{hidden['id']}/acknowledge", {}, 404)
    for path in ("/watch/lists", "/watch/rules"):
        some.get(path, 403)
    some.post("/watch/rules", {**RULE, "name": "mine"}, 403)
    heard = [event for event in some.get("/events", limit=500)["events"] if event["kind"] == "AlertRaised"]
    assert [event["source"] for event in heard] == ["b"]


def test_erasing_somebody_takes_them_off_lists_and_withdraws_what_was_raised_about_them(
    owner: Asking, desk: Desk
) -> None:
    made_list(owner)
    owner.post("/watch/lists/barred/people", {"person": "3"}, 201)
    owner.post("/watch/rules", {**RULE, "who": "listed", "list": "barred", "risk": 0.4}, 201)
    person = owner.people()[3]
    with desk.gallery.write() as connection:
        connection.exec_driver_sql("UPDATE people SET name = 'Cleo' WHERE id = ?", (person["id"],))
    seen(desk, 3, frame=b"frame")
    (alert,) = owner.get("/alerts")["alerts"]
    assert alert["person"]["id"] == person["id"]
    # Another alert, whose picture was taken while Cleo was in view (12 to 18 s): it stays, its picture does not.
    owner.post("/watch/rules", {**RULE, "name": "all"}, 201)
    seen(desk, 9, at=13.0, frame=b"with Cleo in it")
    job = owner.post("/erasures", {"people": [person["id"]]}, 202)
    desk.jobs.wait(job["id"])
    assert owner.get(f"/jobs/{job['id']}")["result"]["proven"]
    assert owner.get("/watch/lists")["lists"][0]["entries"] == []
    left = owner.get("/alerts")["alerts"]
    assert alert["id"] not in {one["id"] for one in left}
    (other,) = [one for one in left if one["wall"] == 15.0]
    assert (other["frame"], other["crop"]) == (False, False)
    events = events_after(desk.gallery, 0, 1000)
    assert [e.payload["alert"] for e in events if e.kind == "AlertWithdrawn"] == [alert["id"]]
    assert alert["id"] not in {e.payload["alert"] for e in events if e.kind == "AlertRaised"}


def test_alerts_come_by_pages(owner: Asking, desk: Desk) -> None:
    owner.post("/watch/rules", RULE, 201)
    for n in range(5):
        seen(desk, 10 + n, at=500.0 + n)
    first = owner.get("/alerts", limit=3)
    rest = owner.get("/alerts", limit=3, before=first["next"])
    ids = [one["id"] for one in (*first["alerts"], *rest["alerts"])]
    assert len(set(ids)) == 5
    assert rest["next"] is None


def test_names_of_who_is_in_view_go_to_those_who_may_know_them(studio: Studio, desk: Desk) -> None:
    owner = Asking(owner_of(studio.app))
    person = owner.people()[1]
    owner.decide("label", person=person["id"], name="Ann", seen_name="")
    desk.watching.put([sighting(1, 500.0, 2.0)])
    desk.watching.wait()
    shown = picture(1)
    import dataclasses

    shown = dataclasses.replace(shown, tracks=((1500, (0.1, 0.1, 0.2, 0.9), True),))
    assert desk.watches("a") is False
    with owner_of(studio.app).websocket_connect(LIVE) as socket:
        socket.receive_json()
        socket.send_json({"tiles": ["a"]})
        studio.wait_for(a=frozenset({shown.view}))
        # Whoever looks wants names, whether there are rules or not.
        assert desk.watches("a") is True
        studio.cameras.live.publish(shown)
        (track,) = header_of(socket.receive_bytes())["tracks"]
    likeliest, sure, _ = desk.watching.watch.in_view("a")[1500]
    assert likeliest == person["id"]
    assert (track.get("name") == "Ann") == (sure >= 1 - desk.config.identities.false_merges)


@pytest.mark.parametrize("path", ["/watch/lists", "/watch/rules"])
def test_lists_and_rules_are_for_operators(user: Client, path: str) -> None:
    user(Role.REVIEWER).get(path, 403)


def test_a_tracklet_that_is_stored_settles_what_was_raised(owner: Asking, desk: Desk) -> None:
    from dataclasses import replace

    from tests.alerts.conftest import track_of, tracklet

    owner.post("/watch/rules", RULE, 201)
    seen(desk, 7)
    desk.watching.put([sighting(7, 500.0, 8.0, ended=True)])
    stored = replace(tracklet(7, 500.0, 508.0), track_id=track_of(7, 500.0))
    desk.store([stored])
    desk.settle()
    desk.watching.wait()
    (alert,) = owner.get("/alerts")["alerts"]
    assert (alert["state"], alert["tracklet"]) == ("confirmed", stored.id)
    assert IDS[0] != stored.id


def test_the_page_of_alerts_is_served(owner: Asking) -> None:
    client: TestClient = owner.client
    assert "Alerts" in client.get("/alerts").text


def test_erasing_somebody_takes_their_name_out_of_what_operators_wrote(owner: Asking, desk: Desk) -> None:
    ann = owner.people()[1]
    owner.decide("label", person=ann["id"], name="Ann Smith", notes="", seen_name="")
    for name in ("about Ann Smith", "barred"):
        values = {"name": name, "purpose": "ANN SMITH threatened the staff", "until": time.time() + 86_400}
        owner.post("/watch/lists", values, 201)
    wanted = {"name": "Ann Smith", "purpose": "Ann Smith, not Ann Smithers", "who": "listed", "list": "barred"}
    owner.post("/watch/rules", wanted, 201)
    owner.post("/watch/rules", {**RULE, "name": "anybody but Ann Smith"}, 201)
    seen(desk, 7)
    job = owner.post("/erasures", {"people": [ann["id"]]}, 202)
    desk.jobs.wait(job["id"])
    assert owner.get(f"/jobs/{job['id']}")["result"]["proven"]
    lists = owner.get("/watch/lists")["lists"]
    assert {one["purpose"] for one in lists} == {"somebody erased threatened the staff"}
    assert [one["name"].startswith("about somebody erased") for one in lists] == [True, False]
    rules = {rule["name"]: rule for rule in owner.get("/watch/rules")["rules"]}
    assert len(rules) == 2
    (about,) = [rule for rule in rules.values() if rule["list"] == "barred"]
    assert about["name"].startswith("somebody erased")
    # A part of somebody else's name is none.
    assert about["purpose"] == "somebody erased, not Ann Smithers"
    assert about["active"]
    told = [event for event in events_after(desk.gallery, 0) if "Ann Smith" in str(event.payload)]
    assert told == []
