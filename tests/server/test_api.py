"""What the HTTP interface says, asked without a socket."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from reidstream.cli.app import app as command_line
from reidstream.config import SourceConfig
from reidstream.server.access.roles import Role
from reidstream.server.api.health import backlog_numbers, camera_numbers
from reidstream.server.cameras import Camera
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL
from tests.server.conftest import IDS, VISITS, Asking, Client, picture, with_pictures


def printed(desk: Desk, *words: str) -> Any:
    """What a command prints as JSON about the same gallery."""
    folder = str(desk.gallery.place.folder)
    done = CliRunner().invoke(command_line, [*words, "--gallery", folder, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_people_come_with_where_and_when_they_were_seen(owner: Asking) -> None:
    people = owner.people()
    assert sorted(people) == [1, 2, 3]
    assert people[1]["cameras"] == ["a", "b"]
    assert (people[1]["first_seen"], people[1]["last_seen"], people[1]["seconds"]) == (0, 35, 15)
    assert set(people[1]["tracklets"]) == {IDS[0], IDS[2], IDS[5]}


@pytest.mark.parametrize("order", ["last_seen", "first_seen", "number", "tracklets", "least_sure"])
def test_pages_of_people_hold_everybody_once(owner: Asking, order: str) -> None:
    found, after = [], None
    while True:
        page = owner.get("/people", order=order, limit=1, **({"after": after} if after else {}))
        found += [person["number"] for person in page["people"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(found) == [1, 2, 3]
    assert found == [person["number"] for person in owner.get("/people", order=order)["people"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"camera": "b"}, {1, 2}),
        ({"since": 28}, {1}),
        ({"until": 0.5}, {1}),
        ({"camera": "b", "until": 12}, {1}),
        ({"words": "3"}, {3}),
        ({"words": "ann"}, {1}),
        ({"named": True}, {1}),
        ({"named": False}, {2, 3}),
        ({"quality": 0.9}, set()),
        ({"shown": False}, set()),
    ],
)
def test_people_are_filtered(owner: Asking, asked: dict[str, Any], expected: set[int]) -> None:
    owner.decide("label", person=owner.people()[1]["id"], name="Ann")
    assert set(owner.people(**asked)) == expected


def test_hidden_people_are_in_no_list_and_no_suggestion(owner: Asking) -> None:
    people = owner.people()
    assert owner.client.put(f"/api/v1/people/{people[2]['id']}/hidden").status_code == 200
    assert set(owner.people()) == {1, 3}
    assert set(owner.people(shown=False)) == {2}
    alike = owner.get(f"/people/{people[1]['id']}/alike")["alike"]
    assert {other["number"] for other in alike} == {3}
    owner.client.delete(f"/api/v1/people/{people[2]['id']}/hidden")
    assert set(owner.people()) == {1, 2, 3}


def test_pages_of_tracklets_hold_every_tracklet_once_in_the_order_of_storing(owner: Asking) -> None:
    first = owner.get("/tracklets", limit=4)
    rest = owner.get("/tracklets", limit=4, after=first["next"])
    assert [t["id"] for t in first["tracklets"] + rest["tracklets"]] == IDS
    assert rest["next"] is None
    assert [t["id"] for t in owner.get("/tracklets", camera="b")["tracklets"]] == [IDS[2], IDS[4]]
    assert owner.get("/tracklets", person=False)["tracklets"] == []


def test_a_picture_has_a_tag_and_the_width_that_was_asked_for(owner: Asking) -> None:
    import cv2
    import numpy as np

    path = f"/api/v1/tracklets/{IDS[0]}/crop"
    whole = owner.client.get(path)
    assert whole.content == picture(1)
    small = owner.client.get(path, params={"w": 60})
    assert cv2.imdecode(np.frombuffer(small.content, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (128, 64)
    assert small.headers["etag"] != whole.headers["etag"]
    assert "private" in small.headers["cache-control"]
    again = owner.client.get(path, params={"w": 60}, headers={"If-None-Match": small.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_commands_and_the_server_say_the_same(owner: Asking, desk: Desk) -> None:
    owner.decide("label", person=owner.people()[1]["id"], name="Ann")
    person = owner.people()[1]["id"]
    assert printed(desk, "gallery", "info") == owner.get("/facts")
    assert printed(desk, "gallery", "show", IDS[0]) == owner.get(f"/tracklets/{IDS[0]}")
    assert printed(desk, "people", "history")["operations"] == owner.get("/operations")["operations"]
    listed, served = printed(desk, "people", "list"), owner.get("/people", order="number")
    assert listed["people"] == served["people"]
    assert listed["total"] == served["total"]
    shown, answered = printed(desk, "people", "show", person), owner.get(f"/people/{person}")
    assert shown.keys() <= answered.keys()
    near, also_near = shown.pop("nearest"), answered.pop("nearest")
    assert {key: answered[key] for key in shown} == shown
    assert [other["id"] for other in near] == [other["id"] for other in also_near]
    tracklets = printed(desk, "gallery", "list")["tracklets"]
    plain = [{k: v for k, v in t.items() if k != "person"} for t in owner.get("/tracklets")["tracklets"]]
    assert [{k: v for k, v in t.items() if k != "person"} for t in tracklets] == plain
    found, answered = printed(desk, "search", IDS[0], "-k", "3"), owner.post("/search", {"tracklet": IDS[0], "k": 3})
    assert found == answered


def test_a_vector_finds_whom_it_looks_like(owner: Asking, desk: Desk) -> None:
    vector = desk.gallery.vectors([IDS[3]])[1][0]
    found = owner.post("/search", {"vector": (3 * vector).tolist()})
    assert found["matches"][0]["id"] == IDS[3]
    assert found["matches"][0]["person"]["number"] == 3
    assert found["candidates"][0]["number"] == 3
    owner.post("/search", {"vector": [0.0, 1.0]}, 422)
    owner.post("/search", {"vector": [0.0] * 64}, 422)
    owner.post("/search", {}, 422)
    owner.post("/search", {"tracklet": "ffff"}, 404)


def test_events_come_by_page_in_order_with_their_numbers(owner: Asking) -> None:
    first = owner.get("/events", limit=5)
    rest = owner.get("/events", after=first["next"])
    numbers = [event["seq"] for event in first["events"] + rest["events"]]
    assert numbers == sorted(set(numbers))
    assert len([e for e in first["events"] + rest["events"] if e["kind"] == "TrackletStored"]) == len(VISITS)


def test_what_is_stored_later_is_given_a_person_and_shown(owner: Asking, desk: Desk) -> None:
    assert desk.store(with_pictures([(2, "a", 50, 55), (4, "a", 60, 66)])) == 2
    desk.settle()
    people = owner.people()
    assert set(people) == {1, 2, 3, 4}
    assert people[2]["last_seen"] == 55


def test_an_error_is_a_problem_in_the_words_of_the_command_line(owner: Asking) -> None:
    problem = owner.get("/people/nobody", 404)
    assert problem["status"] == 404
    assert "nobody" in problem["detail"]
    assert owner.get("/people", 422, after="nonsense")["error"] == "ConfigError"
    assert owner.get("/nothing", 404)["title"] == "Not Found"
    assert "limit" in owner.get("/people", 422, limit=0)["detail"]


def test_hostile_names_come_back_as_they_are(owner: Asking) -> None:
    name = "<script>alert('x')</script>\u202e \N{PILE OF POO}"
    owner.decide("label", person=owner.people()[1]["id"], name=name)
    assert owner.people()[1]["name"] == name
    assert owner.get("/names", words="SCRIPT")["names"][0]["name"] == name


def test_an_erasure_is_a_job_that_proves_itself_and_takes_the_log_with_it(owner: Asking, desk: Desk) -> None:
    person = owner.people()[3]["id"]
    owner.get(f"/people/{person}")
    owner.client.put(f"/api/v1/people/{person}/hidden")
    assert person in json.dumps(owner.get("/log"))
    job = owner.post("/erasures", {"people": [person]}, 202)
    desk.jobs.wait(job["id"])
    done = owner.get(f"/jobs/{job['id']}")
    assert (done["state"], done["result"]["tracklets"], done["result"]["proven"]) == ("done", 1, True)
    assert set(owner.people()) == {1, 2}
    for path in ("/log", "/people", "/jobs", "/operations", "/events"):
        text = json.dumps(owner.get(path, limit=500))
        assert person not in text or path == "/events"
        assert IDS[3] not in text
    owner.get(f"/people/{person}", 404)


@pytest.mark.usefixtures("unproven")
def test_an_export_is_fetched_and_gone_after_an_erasure(owner: Asking, desk: Desk, tmp_path: Path) -> None:
    made = owner.post("/exports", {"format": "json"}, 202)
    desk.jobs.wait(made["id"])
    file = owner.client.get(f"/api/v1/exports/{made['id']}/file")
    assert all(i in file.text for i in IDS)
    erased = owner.post("/erasures", {"tracklets": [IDS[0]]}, 202)
    desk.jobs.wait(erased["id"])
    owner.get(f"/exports/{made['id']}/file", 404)
    assert not list(desk.jobs.folder.glob("*"))


def test_the_numbers_for_monitoring(owner: Asking, user: Client) -> None:
    text = owner.client.get("/metrics").text
    assert "reidstream_tracklets 6.0" in text
    assert "reidstream_people 3.0" in text
    assert owner.client.get("/healthz").text == "ok\n"
    assert owner.client.get("/readyz").text == "ready\n"
    assert user(Role.VIEWER, ["a"]).client.get("/metrics").status_code == 403


def test_every_camera_has_its_numbers_and_the_dashboard_asks_for_what_is_there(desk: Desk, app: Any) -> None:
    camera = Camera("door", SourceConfig(uri="rtsp://10.0.0.7/stream"))
    report = {"state": "running", "error": None, "expected": None, "live": True, "dropped": 3, "frames": 50}
    camera.take({**report, "reconnects": 2, "latency": 0.25}, 100.0)
    camera.take({**report, "frames": 90, "reconnects": 2, "latency": 0.25}, 104.0)
    file = Camera("film", SourceConfig(uri="film.mp4"))
    said = {
        f"{sample.name}({sample.labels['source']})": sample.value
        for one in camera_numbers([camera, file])
        for sample in one.samples
    }
    assert said["reidstream_source_fps(door)"] == 10.0
    assert said["reidstream_frames_dropped_total(door)"] == 3
    assert said["reidstream_source_reconnects_total(door)"] == 2
    assert said["reidstream_source_latency_seconds(door)"] == 0.25
    assert said["reidstream_last_frame_seconds(door)"] == 104.0
    assert said["reidstream_source_up(film)"] == 0.0
    # What nobody knows of is not said to be none.
    assert "reidstream_source_latency_seconds(film)" not in said
    assert "reidstream_source_reconnects_total(film)" not in said
    desk.backlog = (0, 0.0)
    families = [*camera_numbers([camera]), *backlog_numbers(desk)]
    known = {s.name for one in families for s in one.samples}
    known |= set(re.findall(r"^(reidstream_\w+)", owner_of(app, "/metrics"), re.MULTILINE))
    dashboard = (Path(__file__).parents[2] / "docker" / "grafana.json").read_text()
    asked = set(re.findall(r"reidstream_\w+", " ".join(re.findall(r'"(?:expr|query)": "([^\n]*)"', dashboard))))
    assert asked
    assert asked - known == set()


def owner_of(app: Any, path: str) -> str:
    asking = TestClient(app, base_url="http://localhost", client=(f"{LOCAL}{os.getuid()}", 1))
    return asking.get(path).text
