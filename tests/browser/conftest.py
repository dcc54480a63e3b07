"""Chromium, visitors of a server's pages, and what every page must be: narrow enough, and usable by everybody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import PASSWORD, VISITS
from tests.server.process import Served, made_gallery

# As root and without a network, Chromium needs to be told so.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1200, 400)
"""Pixels of a desk's screen and of a telephone's."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (.ci/browser installs it)")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on the PATH (Debian: chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=_FLAGS)
        yield chromium
        chromium.close()


def watched(page: Any) -> Any:
    """The page, with everything that goes wrong in it from now on in ``problems``."""
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    return page


def logged_in(page: Any, path: str, name: str = "grace") -> Any:
    """The page, after somebody filled in a form with a name and a password, and sees the people."""
    page.goto(path)
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("form button")
    page.wait_for_selector("#grid .card")
    return page


class Visitor:
    """One person at a browser; ``problems``: everything that went wrong in their pages."""

    def __init__(self, browser: Any, served: Served, **how: Any) -> None:
        self.context = browser.new_context(base_url=served.address, **how)
        self.page = watched(self.context.new_page())
        self.problems: list[str] = self.page.problems

    def open(self, path: str) -> Any:
        self.page.goto(path)
        self.page.wait_for_load_state("load")
        return self.page

    def cards(self) -> list[str]:
        self.page.wait_for_selector("#grid .card")
        names: list[str] = self.page.locator("#grid .card strong").all_text_contents()
        return names


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(made_gallery(tmp_path / "shop", VISITS)) as running:
        yield running


@pytest.fixture
def admin(browser: Any, served: Served) -> Iterator[Visitor]:
    """The first user, who came by the link."""
    visitor = Visitor(browser, served)
    logged_in(visitor.page, served.setup_link)
    yield visitor
    visitor.context.close()


def fits(page: Any) -> None:
    """Nothing sticks out to the right, on a desk or on a telephone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{page.url} is {over} pixels too wide at {width}"


def without_barriers(page: Any) -> None:
    """axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe (.ci/browser installs it)")
    # axe is put in past the policy, which would refuse it as it refuses everything foreign.
    found = axe.Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
    assert not serious, f"{page.url}: {serious}"


def fits_and_has_no_barriers(page: Any) -> None:
    """Both, in light and in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        fits(page)
        without_barriers(page)
