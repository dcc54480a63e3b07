"""Live pictures: made at the rate at which somebody looks, once for all, and for whoever may see the camera."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from reidstream.config import Config, SourceConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.live import LiveConfig
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.app import create_app
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL
from reidstream.server.live.hub import Hub
from reidstream.server.live.picture import LivePicture, View
from reidstream.server.live.publisher import Publisher
from reidstream.server.running import open_gallery
from reidstream.sources.frame import ArrayPicture, Frame
from reidstream.sources.jpeg import jpeg_of
from reidstream.types import Observed
from tests.blobs import write_blobs
from tests.server.conftest import PASSWORD, Asking, Client
from tests.server.test_access import ORIGIN, logged_in

SIZE = (64, 48)
LIVE = "ws://localhost/api/v1/live"
TILE = frozenset({View.TILE})


class Hands:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(index: int, source: str = "a") -> Frame:
    return Frame(
        source, index, index / 20, 1000 + index / 20, ArrayPicture(np.full((48, 64, 3), index % 255, np.uint8))
    )


def observed(index: int, people: int = 1, source: str = "a") -> Observed:
    boxes = np.tile(np.array([[16, 12, 32, 36]], np.float32), (people, 1))
    ids = np.arange(people, dtype=np.uint64) + np.uint64(2**63)
    scores = np.array([0.9, -0.1, 0.9, 0.9][:people], np.float32)
    return Observed(source, index, index / 20, 1000 + index / 20, ids, boxes, scores)


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    here, there = Pipe()
    yield here, there
    here.close()
    there.close()


def sent(
    pipe: tuple[Connection, Connection], config: LiveConfig, seconds: float, people: Any, views: Any = TILE
) -> list[LivePicture]:
    """What is sent of twenty frames a second. people: how many are there, by the number of the frame."""
    clock = Hands()
    publisher = Publisher(pipe[0], config, clock=clock, encode=lambda picture, width: b"jpeg")
    publisher.want({"a": views})
    publisher.start()
    got = []
    for index in range(round(seconds * 20)):
        clock.now = index / 20
        publisher.observe(frame(index), observed(index, people(index)))
        # What is put down is sent before the next frame comes: nothing is left to the machine's speed.
        while publisher._waiting or pipe[1].poll(0.01):
            got.append(pipe[1].recv())
    publisher.close()
    return got


@pytest.mark.setting("live.fps", "live.still_seconds")
def test_a_still_now_and_then_and_more_while_somebody_is_there(pipe: tuple[Connection, Connection]) -> None:
    config = LiveConfig(fps=4, still_seconds=2)
    pictures = sent(pipe, config, 9, lambda index: int(80 <= index < 120))
    frames = [picture.frame for picture in pictures]
    assert [index for index in frames if index < 80] == [0, 40]
    assert 7 <= len([index for index in frames if 80 <= index < 120]) <= 11
    # The picture after somebody left is one without them.
    left = next(picture for picture in pictures if picture.frame >= 120)
    assert left.frame < 130
    assert left.tracks == ()
    assert [index for index in frames if index > left.frame] == [left.frame + 40 * n for n in range(1, 2)]
    slower = sent(pipe, LiveConfig(fps=1, still_seconds=4), 8, lambda index: int(80 <= index < 120))
    assert len(slower) < len(pictures)


def test_one_camera_that_is_looked_at_alone_moves_whoever_is_there(pipe: tuple[Connection, Connection]) -> None:
    pictures = sent(pipe, LiveConfig(), 2, lambda index: 0, frozenset({View.LARGE, View.TILE}))
    assert sum(picture.view is View.LARGE for picture in pictures) >= 18
    assert sum(picture.view is View.TILE for picture in pictures) == 1


def test_nothing_is_made_of_what_nobody_looks_at(pipe: tuple[Connection, Connection]) -> None:
    def encode(_picture: Any, _width: int) -> bytes:
        raise AssertionError("a picture was made for nobody")

    publisher = Publisher(pipe[0], LiveConfig(), encode=encode)
    publisher.start()
    publisher.want({"b": TILE})
    for index in range(50):
        publisher.observe(frame(index), observed(index))
    assert not publisher._waiting
    assert not pipe[1].poll()
    publisher.close()


def test_tracking_does_not_wait_and_what_is_left_out_is_counted(pipe: tuple[Connection, Connection]) -> None:
    clock, encoding, go_on = Hands(), threading.Event(), threading.Event()

    def encode(_picture: Any, _width: int) -> bytes:
        encoding.set()
        go_on.wait(60)
        return b"jpeg"

    publisher = Publisher(pipe[0], LiveConfig(), clock=clock, encode=encode)
    publisher.start()
    publisher.want({"a": TILE})
    publisher.observe(frame(0), observed(0))
    assert encoding.wait(60)
    for index in (20, 40, 60):
        clock.now = index / 20
        publisher.observe(frame(index), observed(index))
    go_on.set()
    first, second = pipe[1].recv(), pipe[1].recv()
    assert (first.frame, first.lost) == (0, 0)
    assert (second.frame, second.lost) == (60, 2)
    publisher.close()


def test_boxes_are_parts_of_the_picture_and_ids_survive_a_browsers_numbers() -> None:
    here, there = Pipe()
    publisher = Publisher(here, LiveConfig())
    publisher.want({"a": TILE})
    publisher.start()
    publisher.observe(frame(3), observed(3, 2))
    picture = there.recv()
    (length,) = struct.unpack(">I", picture.message({})[:4])
    message = picture.message({2**63: {"name": "Ann"}}, lost=3)
    (length,) = struct.unpack(">I", message[:4])
    header = json.loads(message[4 : 4 + length])
    assert header["tracks"] == [
        {"id": str(2**63), "box": [0.25, 0.25, 0.5, 0.75], "found": True, "name": "Ann"},
        {"id": str(2**63 + 1), "box": [0.25, 0.25, 0.5, 0.75], "found": False},
    ]
    assert (header["camera"], header["size"], header["lost"]) == ("a", [64, 48], 3)
    shown = cv2.imdecode(np.frombuffer(message[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (48, 64, 3)
    publisher.close()
    here.close()
    there.close()


def test_a_large_camera_is_scaled_down_and_a_small_one_stays() -> None:
    for (width, height), wide in (((1920, 1080), 640), ((320, 241), 320)):
        data = jpeg_of(ArrayPicture(np.zeros((height, width, 3), np.uint8)), 640)
        shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape[1] == wide
        assert abs(shown.shape[0] / shown.shape[1] - height / width) < 0.01


def picture(frame: int, source: str = "a", view: View = View.TILE) -> LivePicture:
    return LivePicture(source, view, 1000.0 + frame, frame, SIZE, (), b"jpeg")


def test_a_viewer_that_lags_gets_the_newest_of_each_camera_and_hears_what_it_missed() -> None:
    wants: list[Any] = []

    async def look() -> None:
        hub = Hub(wants.append)
        with hub.viewer() as viewer:
            await asyncio.to_thread(hub.look, viewer, frozenset({("a", View.TILE), ("b", View.TILE)}))
            for number in range(100):
                hub.publish(picture(number))
            hub.publish(picture(7, "b"))
            hub.publish(picture(8, "c"))
            hub.publish(picture(9, view=View.LARGE))
            taken = [await viewer.next(60), await viewer.next(60)]
            assert {(p.source, p.frame, lost) for p, lost in (t for t in taken if t)} == {("a", 99, 99), ("b", 7, 0)}
            assert await viewer.next(0.01) is None
            # A second one who comes has a picture at once, and the cameras hear of nothing new.
            with hub.viewer() as other:
                await asyncio.to_thread(hub.look, other, frozenset({("a", View.TILE)}))
                late = await other.next(60)
                assert late is not None
                assert late[0].frame == 99
        await asyncio.to_thread(hub.settle)
        # Nothing is kept of cameras that nobody looks at any more.
        assert not hub._newest

    asyncio.run(look())
    assert wants == [{"a": TILE, "b": TILE}, {}]


# -- over the WebSocket


class Studio:
    """An application with two cameras that nobody reads; their pictures come from the test."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.cameras = Cameras(desk, [SourceConfig(uri=f"rtsp://127.0.0.1:9/{name}", name=name) for name in "ab"])
        self.app = create_app(desk, cameras=self.cameras)

    def wait_for(self, **wanted: frozenset[View]) -> None:
        """Until the cameras know that this is looked at."""
        reached = threading.Event()
        for _ in range(6000):
            if dict(self.cameras.live.wanted) == wanted:
                return
            reached.wait(0.01)
        raise AssertionError(f"{self.cameras.live.wanted} is looked at, not {wanted}")


