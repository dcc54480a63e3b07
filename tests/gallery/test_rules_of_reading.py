"""What is read out of a gallery: boxes, velocities, times, cards and pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from reidstream.errors import TrackletNotFound
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.interchange import EARLIEST, LATEST
from reidstream.gallery.reranking import Reranking
from reidstream.gallery.schema import details, tracklets
from reidstream.gallery.sheet import Card, clip_address, clock, tracklet_card, wall_clock, write_gallery_sheet

from .conftest import SETTINGS, some_tracklets, started

PEOPLE = some_tracklets(12)


@pytest.mark.parametrize(("count", "said"), [(1, "no tracklet m0 in"), (2, r"no tracklet m0 \(and 1 more\) in")])
def test_tracklets_that_are_not_there_are_counted(gallery: Gallery, count: int, said: str) -> None:
    unknown = [f"m{number}" for number in range(count)]
    for read in (gallery.vectors, gallery.prototypes):
        with pytest.raises(TrackletNotFound, match=said):
            read([PEOPLE[0].id, *unknown])
    with pytest.raises(TrackletNotFound, match=said):
        gallery.erase([PEOPLE[0].id, *unknown])
    assert len(gallery) == len(PEOPLE)


def test_first_and_last_boxes_come_in_the_order_asked_for(gallery: Gallery) -> None:
    wanted = [PEOPLE[5], PEOPLE[2], PEOPLE[9]]
    first, last = gallery.ends([t.id for t in wanted])
    np.testing.assert_array_equal(first, [t.boxes[0] for t in wanted])
    np.testing.assert_array_equal(last, [t.boxes[-1] for t in wanted])


def test_a_track_of_one_box_begins_and_ends_there_and_one_without_is_nowhere(gallery: Gallery) -> None:
    one = replace(PEOPLE[0], id="a" * 32, track_id=900, frames=PEOPLE[0].frames[:1], boxes=PEOPLE[0].boxes[:1])
    gallery.add([one])
    with gallery.write() as connection:
        damaged = connection.execute(tracklets.select().where(tracklets.c.id == PEOPLE[1].id)).one().seq
        connection.execute(update(details).where(details.c.seq == damaged).values(boxes=b"\0" * 15))
    first, last = gallery.ends([PEOPLE[1].id, one.id])
    np.testing.assert_array_equal(first, [[0, 0, 0, 0], one.boxes[0]])
    np.testing.assert_array_equal(first, last)


def test_velocities_are_those_of_the_first_and_last_second(gallery: Gallery) -> None:
    frames = np.arange(100, 200)
    places = np.where(frames < 150, 3.0 * (frames - 100), 150.0 - 2.0 * (frames - 150))
    boxes = np.stack([places, places * 0, places + 20, places * 0 + 50], axis=1).astype(np.float32)
    times = {"start_frame": 100, "end_frame": 199, "start_media": 4.0, "end_media": 7.96}
    walker = replace(PEOPLE[0], id="a" * 32, track_id=900, frames=frames, boxes=boxes, **times)
    still = replace(PEOPLE[0], id="b" * 32, track_id=901, frames=frames[:1], boxes=boxes[:1])
    gallery.add([walker, still])
    first, last = gallery.velocities([still.id, walker.id])
    # 25 frames a second.
    np.testing.assert_allclose(first, [[0, 0], [75, 0]], atol=1e-3)
    np.testing.assert_allclose(last, [[0, 0], [-50, 0]], atol=1e-3)
    with gallery.write() as connection:
        damaged = connection.execute(tracklets.select().where(tracklets.c.id == walker.id)).one().seq
        connection.execute(update(details).where(details.c.seq == damaged).values(boxes=b"\0" * 15))
    np.testing.assert_array_equal(gallery.velocities([walker.id])[0], [[0, 0]])


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (Filter(), True),
        (Filter(sources=("door",)), True),
        (Filter(sources=("yard",)), False),
        (Filter(contents=("c",)), True),
        (Filter(contents=("d",)), False),
        (Filter(since=20.0), True),
        (Filter(since=20.5), False),
        (Filter(until=10.0), True),
        (Filter(until=9.5), False),
        (Filter(media_since=2.0), True),
        (Filter(media_since=2.5), False),
        (Filter(media_until=1.0), True),
        (Filter(media_until=0.5), False),
        (Filter(since=0.0, until=0.0), False),
    ],
)
def test_a_filter_leaves_whatever_touches_its_times(gallery: Gallery, where: Filter, holds: bool) -> None:
    assert where.holds("door", "c", 10.0, 20.0, 1.0, 2.0) is holds
    # The database says the same.
    gallery.begin_source(started("door", "c"), SETTINGS)
    (one,) = some_tracklets(1, content="c")
    one = replace(one, start_wall=10.0, end_wall=20.0, start_media=1.0, end_media=2.0)
    gallery.add([one])
    assert (one.id in gallery.rows(where).id) is holds
    assert bool(where) is (where != Filter())


@pytest.mark.parametrize("values", [{"weight": 0.0}, {"weight": 1.0}, {"k1": 1, "k2": 1}, {"candidates": 2}])
def test_reranking_may_be_at_the_ends_of_what_is_allowed(values: dict[str, Any]) -> None:
    order = Reranking(**values).distances(PEOPLE[0].embedding, np.stack([t.embedding for t in PEOPLE])).argsort()
    assert order[0] == 0


@pytest.mark.parametrize(
    "values", [{"weight": -0.1}, {"weight": 1.1}, {"k2": 0}, {"k1": 5, "k2": 6}, {"candidates": 1}]
)
def test_reranking_beyond_the_ends_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Reranking(**values)


def test_a_card_says_where_and_when_and_which_tracklet() -> None:
    one = replace(PEOPLE[0], part=1, parts=3, start_media=3671.0, end_media=3673.5, start_wall=0.0)
    card = tracklet_card(one, 0.5, "door.mp4")
    assert card.title == f"track {one.track_id} part 2 of 3"
    assert card.lines[:3] == ("similarity 0.500, door", "1:01:11 for 2.5 s", "1970-01-01 00:00:00")
    assert (card.sort["similarity"], card.sort["duration"]) == (0.5, 2.5)
    assert card.details == ("door.mp4", "frames 0 to 50", "this picture: frame 20", f"tracklet {one.id}")
    plain = tracklet_card(replace(one, part=0, parts=1, crop=None, crop_frame=None))
    assert (plain.title, plain.data_uri) == (f"track {one.track_id}", None)
    assert plain.details == ("door", "frames 0 to 50", f"tracklet {one.id}")
    assert "similarity" not in plain.sort
    assert Card(b"x", "", (), {}).data_uri == "data:image/jpeg;base64,eA=="


def test_times_are_written_for_people() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 60, 3599, 3600, 36_000)] == [
        "0:00:00",
        "0:00:59",
        "0:01:00",
        "0:59:59",
        "1:00:00",
        "10:00:00",
    ]
    assert wall_clock(1e300) == "1e+300 s"
    assert [wall_clock(moment) for moment in (EARLIEST, LATEST)] == ["0001-01-01 00:00:00", "9999-12-31 23:59:59"]


@pytest.mark.parametrize(("limit", "said"), [(2, "the first 2 of 12 tracklets"), (12, "12 tracklets")])
def test_a_page_says_how_many_of_how_many_it_shows(gallery: Gallery, tmp_path: Path, limit: int, said: str) -> None:
    page = tmp_path / "sheet.html"
    assert write_gallery_sheet(gallery, page, limit=limit) == (limit, 12)
    text = page.read_text()
    assert said in text
    assert ("the first" in text) == (limit < 12)


def test_a_page_names_a_clip_from_its_own_folder(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "sheet.html"
    assert clip_address(page, None) == ""
    assert clip_address(page, tmp_path / "pages" / "a b.mp4") == "a%20b.mp4"
    assert clip_address(page, tmp_path / "clips" / "a.mp4") == "../clips/a.mp4"
