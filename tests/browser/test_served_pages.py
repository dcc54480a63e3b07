"""The server's pages in a real browser: each page, its keys, two people at once, and a view that is out of date."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidstream.clips import Clip, ClipShelf
from reidstream.gallery import Gallery
from reidstream.identities.people import assign, create_person, prepare
from reidstream.types import SourceStarted
from tests.blobs import write_blobs
from tests.browser.conftest import Visitor, fits, logged_in, without_barriers
from tests.identities.conftest import made_tracklet
from tests.server.conftest import PASSWORD, VISITS, picture, with_pictures
from tests.server.crowd import fill
from tests.server.process import Served, made_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ["/", "/people/1", "/live", "/alerts", "/review", "/search", "/numbers", "/sources", "/jobs", "/users", "/log"]


def counted(page: Any, selector: str, count: int) -> None:
    """Wait until there are so many; not with a function, because the policy lets nobody evaluate text."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_count(count, timeout=20_000)


def test_pages_keep_to_the_policy_fit_a_telephone_and_are_accessible(admin: Visitor) -> None:
    for scheme in ("light", "dark"):
        admin.page.emulate_media(color_scheme=scheme)
        for path in PAGES:
            page = admin.open(path)
            page.wait_for_timeout(700)
            fits(page)
            without_barriers(page)
    assert admin.problems == []


def test_people_are_merged_by_keys_alone_and_come_back_by_one(admin: Visitor) -> None:
    page = admin.open("/")
    assert len(admin.cards()) == 3
    page.focus("#grid .card a")
    for key in ("x", "ArrowRight", "x", "m"):
        page.keyboard.press(key)
    page.wait_for_selector("#merging[open]")
    page.keyboard.press("Enter")
    counted(page, "#grid .card", 2)
    assert "merged" in page.text_content("#toast")
    page.keyboard.press("u")
    counted(page, "#grid .card", 3)
    assert admin.problems == []


