"""Regions of a source's picture that do not count, drawn in the browser and kept by the server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from reidstream.config import SourceConfig
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.app import create_app
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL
from tests.blobs import write_blobs
from tests.server.conftest import PASSWORD, Asking

POSTER = [[0.1, 0.2], [0.3, 0.2], [0.3, 0.8]]
WINDOW = [[0.6, 0.0], [1.0, 0.0], [1.0, 0.4]]


@pytest.fixture
def given(tmp_path: Path) -> list[SourceConfig]:
    video = tmp_path / "a.mp4"
    write_blobs(video)
    gate = SourceConfig(uri="rtsp://127.0.0.1:9/gate", name="gate", ignore=(((0.0, 0.0), (0.1, 0.0), (0.1, 0.1)),))
    return [SourceConfig(uri=str(video), name="a"), gate]


@pytest.fixture
def cameras(desk: Desk, given: list[SourceConfig]) -> Iterator[Cameras]:
    made = Cameras(desk, given)
    yield made
    made.close()


@pytest.fixture
def owner(desk: Desk, cameras: Cameras) -> Asking:
    app = create_app(desk, cameras=cameras)
    return Asking(TestClient(app, base_url="http://localhost", client=(f"{LOCAL}{os.getuid()}", 1)))


def put(owner: Asking, name: str, polygons: object, status: int = 200, part: str = "ignore") -> dict[str, object]:
    response = owner.client.put(f"/api/v1/sources/{name}/regions", json={part: polygons})
    assert response.status_code == status, response.text
    found: dict[str, object] = response.json()
    return found


def test_a_region_is_kept_and_there_again_when_the_server_starts(
    owner: Asking, desk: Desk, given: list[SourceConfig]
) -> None:
    put(owner, "gate", [POSTER, WINDOW])
    gate = Cameras(desk, given).get("gate")
    assert [list(map(list, region)) for region in gate.config.ignore] == [POSTER, WINDOW]
    put(owner, "gate", [])
    assert Cameras(desk, given).get("gate").config.ignore == ()


def test_zones_are_kept_beside_regions_and_each_stays_when_the_other_is_drawn(
    owner: Asking, desk: Desk, given: list[SourceConfig]
) -> None:
    put(owner, "gate", [POSTER])
    assert put(owner, "gate", {"till": WINDOW}, part="zones")["ignore"] == [POSTER]
    put(owner, "gate", [WINDOW])
    gate = Cameras(desk, given).get("gate")
    assert {name: list(map(list, zone)) for name, zone in gate.config.zones.items()} == {"till": WINDOW}
    assert [list(map(list, region)) for region in gate.config.ignore] == [WINDOW]
    assert owner.get("/sources/gate/picture", status=422)["detail"]
    (listed,) = (one for one in owner.get("/sources")["sources"] if one["name"] == "gate")
    assert listed["zones"] == ["till"]
    for wrong in ({"a, b": WINDOW}, {"till": WINDOW[:2]}, [WINDOW]):
        put(owner, "gate", wrong, status=422, part="zones")


def test_regions_go_with_the_source_they_were_drawn_for(owner: Asking, cameras: Cameras, desk: Desk) -> None:
    cameras._closing = True
    cameras.add(SourceConfig(uri="rtsp://127.0.0.1:9/door", name="door"))
    put(owner, "door", [POSTER])
    put(owner, "door", {"mat": WINDOW}, part="zones")
    cameras.remove("door")
    cameras.add(SourceConfig(uri="rtsp://127.0.0.1:9/door", name="door"))
    door = Cameras(desk).get("door").config
    assert (door.ignore, door.zones) == ((), {})


def test_a_video_has_them_when_it_is_read_again(owner: Asking) -> None:
    assert put(owner, "a", [POSTER])["in_force"] == "when it is read again"


def test_a_camera_is_begun_anew_with_them(owner: Asking, cameras: Cameras) -> None:
    """A real process that tries to reach a camera; it gets another order."""
    cameras.start()
    before = cameras._running["gate"]
    assert put(owner, "gate", [POSTER])["in_force"] == "now"
    assert before._child.poll() is not None
    after = cameras._running["gate"]
    assert after is not before
    assert after._child.poll() is None


def test_the_picture_comes_with_its_regions(owner: Asking) -> None:
    put(owner, "a", [POSTER])
    shown = owner.get("/sources/a/picture")
    assert shown["ignore"] == [POSTER]
    assert (shown["width"] > 0, bool(shown["picture"])) == (True, True)
    listed = {one["name"]: one["ignored_regions"] for one in owner.get("/sources")["sources"]}
    assert listed == {"a": 1, "gate": 1}


@pytest.mark.parametrize(
    "polygons",
    [[[[0, 0], [1, 1]]], [[[0, 0], [0.5, 0.5], [1, 1]]], [[[0, 0], [2, 0], [1, 1]]], "all", [[["a", "b"]] * 3]],
)
def test_what_is_no_region_is_refused_in_words(owner: Asking, cameras: Cameras, polygons: object) -> None:
    before = cameras.get("gate").config.ignore
    put(owner, "gate", polygons, status=422)
    assert cameras.get("gate").config.ignore == before


def test_only_operators_of_a_camera_draw_on_it(desk: Desk, cameras: Cameras) -> None:
    app = create_app(desk, cameras=cameras)
    accounts = Accounts(desk.gallery)
    for name, role, seen, status in (
        ("reviewer", Role.REVIEWER, None, 403),
        ("elsewhere", Role.OPERATOR, ["a"], 403),
        ("here", Role.OPERATOR, ["gate"], 200),
    ):
        account = accounts.add(name, PASSWORD, role, seen)
        secret, _ = accounts.add_token(account.id, "test", role)
        client = TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {secret}"})
        put(Asking(client), "gate", [POSTER], status=status)