@pytest.fixture
def studio(desk: Desk) -> Studio:
    return Studio(desk)


def header_of(message: bytes) -> dict[str, Any]:
    (length,) = struct.unpack(">I", message[:4])
    found: dict[str, Any] = json.loads(message[4 : 4 + length])
    assert message[4 + length :] == b"jpeg"
    return found


def owner_of(app: Any) -> TestClient:
    return TestClient(app, base_url="http://localhost", client=(f"{LOCAL}{os.getuid()}", 1))


def test_pictures_of_what_is_on_the_screen_come_by_one_socket(studio: Studio, owner: Asking) -> None:
    with owner_of(studio.app).websocket_connect(LIVE) as socket:
        health = socket.receive_json()["cameras"]
        assert [(one["name"], one["words"]) for one in health] == [("a", "starting"), ("b", "starting")]
        socket.send_json({"tiles": ["a"], "large": "b"})
        studio.wait_for(a=TILE, b=frozenset({View.LARGE}))
        studio.cameras.live.publish(picture(1))
        assert header_of(socket.receive_bytes())["camera"] == "a"
        studio.cameras.live.publish(picture(2, "b"))
        studio.cameras.live.publish(picture(3, "b", View.LARGE))
        assert header_of(socket.receive_bytes())["frame"] == 3
        socket.send_json({"tiles": []})
        studio.wait_for()
    watched = [entry["detail"] for entry in owner.get("/log")["entries"] if entry["action"] == "watched a camera live"]
    assert sorted(watched) == ["a", "b"]


