"""The pages that are written for people, opened in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config
from reidstream.gallery import Gallery
from reidstream.gallery.sheet import write_gallery_sheet
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import prepare
from reidstream.identities.people_sheet import write_people_sheet
from tests.browser.conftest import fits, watched
from tests.exact import EXACT
from tests.identities.conftest import SPACE
from tests.server.conftest import stored

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]


def reidstream(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one page of each kind, about a small scene of two cameras."""
    folder = tmp_path_factory.mktemp("pages")
    scene, gallery = folder / "scene", folder / "gallery"
    reidstream("synth", scene, "--cameras", "2", "--people", "6", "--minutes", "0.4", "--seed", "5")
    reidstream("run", *sorted(scene.glob("cam*/*.mp4")), "--gallery", gallery, "--quiet", "--clips")
    reidstream("gallery", "sheet", folder / "sheet.html", "-g", gallery)
    reidstream("people", "sheet", "-g", gallery, "--page", folder / "people.html")
    first = json.loads(reidstream("gallery", "list", "-g", gallery, "--json"))
    tracklet = (first["tracklets"] if isinstance(first, dict) else first)[0]["id"]
    reidstream("search", tracklet, "-g", gallery, "--sheet", folder / "found.html")
    reidstream("eval", "gallery", "-g", gallery, "--truth", scene, "--html", folder / "gallery.html")
    reidstream("eval", "tracking", scene, "--html", folder / "tracking.html")
    return folder


@pytest.fixture
def opened(browser: Any, pages: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page that the test names, with a list of everything that went wrong in it."""
    page = watched(browser.new_page(viewport={"width": 1200, "height": 900}))
    page.on(
        "request", lambda call: page.problems.append(call.url) if not call.url.startswith(("file:", "data:")) else 0
    )
    page.goto(f"file://{pages / request.param}")
    yield page
    page.close()


EVERY = ["sheet.html", "people.html", "found.html", "gallery.html", "tracking.html"]


@pytest.mark.parametrize("opened", EVERY, indirect=True)
def test_a_page_needs_nothing_from_elsewhere_and_shows_its_pictures(opened: Any) -> None:
    opened.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    opened.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    opened.wait_for_function("[...document.images].every(image => image.complete)")
    assert opened.problems == []
    assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert opened.evaluate("document.images.length + document.querySelectorAll('svg').length") > 0
    fits(opened)


@pytest.mark.parametrize("opened", ["sheet.html"], indirect=True)
def test_a_sheet_is_searched_and_sorted(opened: Any) -> None:
    shown = "[...document.querySelectorAll('figure')].filter(card => card.offsetParent)"
    count = opened.evaluate(f"{shown}.length")
    assert count > 4
    opened.fill("#words", "cam1")
    some = opened.evaluate(f"{shown}.length")
    assert 0 < some < count
    assert opened.text_content("#shown") == f"{some} of {count}"
    assert "cam1" in opened.text_content("section:not([hidden]) h2")
    opened.fill("#words", "nobody at all")
    assert opened.evaluate(f"{shown}.length") == 0
    opened.fill("#words", "")
    opened.select_option("#order", label="quality")
    opened.check("#reverse")
    values = opened.evaluate(
        "[...document.querySelector('.cards').querySelectorAll('figure')].map(c => JSON.parse(c.dataset.sort).quality)"
    )
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1


# The lowest contrast between text and what lies behind it, by WCAG 2's formula, colours composed over each other.
CONTRAST = """
() => {
  const parts = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const over = (top, under) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => alpha * top[i] + (1 - alpha) * under[i]);
  };
  const canvas = document.body.appendChild(document.createElement("div"));
  canvas.style.background = "Canvas";
  const paper = parts(getComputedStyle(canvas).backgroundColor);
  canvas.remove();
  let worst = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!own || element.closest("svg") || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(parts(getComputedStyle(at).backgroundColor));
    const ground = above.reduce((under, top) => over(top, under), paper);
    const ink = over(parts(getComputedStyle(element).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst[0]) worst = [contrast, `${element.tagName}: ${element.textContent.trim().slice(0, 60)}`];
  }
  return worst;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", EVERY, indirect=True)
def test_text_can_be_read_by_everybody(opened: Any, scheme: str) -> None:
    opened.emulate_media(color_scheme=scheme)
    contrast, where = opened.evaluate(CONTRAST)
    assert contrast >= 4.5, where


