"""The live page in a real browser, over a real socket; the pictures come from the test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.gallery import Gallery
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.app import create_app
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.live.fragments import Fragment
from reidstream.server.live.picture import LivePicture, View
from reidstream.server.running import Address, _server
from tests.browser.conftest import fits_and_has_no_barriers, logged_in, watched
from tests.server.conftest import PASSWORD, VISITS
from tests.server.process import made_gallery
from tests.server.test_films import filmed, fragments

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MANY = 30
LARGE = frozenset({View.LARGE, View.MOVING})
"""One camera is shown by pictures until its film begins."""
BROKEN = b"\0\0\0\x10moof" + b"\xff" * 8
"""A fragment that no browser can read."""
_PATIENCE = 6000
"""Hundredths of a second that something is waited for."""


class Studio:
    """A server in this process with cameras that nobody reads. ``address``: where it is."""

    def __init__(self, desk: Desk, cameras: Cameras, address: str) -> None:
        self.desk, self.cameras, self.address = desk, cameras, address

    def wanted(self) -> dict[str, frozenset[View]]:
        return dict(self.cameras.live.wanted)

    def until(self, condition: Any) -> None:
        for _ in range(_PATIENCE):
            if condition(self.wanted()):
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"wanted is {self.wanted()}")

    def show(
        self, source: str, people: int, view: View = View.TILE, colour: tuple[int, int, int] = (90, 60, 30)
    ) -> None:
        shape = (720, 1280, 3) if view is View.LARGE else (360, 640, 3)
        _, jpeg = cv2.imencode(".jpg", np.full(shape, colour, np.uint8))
        boxes = [(n + 1, (0.1 + 0.2 * n, 0.3, 0.2 + 0.2 * n, 0.8), n % 2 == 0) for n in range(people)]
        self.cameras.live.publish(
            LivePicture(source, view, 1_800_000_000.0, 1, (1280, 720), tuple(boxes), jpeg.tobytes())
        )


@contextmanager
def serving(desk: Desk, cameras: Cameras) -> Iterator[str]:
    """A server on a free port of this machine, in a thread; its address."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(64)
    bound.setblocking(False)
    server = _server(create_app(desk, cameras=cameras), bound, Address())
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{bound.getsockname()[1]}"
    finally:
        desk.closing = True
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with Gallery.open(made_gallery(tmp_path / "shop", VISITS), write=True) as gallery:
        desk = Desk(gallery)
        given = [SourceConfig(uri=f"rtsp://127.0.0.1:9/{n}", name=f"camera {n:02d}") for n in range(MANY)]
        cameras = Cameras(desk, given)
        for camera in cameras.all():
            camera.state, camera.fps, camera.live = "running", 12.5, True
        Accounts(gallery).add("grace", PASSWORD, Role.ADMIN)
        with serving(desk, cameras) as address:
            yield Studio(desk, cameras, address)
        desk.close()


@pytest.fixture
def page(browser: Any, studio: Studio) -> Iterator[Any]:
    context = browser.new_context(base_url=studio.address, viewport={"width": 1200, "height": 700})
    opened = logged_in(watched(context.new_page()), "/login")
    opened.goto("/live")
    opened.wait_for_selector(".tile")
    yield opened
    context.close()


def pixel(page: Any, selector: str, x: float, y: float) -> list[int]:
    """Red, green and blue of a canvas, at parts of it."""
    script = """([selector, x, y]) => {
        const canvas = document.querySelector(selector);
        const at = [Math.round(x * canvas.width), Math.round(y * canvas.height)];
        return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
    }"""
    found: list[int] = page.evaluate(script, [selector, x, y])
    return found


def test_tiles_show_what_their_cameras_see_and_only_those_on_the_screen_are_asked_for(
    page: Any, studio: Studio
) -> None:
    studio.until(lambda wanted: len(wanted) > 3)
    assert len(studio.wanted()) < MANY
    assert "camera 00" in studio.wanted()
    assert f"camera {MANY - 1:02d}" not in studio.wanted()
    studio.show("camera 00", 3)
    first = "[data-camera='camera 00']"
    page.wait_for_selector(f"{first}.has-picture >> text=3 people")
    # The picture is blue (BGR), and the first box is drawn on its left edge.
    red, _, blue = pixel(page, f"{first} canvas", 0.95, 0.9)
    assert blue > red + 40
    red, green, blue = pixel(page, f"{first} canvas", 0.1, 0.5)
    assert green > 180
    assert green > max(red, blue) + 40
    assert "12.5 frames a second" in page.text_content(f"{first} p")
    # Scrolled away, nothing more is made of it.
    page.keyboard.press("End")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    studio.until(lambda wanted: "camera 00" not in wanted and f"camera {MANY - 1:02d}" in wanted)
    assert page.problems == []


