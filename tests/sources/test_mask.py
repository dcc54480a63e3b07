"""Regions and zones drawn on a picture, and regions painted on one by somebody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidstream.config import SourceConfig
from reidstream.errors import SourceBroken
from reidstream.sources import mask
from reidstream.sources.frame import ArrayPicture, Pixels
from reidstream.sources.mask import PAINT, first_picture, painted_regions, with_regions

GREY = np.full((400, 600, 3), 90, np.uint8)
SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))


def changed(drawn: Pixels) -> Pixels:
    """Where a picture is no longer grey."""
    different: Pixels = (drawn != GREY).any(axis=2)
    return different


def test_every_tenth_of_the_picture_has_a_line_across_and_a_line_down() -> None:
    drawn = changed(with_regions(GREY, []))
    for tenth in range(1, 10):
        # What is written stands beside the lines.
        assert drawn[:, round(tenth * 60)].all(), tenth
        assert drawn[round(tenth * 40)].all(), tenth
    assert not drawn[20, 330:350].any()
    assert (GREY == 90).all()


def test_a_region_is_shaded_inside_and_outlined() -> None:
    drawn = with_regions(GREY, [SQUARE])
    inside, outline, outside = drawn[175, 315], drawn[100, 315], drawn[75, 315]
    # Magenta shines through, and is nearly all there is of the outline, whose edge is smooth.
    assert inside[0] > 100 and inside[1] < 80 and inside[2] > 100
    assert np.abs(outline.astype(int) - PAINT).max() < 30
    assert outside.tolist() == [90, 90, 90]


def test_a_zone_is_outlined_where_it_lies_and_named_in_its_middle() -> None:
    plain = with_regions(GREY, [])
    drawn = with_regions(GREY, [], {"till": SQUARE})
    different = (plain != drawn).any(axis=2)
    rows, columns = np.nonzero(different)
    # The square's own outline is the farthest that anything reaches.
    assert abs(int(rows.min()) - 100) <= 2 and abs(int(rows.max()) - 300) <= 2
    assert abs(int(columns.min()) - 150) <= 2 and abs(int(columns.max()) - 450) <= 2
    middle = different[180:210, 290:400]
    assert middle.any()
    # Another name is written differently, and no inside is shaded.
    assert (with_regions(GREY, [], {"door": SQUARE}) != drawn)[180:210, 290:400].any()
    assert not different[230:290, 160:440].any()


@pytest.mark.parametrize(("off", "seen"), [(mask._TOLERANCE, True), (mask._TOLERANCE + 1, False)])
def test_paint_may_be_as_far_off_as_it_is_tolerated(off: int, seen: bool) -> None:
    picture = GREY.copy()
    blue, green, red = PAINT
    picture[100:300, 150:450] = (blue - off, green + off, red - off)
    if seen:
        assert len(painted_regions(picture)) == 1
    else:
        with pytest.raises(SourceBroken, match="painted in magenta"):
            painted_regions(picture)


@settings(max_examples=25, deadline=None)
@given(
    left=st.floats(0, 0.4),
    top=st.floats(0, 0.4),
    width=st.floats(0.2, 0.6),
    height=st.floats(0.2, 0.6),
)
def test_what_is_painted_is_read_as_it_was_painted(left: float, top: float, width: float, height: float) -> None:
    wanted = np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])
    picture = GREY.copy()
    cv2.fillPoly(picture, [np.rint(wanted * (599, 399)).astype(np.int32)], PAINT)
    (found,) = painted_regions(picture)
    assert len(found) == 4
    for corner in wanted:
        assert np.abs(np.array(found) - corner).max(axis=1).min() < 0.02


def test_the_largest_comes_first_and_specks_are_none() -> None:
    picture = GREY.copy()
    picture[10:60, 10:60] = picture[100:300, 150:450] = PAINT
    picture[5, 580] = PAINT
    large, small = painted_regions(picture)
    assert np.array(large)[:, 0].max() > 0.7
    assert np.array(small)[:, 0].max() < 0.11


@pytest.mark.parametrize("frames", [0, 2])
def test_the_first_picture_is_a_copy_and_a_source_without_any_is_named(
    monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    held = [np.full((4, 6, 3), number, np.uint8) for number in range(frames)]

    class Source:
        def started(self) -> Any:
            return SimpleNamespace(uri="gate.mp4")

        def __iter__(self) -> Iterator[Any]:
            return iter([SimpleNamespace(picture=ArrayPicture(one)) for one in held])

    @contextmanager
    def opened(config: SourceConfig, name: str) -> Iterator[Source]:
        assert (config.uri, name) == ("gate.mp4", "source")
        yield Source()

    monkeypatch.setattr(mask, "open_source", opened)
    config = SourceConfig(uri="gate.mp4")
    if not frames:
        with pytest.raises(SourceBroken, match=r"gate\.mp4 gives no picture"):
            first_picture(config)
        return
    found = first_picture(config)
    found[:] = 200
    assert held[0].max() == 0
