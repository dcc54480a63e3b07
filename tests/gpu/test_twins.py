"""What is cut out for networks, in NumPy, is what the processor's own way gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reidstream.gpu.cuts import CUT, Cut, table
from reidstream.gpu.twins import cut_out
from reidstream.sources.frame import Pixels
from reidstream.sources.picture import Orientation
from tests.gpu.pictures import TURNS, host_planes, planes, surface


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("size", [(640, 360), (97, 131)])
def test_a_whole_picture_is_what_the_processor_makes_of_it(
    size: tuple[int, int], deep: bool, turn: Orientation
) -> None:
    luma, chroma = planes(size, deep)
    upright = turn.size(*size)
    place = 3, 2, 200, 100 if not turn.transposed else 210
    row = table([Cut(surface(size, deep), turn, (0, 0, *size), place, True)])[0]
    found = cut_out(row, luma, chroma, (224, 224))
    on_processor = host_planes(size, deep)
    expected = turn.upright(on_processor.scaled(*turn.size(*place[2:])))
    left, top, width, height = place
    _same(found[top : top + height, left : left + width], expected, deep)
    outside = np.ones((224, 224), bool)
    outside[top : top + height, left : left + width] = False
    assert (found[outside] == 114).all()
    assert upright == turn.size(*size)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (11, 7, 60, 131), (10, 6, 97, 100), (0, 0, 97, 131)])
def test_a_crop_is_what_the_processor_makes_of_it(
    box: tuple[int, int, int, int], deep: bool, turn: Orientation
) -> None:
    size = 97, 131
    luma, chroma = planes(size, deep)
    row = table([Cut(surface(size, deep), turn, box, (0, 0, 64, 128), False)])[0]
    found = cut_out(row, luma, chroma, (64, 128))
    on_processor = host_planes(size, deep)
    crop = turn.upright(on_processor.crop(*box))
    _same(found, cv2.resize(crop, (64, 128), interpolation=cv2.INTER_LINEAR).astype(np.uint8), deep)


def test_a_table_says_where_everything_lies() -> None:
    lying = surface((96, 64), True)
    row = table([Cut(lying, Orientation(True, False, True), (2, 4, 12, 34), (1, 2, 3, 5), False)])
    assert row.dtype == CUT and row.shape == (1,)
    named = {name: row[0][name].tolist() for name in CUT.names or ()}
    assert named.pop("matrix")[:3] == np.rint(1024 * lying.matrix[0, :3]).tolist()
    assert named == {
        "luma": lying.luma, "chroma": lying.chroma, "pitch": lying.pitch, "deep": 1,
        "left": 2, "top": 4, "width": 10, "height": 30, "picture_width": 96, "picture_height": 64,
        "place_left": 1, "place_top": 2, "place_width": 3, "place_height": 5,
        "transposed": 1, "mirrored_x": 0, "mirrored_y": 1, "whole": 0,
    }  # fmt: skip


def _same(found: Pixels, expected: Pixels, deep: bool) -> None:
    """Equal; with ten bits but for the rounding of OpenCV's floating point, which differs between processors."""
    if deep:
        difference = np.abs(found.astype(np.int64) - expected.astype(np.int64))
        assert difference.max() <= 2
        assert difference.mean() < 0.01
    else:
        np.testing.assert_array_equal(found, expected)
