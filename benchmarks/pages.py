"""How quick the page of a gallery is with many tracklets, in Chromium: ``python -m benchmarks.pages``.

Needs Playwright and Chromium (``.ci/browser`` installs both). Prints what a reader waits for: until the page can be
used, until a search and a sorting are drawn, and how long a frame takes while scrolling from top to bottom.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from reidstream.gallery.sheet import Card, Group, write_sheet

_SCROLL = """() => new Promise(done => {
  const took = []; let before = performance.now();
  const step = now => {
    took.push(now - before); before = now;
    window.scrollBy(0, 900);
    if (window.scrollY + window.innerHeight < document.body.scrollHeight - 5) requestAnimationFrame(step);
    else done(took.slice(1));
  };
  requestAnimationFrame(step);
})"""
_DRAWN = """act => new Promise(done => {
  const before = performance.now();
  new Function(act)();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - before)));
})"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracklets", default="500,2000,5000")
    sizes = [int(word) for word in parser.parse_args().tracklets.split(",")]
    path = shutil.which("chromium") or shutil.which("google-chrome")
    print("| tracklets | file | DOM nodes | usable after | search | sorting | a frame of scrolling, median / 95 % |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for count in sizes:
            page = Path(folder) / "sheet.html"
            write_sheet(page, "A gallery", f"{count} tracklets", _groups(count))
            print(_row(browser, page, count), flush=True)
        browser.close()


def _groups(count: int) -> list[Group]:
    rng = np.random.default_rng(0)
    cards: list[list[Card]] = [[] for _ in range(8)]
    for number in range(count):
        # As large and as hard to compress as a crop of somebody.
        rough = rng.integers(0, 255, (24, 12, 3), np.uint8)
        picture = cv2.resize(rough, (96, 192), interpolation=cv2.INTER_CUBIC)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        lines = (
            f"0:{number // 60 % 60:02}:{number % 60:02} for 4.2 s",
            "2026-01-01 10:00:00",
            "purity 0.97, quality 0.70",
        )
        order = {"time": float(number), "quality": float(rng.random())}
        cards[number % 8].append(Card(jpeg, f"track {number}", lines, order, f"{number:032x} camera{number % 8}"))
    return [Group(f"camera{number}", tuple(group)) for number, group in enumerate(cards)]


def _row(browser: Any, path: Path, count: int) -> str:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    began = time.perf_counter()
    page.goto(f"file://{path}", wait_until="domcontentloaded")
    page.evaluate("() => new Promise(done => requestAnimationFrame(done))")
    usable = time.perf_counter() - began
    nodes = page.evaluate("document.querySelectorAll('*').length")
    search = page.evaluate(_DRAWN, "words.value = 'camera3'; search()")
    page.evaluate(_DRAWN, "words.value = ''; search()")
    sorting = page.evaluate(_DRAWN, "order.value = 'quality'; sort()")
    frames = page.evaluate(_SCROLL)
    page.close()
    size = path.stat().st_size / 2**20
    median, slow = np.percentile(frames, [50, 95])
    return (
        f"| {count} | {size:.1f} MiB | {nodes} | {usable:.2f} s | {search:.0f} ms | {sorting:.0f} ms |"
        f" {median:.0f} / {slow:.0f} ms |"
    )


if __name__ == "__main__":
    main()