def test_a_person_is_named_split_and_undone(admin: Visitor) -> None:
    page = admin.open("/people/1")
    page.wait_for_selector("#crops .card")
    page.keyboard.press("n")
    page.keyboard.type("<b>Ann</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector("#title >> text=<b>Ann</b>")
    assert page.locator("#crops .card").count() == 3
    page.keyboard.press("p")
    page.keyboard.press("x")
    page.keyboard.press("s")
    counted(page, "#crops .card", 2)
    page.keyboard.press("u")
    counted(page, "#crops .card", 3)
    assert page.locator("#history li").count() >= 2
    assert page.locator("#journey rect").count() == 3


def test_a_view_that_is_out_of_date_changes_nothing_and_shows_how_it_is(
    browser: Any, served: Served, admin: Visitor
) -> None:
    with served.owner() as owner:
        ids = {p["number"]: p["id"] for p in owner.people()["people"]}
    page = admin.open("/")
    # This tab hears of nothing any more.
    page.route("**/api/v1/events/stream", lambda route: route.abort())
    page.reload()
    admin.cards()
    with served.owner() as owner:
        split = owner.split("1", [owner.person("1")["tracklets"][1]["id"]])
        assert split["kind"] == "split"
        before = owner.people()["people"]
    for number in (1, 2):
        page.check(f"#grid li[data-id='{ids[number]}'] input")
    page.keyboard.press("m")
    page.wait_for_selector("#merging[open]")
    page.click("#merge-yes")
    page.wait_for_selector("#toast:not([hidden])")
    assert "Nothing was changed" in page.text_content("#toast p")
    counted(page, "#grid .card", 4)
    with served.owner() as owner:
        assert owner.people()["people"] == before


def test_two_people_see_what_the_other_one_does(browser: Any, served: Served, admin: Visitor) -> None:
    admin.open("/users")
    page = admin.page
    page.fill("#add-user [name=name]", "ben")
    page.fill("#add-user [name=password]", PASSWORD)
    page.select_option("#add-user [name=role]", "viewer")
    page.click("#add-user button")
    page.wait_for_selector("#users >> text=ben")
    other = Visitor(browser, served)
    logged_in(other.page, "/login", "ben")
    assert len(other.cards()) == 3
    assert other.page.locator("#grid input[type=checkbox]").count() == 0
    with served.owner() as owner:
        owner.label("1", name="Ann")
    other.page.wait_for_selector("#grid >> text=Ann")
    # The admin ends ben's account: his next look is a login.
    admin.open("/users")
    page.locator("#users li", has_text="ben").locator("button").click()
    page.wait_for_selector("#toast >> text=removed")
    other.page.goto("/")
    other.page.wait_for_url("**/login")
    other.context.close()


def test_a_dropped_connection_is_taken_up_again_where_it_broke(admin: Visitor, served: Served) -> None:
    page = admin.open("/")
    admin.cards()
    admin.context.set_offline(True)
    with served.owner() as owner:
        owner.label("1", name="Ann")
    admin.context.set_offline(False)
    page.wait_for_selector("#grid >> text=Ann", timeout=20_000)


def test_the_place_in_the_list_survives_going_back(admin: Visitor) -> None:
    page = admin.open("/")
    admin.cards()
    page.fill("[name=words]", "2")
    counted(page, "#grid .card", 1)
    page.click("#grid .card a")
    page.wait_for_selector("#crops .card")
    page.click("#back")
    counted(page, "#grid .card", 1)
    assert page.input_value("[name=words]") == "2"


def test_an_erasure_shows_its_proof(admin: Visitor) -> None:
    page = admin.open("/people/3")
    page.wait_for_selector("#crops .card")
    page.click("#actions .danger")
    page.click("#erasing .danger")
    page.wait_for_selector("#gone:not([hidden])", timeout=60_000)
    assert "proven" in page.text_content("#gone")
    admin.open("/")
    assert len(admin.cards()) == 2


def test_somebody_s_own_pictures_are_made_and_can_be_fetched(admin: Visitor, tmp_path: Path) -> None:
    page = admin.open("/people/3")
    page.click("#actions >> text=Own pictures")
    page.click("#handing >> text=Make them")
    page.wait_for_selector("#handed:not([hidden])", timeout=60_000)
    assert "look at every picture before you hand it out" in page.text_content("#handed-text")
    with page.expect_download() as waiting:
        page.click("#handed")
    waiting.value.save_as(tmp_path / "own.zip")
    with zipfile.ZipFile(tmp_path / "own.zip") as archive:
        assert {"index.html", "visits.json"} <= set(archive.namelist())
    admin.open("/jobs").wait_for_selector("#jobs >> text=Somebody's own pictures")
    assert admin.problems == []


def test_a_visit_says_in_words_that_its_recording_is_gone(admin: Visitor) -> None:
    page = admin.open("/")
    page.click("#grid .card a")
    page.wait_for_selector("#visits li button")
    counted(page, "#visits li", len([visit for visit in VISITS if visit[0] == 1]))
    page.click("#visits li:last-child button")
    page.wait_for_selector("#frame-text:has-text('is not where it was read from')")
    assert page.get_attribute("#visits li:last-child button", "aria-pressed") == "true"
    assert admin.problems == []


def test_a_long_list_is_scrolled_to_its_end_and_follows_what_happens_where_it_is_seen(
    browser: Any, tmp_path: Path
) -> None:
    many = 400
    folder = made_gallery(tmp_path / "many", [(1, "a", 0, 5)])
    with Gallery.open(folder, write=True) as opened:
        prepare(opened)
        opened.begin_source(SourceStarted("b", "b.mp4", "content of b", (640, 480), 10, 0.0), "settings")
        visits = with_pictures([(n, "b", 100 * n, 100 * n + 5) for n in range(2, many)])
        opened.add(visits)
        with opened.write() as connection:
            assign(connection, [(t.id, create_person(connection, t.id), 0.95) for t in visits])
    with Served(folder) as running:
        visitor = Visitor(browser, running)
        page = logged_in(visitor.page, running.setup_link)
        page.select_option("[name=order]", "first_seen")
        # The visit that was there first got its person last.
        page.wait_for_selector(f"#grid .card:first-child strong:text-is('person {many - 1}')")
        names: list[str] = []
        while len(names) < many - 1:
            # A step that is shorter than what is kept around what is in view.
            page.evaluate("scrollBy(0, innerHeight)")
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            shown = page.locator("#grid .card strong").all_text_contents()
            assert len(shown) < many / 2
            names += [name for name in shown if name not in names]
        page.wait_for_selector("#more", state="hidden")
        # At the end of the list: somebody there gets a name, and somebody at its beginning does.
        with running.owner() as owner:
            people = {f"person {one['number']}": one["id"] for one in owner.people(limit=many)["people"]}
            owner.label(people[names[-1]], name="Zoe")
            owner.label(people[names[0]], name="Ann")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_selector("#grid .card:last-child strong:has-text('Zoe')")
        # What is not in view is asked for when it comes into view.
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_selector("#grid .card:first-child strong:has-text('Ann')")
        again = page.locator("#grid .card strong").all_text_contents()
        assert again == ["Ann", *names[1 : len(again)]]
        assert visitor.problems == []
        visitor.context.close()


@pytest.mark.timeout(3000)
def test_thousands_are_scrolled_to_the_last_while_some_are_merged(browser: Any, tmp_path: Path) -> None:
    """As many as make a page that held all of them slow; REIDSTREAM_CROWD=50000 takes seven minutes."""
    many = int(os.environ.get("REIDSTREAM_CROWD", "4000"))
    folder = made_gallery(tmp_path / "crowd", [(1, "a", 0, 5)])
    with Gallery.open(folder, write=True) as opened:
        crowd = fill(opened, many)
    # As the cards call them, by id.
    called = {person: f"person {1000 + n}" for n, person in enumerate(crowd.tracklets)}
    with Served(folder) as running, running.owner() as owner:
        visitor = Visitor(browser, running)
        page = logged_in(visitor.page, running.setup_link)
        page.select_option("[name=order]", "number")
        page.wait_for_selector("#grid .card:first-child strong:text-is('person 1000')")
        shown: set[str] = set()
        merged: set[str] = set()
        most, step = 0, 0
        while not page.is_hidden("#more") or not page.evaluate(
            "scrollY + innerHeight >= document.documentElement.scrollHeight - 2"
        ):
            names = page.locator("#grid .card strong").all_text_contents()
            assert len(names) == len({*names})
            most = max(most, len(names))
            shown.update(names)
            step += 1
            # Somebody who was read with somebody who was not, while there is one: the last wait for the page's end.
            unread = [p for p in reversed(crowd.tracklets) if called[p] not in shown and p not in merged]
            if step % 20 == 0 and unread:
                read = next(p for p in crowd.tracklets if called[p] in shown and p not in merged)
                owner.merge(read, unread[0])
                merged.update((read, unread[0]))
            # No further than what is kept around what is in view.
            page.evaluate("scrollBy(0, 2 * innerHeight)")
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shown.update(page.locator("#grid .card strong").all_text_contents())
        assert most < 300
        assert {called[person] for person in crowd.tracklets if person not in merged} <= shown
        assert len(merged) >= 4
        assert visitor.problems == []
        visitor.context.close()


def test_what_a_user_reviewed_stays_reviewed_after_coming_back(browser: Any, tmp_path: Path) -> None:
    folder = made_gallery(tmp_path / "doubtful", VISITS)
    with Gallery.open(folder, write=True) as opened:
        # Noisy looks at two people whom nobody has seen before: unsure, so asked about.
        opened.begin_source(SourceStarted("b", "b.mp4", "content of b", (640, 480), 10, 0.0), "settings")
        noisy = (made_tracklet(n, "b", 300 + 20 * k, 310 + 20 * k, noise=1.0) for n in (8, 9) for k in range(4))
        shown = {"crop_frame": 1, "crop_box": (0.0, 0.0, 96.0, 192.0)}
        opened.add([replace(tracklet, crop=picture(8), **shown) for tracklet in noisy])
    with Served(folder) as running:
        visitor = Visitor(browser, running)
        page = logged_in(visitor.page, running.setup_link)
        page = visitor.open("/review")
        page.wait_for_selector("#question:not([hidden])")
        assert str(page.text_content("#reviewed")).startswith("0 of ")
        asked = page.text_content("#asked")
        page.reload()
        page.wait_for_selector("#question:not([hidden])")
        assert page.text_content("#asked") == asked
        page.keyboard.press("n")
        page.wait_for_selector("#reviewed:has-text('1 of ')")
        page.reload()
        page.wait_for_selector("#reviewed:has-text('1 of ')")
        # The question where they are is asked first in another browser as well.
        pressed(page, "l")
        change_key(page, "y", "1")
        pressed(page, "1")
        page.wait_for_selector("#reviewed:has-text('2 of ')")
        with page.expect_response("**/review/place"):
            pressed(page, "l")
        asked = page.text_content("#asked")
        assert visitor.problems == []
        elsewhere = Visitor(browser, running, storage_state=visitor.context.storage_state())
        page = elsewhere.open("/review")
        page.wait_for_selector("#question:not([hidden])")
        assert page.text_content("#asked") == asked
        assert page.text_content("[data-answer=yes] kbd") == "1"
        elsewhere.context.close()
        visitor.context.close()


def pressed(page: Any, key: str) -> None:
    """Answer the question, and wait until the next one can be."""
    page.keyboard.press(key)
    page.wait_for_selector("#question[aria-busy=false]")


def change_key(page: Any, own: str, other: str) -> None:
    """Give a page's key another one, by its list of keys."""
    page.keyboard.press("?")
    page.click(f"#help [data-own='{own}']")
    # One that is taken is refused in words.
    page.keyboard.press("n")
    page.wait_for_selector("#help-problem:has-text('is taken')")
    page.click(f"#help [data-own='{own}']")
    with page.expect_response("**/keys"):
        page.keyboard.press(other)
    page.wait_for_selector(f"#help [data-own='{own}']:has-text('{other}')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#help:not([open])", state="attached")


def test_a_visit_plays_its_clip_in_both_colours_without_a_barrier(browser: Any, tmp_path: Path) -> None:
    video = write_blobs(tmp_path / "a.mp4", [0], frames=40)
    folder = made_gallery(tmp_path / "shop", VISITS)
    with Gallery.open(folder, write=True) as opened:
        shelf = ClipShelf(opened)
        for visit in VISITS[:1]:
            tracklet = made_tracklet(*visit)
            clip = Clip(tracklet.id, tracklet.content, f"{tracklet.id}.mp4", 0.0, 2.0, 0.0)
            assert shelf.begin(clip)
            shutil.copy(video, shelf.folder / "written.mp4")
            assert shelf.finish(clip, shelf.folder / "written.mp4")
    with Served(folder) as running:
        visitor = Visitor(browser, running)
        page = logged_in(visitor.page, running.setup_link)
        page = visitor.open("/people/1")
        page.click("#visits li:first-child button")
        page.wait_for_selector("#clip:not([hidden])")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            without_barriers(page)
        # The policy lets it be loaded from here, whatever this browser thinks of its codec.
        answered = page.evaluate("fetch(document.querySelector('#clip').src).then(a => a.headers.get('content-type'))")
        assert answered == "video/mp4"
        assert not [text for text in visitor.problems if "Content Security Policy" in text]
        page.click("#visits li:last-child button")
        page.wait_for_selector("#clip", state="hidden")
        visitor.context.close()