@pytest.mark.parametrize("opened", ["people.html", "sheet.html", "found.html"], indirect=True)
def test_a_click_enlarges_a_picture_and_says_where_it_comes_from(opened: Any) -> None:
    small = opened.locator(".group figure img").last
    small.scroll_into_view_if_needed()
    height = small.bounding_box()["height"]
    small.click()
    large = opened.locator("dialog img")
    assert large.bounding_box()["height"] > 1.5 * height
    said = opened.locator("dialog").inner_text()
    assert ".mp4" in said
    assert "frames " in said
    assert "this picture: frame " in said
    opened.keyboard.press("Escape")
    assert not opened.locator("dialog").is_visible()
    small.press("Enter")
    assert opened.locator("dialog").is_visible()
    assert opened.problems == []


@pytest.mark.parametrize("opened", ["people.html", "sheet.html", "found.html"], indirect=True)
def test_the_clip_of_a_visit_stands_beside_its_enlarged_picture(opened: Any, pages: Path) -> None:
    opened.locator(".group figure img").first.click()
    clip = opened.locator("dialog video")
    source = clip.evaluate("video => decodeURI(new URL(video.src).pathname)")
    assert Path(source).is_file()
    assert Path(source).parent == pages / "gallery" / "clips"
    # H.264 is not in every Chromium; one that has it knows how long the clip is.
    if opened.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=avc1.42E01E')"):
        opened.wait_for_function("document.querySelector('dialog video').readyState >= 1")
        assert clip.evaluate("video => video.duration") > 0.5
    opened.keyboard.press("Escape")
    opened.wait_for_function("document.querySelectorAll('dialog video').length === 0")
    # Who takes the page away alone has the picture all the same.
    opened.evaluate("document.querySelector('.group figure').dataset.clip = 'nowhere.mp4'")
    opened.problems.clear()
    opened.locator(".group figure img").first.click()
    opened.wait_for_function("document.querySelectorAll('dialog video').length === 0")
    assert opened.locator("dialog img").is_visible()


def test_times_are_those_of_whoever_looks_beside_utc(browser: Any, pages: Path) -> None:
    def said(zone: str) -> str:
        context = browser.new_context(timezone_id=zone, locale="en-GB")
        page = context.new_page()
        page.goto(f"file://{pages / 'people.html'}")
        text = page.locator(".note").first.inner_text() + page.locator("figcaption").first.inner_text()
        context.close()
        return str(text)

    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert len(re.findall(moment + r" \(\d\d/\d\d/\d{4}, \d\d:\d\d:\d\d here\)", said("Asia/Tokyo"))) == 3
    there = said("UTC")
    assert len(re.findall(moment, there)) == 3
    assert "here" not in there


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 600 tracklets, each with a picture of its own."""
    folder = tmp_path_factory.mktemp("crowd")
    visits = [(number % 40, f"camera{number % 3}", 10.0 * number, 10.0 * number + 5) for number in range(600)]
    with Gallery.open(folder / "shop", write=True, create=True, space=SPACE, config=EXACT) as gallery:
        stored(gallery, visits)
        prepare(gallery)
        OnlineIdentities(gallery, Config().identities).catch_up()
        write_gallery_sheet(gallery, folder / "crowd.html")
        write_people_sheet(gallery, folder / "people.html")
    return folder


@pytest.mark.parametrize("name", ["crowd.html", "people.html"])
def test_of_hundreds_only_what_is_in_sight_is_laid_out_and_read(browser: Any, crowd: Path, name: str) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(f"file://{crowd / name}")
    cards = page.evaluate("document.querySelectorAll('figure').length")
    assert cards == 600
    laid_out = """[...document.querySelectorAll('figure')].filter(
        card => card.querySelector('figcaption').checkVisibility({contentVisibilityAuto: true})).length"""
    read = "[...document.images].filter(image => image.complete && image.naturalWidth > 0).length"
    # Laid out with the next frame, and on a busy machine that takes its time.
    page.wait_for_function(f"{laid_out} > 0 && {read} > 0")
    assert page.evaluate(laid_out) < cards / 5
    # How far beyond the window pictures are read is the browser's choice, and on a busy machine it reads more.
    assert page.evaluate(read) < 0.8 * cards
    # Searching shows few, and they are there with their pictures.
    page.fill("#words", "camera1")
    assert page.text_content("#shown") == "200 of 600"
    page.wait_for_function(f"{laid_out} > 0")
    assert page.evaluate(laid_out) < cards / 5
    # Who scrolls down to the last sees it.
    last = page.locator("figure:visible img").last
    last.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=last.element_handle())
    assert page.evaluate("document.querySelectorAll('*').length") < 20 * cards
    page.close()