def test_the_cameras_stop_making_pictures_when_the_last_one_leaves(studio: Studio) -> None:
    client = owner_of(studio.app)
    with client.websocket_connect(LIVE) as socket:
        socket.receive_json()
        socket.send_json({"tiles": ["a", "b"]})
        studio.wait_for(a=TILE, b=TILE)
    studio.wait_for()


def token(desk: Desk, cameras: list[str] | None) -> dict[str, str]:
    account = Accounts(desk.gallery).add("vi", PASSWORD, Role.VIEWER, cameras)
    secret, _ = Accounts(desk.gallery).add_token(account.id, "wall", Role.VIEWER)
    return {"Authorization": f"Bearer {secret}"}


def test_who_sees_one_camera_is_shown_that_one_alone(studio: Studio, desk: Desk) -> None:
    client = TestClient(studio.app, base_url="http://localhost", headers=token(desk, ["b"]))
    with client.websocket_connect(LIVE) as socket:
        assert [one["name"] for one in socket.receive_json()["cameras"]] == ["b"]
        socket.send_json({"tiles": ["a", "b"], "large": "a"})
        studio.wait_for(b=TILE)
        studio.cameras.live.publish(picture(1))
        studio.cameras.live.publish(picture(2, "b"))
        assert header_of(socket.receive_bytes())["camera"] == "b"
    assert [one["name"] for one in client.get("/api/v1/live/cameras").json()["cameras"]] == ["b"]


