"""The page of alerts in a real browser: a list, somebody on it, a rule, an alert, and that somebody has seen to it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reidstream.alerts.lists import rule_settings
from reidstream.sources.fingerprint import file_fingerprint
from reidstream.types import SourceStarted
from tests.alerts.conftest import sighting
from tests.blobs import write_blobs
from tests.browser.conftest import fits_and_has_no_barriers
from tests.browser.test_live_page import Studio, page, studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]

__all__ = ["page", "studio"]


def fill(page: Any, form: str, **values: str) -> None:
    for name, value in values.items():
        field = page.locator(f"{form} [name={name}]")
        if field.evaluate("one => one.tagName") == "SELECT":
            # Lists have ids that nobody knows beforehand.
            field.select_option(label=value) if name == "list" else field.select_option(value)
        else:
            field.fill(value)
    page.locator(f"{form} button:not([type=button])").click()


def seen(studio: Studio, person: int, at: float, colour: tuple[int, int, int] = (90, 60, 30)) -> None:
    _, frame = cv2.imencode(".jpg", np.full((360, 640, 3), colour, np.uint8))
    studio.desk.watching.put([sighting(person, at, 2.0, frame=frame.tobytes(), frame_box=(0.2, 0.1, 0.4, 0.9))])
    studio.desk.watching.wait()


def test_from_a_list_to_an_alert_that_somebody_has_seen_to(page: Any, studio: Studio) -> None:
    page.goto("/alerts")
    page.wait_for_selector("text=Nothing needs to be seen to.")
    for summary in ("Make a list", "Add a rule"):
        page.click(f"summary >> text={summary}")
    soon = (datetime.date.today() + datetime.timedelta(days=20)).isoformat()  # noqa: DTZ011 - as the browser's
    fill(page, "#add-list", name="barred", purpose="banned by a court", until=soon)
    page.click("#lists button >> text=Add somebody")
    fill(page, "#add-entry", person="1")
    page.wait_for_selector("#lists .entries >> text=person 1")
    fill(page, "#add-rule", name="barred person", purpose="banned by a court", who="listed", list="barred", risk="40")
    page.wait_for_selector("#rules >> text=holds")
    seen(studio, 1, 500.0)
    page.wait_for_selector(".alert >> text=barred person")
    text = page.text_content(".alert")
    assert "Person 1 is on the list" in text
    assert "accepted risk 40 %" in text
    shown = page.locator(".alert img")
    shown.wait_for()
    assert shown.evaluate("one => one.decode().then(() => one.naturalWidth)") == 640
    outline = page.locator(".alert .outlined .over")
    assert float(outline.get_attribute("width")) == pytest.approx(128)
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.wait_for_selector("text=Nothing needs to be seen to.")
    page.select_option("#filters [name=state]", "")
    page.wait_for_selector(".alert >> text=seen to by grace")
    page.click("#rules button >> text=Switch off")
    page.wait_for_selector("#rules >> text=does not hold")
    assert page.problems == []


def test_an_alert_plays_its_clip_and_goes_on_playing(page: Any, studio: Studio, tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "entrance.mp4", frames=60)
    content = file_fingerprint(video)
    started = SourceStarted("door", str(video), content, (320, 240), 20, 0.0)
    studio.desk.gallery.begin_source(started, "settings")
    watch = studio.desk.watching.watch
    wanted = {"name": "anybody", "purpose": "to be greeted", "who": "anybody", "cooldown": 0}
    watch.lists.add_rule(rule_settings(wanted), "test")
    watch.reload()
    place = {"source": "door", "content": content, "start_media": 1.0, "media": 2.0}
    studio.desk.watching.put([replace(sighting(1, 500.0, 2.0), **place)])
    studio.desk.watching.wait()
    page.goto("/alerts")
    page.click(".alert button >> text=Play the clip")
    film = page.locator(".alert .moment video")
    film.wait_for()
    answered = film.evaluate("one => fetch(one.src).then(answer => answer.headers.get('content-type'))")
    assert answered == "video/mp4"
    # H.264 is not in every Chromium.
    if film.evaluate("one => one.canPlayType('video/mp4; codecs=\"avc1.64001f\"')"):
        page.wait_for_function("document.querySelector('.moment video').currentTime > 0")
        assert film.evaluate("one => one.videoWidth") > 0
    # What comes meanwhile leaves it where it is.
    film.evaluate("one => { one.same = true; }")
    seen(studio, 2, 900.0)
    page.wait_for_selector(".alert >> nth=1")
    assert film.evaluate("one => one.same")
    assert page.problems == []


def test_what_does_not_fit_is_said_beside_the_form(page: Any, studio: Studio) -> None:
    page.goto("/alerts")
    page.click("summary >> text=Add a rule")
    fill(page, "#add-rule", name="x", purpose="because of it", who="listed")
    page.wait_for_selector("#rule-problem >> text=names its list")


def test_the_alerts_page_fits_a_telephone_and_is_accessible(page: Any, studio: Studio) -> None:
    watch = studio.desk.watching.watch
    made = watch.lists.make("barred", "banned by a court", watch._clock() + 86_400, "test")
    watch.lists.add_photo(made.id, sighting(1, 1.0, 1.0).vectors[0], b"", "test")
    watch.lists.add_rule(rule_settings({"name": "anybody", "purpose": "to be greeted", "who": "anybody"}), "test")
    watch.reload()
    seen(studio, 1, 500.0)
    page.goto("/alerts")
    page.wait_for_selector(".alert")
    page.click("summary >> text=Make a list")
    fits_and_has_no_barriers(page)