def test_one_camera_is_shown_large_by_keys_alone_and_back(page: Any, studio: Studio) -> None:
    studio.until(lambda wanted: "camera 01" in wanted)
    page.focus(".tile .open")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#large:not([hidden]) >> text=camera 01")
    studio.until(lambda wanted: wanted == {"camera 01": LARGE})
    studio.show("camera 01", 1, View.LARGE)
    page.wait_for_selector("#large canvas[aria-label*='1 person']")
    assert page.evaluate("document.querySelector('#large canvas').width") == 1280
    page.keyboard.press("ArrowRight")
    studio.until(lambda wanted: wanted == {"camera 02": LARGE})
    page.keyboard.press("Escape")
    studio.until(lambda wanted: wanted.get("camera 02") == frozenset({View.TILE}))
    assert page.evaluate("document.activeElement.closest('.tile').dataset.camera") == "camera 02"
    assert page.problems == []


def enlarged(page: Any, studio: Studio) -> None:
    studio.until(lambda wanted: "camera 01" in wanted)
    page.click("[data-camera='camera 01'] .open")
    studio.until(lambda wanted: wanted == {"camera 01": LARGE})
    studio.show("camera 01", 1, View.LARGE)
    page.wait_for_selector("#large canvas[aria-label*='1 person']")


def test_a_cameras_film_takes_the_place_of_pictures_where_the_browser_plays_it(
    page: Any, studio: Studio, tmp_path: Path
) -> None:
    enlarged(page, studio)
    film = fragments(filmed(tmp_path / "film.ts", size=(640, 360)), "camera 01")
    for part in film:
        studio.cameras.live.publish(part)
    plays = page.evaluate(
        "codec => 'MediaSource' in window && MediaSource.isTypeSupported(`video/mp4; codecs=\"${codec}\"`)",
        film[0].codec,
    )
    if not plays:
        # H.264 is not in every Chromium: pictures stay, and it says why.
        page.wait_for_selector(f"#large .facts >> text=pictures, because this browser does not play {film[0].codec}")
        studio.until(lambda wanted: wanted == {"camera 01": frozenset({View.LARGE})})
        return
    page.wait_for_selector("#large[data-shown='film']")
    # No picture is encoded any more.
    studio.until(lambda wanted: wanted == {"camera 01": frozenset({View.MOVING})})
    assert page.evaluate("document.querySelector('#large video').videoWidth") == 640
    boxes = ((1, (0.1, 0.3, 0.2, 0.8), True), (2, (0.5, 0.3, 0.6, 0.8), True))
    studio.cameras.live.publish(LivePicture("camera 01", View.MOVING, film[1].wall, 1, (640, 360), boxes, b""))
    page.wait_for_selector("#large canvas[aria-label*='2 people']")
    red, green, blue = pixel(page, "#large canvas", 0.1, 0.5)
    assert green > max(red, blue) + 40
    # The film is seen through everything but boxes.
    assert (
        page.evaluate("document.querySelector('#large canvas').getContext('2d').getImageData(600, 20, 1, 1).data[3]")
        == 0
    )
    page.keyboard.press("Escape")
    studio.until(lambda wanted: wanted.get("camera 01") == frozenset({View.TILE}))
    assert page.problems == []


def test_a_camera_without_a_film_is_shown_by_pictures_and_says_why(page: Any, studio: Studio) -> None:
    enlarged(page, studio)
    studio.cameras.live.publish(Fragment("camera 01", 0, "", b"", refused="the camera sends H.265"))
    studio.until(lambda wanted: wanted == {"camera 01": frozenset({View.LARGE})})
    studio.show("camera 01", 2, View.LARGE)
    page.wait_for_selector("#large .facts >> text=2 people")
    assert "pictures, because the camera sends H.265" in page.text_content("#large .facts")
    # The next camera is asked for its own.
    page.keyboard.press("ArrowRight")
    studio.until(lambda wanted: wanted == {"camera 02": LARGE})
    assert page.problems == []


def test_a_film_that_cannot_be_decoded_gives_way_to_pictures(page: Any, studio: Studio, tmp_path: Path) -> None:
    enlarged(page, studio)
    film = fragments(filmed(tmp_path / "film.ts"), "camera 01")
    studio.cameras.live.publish(film[0])
    for part in film[1:20]:
        studio.cameras.live.publish(replace(part, data=BROKEN))
    studio.until(lambda wanted: wanted == {"camera 01": frozenset({View.LARGE})})
    page.wait_for_selector("#large:not([data-shown='film'])")
    studio.show("camera 01", 2, View.LARGE)
    page.wait_for_selector("#large .facts >> text=pictures, because")


def test_how_a_camera_is_doing_stands_on_its_tile_in_words(page: Any, studio: Studio) -> None:
    camera = studio.cameras.get("camera 00")
    camera.state, camera.error = "failed", "rtsp://user:secret@camera refuses the password"
    page.wait_for_selector("[data-camera='camera 00'].stale >> text=refuses the password")
    assert "secret" not in page.content()


def test_the_page_connects_again_and_asks_who_was_logged_out_to_log_in(page: Any, studio: Studio) -> None:
    studio.until(lambda wanted: "camera 00" in wanted)
    accounts = Accounts(studio.desk.gallery)
    for session in accounts.sessions():
        accounts.end_session(session["id"])
    page.wait_for_url("**/login", timeout=60_000)


def test_the_live_page_fits_a_telephone_and_is_accessible(page: Any, studio: Studio) -> None:
    studio.until(lambda wanted: "camera 00" in wanted)
    studio.show("camera 00", 2)
    page.wait_for_selector(".has-picture")
    fits_and_has_no_barriers(page)
