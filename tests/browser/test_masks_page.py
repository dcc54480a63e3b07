"""Regions that do not count, drawn on a source's picture in a real browser: by mouse, and by keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.blobs import write_blobs
from tests.browser.conftest import Visitor, without_barriers
from tests.server.conftest import VISITS
from tests.server.process import Served, made_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """With a video that is not read, because its people cannot be compared; its picture is shown all the same."""
    video = tmp_path / "shop.mp4"
    write_blobs(video)
    with Served(made_gallery(tmp_path / "shop", VISITS), str(video)) as running:
        yield running


def regions(page: Any) -> list[list[list[float]]]:
    found: list[list[list[float]]] = page.evaluate(
        "fetch('/api/v1/sources/shop/picture').then((answer) => answer.json()).then((found) => found.ignore)"
    )
    return found


def opened(visitor: Visitor) -> Any:
    page = visitor.open("/sources")
    page.click("#sources .mask")
    page.wait_for_selector("#masking[open]", timeout=60_000)
    page.locator("#masking img").evaluate("image => image.decode()")
    return page


def test_a_region_is_drawn_with_the_mouse_kept_and_taken_away(admin: Visitor) -> None:
    page = opened(admin)
    box = page.locator("#regions").bounding_box()
    for x, y in ((0.2, 0.2), (0.6, 0.2), (0.6, 0.7)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    # A click near the first corner closes the region.
    page.mouse.click(box["x"] + 0.205 * box["width"], box["y"] + 0.205 * box["height"])
    page.wait_for_selector("#regions .region")
    page.click("#masking-save")
    page.wait_for_selector("#toast >> text=when it is read again")
    ((first, *others),) = regions(page)
    assert first == pytest.approx([0.2, 0.2], abs=0.02)
    assert len(others) == 2
    page = opened(admin)
    page.click("#region-list button")
    page.click("#masking-save")
    page.wait_for_selector("#toast >> text=0 regions")
    assert regions(page) == []
    assert admin.problems == []


def test_a_region_with_a_name_is_a_zone(admin: Visitor) -> None:
    page = opened(admin)
    for shift in (0.0, 0.4):
        box = page.locator("#regions").bounding_box()
        for x, y in ((0.1, 0.2), (0.3, 0.2), (0.3, 0.7)):
            page.mouse.click(box["x"] + (x + shift) * box["width"], box["y"] + y * box["height"])
        page.keyboard.press("c")
    page.fill("#region-list li:nth-child(2) input", "till")
    page.wait_for_selector("#regions .zone")
    page.fill("#region-list li:nth-child(1) input", "till")
    page.click("#masking-save")
    page.wait_for_selector("#masking-problem >> text=one name")
    page.fill("#region-list li:nth-child(1) input", "")
    page.click("#masking-save")
    page.wait_for_selector("#toast >> text=1 are zones")
    assert len(regions(page)) == 1
    page = opened(admin)
    assert page.input_value("#region-list li:nth-child(2) input") == "till"
    assert admin.problems == []


def test_a_region_is_drawn_by_keys_alone(admin: Visitor) -> None:
    page = opened(admin)
    assert page.evaluate("document.activeElement.id") == "regions"
    page.keyboard.press("Space")
    for key, times in (("Shift+ArrowRight", 3), ("Shift+ArrowDown", 4)):
        for _ in range(times):
            page.keyboard.press(key)
        page.keyboard.press("Space")
    page.keyboard.press("Space")
    page.keyboard.press("Backspace")
    page.keyboard.press("c")
    page.click("#masking-save")
    page.wait_for_selector("#toast:not([hidden])")
    (region,) = regions(page)
    assert [pytest.approx(corner) for corner in region] == [[0.5, 0.5], [0.65, 0.5], [0.65, 0.7]]


def test_the_drawing_can_be_used_by_everybody_and_nothing_is_saved_by_cancelling(
    admin: Visitor, tmp_path: Path
) -> None:
    page = opened(admin)
    page.keyboard.press("Space")
    without_barriers(page)
    page.screenshot(path=str(tmp_path / "masking.png"))
    page.click("#masking-close")
    page.wait_for_selector("#masking:not([open])", state="attached")
    assert regions(page) == []
