"""The pages that are written for people, opened in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# As root and without a network, Chromium needs to be told so.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
    reidstream("run", *sorted(scene.glob("cam*/*.mp4")), "--gallery", gallery, "--quiet")
    reidstream("gallery", "sheet", folder / "sheet.html", "-g", gallery)
    reidstream("people", "sheet", "-g", gallery, "--out", folder / "people.html")
    first = json.loads(reidstream("gallery", "list", "-g", gallery, "--json"))
    tracklet = (first["tracklets"] if isinstance(first, dict) else first)[0]["id"]
    reidstream("search", tracklet, "-g", gallery, "--sheet", folder / "found.html")
    reidstream("eval", "gallery", "-g", gallery, "--truth", scene, "--html", folder / "gallery.html")
    reidstream("eval", "tracking", scene, "--html", folder / "tracking.html")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (.ci/browser installs it)")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on the PATH (Debian: chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, pages: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page that the test names, with a list of everything that went wrong in it."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
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
    # Nothing sticks out to the right, on a desk or on a telephone.
    for width in (1200, 400):
        opened.set_viewport_size({"width": width, "height": 900})
        over = opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{over} pixels too wide at {width}"


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