def test_a_socket_closes_when_the_session_or_the_token_ends(studio: Studio, desk: Desk) -> None:
    grace = logged_in(studio.app, desk)
    with grace.websocket_connect(LIVE, headers=ORIGIN) as socket:
        socket.receive_json()
        assert grace.post("/api/v1/logout", json={}, headers=ORIGIN).status_code == 200
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                socket.receive_json()
    assert closed.value.code == 4401
    client = TestClient(studio.app, base_url="http://localhost", headers=token(desk, None))
    with client.websocket_connect(LIVE) as socket:
        socket.receive_json()
        accounts = Accounts(desk.gallery)
        accounts.change(next(user.id for user in accounts.users() if user.name == "vi"), cameras=["b"])
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                socket.receive_json()
    assert closed.value.code == 4401


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://elsewhere"}, {"Origin": "https://localhost"}])
def test_a_page_of_another_site_opens_no_socket_with_our_cookie(
    studio: Studio, desk: Desk, headers: dict[str, str]
) -> None:
    grace = logged_in(studio.app, desk)
    with pytest.raises(WebSocketDenialResponse) as denied, grace.websocket_connect(LIVE, headers=headers):
        pass
    assert denied.value.status_code == 403


def test_nobody_unknown_opens_a_socket(studio: Studio) -> None:
    client = TestClient(studio.app, base_url="http://localhost")
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(LIVE, headers=ORIGIN):
        pass
    assert denied.value.status_code == 401
    # The same to a server that cannot answer with words before the handshake.
    said: list[Any] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            said.append(message)

        scope = {"type": "websocket", "path": "/api/v1/live", "scheme": "ws", "headers": [(b"host", b"localhost")]}
        await studio.app(scope, None, send)

    asyncio.run(ask())
    assert said == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("words", ["{", '{"tiles": 3}', '{"tiles": [], "more": 1}', json.dumps({"tiles": ["a"] * 300})])
def test_words_that_are_not_understood_end_the_conversation(studio: Studio, words: str) -> None:
    with owner_of(studio.app).websocket_connect(LIVE) as socket:
        socket.receive_json()
        socket.send_text(words)
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                socket.receive_json()
    assert closed.value.code == 1008


def test_the_socket_says_that_the_server_ends(studio: Studio, desk: Desk) -> None:
    with owner_of(studio.app).websocket_connect(LIVE) as socket:
        socket.receive_json()
        desk.closing = True
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                socket.receive_json()
    assert closed.value.code == 1001


def test_a_camera_that_sends_no_pictures_says_why(desk: Desk, user: Client) -> None:
    cameras = Cameras(desk, [SourceConfig(uri="rtsp://127.0.0.1:9/x", name="a")], "deepstream")
    app = create_app(desk, cameras=cameras)
    (camera,) = owner_of(app).get("/api/v1/live/cameras").json()["cameras"]
    assert "DeepStream" in camera["pictures"]


def test_pictures_of_a_real_camera_process_arrive_while_somebody_looks(tmp_path: Path) -> None:
    """The whole way: a video is read in a process of its own, and what it tracks is seen over the socket."""
    video = write_blobs(tmp_path / "a.mp4", people=(0,), frames=60)
    boxes = [f"{n + 1},1,{10 + 3 * n},20,30,80,1,-1,-1,-1" for n in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(boxes))
    source = SourceConfig(uri=str(video), name="a", tracks=str(tmp_path / "a.txt"))
    config = Config(gallery=GalleryConfig(index="exact"))
    with open_gallery(str(tmp_path / "shop"), config, needed=True) as gallery:
        desk = Desk(gallery, config)
        cameras = Cameras(desk, [source])
        with owner_of(create_app(desk, cameras=cameras)).websocket_connect(LIVE) as socket:
            socket.receive_json()
            socket.send_json({"tiles": ["a"]})
            cameras.start()
            while "bytes" not in (message := socket.receive()) or message["bytes"] is None:
                assert "failed" not in (message.get("text") or ""), message
        cameras.close()
        desk.close()
    (length,) = struct.unpack(">I", message["bytes"][:4])
    header = json.loads(message["bytes"][4 : 4 + length])
    assert (header["camera"], header["view"], header["size"]) == ("a", "tile", [320, 240])
    shown = cv2.imdecode(np.frombuffer(message["bytes"][4 + length :], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (240, 320, 3)
