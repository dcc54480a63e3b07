"""How often, for how long and when somebody was in a zone, out of what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidstream.gallery import Filter, Gallery
from reidstream.gallery.zones import zone_numbers
from reidstream.types import Stay
from tests.exact import EXACT

from .conftest import SETTINGS, SPACE, some_tracklets, started

WALL = 1000.0


def stay(zone: str, start: float, end: float) -> Stay:
    return Stay(zone, start, end, WALL + start, WALL + end)


STAYS = (
    (stay("till", 10.0, 13.0), stay("door", 14.0, 15.0), stay("till", 20.0, 27.0)),
    (stay("till", 12.0, 14.0),),
    (),
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Three visits of thirty seconds, from the first second on."""
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=EXACT) as opened:
        opened.begin_source(started(), SETTINGS)
        whole: dict[str, Any] = {
            "start_media": 1.0,
            "end_media": 31.0,
            "start_wall": WALL + 1.0,
            "end_wall": WALL + 31.0,
        }
        visits = zip(some_tracklets(3), STAYS, strict=True)
        opened.add([replace(tracklet, stays=stays, **whole) for tracklet, stays in visits])
        yield opened


def test_stays_count_by_their_length_wherever_they_begin(gallery: Gallery) -> None:
    door, till = zone_numbers(gallery)
    assert (door.source, door.zone, till.zone) == ("door", "door", "till")
    assert (till.visits, till.stays, till.people) == (2, 3, None)
    assert (till.seconds, till.median, till.longest) == (12.0, 3.0, 7.0)
    assert (till.first_wall, till.last_wall) == (WALL + 10.0, WALL + 27.0)
    assert (door.visits, door.stays, door.seconds) == (1, 1, 1.0)


@pytest.mark.parametrize(
    ("where", "stays"),
    [
        (Filter(since=WALL + 14.0), 2),
        (Filter(since=WALL + 14.25), 1),
        (Filter(until=WALL + 12.0), 2),
        (Filter(until=WALL + 11.75), 1),
        (Filter(media_since=13.0), 3),
        (Filter(media_since=13.25), 2),
        (Filter(media_until=20.0), 3),
        (Filter(media_until=19.75), 2),
        (Filter(since=WALL + 28.0), 0),
    ],
)
def test_with_a_time_those_count_of_which_any_part_lies_in_it(gallery: Gallery, where: Filter, stays: int) -> None:
    assert sum(numbers.stays for numbers in zone_numbers(gallery, where) if numbers.zone == "till") == stays


def test_a_row_names_each_zone_once_and_none_where_nobody_was(gallery: Gallery) -> None:
    assert [sorted(record["zones"]) for record in gallery.rows().records()] == [["door", "till"], ["till"], []]
